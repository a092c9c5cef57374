"""Pictures 7 and 8: layers upon layers, and a thousand steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from docs.tour import depth_figures, picture
from lstm_variants.evidence import subjects
from lstm_variants.evidence.gates import measure
from lstm_variants.evidence.gradient_flow import curves as gradient_curves
from lstm_variants.evidence.gradient_flow import gradients
from lstm_variants.report import curves

# Of which the time constants are means, and over which units are chosen.
SEQUENCES, LAG_SEQUENCES = 64, 64
# Of the lag: sequences whose gradient is taken, and that are drawn; of what is
# drawn every so many steps are.
GRADIENTS, DRAWN, STRIDE = 16, 12, 10


class Stack(NamedTuple):
  """A model of some layers.

  Attributes:
    words: of the run.
    layers: how many.
    weights: parameters in use.
    tau: of each layer the time constants of its units, in steps.
    curve: the held-out loss of all its seeds.
  """

  words: str
  layers: int
  weights: int
  tau: list[np.ndarray]
  curve: curves.Curve


class Latch(NamedTuple):
  """A model that has to hold one symbol for very long.

  Attributes:
    words: of the run.
    state: 'c' or 'h'.
    unit: whose state tells most of the answer.
    values: of it, every `STRIDE` steps, NaN after the question,
      `[sequences, steps]`.
    answers: 0 for x and 1 for y, `[sequences]`.
    norms: ‖∂L/∂s_t‖, every `STRIDE` steps, `[steps]`.
    wrong: share of all sequences that are answered wrong.
  """

  words: str
  state: str
  unit: int
  values: np.ndarray
  answers: np.ndarray
  norms: np.ndarray
  wrong: float


def draw_stacking(
  study: subjects.Study, one: subjects.Subject, two: subjects.Subject
) -> picture.Drawn:
  """Draw what both layers do with a text, their time constants, the losses."""
  (alone,), looks = (
    [
      picture.look(study, subject, SEQUENCES, layer)
      for layer in range(subject.settings.num_layers)
    ]
    for subject in (one, two)
  )
  stacks = [_stack(study, one, [alone]), _stack(study, two, looks)]
  names = two.settings.task.inputs.names
  text = [names[n] for n in np.argmax(looks[0].batch.inputs[0], axis=-1)]
  # Units that do alike are beside each other.
  maps = [_alike(seen.trace.h[0].T) for seen in looks]
  figure = depth_figures.draw_stacking(stacks, looks[0].words, text, maps)
  rows = [
    (stack.words, stack.weights, 'time constant, steps', layer + 1, unit, tau)
    for stack in stacks
    for layer, of_layer in enumerate(stack.tau)
    for unit, tau in enumerate(of_layer.tolist())
  ]
  rows += [
    (stack.words, stack.weights, 'their median', layer + 1, '', np.median(tau))
    for stack in stacks
    for layer, tau in enumerate(stack.tau)
  ]
  rows += [
    (stack.words, stack.weights, 'median held-out loss', '', int(at), loss)
    for stack in stacks
    for at, loss in zip(stack.curve.sequences, stack.curve.median, strict=True)
  ]
  columns = ('run', 'weights', 'what', 'layer', 'unit_or_sequences', 'value')
  return picture.Drawn(figure, columns, rows)


def _stack(
  study: subjects.Study, subject: subjects.Subject, looks: list[picture.Look]
) -> Stack:
  layers, tau = len(looks), []
  for seen in looks:
    assert seen.trace.keep is not None
    tau.append(measure.time_constants(seen.trace.keep, seen.inside))
  weights = picture.rows_of(study, subject)[0]['params_in_use']
  curve = picture.learning_curve(study, subject)
  noun = 'layer' if layers == 1 else 'layers'
  label = f'{layers} {noun} of {subject.settings.hidden_features}'
  return Stack(label, layers, weights, tau, curve)


def _alike(values: np.ndarray) -> np.ndarray:
  """Return rows in the order of their largest singular vector."""
  centred = values - values.mean(axis=1, keepdims=True)
  vectors, _, _ = np.linalg.svd(centred, full_matrices=False)
  return values[np.argsort(vectors[:, 0])]


def draw_lag(
  study: subjects.Study, lstm: subjects.Subject, rnn: subjects.Subject
) -> picture.Drawn:
  """Draw one state over a thousand steps, and the gradient that comes back."""
  latches = [_latch(study, model) for model in (lstm, rnn)]
  task = lstm.settings.task
  figure = depth_figures.draw_lag(latches, task.length, STRIDE)
  rows = [
    (latch.words, latch.state, step * STRIDE, latch.norms[step])
    + tuple(
      float(np.nanmean(latch.values[latch.answers == answer, step]))
      if np.any(np.isfinite(latch.values[latch.answers == answer, step]))
      else ''
      for answer in (0, 1)
    )
    for latch in latches
    for step in np.flatnonzero(np.isfinite(latch.norms)).tolist()
  ]
  columns = ('run', 'state', 'step', 'mean_gradient_norm')
  columns += ('mean_state_after_x', 'mean_state_after_y')
  return picture.Drawn(figure, columns, rows)


def _latch(study: subjects.Study, subject: subjects.Subject) -> Latch:
  seen = picture.look(study, subject, LAG_SEQUENCES)
  state = 'h' if seen.trace.c is None else 'c'
  states = seen.trace.h if seen.trace.c is None else seen.trace.c
  unit = int(picture.order(seen, states)[0])
  asked = np.argmax(seen.batch.mask > 0, axis=1)
  answers = np.asarray(seen.batch.targets)[np.arange(len(asked)), asked]
  values = np.where(seen.inside, states[:, :, unit], np.nan)
  means = subject.settings.task.measure(
    jnp.asarray(seen.trace.outputs), seen.batch
  )
  norms = _norms(subject, seen)[state]
  return Latch(
    seen.words,
    state,
    unit,
    values[:DRAWN, ::STRIDE],
    answers[:DRAWN],
    norms[::STRIDE],
    float(means['wrong'].total / means['wrong'].weight),
  )


def _norms(
  subject: subjects.Subject, seen: picture.Look
) -> dict[str, np.ndarray]:
  """Return the gradient's norm by every state, means over sequences."""
  settings = subject.settings
  batch = jax.tree.map(lambda x: jnp.asarray(x[:GRADIENTS]), seen.batch)

  @jax.jit
  def norms(params: Any, batch: Any) -> dict[str, jax.Array]:
    loss = gradients.sequence_losses(settings.task.measure, batch)
    return gradients.state_gradients(
      params,
      settings.architecture,
      subject.toggles,
      batch.inputs,
      loss,
    ).norms

  with jax.enable_x64(settings.dtype == 'float64'):
    per_state = norms(seen.params, batch)
  return {
    name: gradient_curves.mean_norms(values[0], seen.inside[:GRADIENTS])
    for name, values in per_state.items()
  }
