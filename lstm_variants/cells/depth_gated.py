"""The depth-gated LSTM: layers whose cell states are linked by a gate.

One cell holds `depth` layers L = 1, 2, …, each with weights of its own. x^1 is
the input of the cell and x^L, L > 1, the new hidden state of the layer below;
the hidden state of the cell is that of the top layer. At one step, each layer's
weights and states without their L:

    i  = σ(x W_i + h R_i + p_i ⊙ c + b_i)
    f  = σ(x W_f + h R_f + p_f ⊙ c + b_f)
    g  = tanh(x W_g + h R_g + b_g)
    c' = f ⊙ c + i ⊙ g                                  L = 1
         f ⊙ c + i ⊙ g + d ⊙ c'^{L−1}                   L > 1
    d  = σ(x W_d + p_d ⊙ c + q_d ⊙ c'^{L−1} + b_d)      the depth gate
    o  = σ(x W_o + h R_o + p_o ⊙ c' + b_o)
    h' = o ⊙ tanh(c')

depth = 1 is the LSTM with peepholes. Peepholes are diagonal, as p_d and q_d are
in the paper. The code of its first author differs from it: whole matrices for
p_i and p_o, f = 1 − i, and later a depth gate on the inputs in the first layer.
"""

from collections.abc import Mapping
import functools
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import IDENTITY, SIGMOID, TANH


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    depth: D, layers.
  """

  depth: int = 2


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of i, f, g and o.

  Attributes:
    kernel: input weights W of the first layer, `[F, 4H]`.
    recurrent_kernel: recurrent weights R, `[D, H, 4H]`.
    bias: b, `[D, 4H]`.
    peephole: p of i, f and o, `[D, 3, H]`.
    upper_kernel: W of the upper layers, `[D − 1, H, 4H]`; this and what follows
      is None with depth 1.
    depth_kernel: W_d, `[D − 1, H, H]`.
    depth_bias: b_d, `[D − 1, H]`.
    depth_peephole: p_d and q_d, `[D − 1, 2, H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array
  peephole: jax.Array
  upper_kernel: jax.Array | None
  depth_kernel: jax.Array | None
  depth_bias: jax.Array | None
  depth_peephole: jax.Array | None


class Carry(NamedTuple):
  """What one step hands to the next.

  Attributes:
    c: cell states of all layers, `[..., D, H]`.
    h_below: hidden states of the layers below the top, `[..., D − 1, H]`.
    h: hidden state of the top layer, `[..., H]`.
  """

  c: jax.Array
  h_below: jax.Array
  h: jax.Array


def _draw(
  size: int,
  dtype: jnp.dtype,
  initializer: initializers.Initializer,
  key: jax.Array,
  layers: int,
  rows: int,
  blocks: int,
) -> jax.Array:
  """Draw `[layers, rows, blocks · H]`, every block by itself."""
  keys = jax.random.split(key, (layers, blocks)).reshape(-1)
  drawn = jax.vmap(lambda k: initializer(k, (rows, size), dtype))(keys)
  drawn = drawn.reshape(layers, blocks, rows, size).swapaxes(1, 2)
  return drawn.reshape(layers, rows, blocks * size)


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  b_f of every layer is `forget_bias`, or drawn by chrono, and then b_i = −b_f.
  Weights between layers are drawn like input weights, peepholes from U[±1/√H].

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  depth, size, dtype = settings.depth, hidden_features, options.dtype
  upper = depth - 1
  inputs_init, recurrent = initializers.find(options.recurrent_init)
  leaves = enumerate(Params._fields)
  keys = {name: jax.random.fold_in(key, n) for n, name in leaves}

  draw = functools.partial(_draw, size, dtype)
  bias = jax.vmap(
    lambda k: initializers.gate_bias(
      k, size, False, options.forget_bias, options.chrono_t_max
    )
  )(jax.random.split(keys['bias'], depth))
  params = Params(
    kernel=draw(inputs_init, keys['kernel'], 1, in_features, 4)[0],
    recurrent_kernel=draw(recurrent, keys['recurrent_kernel'], depth, size, 4),
    bias=bias.astype(dtype),
    peephole=initializers.uniform(keys['peephole'], (depth, 3, size), dtype),
    upper_kernel=None,
    depth_kernel=None,
    depth_bias=None,
    depth_peephole=None,
  )
  if not upper:
    return params
  return params._replace(
    upper_kernel=draw(inputs_init, keys['upper_kernel'], upper, size, 4),
    depth_kernel=draw(inputs_init, keys['depth_kernel'], upper, size, 1),
    depth_bias=jnp.zeros((upper, size), dtype),
    depth_peephole=initializers.uniform(
      keys['depth_peephole'], (upper, 2, size), dtype
    ),
  )


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry."""
  return Carry(
    jnp.zeros((*batch_shape, settings.depth, hidden_features), dtype),
    jnp.zeros((*batch_shape, settings.depth - 1, hidden_features), dtype),
    jnp.zeros((*batch_shape, hidden_features), dtype),
  )


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return x W + b of the first layer, `[..., 4H]`."""
  del settings
  return inputs @ params.kernel + params.bias[0]


def reveal(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: jax.Array,
  product: products.Product = products.product,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h.

  Units are those of the first layer, then of the next; d is that of the upper
  layers, and 1 in the first, which has nothing below it.
  """
  h_tm1 = jnp.concatenate((carry.h_below, carry.h[..., None, :]), axis=-2)
  cells, hiddens, layer_gates = [], [], []
  for layer in range(settings.depth):
    h, c = h_tm1[..., layer, :], carry.c[..., layer, :]
    if layer:
      below = hiddens[-1], cells[-1]
      c, h, gates = _upper(params, layer, h, c, *below, product)
    else:
      c, h, gates = _first(params, h, c, projected, product)
    cells.append(c)
    hiddens.append(h)
    layer_gates.append(gates)
  c, h = jnp.stack(cells, axis=-2), jnp.stack(hiddens, axis=-2)
  i, f, g, o, d = (
    jnp.concatenate(parts, -1) for parts in zip(*layer_gates, strict=True)
  )
  gates = contract.Gates(
    {'i': i, 'f': f, 'o': o, 'd': d}, g, f, jnp.concatenate(cells, -1)
  )
  return Carry(c, h[..., :-1, :], hiddens[-1]), gates


def _first(params, h, c_tm1, projected, product):
  """Return c', h' and i, f, g, o, d of the first layer."""
  p_i, p_f, p_o = params.peephole[0]
  none = jnp.zeros_like(c_tm1)
  seen = jnp.concatenate((p_i * c_tm1, p_f * c_tm1, none, none), axis=-1)
  i, f, g, z_o = product(
    *(h, params.recurrent_kernel[0], projected + seen),
    (SIGMOID, SIGMOID, TANH, IDENTITY),
  )
  c = f * c_tm1 + i * g
  (o,) = product(None, None, z_o + p_o * c, (SIGMOID,))
  return c, o * jnp.tanh(c), (i, f, g, o, jnp.ones_like(c))


def _upper(params, layer, h, c_tm1, h_below, c_below, product):
  """Return c', h' and i, f, g, o, d of another layer."""
  p_i, p_f, p_o = params.peephole[layer]
  p_d, q_d = params.depth_peephole[layer - 1]
  recurrent = params.recurrent_kernel[layer]
  # One product of both operands; h feeds no depth gate.
  kernel = jnp.block(
    [
      [params.upper_kernel[layer - 1], params.depth_kernel[layer - 1]],
      [recurrent, jnp.zeros_like(recurrent[:, : h.shape[-1]])],
    ]
  )
  bias = jnp.concatenate((params.bias[layer], params.depth_bias[layer - 1]))
  none = jnp.zeros_like(c_tm1)
  of_depth = p_d * c_tm1 + q_d * c_below
  seen = jnp.concatenate(
    (p_i * c_tm1, p_f * c_tm1, none, none, of_depth), axis=-1
  )
  i, f, g, z_o, d = product(
    *(jnp.concatenate((h_below, h), axis=-1), kernel, bias + seen),
    (SIGMOID, SIGMOID, TANH, IDENTITY, SIGMOID),
  )
  c = f * c_tm1 + i * g + d * c_below
  (o,) = product(None, None, z_o + p_o * c, (SIGMOID,))
  return c, o * jnp.tanh(c), (i, f, g, o, d)


CELLS: Mapping[str, contract.Cell] = {
  'depth_gated': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.recurrent_kernel.shape[1],
    keeps=True,
    fused=True,
    summary='layers of peephole LSTMs, a gate from cell to cell above',
    reference='Yao et al. 2015, arXiv:1508.03790',
    settings=Settings(),
    ranges=types.MappingProxyType(
      {'depth': contract.Range(1, 16, 'layers in one cell')}
    ),
  )
}
