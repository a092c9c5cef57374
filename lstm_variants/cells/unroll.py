"""The scan over time, shared by every cell."""

from collections.abc import Callable
import operator
from typing import Any, get_args, Literal

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants import arguments
from lstm_variants.cells import gradient as gradient_lib
from lstm_variants.cells import stacks

Gradient = Literal['fused', 'autodiff']


def as_array(name: str, value: Any) -> jax.Array:
  """Return an argument as an array.

  Raises:
    ArgumentError: it is none of numbers.
  """
  try:
    return jnp.asarray(value)
  except (TypeError, ValueError) as error:
    raise arguments.ArgumentError(
      f'{name}: a {type(value).__name__}, must be an array of numbers'
    ) from error


def time_first(
  inputs: Any, mask: Any, time_major: bool
) -> tuple[jax.Array, jax.Array | None]:
  """Return inputs and mask as arrays `[time, batch, ...]`, checked.

  Raises:
    ArgumentError: what is no array, shapes that do not fit, a mask that is not
      boolean, inputs sharded over explicit mesh axes.
  """
  inputs = as_array('inputs', inputs)
  arguments.shape('inputs', inputs.shape, (None, None, None))
  if mask is not None:
    mask = as_array('mask', mask)
    arguments.shape('mask', mask.shape, inputs.shape[:2])
    if mask.dtype != bool:
      raise arguments.ShapeError(
        f'mask: an array of {mask.dtype}, must be of booleans; nearest: '
        'mask > 0'
      )
  spec = jax.typeof(inputs).sharding.spec
  if any(axis is not None for axis in spec):
    raise arguments.ArgumentError(
      f'inputs are sharded as {spec} over explicit mesh axes; use axes of '
      'AxisType.Auto, or jax.shard_map'
    )
  if not time_major:
    inputs, mask = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (inputs, mask))
  return inputs, mask


def check_gradient(gradient: str) -> None:
  """Refuse an unknown `gradient`."""
  if gradient not in get_args(Gradient):
    raise arguments.ArgumentError(
      f'gradient={gradient!r} must be fused or autodiff'
    )


def clean(inputs: jax.Array, mask: jax.Array | None) -> jax.Array:
  """Return the inputs with zeros at the steps that are left out.

  What stands there, even a NaN, must not reach the gradient.
  """
  return inputs if mask is None else jnp.where(mask[..., None], inputs, 0)


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
    ArgumentError: an unknown `gradient`.
  """
  check_gradient(gradient)
  operands = operands._replace(inputs=clean(operands.inputs, operands.mask))
  operands, state, signal = _equally_varying(operands, state, signal)
  empty = 0 in operands.inputs.shape[:2]
  if gradient == 'fused' and not empty:
    fused: Any = gradient_lib.fused(pointwise, operands, state, signal)
    (state, signal), signals = fused
    return state, signal, signals
  return gradient_lib.plain(pointwise, operands, state, signal)


def _equally_varying(operands, state, signal):
  """Make all numbers vary alike; switches and mask stay as they are."""
  numbers = (operands._replace(switches=None, mask=None), state, signal)
  others = operands.switches, operands.mask
  numbers = stacks.vary_alike(numbers, others)
  return (
    numbers[0]._replace(switches=operands.switches, mask=operands.mask),
    *numbers[1:],
  )


def in_segments(
  run: Callable[[Any, Any], tuple[Any, jax.Array]],
  segment: int,
  carry: Any,
  inputs: Any,
) -> tuple[Any, jax.Array]:
  """Run over time in segments that the gradient computes again.

  Args:
    run: `(carry, inputs) -> (carry, outputs)`, time major, for any time.
    segment: steps of a segment; the last may be shorter.
    carry: before the first step.
    inputs: a pytree of `[time, ...]`.

  Returns:
    What `run` returns for all the inputs.

  Raises:
    ArgumentError: `segment` is not an integer of at least 1.
  """
  if isinstance(segment, bool) or not hasattr(segment, '__index__'):
    raise arguments.ArgumentError(f'segment={segment!r} must be an integer')
  if segment < 1:
    raise arguments.ArgumentError(f'segment={segment} must be at least 1 step')
  # No step at all: it makes of the carry, which may be a plain pair or of
  # another dtype, what a segment hands on to the next.
  carry, _ = run(carry, jax.tree.map(lambda x: x[:0], inputs))
  run = jax.checkpoint(run)
  (time, *_) = jax.tree.leaves(inputs)[0].shape
  segment = min(operator.index(segment), max(time, 1))
  count = time // segment
  whole = jax.tree.map(
    lambda x: x[: count * segment].reshape(count, segment, *x.shape[1:]), inputs
  )
  carry, outputs = lax.scan(run, carry, whole)
  outputs = outputs.reshape(count * segment, *outputs.shape[2:])
  if count * segment == time:
    return carry, outputs
  carry, rest = run(carry, jax.tree.map(lambda x: x[count * segment :], inputs))
  return carry, jnp.concatenate((outputs, rest))
