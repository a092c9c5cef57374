"""The simple (Elman) recurrent network: the baseline that loses gradients.

h' = tanh(x W + h R + b)
"""

from collections.abc import Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from lstm_variants import arguments
from lstm_variants.cells import contract, initializers, remedies
from lstm_variants.cells import gradient as gradient_lib
from lstm_variants.cells import unroll as unroll_lib


class Params(NamedTuple):
  """Parameters of the cell.

  Attributes:
    kernel: input weights W, `[F, H]`.
    recurrent_kernel: recurrent weights R, `[H, H]`.
    bias: b, `[H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


class Carry(NamedTuple):
  """The hidden state h, `[..., H]`."""

  h: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: None,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  Raises:
    ArgumentError: an unknown `recurrent_init`.
  """
  del settings
  dtype = options.dtype
  inputs_init, recurrent = initializers.find(options.recurrent_init)
  kernel_key, recurrent_key = (jax.random.fold_in(key, leaf) for leaf in (0, 1))
  return Params(
    kernel=inputs_init(kernel_key, (in_features, hidden_features), dtype),
    recurrent_kernel=recurrent(
      recurrent_key, (hidden_features, hidden_features), dtype
    ),
    bias=jnp.zeros((hidden_features,), dtype),
  )


def init_carry(
  toggles: None,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry, `[*batch_shape, H]`."""
  del toggles
  return Carry(jnp.zeros((*batch_shape, hidden_features), dtype))


def step(
  params: Params, toggles: None, carry: tuple[jax.Array, ...], inputs: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance the cell by one time step.

      h' = tanh(x W + h R + b)

  Args:
    params: `Params`.
    toggles: None, there are none.
    carry: `Carry`.
    inputs: x, `[..., F]`.

  Returns:
    The new `Carry` and the hidden state, `[..., H]`.

  Reference:
    Elman, Cognitive Science 14(2), 1990.
  """
  del toggles
  (h,) = carry
  h = jnp.tanh(
    inputs @ params.kernel + h @ params.recurrent_kernel + params.bias
  )
  return Carry(h), h


def unroll(
  params: Params,
  toggles: None,
  inputs: jax.Array,
  carry: tuple[jax.Array, ...] | None = None,
  *,
  mask: jax.Array | None = None,
  time_major: bool = False,
  gradient: unroll_lib.Gradient = 'fused',
) -> tuple[Carry, jax.Array]:
  """Run the cell over `[batch, time, F]`; see `lstm.unroll`.

  Raises:
    ArgumentError: toggles, an unknown `gradient`.
    AssertionError: shapes that do not fit, a mask that is not boolean.
  """
  if toggles is not None:
    raise arguments.ArgumentError(
      f'toggles={toggles}: this cell has none; leave them out'
    )
  return scan(_POINTWISE, params, inputs, carry, mask, time_major, gradient)


def scan(
  pointwise: gradient_lib.Pointwise,
  params: Params,
  inputs: jax.Array,
  carry: tuple[jax.Array, ...] | None,
  mask: jax.Array | None,
  time_major: bool,
  gradient: unroll_lib.Gradient,
) -> tuple[Carry, jax.Array]:
  """Run a cell h' = φ(x W + h R + b); φ is `pointwise`, without weights."""
  params = jax.tree.map(jnp.asarray, params)
  inputs, mask = unroll_lib.time_first(inputs, mask, time_major)
  size = params.recurrent_kernel.shape[0]
  if carry is None:
    dtype = jnp.result_type(inputs, *params)
    carry = init_carry(None, inputs.shape[1:2], size, dtype)
  (h,) = map(jnp.asarray, carry)
  chex.assert_shape(
    (*params, inputs, h),
    (
      (inputs.shape[-1], size),
      (size, size),
      (size,),
      (None, None, params.kernel.shape[0]),
      (inputs.shape[1], size),
    ),
  )
  dtype = jnp.result_type(inputs, *params, h)
  kernel = jnp.concatenate(
    (params.recurrent_kernel, params.kernel, params.bias[None])
  )
  operands = gradient_lib.Operands(
    kernel.astype(dtype), (), (), inputs.astype(dtype), mask
  )
  _, h, hiddens = unroll_lib.scan(
    pointwise, operands, (), h.astype(dtype), gradient
  )
  return Carry(h), hiddens if time_major else jnp.swapaxes(hiddens, 0, 1)


def _forward(weights, switches, state, z):
  del weights, switches
  h = jnp.tanh(z)
  return state, h, (h,)


def _backward(weights, switches, state, h, d_state, d_h):
  del weights, switches, state
  return d_state, (d_h * (1 - h * h),)


def _weigh(dz, states, new_states):
  del dz, states, new_states
  return ()


_POINTWISE = gradient_lib.Pointwise(_forward, _backward, _weigh)


def remedied_step(
  params: Params,
  settings: None,
  carry: tuple[jax.Array, ...],
  inputs: jax.Array,
  gains: remedies.Gains | None,
  keep: None,
) -> tuple[Carry, jax.Array]:
  """Advance by one step; see `contract.Cell.with_remedies`.

  h' = tanh(LN(x W + h R) + b)
  """
  del settings, keep
  (h,) = carry
  z = inputs @ params.kernel + h @ params.recurrent_kernel
  z = z if gains is None else remedies.normalise(z, gains.inputs)
  h = jnp.tanh(z + params.bias)
  return Carry(h), h


CELLS: Mapping[str, contract.Cell] = {
  'simple_rnn': contract.Cell(
    init=init,
    init_carry=init_carry,
    step=step,
    scan=unroll,
    size=lambda params: params.recurrent_kernel.shape[0],
    summary='tanh of inputs and hidden state',
    reference='Elman, Cognitive Science 14(2), 1990',
    with_remedies=remedied_step,
    gains=remedies.Form(1, recurrent=False, state=False),
    states=('h',),
    penalised=True,
    fused=True,
    operator='RNN Tanh',
  )
}
