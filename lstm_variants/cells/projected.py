"""The LSTM with a recurrent projection: more memory cells than hidden units.

lstmp has C = memory_ratio · H cells, and H hidden units that are what the next
step and the layer above see of them:

    i  = σ(x W_i + h R_i + b_i)
    f  = σ(x W_f + h R_f + b_f)
    g  = tanh(x W_g + h R_g + b_g)
    o  = σ(x W_o + h R_o + b_o)
    c' = f ⊙ c + i ⊙ g                  [C]
    h' = (o ⊙ tanh(c')) P               [H]

This is torch's LSTM with proj_size = H. The paper's cells have peepholes, which
it has not; its optional second projection, which skips the recurrence, is left
out as well. At first the columns of P are orthonormal, or with recurrent_init
'uniform' P is U[±1/√C].
"""

from collections.abc import Mapping
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import SIGMOID, TANH


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    memory_ratio: memory cells for each hidden unit, C / H.
  """

  memory_ratio: int = 4


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of i, f, g and o.

  Attributes:
    kernel: input weights W, `[F, 4C]`.
    recurrent_kernel: recurrent weights R, `[H, 4C]`.
    bias: b, `[4C]`.
    projection: P, `[C, H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array
  projection: jax.Array


class Carry(NamedTuple):
  """What one step hands to the next.

  Attributes:
    c: cell state, `[..., C]`.
    h: hidden state, `[..., H]`.
  """

  c: jax.Array
  h: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; R and P in blocks of `[H, H]`.

  b_f is `forget_bias`, or drawn by chrono, and then b_i = −b_f.

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  ratio, size, dtype = settings.memory_ratio, hidden_features, options.dtype
  inputs_init, recurrent = initializers.find(options.recurrent_init)
  keys = Params(*(jax.random.fold_in(key, leaf) for leaf in range(4)))

  def draw(initializer, leaf_key, rows, count):
    """Draw blocks `[count, rows, H]`, each by itself, as one loop."""
    return jax.vmap(lambda k: initializer(k, (rows, size), dtype))(
      jax.random.split(leaf_key, count)
    )

  def beside(blocks):
    return blocks.swapaxes(0, 1).reshape(blocks.shape[1], -1)

  bias = initializers.gate_bias(
    *(keys.bias, ratio * size, False),
    options.forget_bias,
    options.chrono_t_max,
  )
  projection = draw(recurrent, keys.projection, size, ratio) * ratio**-0.5
  return Params(
    beside(draw(inputs_init, keys.kernel, in_features, 4 * ratio)),
    beside(draw(recurrent, keys.recurrent_kernel, size, 4 * ratio)),
    bias.astype(dtype),
    projection.reshape(-1, size),
  )


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry."""
  ratio = settings.memory_ratio
  return Carry(
    jnp.zeros((*batch_shape, ratio * hidden_features), dtype),
    jnp.zeros((*batch_shape, hidden_features), dtype),
  )


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., 4C]`."""
  del settings
  return inputs @ params.kernel + params.bias


def reveal(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: jax.Array,
  product: products.Product = products.product,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  del settings
  gates = SIGMOID, SIGMOID, TANH, SIGMOID
  i, f, g, o = product(carry.h, params.recurrent_kernel, projected, gates)
  c = f * carry.c + i * g
  (h,) = product(o * jnp.tanh(c), params.projection)
  return Carry(c, h), contract.Gates({'i': i, 'f': f, 'o': o}, g, f, c)


CELLS: Mapping[str, contract.Cell] = {
  'lstmp': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.projection.shape[1],
    keeps=True,
    fused=True,
    summary='LSTM of many cells, projected to fewer hidden units',
    reference='Sak, Senior & Beaufays 2014, arXiv:1402.1128',
    settings=Settings(),
    ranges=types.MappingProxyType(
      {'memory_ratio': contract.Range(1, 64, 'cells for each hidden unit')}
    ),
  )
}
