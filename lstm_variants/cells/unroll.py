"""The scan over time, shared by every cell."""

from collections.abc import Callable
from typing import Any, Literal

import chex
import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import gradient as gradient_lib

Gradient = Literal['fused', 'autodiff']


def time_first(
  inputs: jax.Array, mask: jax.Array | None, time_major: bool
) -> tuple[jax.Array, jax.Array | None]:
  """Return inputs and mask as `[time, batch, ...]`, checked.

  Raises:
    AssertionError: shapes that do not fit, a mask that is not boolean.
  """
  chex.assert_rank(inputs, 3)
  if not time_major:
    inputs, mask = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (inputs, mask))
  if mask is not None:
    chex.assert_shape(mask, inputs.shape[:2])
    chex.assert_type(mask, bool)
  return inputs, mask


def scan(
  pointwise: gradient_lib.Pointwise,
  operands: gradient_lib.Operands,
  state: Any,
  signal: jax.Array,
  gradient: Gradient = 'fused',
) -> tuple[Any, jax.Array, jax.Array]:
  """Apply a cell to every time step in turn.

  Args:
    pointwise: the cell.
    operands: time major.
    state: before the first step.
    signal: before the first step, `[batch, signal]`.
    gradient: 'fused' is the one of the module `gradient`, in reverse mode, of
      any order; 'autodiff' is JAX's own, also in forward mode (`jax.jvp`,
      `jax.jacfwd`), and slower.

  Returns:
    State and signal after the last step, and all signals,
    `[time, batch, signal]`.

  Raises:
    ValueError: an unknown `gradient`.
  """
  if operands.mask is not None:
    # What stands at a step left out, even a NaN, must not reach the gradient.
    inputs = jnp.where(operands.mask[..., None], operands.inputs, 0)
    operands = operands._replace(inputs=inputs)
  operands, state, signal = _equally_varying(operands, state, signal)
  empty = 0 in operands.inputs.shape[:2]
  if gradient == 'fused' and not empty:
    fused: Any = gradient_lib.fused(pointwise, operands, state, signal)
    (state, signal), signals = fused
  elif gradient == 'autodiff' or empty:
    state, signal, signals = gradient_lib.plain(
      pointwise, operands, state, signal
    )
  else:
    raise ValueError(f'gradient={gradient!r} must be fused or autodiff')
  return state, signal, signals


def _equally_varying(operands, state, signal):
  """Make all differ between devices, inside `jax.shard_map`, if one does.

  Its check refuses a loop that adds what differs to what does not. A zero that
  differs where any of them does is added; without `shard_map` it is nothing.
  """
  numbers = (operands._replace(switches=None, mask=None), state, signal)
  zero = sum(
    jnp.zeros_like(x, shape=(), dtype=signal.dtype)
    for x in jax.tree.leaves((numbers, operands.switches, operands.mask))
  )
  numbers = jax.tree.map(lambda x: x + zero, numbers)
  return (
    numbers[0]._replace(switches=operands.switches, mask=operands.mask),
    *numbers[1:],
  )


def in_segments(
  run: Callable[[Any, jax.Array], tuple[Any, jax.Array]],
  segment: int,
  carry: Any,
  inputs: jax.Array,
) -> tuple[Any, jax.Array]:
  """Run over time in segments that the gradient computes again.

  Args:
    run: `(carry, inputs) -> (carry, outputs)`, time major, for any time.
    segment: steps of a segment; the last may be shorter.
    carry: before the first step.
    inputs: `[time, ...]`.

  Returns:
    What `run` returns for all the inputs.

  Raises:
    ValueError: `segment` is below 1.
  """
  if segment < 1:
    raise ValueError(f'segment={segment} must be at least 1 step')
  # No step at all: it makes of the carry, which may be a plain pair or of
  # another dtype, what a segment hands on to the next.
  carry, _ = run(carry, inputs[:0])
  run = jax.checkpoint(run)
  time = inputs.shape[0]
  count = time // segment
  whole = inputs[: count * segment].reshape(count, segment, *inputs.shape[1:])
  carry, outputs = lax.scan(run, carry, whole)
  outputs = outputs.reshape(count * segment, *outputs.shape[2:])
  if count * segment == time:
    return carry, outputs
  carry, rest = run(carry, inputs[count * segment :])
  return carry, jnp.concatenate((outputs, rest))
