"""The long expressive memory: two states, each with a step of time of its own.

    s  = Δt σ(x W_s + h R_s + b_s)      how far z moves, by unit
    t  = Δt σ(x W_t + h R_t + b_t)      how far h moves
    z' = (1 − s) ⊙ z + s ⊙ tanh(x W_z + h R_z + b_z)
    h' = (1 − t) ⊙ h + t ⊙ tanh(x W_h + z' S + b_h)

Δt = time_step is 1 unless set. Four blocks of weights, as an LSTM has; h sees
the new z, by S, and never itself. At first the weights are those of
`recurrent_init` and b = 0; the paper's code draws all from ±1/√H.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import SIGMOID, TANH


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    time_step: Δt, the largest share of a state that a step replaces.
  """

  time_step: float = 1.0


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of s, t, z and h.

  Attributes:
    kernel: input weights W, `[F, 4H]`.
    recurrent_kernel: R_s, R_t and R_z, and S, `[H, 4H]`.
    bias: b, `[4H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


class Carry(NamedTuple):
  """The state of the cell, `[..., H]` each.

  Attributes:
    z: the state that h sees.
    h: hidden state.
  """

  z: jax.Array
  h: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  Raises:
    ValueError: an unknown `recurrent_init`.
  """
  del settings
  kernel, recurrent_kernel = initializers.blocks(
    *(key, in_features, hidden_features, 4),
    options.recurrent_init,
    options.dtype,
  )
  return Params(
    kernel, recurrent_kernel, jnp.zeros(4 * hidden_features, options.dtype)
  )


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry, `[*batch_shape, H]` each."""
  del settings
  return Carry(*jnp.zeros((2, *batch_shape, hidden_features), dtype))


def project(
  params: Params, settings: Settings, inputs: jax.Array
) -> tuple[jax.Array, ...]:
  """Return x W + b of s and t, of z and of h."""
  del settings
  made = inputs @ params.kernel + params.bias
  size = made.shape[-1] // 4
  return tuple(jnp.split(made, (2 * size, 3 * size), axis=-1))


def reveal(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: tuple[jax.Array, ...],
  product: products.Product = products.product,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates s and t, those of h for h."""
  (z, h), (x_st, x_z, x_h) = carry, projected
  size = h.shape[-1]
  r_st, r_z, s_h = jnp.split(
    params.recurrent_kernel, (2 * size, 3 * size), axis=-1
  )
  s, t = product(h, r_st, x_st, (SIGMOID, SIGMOID))
  s, t = settings.time_step * s, settings.time_step * t
  (new,) = product(h, r_z, x_z, (TANH,))
  z = (1 - s) * z + s * new
  (candidate,) = product(z, s_h, x_h, (TANH,))
  h = (1 - t) * h + t * candidate
  return Carry(z, h), contract.Gates({'s': s, 't': t}, candidate, 1 - t)


CELLS: Mapping[str, contract.Cell] = {
  'lem': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.bias.shape[0] // 4,
    summary='two states, each with a step of time that gates decide',
    reference='Rusch et al. 2022, arXiv:2110.04744',
    settings=Settings(),
    ranges={
      'time_step': contract.Range(0.0001, 1.0, 'length of a step, at most')
    },
    fused=True,
  )
}
