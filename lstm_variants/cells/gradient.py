"""The scan of a cell, with a gradient made for it.

A cell is a matrix product and a pointwise function:

    z_t         = [u_{t-1}, x_t, 1] K
    s_t, u_t, a = forward(weights, s_{t-1}, z_t)

u, the signal, is what is multiplied by the recurrent weights R (h of an LSTM);
s, the state, is what is not (c); a, the activations, are what the gradient
keeps of a step. K stacks R, the input weights W and the bias.

Plain autodiff of `lax.scan` adds to the gradient of the weights at every step
and stacks what its rules happen to need. Here a step of the backward scan makes
only

    ds_{t-1}, dz_t = backward(weights, s_{t-1}, a, ds_t, du_t)
    du_{t-1}       = dz_t Rᵀ

and the rest are products of whole blocks of steps: dK += [u, x, 1]ᵀ dz and
dx = dz Wᵀ (Appleyard et al. 2016, arXiv:1604.01946). See docs/performance.md.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import stacks

# Rows (steps × sequences) of one product for dK: enough to run at full speed,
# few enough for the block of dz to stay in a core's cache.
_BLOCK_ROWS = 512


class Pointwise(NamedTuple):
  """A cell between its matrix products, and the derivative of that.

  `weights`, `switches` and states are pytrees of arrays.

  Attributes:
    forward: `(weights, switches, state, z) -> (state, signal, activations)`;
      the activations as parts `[batch, ...]`.
    backward: `(weights, switches, state, activations, d_state, d_signal) ->
      (d_state, dz)`: of the state before the step, the activations side by
      side, and the cotangents of what `forward` returned; dz in parts.
    weigh: `(dz, states, new_states) -> d_weights`, summed over many steps:
      `[rows, ...]` each; in at least 32 bits.
  """

  forward: Callable[..., tuple[Any, jax.Array, tuple[jax.Array, ...]]]
  backward: Callable[..., tuple[Any, tuple[jax.Array, ...]]]
  weigh: Callable[..., Any]


class Operands(NamedTuple):
  """What a scan reads.

  Attributes:
    kernel: K, `[signal + in_features + 1, z]`.
    weights: of the pointwise function, differentiable.
    switches: of the pointwise function, not differentiated.
    inputs: x, `[time, batch, in_features]`.
    mask: `[time, batch]` or None; a step where it is False is left out.
  """

  kernel: jax.Array
  weights: Any
  switches: Any
  inputs: jax.Array
  mask: jax.Array | None = None


class _Kept(NamedTuple):
  """What the forward scan leaves to the backward scan.

  Attributes:
    operands: without the inputs.
    rows: [u_{t-1}, x_t, 1], `[time + 1, batch, signal + in_features + 1]`.
    states: before each step and after the last, `[time + 1, ...]`.
    activations: `[time, batch, ...]`.
  """

  operands: Operands
  rows: jax.Array
  states: Any
  activations: jax.Array


class _Cotangents(NamedTuple):
  """The carry of the backward scan.

  Attributes:
    state: ds.
    signal: du.
    ahead: the activations of the step to be visited next. XLA:CPU is slow where
      several fused operations read a row of a stack; a carry is a plain buffer.
    block: dz of the block of steps, `[steps, batch, z]`.
  """

  state: Any
  signal: jax.Array
  ahead: jax.Array
  block: jax.Array


class _Sums(NamedTuple):
  """The gradients by the operands."""

  kernel: jax.Array
  weights: Any
  inputs: jax.Array


def plain(
  pointwise: Pointwise, operands: Operands, state: Any, signal: jax.Array
) -> tuple[Any, jax.Array, jax.Array]:
  """Scan a cell by `lax.scan`, for JAX to differentiate."""
  kernel, weights, switches, inputs, mask = operands
  size = signal.shape[-1]

  def body(carry, xs):
    state, signal = carry
    x_t, mask_t = xs
    z = signal @ kernel[:size] + x_t @ kernel[size:-1] + kernel[-1]
    new = pointwise.forward(weights, switches, state, z)[:2]
    carry = stacks.hold(mask_t, new, carry)
    return carry, carry[1]

  carry, signals = lax.scan(body, (state, signal), (inputs, mask))
  return *carry, signals


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def fused(
  pointwise: Pointwise, operands: Operands, state: Any, signal: jax.Array
) -> tuple[tuple[Any, jax.Array], jax.Array]:
  """Scan a cell over time; see `unroll.scan`.

  Returns:
    State and signal after the last step, and all signals.
  """
  # Without a gradient nothing has to be kept.
  state, signal, signals = plain(pointwise, operands, state, signal)
  return (state, signal), signals


def _forward(pointwise, operands, state, signal):
  kernel, weights, switches, inputs, mask = operands
  time, batch, _ = inputs.shape
  size = signal.shape[-1]
  # One product a step for R, W and b, and later one for all their gradients.
  rows = jnp.concatenate(
    (
      jnp.zeros((time + 1, batch, size), inputs.dtype),
      jnp.pad(inputs, ((0, 1), (0, 0), (0, 0))),
      jnp.ones((time + 1, batch, 1), inputs.dtype),
    ),
    axis=-1,
  )
  rows = stacks.put_parts(rows, (signal,), 0)

  def step(state, row):
    return pointwise.forward(weights, switches, state, row @ kernel)

  kept = jax.eval_shape(step, state, rows[0])[2]
  width = sum(part.shape[-1] for part in kept)
  activations = jnp.zeros_like(inputs, shape=(time, batch, width))

  def body(t, carry):
    state, rows, states, activations = carry
    row = stacks.at(rows, t)
    new_state, new_signal, kept = step(state, row)
    new_state, new_signal = stacks.hold(
      stacks.at(mask, t), (new_state, new_signal), (state, row[:, :size])
    )
    return (
      new_state,
      stacks.put_parts(rows, (new_signal,), t + 1),
      stacks.put(states, new_state, t + 1),
      stacks.put_parts(activations, kept, t),
    )

  states = stacks.put(stacks.zeros(time + 1, state), state, 0)
  carry = (state, rows, states, activations)
  state, rows, states, activations = lax.fori_loop(0, time, body, carry)
  kept = _Kept(operands._replace(inputs=None), rows, states, activations)
  signals = rows[1:, :, :size]
  return ((state, signals[-1]), signals), kept


def _backward(pointwise, kept, cotangents):
  kernel, weights = kept.operands.kernel, kept.operands.weights
  (d_state, d_signal), d_signals = cotangents
  time, batch, size = d_signals.shape
  steps = min(time, max(1, _BLOCK_ROWS // batch))
  step = functools.partial(
    _step_back, pointwise, kept, d_signals, kernel[:size].T
  )
  carry = _Cotangents(
    d_state,
    d_signal,
    stacks.at(kept.activations, time - 1),
    jnp.zeros_like(kernel, shape=(steps, batch, kernel.shape[1])),
  )
  inputs_t = kernel[size:-1].T
  # Half precision would lose small products among a long sum.
  wide = jnp.promote_types(kernel.dtype, jnp.float32)
  sums = _Sums(
    jnp.zeros_like(kernel, dtype=wide),
    jax.tree.map(lambda w: jnp.zeros_like(w, dtype=wide), weights),
    jnp.zeros_like(kernel, shape=(time, batch, inputs_t.shape[1])),
  )

  def visit(start, steps, carry, sums):
    """Go back through `steps` steps to `start`; then make their products."""
    body = functools.partial(step, start, steps)
    carry = lax.fori_loop(0, steps, body, carry)
    sums = _add(pointwise, kept, inputs_t, start, carry.block[:steps], sums)
    return carry, sums

  blocks, rest = divmod(time, steps)
  carry, sums = lax.fori_loop(
    0,
    blocks,
    lambda n, both: visit(time - (n + 1) * steps, steps, *both),
    (carry, sums),
  )
  if rest:
    carry, sums = visit(0, rest, carry, sums)
  d_kernel, d_weights = jax.tree.map(
    lambda x: x.astype(kernel.dtype), (sums.kernel, sums.weights)
  )
  d_operands = Operands(d_kernel, d_weights, None, sums.inputs)
  return d_operands, carry.state, carry.signal


fused.defvjp(_forward, _backward)


def _step_back(pointwise, kept, d_signals, recurrent_t, start, steps, n, carry):
  """Go from the end of step `start + steps - 1 - n` to its start."""
  _, weights, switches, _, mask = kept.operands
  k = steps - 1 - n
  t = start + k
  mask_t = stacks.at(mask, t)
  after = (carry.state, carry.signal + stacks.at(d_signals, t))
  nothing = jax.tree.map(jnp.zeros_like, after)
  d_state, dz = pointwise.backward(
    weights,
    switches,
    stacks.at(kept.states, t),
    carry.ahead,
    *stacks.hold(mask_t, after, nothing),
  )
  block = stacks.put_parts(carry.block, dz, k)
  d_signal = stacks.at(block, k) @ recurrent_t
  d_state, d_signal = stacks.hold(mask_t, (d_state, d_signal), after)
  ahead = stacks.at(kept.activations, jnp.maximum(t - 1, 0))
  return _Cotangents(d_state, d_signal, ahead, block)


def _add(pointwise, kept, inputs_t, start, block, sums):
  """Add the products of a block of steps, dz `[steps, batch, z]`."""
  steps, batch, _ = block.shape
  dz = block.reshape(steps * batch, -1)

  d_kernel = jnp.matmul(
    stacks.rows(kept.rows, start, steps).T,
    dz,
    preferred_element_type=sums.kernel.dtype,
  )
  d_weights = pointwise.weigh(
    dz,
    stacks.rows(kept.states, start, steps),
    stacks.rows(kept.states, start + 1, steps),
  )
  d_inputs = (dz @ inputs_t).reshape(steps, batch, -1)
  return _Sums(
    sums.kernel + d_kernel,
    jax.tree.map(jnp.add, sums.weights, d_weights),
    lax.dynamic_update_slice(sums.inputs, d_inputs, (start, 0, 0)),
  )
