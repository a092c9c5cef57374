"""Pictures 4 to 6: the gates, their peepholes, and two gates made one."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from docs.tour import canvas, gating_figures, picture
from lstm_variants.evidence import subjects
from lstm_variants.evidence.gates import figures as gates_figures
from lstm_variants.evidence.gates import measure
from lstm_variants.plots import samples
from lstm_variants.report import curves

SEQUENCES = 128
# Of the picture of two gates: of each side.
BINS = 40


class Peepholes(NamedTuple):
  """What the peepholes of one unit do at each step, of one sequence.

  Attributes:
    unit: which.
    state: name of a gate -> the c that it sees, `[time]`.
    weights: name of a gate -> its peephole.
    gates: name -> value, `[time]`.
    without: the same, had the gate not seen c at that step.
  """

  unit: int
  state: dict[str, np.ndarray]
  weights: dict[str, float]
  gates: dict[str, np.ndarray]
  without: dict[str, np.ndarray]


def peek(
  trace: measure.Trace, peephole: npt.ArrayLike, sequence: int = 0
) -> Peepholes:
  """Take the peepholes of a layer out of its gates, one step at a time.

      i = σ(z_i + p_i c_{t−1})
      f = σ(z_f + p_f c_{t−1})
      o = σ(z_o + p_o c_t)

  so that σ(z), the gate without its peephole at the same state, follows from
  the gate and p c.

  Args:
    trace: of a layer with all three gates.
    peephole: p, `[3, units]`: i, f, o.
    sequence: which of the trace.

  Returns:
    What they do in the unit where a gate changes most.

  Reference:
    Gers, Schraudolph & Schmidhuber, JMLR 3, 2002.
  """
  assert trace.c is not None
  c = np.asarray(trace.c[sequence], float)
  before = np.concatenate((np.zeros_like(c[:1]), c[:-1]))
  states: dict[str, np.ndarray] = {'i': before, 'f': before, 'o': c}
  weights: dict[str, np.ndarray] = dict(
    zip('ifo', np.asarray(peephole, float), strict=True)
  )
  gates = {n: np.asarray(trace.gates[n][sequence], float) for n in states}
  without = {
    name: _shift(gate, -weights[name] * states[name])
    for name, gate in gates.items()
  }
  change = [np.abs(gates[n] - without[n]).max(axis=0) for n in gates]
  unit = int(np.argmax(np.max(change, axis=0)))
  return Peepholes(
    unit,
    {n: states[n][:, unit] for n in states},
    {n: float(weights[n][unit]) for n in states},
    {n: gates[n][:, unit] for n in states},
    {n: without[n][:, unit] for n in states},
  )


def _shift(gate: np.ndarray, change: np.ndarray) -> np.ndarray:
  """Return σ(σ⁻¹(gate) + change)."""
  with np.errstate(divide='ignore', over='ignore'):
    logit = np.log(gate) - np.log1p(-gate)
    return 1 / (1 + np.exp(-(logit + change)))


def draw_gates(study: subjects.Study, lstm: subjects.Subject) -> picture.Drawn:
  """Draw gates, candidate and states of all units over one sequence."""
  seen = picture.look(study, lstm, SEQUENCES)
  trace, task = seen.trace, lstm.settings.task
  assert trace.c is not None and trace.candidate is not None
  order = picture.order(seen, trace.c)
  unit, sequence = int(order[0]), picture.settled(seen)
  sample = samples.Sample(
    *(np.asarray(side[sequence]) for side in seen.batch),
    in_axis=samples.Axis(*task.inputs),
    out_axis=samples.Axis(*task.outputs),
  )
  figure = gates_figures.draw_sequence(
    f'Three gates and a candidate: {seen.words}',
    sample,
    trace,
    sequence=sequence,
    marks=picture.marked(seen, sequence),
    unit=unit,
    order=order,
    ordered='those first that tell most of the answer',
  )
  canvas.part_labels(figure)
  values = {**trace.gates, 'g': trace.candidate, 'c': trace.c, 'h': trace.h}
  rows = [
    (step, *seen.batch.inputs[sequence, step], *of_step)
    for step, of_step in enumerate(
      zip(*(v[sequence, :, unit] for v in values.values()), strict=True)
    )
  ]
  columns = ('step', *task.inputs.names, *(f'{n}_of_unit' for n in values))
  return picture.Drawn(figure, columns, rows)


def draw_peepholes(
  study: subjects.Study, lstm: subjects.Subject
) -> picture.Drawn:
  """Draw what the gates of a unit would be if they did not see its state."""
  seen = picture.look(study, lstm, SEQUENCES)
  (layer,) = seen.params['layers']
  peepholes = peek(seen.trace, layer.peephole)
  blind = {
    **seen.params,
    'layers': (layer._replace(peephole=np.zeros_like(layer.peephole)),),
  }
  outputs = [
    seen.trace.outputs,
    picture.run(study, lstm, blind, np.asarray(seen.batch.inputs)),
  ]
  failed = [_failed(lstm, one, seen.batch) for one in outputs]
  streams = _streams(seen, outputs)
  figure = gating_figures.draw_peepholes(seen.words, streams, failed, peepholes)
  rows = [
    (step, *values)
    for step, values in enumerate(
      zip(
        *streams,
        *(
          side[gate]
          for gate in 'ifo'
          for side in (peepholes.gates, peepholes.without)
        ),
        peepholes.state['o'],
        strict=True,
      )
    )
  ]
  columns = (
    'step',
    'delay',
    'target',
    'output',
    'output_peepholes_0',
    'i',
    'i_peephole_0',
    'f',
    'f_peephole_0',
    'o',
    'o_peephole_0',
    'c',
  )
  return picture.Drawn(figure, columns, rows)


def _streams(
  seen: picture.Look, outputs: list[np.ndarray]
) -> tuple[np.ndarray, ...]:
  """Return inputs, targets and both outputs of the first sequence."""
  return (
    np.asarray(seen.batch.inputs)[0, :, 0],
    np.asarray(seen.batch.targets)[0, :, 0],
    *(one[0, :, 0] for one in outputs),
  )


def _failed(
  subject: subjects.Subject, outputs: np.ndarray, batch: Any
) -> float:
  """Return the share of streams with a mistake."""
  means = subject.settings.task.measure(jnp.asarray(outputs), batch)
  return float(means['failed'].total / means['failed'].weight)


class Pairs(NamedTuple):
  """How two gates of a model go together.

  Attributes:
    words: of the run.
    weights: parameters in use.
    shares: of all units, steps and sequences, `[i, f]`, bins from 0 to 1.
    sum: mean of i + f.
    spread: standard deviation of i + f.
    curve: the held-out loss of all its seeds.
  """

  words: str
  weights: int
  shares: np.ndarray
  sum: float
  spread: float
  curve: curves.Curve


def draw_coupling(
  study: subjects.Study, free: subjects.Subject, coupled: subjects.Subject
) -> picture.Drawn:
  """Draw input gate against forget gate, free and coupled, and the losses."""
  pairs = [_pairs(study, model) for model in (free, coupled)]
  figure = gating_figures.draw_coupling(pairs)
  rows = [
    (pair.words, pair.weights, pair.sum, pair.spread, int(at), *losses)
    for pair in pairs
    for at, *losses in zip(*pair.curve, strict=True)
  ]
  columns = (
    'run',
    'weights',
    'mean_of_i_plus_f',
    'deviation_of_i_plus_f',
    'sequences',
    'median_loss_of_seeds',
    'lowest',
    'highest',
  )
  return picture.Drawn(figure, columns, rows)


def _pairs(study: subjects.Study, subject: subjects.Subject) -> Pairs:
  seen = picture.look(study, subject, SEQUENCES)
  i, f = (
    np.asarray(seen.trace.gates[name][seen.inside], float).ravel()
    for name in 'if'
  )
  counts, _, _ = np.histogram2d(i, f, BINS, ((0, 1), (0, 1)))
  return Pairs(
    seen.words,
    picture.rows_of(study, subject)[0]['params_in_use'],
    counts / counts.sum(),
    float(np.mean(i + f)),
    float(np.std(i + f)),
    picture.learning_curve(study, subject),
  )
