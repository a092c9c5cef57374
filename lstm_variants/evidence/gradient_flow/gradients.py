"""How much of the error arrives at every state of a run: ‖∂L/∂s_t‖ for all t.

    ∂L/∂s_t = ∂L/∂ε_t, ε_t a zero that is added to s_t after step t

by one backward pass, see `probes`. The state s is what one step hands to the
next: h, and c of an LSTM. It is this that decides what ∂L/∂c_t means:

    ∂L/∂c_t   c_t moves as the next step finds it, h_t stays as it is. Of the
              last step, whose c nothing reads any more, it is 0. (The other
              usage also counts c_t on its way to h_t in the step itself, which
              adds ∂L/∂h_t · ∂h_t/∂c_t.)
    ∂L/∂h_t   h_t moves for all that read it: the next step, and the readout or
              the layer above at step t.

Where every step has an error of its own, that of step t itself hides what comes
back from later ones: `own_step=False` leaves it out, and `sequence_losses` can
keep the error of chosen steps alone.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from lstm_variants import cells, models
from lstm_variants.cells import remedies, unroll
from lstm_variants.models import probes
from lstm_variants.models.architecture import Architecture, settings_of


class StateGradients(NamedTuple):
  """What arrives at the states.

  Attributes:
    norms: name of a state, as `c` -> ‖∂L_b/∂s_t‖ over the units,
      `[layer, time, batch]`; L_b is the loss of the sequence b.
    losses: L_b, `[batch]`.
  """

  norms: dict[str, jax.Array]
  losses: jax.Array


def state_gradients(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  loss: Callable[[jax.Array], jax.Array],
  mask: jax.Array | None = None,
  *,
  noise: remedies.Noise | None = None,
  own_step: bool = True,
) -> StateGradients:
  """Return the norms of the loss's gradient by every state, in one pass.

  A pure function: `jax.jit` makes it fast, `jax.vmap` over stacked parameters
  does all seeds at once. What a cell keeps from the gradient on purpose, as the
  truncated gradient of 1997, is not there either.

  Args:
    params: of a model, see `models.init_model`.
    architecture: static, of one direction.
    toggles: of the cell, static or traced.
    inputs: `[batch, time, in_features]`.
    loss: of the outputs `[batch, time, out_features]`; one number for each
      sequence, `[batch]`, that depends on no other sequence, so that every norm
      is of one sequence's own gradient. Of a task: see `sequence_losses`.
    mask: None, or boolean `[batch, time]`; see `lstm.unroll`. The norm of a
      step left out is that of the state held: 0 in padding without a loss.
    noise: None, or zoneout and recurrent dropout.
    own_step: the outputs of step t count in ∂L/∂h_t, else the later ones alone.

  Returns:
    The norms; 0 below the smallest number of their type: see `jacobians`.

  Raises:
    ValueError: a bidirectional model, a loss that is not `[batch]`, or a cell
      whose carry has no gradient.
    AssertionError: inputs or a mask that do not fit.
  """
  check_one_direction(architecture)
  chex.assert_shape(inputs, (None, None, architecture.in_features))
  settings = settings_of(architecture, toggles)
  steps, mask = unroll.time_first(inputs, mask, time_major=False)
  steps = unroll.clean(steps, mask)
  carries = models.first_carries(params, architecture, settings, inputs)
  cell = cells.CELLS[architecture.cell]
  probes.check_followed(cell, carries)
  run = functools.partial(
    probes.run,
    *(params, architecture, settings, steps, carries),
    mask=mask,
    noise=noise,
    own_step=own_step,
  )
  zeros = probes.zeros(carries, len(steps))
  total = functools.partial(_total_loss, run, loss)
  slopes, losses = jax.grad(total, has_aux=True)(zeros)
  layers = [probes.states_of(cell, slope) for slope in slopes]
  norms = jax.tree.map(lambda *s: jnp.stack([*map(_norms, s)]), *layers)
  return StateGradients(norms, losses)


def _total_loss(
  run: Callable[[Any], tuple[jax.Array, Any]],
  loss: Callable[[jax.Array], jax.Array],
  zeros: Any,
) -> tuple[jax.Array, jax.Array]:
  """Return the sum of the losses of all sequences, and the losses."""
  outputs, _ = run(zeros)
  losses = loss(jnp.swapaxes(outputs, 0, 1))
  _check_losses(losses, outputs.shape[1])
  return jnp.sum(losses), losses


def sequence_losses(
  measure: Callable[[jax.Array, Any], Mapping[str, Any]],
  batch: Any,
  steps: jax.typing.ArrayLike | None = None,
) -> Callable[[jax.Array], jax.Array]:
  """Return a task's loss as one number for each sequence.

      L_b = Σ_t loss_{b,t} / (asked steps of a sequence, mean over the batch)

  The mean of L over the batch is the loss of training. (If each sequence were
  divided by its own number of steps, it would not be.)

  Args:
    measure: of a `tasks.base.Task`.
    batch: a `tasks.base.Batch`.
    steps: None, or the steps whose loss counts, boolean `[time]`: with one of
      them, the error of that step alone flows back.

  Returns:
    `outputs -> [batch]`; 0 where no step counts.
  """
  if steps is not None:
    counts = jnp.asarray(steps, batch.mask.dtype)
    chex.assert_shape(counts, batch.mask.shape[1:])
    batch = batch._replace(mask=batch.mask * counts)

  def of_one(outputs: jax.Array, sequence: Any) -> tuple[jax.Array, jax.Array]:
    alone = jax.tree.map(lambda x: x[None], sequence)
    mean = measure(outputs[None], alone)['loss']
    return mean.total, mean.weight

  def losses(outputs: jax.Array) -> jax.Array:
    totals, weights = jax.vmap(of_one)(outputs, batch)
    weight = jnp.mean(weights)
    return jnp.where(weight > 0, totals / jnp.where(weight > 0, weight, 1), 0)

  return losses


def check_one_direction(architecture: Architecture) -> None:
  """Refuse a bidirectional model.

  Raises:
    ValueError: what, the rule.
  """
  if architecture.bidirectional:
    raise ValueError(
      'bidirectional=True: gradients are followed in one direction of time; '
      'nearest: bidirectional=False'
    )


def _check_losses(losses: jax.Array, batch: int) -> None:
  """Refuse a loss that is not one number for each sequence."""
  if losses.shape != (batch,):
    raise ValueError(
      f'the loss has shape {losses.shape}, not one number per sequence, '
      f'({batch},); nearest: leave out the mean over the batch'
    )


def _norms(slopes: jax.Array) -> jax.Array:
  """Return the Euclidean norm over all but time and batch.

  Scaled, as squares leave the range of numbers at half the exponent.
  """
  flat = slopes.reshape(*slopes.shape[:2], -1)
  largest = jnp.max(jnp.abs(flat), axis=-1, initial=0.0)
  scale = jnp.where(largest > 0, largest, 1)[..., None]
  return largest * jnp.sqrt(jnp.sum(jnp.square(flat / scale), axis=-1))
