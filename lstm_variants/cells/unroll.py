"""The scan over time, shared by every cell."""

from collections.abc import Callable
from typing import Any, Literal

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import gradient as gradient_lib

Gradient = Literal['fused', 'autodiff']


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
