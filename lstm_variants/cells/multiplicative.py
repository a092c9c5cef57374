"""The multiplicative LSTM: the inputs choose the recurrent matrix.

mult_lstm puts a product m in the place of the hidden state; the rest is the
LSTM:

    m  = (x M_x) ⊙ (h M_h)
    i  = σ(x W_i + m R_i + b_i)
    f  = σ(x W_f + m R_f + b_f)
    g  = tanh(x W_g + m R_g + b_g)
    o  = σ(x W_o + m R_o + b_o)
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ tanh(c')

The paper's equations have no biases. An earlier version of it has the output
gate inside, h' = tanh(o ⊙ c'); here it is outside, as in most code. xLSTM's
mLSTM is another cell.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import SIGMOID, TANH


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of i, f, g and o.

  Attributes:
    kernel: input weights W, `[F, 4H]`.
    recurrent_kernel: weights R of the product m, `[H, 4H]`.
    bias: b, `[4H]`.
    factor_kernel: M_x of the factor that the inputs make, `[F, H]`.
    factor_recurrent_kernel: M_h of that of the hidden state, `[H, H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array
  factor_kernel: jax.Array
  factor_recurrent_kernel: jax.Array


class Carry(NamedTuple):
  """The cell state c and the hidden state h, `[..., H]`."""

  c: jax.Array
  h: jax.Array


class Projected(NamedTuple):
  """What a step needs of its inputs: x W + b and x M_x."""

  gates: jax.Array
  factor: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: None,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell: M_x like W, M_h like R.

  b_f is `forget_bias`, or drawn by chrono, and then b_i = −b_f.

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  del settings
  size, dtype = hidden_features, options.dtype
  kernel, recurrent_kernel = initializers.blocks(
    key, in_features, size, 4, options.recurrent_init, dtype
  )
  inputs_init, recurrent = initializers.find(options.recurrent_init)
  bias_key, inputs_key, recurrent_key = (
    jax.random.fold_in(key, leaf) for leaf in (2, 3, 4)
  )
  return Params(
    kernel,
    recurrent_kernel,
    initializers.gate_bias(
      bias_key, size, False, options.forget_bias, options.chrono_t_max
    ).astype(dtype),
    inputs_init(inputs_key, (in_features, size), dtype),
    recurrent(recurrent_key, (size, size), dtype),
  )


def init_carry(
  settings: None,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry, `[*batch_shape, H]`."""
  del settings
  zeros = jnp.zeros((*batch_shape, hidden_features), dtype)
  return Carry(zeros, zeros)


def project(params: Params, settings: None, inputs: jax.Array) -> Projected:
  """Return x W + b, `[..., 4H]`, and x M_x, `[..., H]`."""
  del settings
  return Projected(
    inputs @ params.kernel + params.bias, inputs @ params.factor_kernel
  )


def reveal(
  params: Params,
  settings: None,
  carry: Carry,
  projected: Projected,
  product: products.Product = products.product,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  del settings
  (factor,) = product(carry.h, params.factor_recurrent_kernel)
  m = projected.factor * factor
  gates = SIGMOID, SIGMOID, TANH, SIGMOID
  i, f, g, o = product(m, params.recurrent_kernel, projected.gates, gates)
  c = f * carry.c + i * g
  h = o * jnp.tanh(c)
  return Carry(c, h), contract.Gates({'i': i, 'f': f, 'o': o}, g, f, c)


CELLS: Mapping[str, contract.Cell] = {
  'mult_lstm': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.factor_kernel.shape[1],
    keeps=True,
    states=('c', 'h'),
    fused=True,
    summary='LSTM whose inputs scale the hidden state that its gates see',
    reference='Krause et al. 2016, arXiv:1609.07959',
  )
}
