"""The scan over time, shared by every cell."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def scan(
  advance: Callable[..., tuple[Any, jax.Array]],
  params: Any,
  toggles: Any,
  inputs: jax.Array,
  carry: Any,
) -> tuple[Any, jax.Array]:
  """Apply a cell to every time step in turn.

  Equivalent to

      for t in range(time):
        carry, hiddens[:, t] = advance(params, toggles, carry, inputs[:, t])

  The input product stays inside the loop and the loop is not unrolled: at the
  few input features of the long-lag tasks both alternatives were slower in run
  time, and unrolling multiplies the compile time.

  Args:
    advance: a cell's step function.
    params: the cell's parameters.
    toggles: the cell's toggles; Python leaves stay static.
    inputs: `[batch, time, features]`.
    carry: the cell's carry before the first step.

  Returns:
    The carry after the last step and the outputs, `[batch, time, features]`.
  """
  carry, outputs = jax.lax.scan(
    lambda carry, x_t: advance(params, toggles, carry, x_t),
    carry,
    jnp.swapaxes(inputs, 0, 1),
  )
  return carry, jnp.swapaxes(outputs, 0, 1)
