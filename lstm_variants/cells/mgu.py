"""The minimal gated unit: a GRU whose one gate both resets and updates.

    f  = σ(x W_f + h R_f + b_f)             high: forgets, and lets the new in
    g  = tanh(x W_g + (f ⊙ h) R_g + b_g)
    h' = (1 − f) ⊙ h + f ⊙ g

1 − f keeps the state, so that the forget bias and chrono go to b_f with the
other sign: at first 1 − f is σ(forget_bias). This is the form of the paper.
flax's MGUCell is another cell, whatever the sign of the weights of f: there f
keeps the state (h' = f ⊙ h + (1 − f) ⊙ g) and yet resets with f, and after the
product (f ⊙ (h R_g + b_n)).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import SIGMOID, TANH
from lstm_variants.cells.simple_rnn import Carry, init_carry


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of f and g.

  Attributes:
    kernel: input weights W, `[F, 2H]`.
    recurrent_kernel: recurrent weights R, `[H, 2H]`.
    bias: b, `[2H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: None,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  1 − f keeps the state: −b_f is `forget_bias`, or drawn by chrono.

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  del settings
  kernel, recurrent_kernel = initializers.blocks(
    *(key, in_features, hidden_features, 2),
    options.recurrent_init,
    options.dtype,
  )
  keep = initializers.keep_bias(
    jax.random.fold_in(key, 2),
    hidden_features,
    options.forget_bias,
    options.chrono_t_max,
  )
  zeros = jnp.zeros((hidden_features,), options.dtype)
  bias = jnp.concatenate((-keep.astype(options.dtype), zeros))
  return Params(kernel, recurrent_kernel, bias)


def project(
  params: Params, settings: None, inputs: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Return x W + b of f and of g, `[..., H]` each."""
  del settings
  x_f, x_g = jnp.split(inputs @ params.kernel + params.bias, 2, axis=-1)
  return x_f, x_g


def reveal(
  params: Params,
  settings: None,
  carry: Carry,
  projected: tuple[jax.Array, jax.Array],
  product: products.Product = products.product,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  del settings
  (h,), (x_f, x_g) = carry, projected
  r_f, r_g = jnp.split(params.recurrent_kernel, 2, axis=-1)
  (f,) = product(h, r_f, x_f, (SIGMOID,))
  (g,) = product(f * h, r_g, x_g, (TANH,))
  h = (1 - f) * h + f * g
  return Carry(h), contract.Gates({'f': f}, g, keep=1 - f)


CELLS: Mapping[str, contract.Cell] = {
  'mgu': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.recurrent_kernel.shape[0],
    summary='minimal gated unit: one gate resets and updates',
    reference='Zhou et al. 2016, arXiv:1603.09420',
    keeps=True,
    fused=True,
  )
}
