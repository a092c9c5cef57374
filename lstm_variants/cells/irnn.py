"""The simple recurrent network of rectified units that starts as a memory.

h' = max(0, x W + h R + b)      at first R = 1, b = 0
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, gradient, simple_rnn
from lstm_variants.cells import unroll as unroll_lib
from lstm_variants.cells.simple_rnn import Carry, Params

# Standard deviation of the input weights at first.
SPREAD = 1e-3


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: None,
  options: contract.Init,
) -> Params:
  """Return R = 1, b = 0 and W ~ N(0, 0.001²).

  Reference:
    Le, Jaitly & Hinton 2015, arXiv:1504.00941, section 4.
  """
  del settings
  dtype = options.dtype
  shape = (in_features, hidden_features)
  return Params(
    kernel=SPREAD * jax.random.normal(jax.random.fold_in(key, 0), shape, dtype),
    recurrent_kernel=jnp.eye(hidden_features, dtype=dtype),
    bias=jnp.zeros((hidden_features,), dtype),
  )


def step(
  params: Params, toggles: None, carry: tuple[jax.Array, ...], inputs: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance by one step: h' = max(0, x W + h R + b)."""
  del toggles
  (h,) = carry
  h = jax.nn.relu(
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
  """Run the cell over `[batch, time, F]`; see `lstm.unroll`."""
  del toggles
  return simple_rnn.scan(
    _POINTWISE, params, inputs, carry, mask, time_major, gradient
  )


def _forward(weights, switches, state, z):
  del weights, switches
  h = jax.nn.relu(z)
  return state, h, (h,)


def _backward(weights, switches, state, h, d_state, d_h):
  del weights, switches, state
  return d_state, (jnp.where(h > 0, d_h, 0),)


def _weigh(dz, states, new_states):
  del dz, states, new_states
  return ()


_POINTWISE = gradient.Pointwise(_forward, _backward, _weigh)

CELLS: Mapping[str, contract.Cell] = {
  'irnn': contract.Cell(
    init=init,
    init_carry=simple_rnn.init_carry,
    step=step,
    scan=unroll,
    size=lambda params: params.recurrent_kernel.shape[0],
    summary='rectified units, whose recurrent matrix is the identity at first',
    reference='Le, Jaitly & Hinton 2015, arXiv:1504.00941',
    initial='the identity',
    states=('h',),
    penalised=True,
    fused=True,
    operator='RNN Relu',
  )
}
