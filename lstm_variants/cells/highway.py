"""The recurrent highway network: several gated layers between two steps.

    s_0 = h
    g_l = tanh(x W_g + s_{l−1} R_g,l + b_g,l)       l = 1, …, depth
    t_l = σ(x W_t + s_{l−1} R_t,l + b_t,l)          x W in the first alone
    s_l = (1 − t_l) ⊙ s_{l−1} + t_l ⊙ g_l
    h'  = s_depth

A step makes `depth` transitions of the one state, so that it computes a deeper
function of it. The carry gate of the paper is coupled here, 1 − t. Depth 1 is a
GRU without its reset gate.

At first b_t = −forget_bias, so that a layer keeps σ(forget_bias) of the state,
and a step that to the power of depth; b_g = 0.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import SIGMOID, TANH
from lstm_variants.cells.simple_rnn import Carry, init_carry


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    depth: transitions of a step.
  """

  depth: int = 3


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of g and t.

  Attributes:
    kernel: input weights W of the first layer, `[F, 2H]`.
    recurrent_kernel: R of each layer, `[depth, H, 2H]`.
    bias: b of each layer, `[depth, 2H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  1 − t keeps the state: −b_t is `forget_bias`, or drawn by chrono, in every
  layer.

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  layers, biases = [], []
  for layer in range(settings.depth):
    own = jax.random.fold_in(key, layer)
    layers.append(
      initializers.blocks(
        *(own, in_features, hidden_features, 2),
        options.recurrent_init,
        options.dtype,
      )
    )
    keep = initializers.keep_bias(
      jax.random.fold_in(own, 2),
      hidden_features,
      options.forget_bias,
      options.chrono_t_max,
    )
    biases.append(jnp.concatenate((jnp.zeros_like(keep), -keep)))
  kernels, recurrent = zip(*layers, strict=True)
  return Params(
    kernels[0], jnp.stack(recurrent), jnp.stack(biases).astype(options.dtype)
  )


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return x W + b of the first layer, `[..., 2H]`."""
  del settings
  return inputs @ params.kernel + params.bias[0]


def advance(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: jax.Array,
  product: products.Product = products.product,
) -> tuple[Carry, jax.Array]:
  """Advance by one step: the layers in turn."""
  (h,) = carry
  for layer in range(settings.depth):
    added = projected if layer == 0 else params.bias[layer]
    g, t = product(h, params.recurrent_kernel[layer], added, (TANH, SIGMOID))
    h = (1 - t) * h + t * g
  return Carry(h), h


CELLS: Mapping[str, contract.Cell] = {
  'highway': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    size=lambda params: params.bias.shape[1] // 2,
    summary='recurrent highway: several gated layers between two steps',
    reference='Zilly et al. 2017, arXiv:1607.03474',
    settings=Settings(),
    ranges={'depth': contract.Range(1, 16, 'layers in one cell')},
    keeps=True,
    fused=True,
  )
}
