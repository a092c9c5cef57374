"""The independently recurrent network: each unit sees its own state alone.

    h' = max(0, x W + ū ⊙ h + b)            ū = u within ±recurrent_limit
    u ~ U[0, recurrent_limit], b = 0        at first

A unit multiplies its state, and the gradient of it, by at most the same ū at
every step: over T steps by no more than recurrent_limit^T. The paper's adding
problem takes the limit 2^(1/T), by which a gradient at most doubles, and its
code projects u onto ±limit before each update. Here u is held to it inside the
step: the same function, but a weight beyond the limit gets no gradient, and
comes back only by momentum or decay.

The same code draws u ~ U[0, limit] too, but of the last layer, where only the
last output counts, U[2^(−1/T), 2^(1/T)], and W ~ N(0, 0.001²). Here all layers
have U[0, recurrent_limit], and W is left to `recurrent_init`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers
from lstm_variants.cells.simple_rnn import Carry, init_carry


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    recurrent_limit: the largest |recurrent weight|.
  """

  recurrent_limit: float = 1.0


class Params(NamedTuple):
  """Parameters of the cell.

  Attributes:
    kernel: input weights W, `[F, H]`.
    recurrent_weight: u, `[H]`.
    bias: b, `[H]`.
  """

  kernel: jax.Array
  recurrent_weight: jax.Array
  bias: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw u ~ U[0, recurrent_limit] and the input weights.

  Raises:
    ValueError: an unknown `recurrent_init`.
  """
  dtype = options.dtype
  inputs_init, _ = initializers.find(options.recurrent_init)
  kernel_key, recurrent_key = (jax.random.fold_in(key, leaf) for leaf in (0, 1))
  return Params(
    kernel=inputs_init(kernel_key, (in_features, hidden_features), dtype),
    recurrent_weight=jax.random.uniform(
      recurrent_key, (hidden_features,), dtype, 0, settings.recurrent_limit
    ),
    bias=jnp.zeros((hidden_features,), dtype),
  )


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., H]`."""
  del settings
  return inputs @ params.kernel + params.bias


def advance(
  params: Params, settings: Settings, carry: Carry, projected: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance by one step: the equation of the module."""
  (h,) = carry
  limit = settings.recurrent_limit
  u = jnp.clip(params.recurrent_weight, -limit, limit)
  h = jax.nn.relu(projected + u * h)
  return Carry(h), h


CELLS: Mapping[str, contract.Cell] = {
  'indrnn': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    size=lambda params: params.bias.shape[0],
    summary='rectified units, each with one recurrent weight, its own',
    reference='Li et al. 2018, arXiv:1803.04831',
    settings=Settings(),
    ranges={
      'recurrent_limit': contract.Range(
        0.0, 10.0, 'the largest |recurrent weight|'
      )
    },
    diagonal=True,
  )
}
