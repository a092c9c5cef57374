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
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers
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


def init_params(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  *,
  toggles: None = None,
  forget_bias: float | jax.Array = 1.0,
  chrono_t_max: float | jax.Array = 0.0,
  recurrent_init: str = 'orthogonal',
  dtype: jnp.dtype = jnp.float32,
) -> Params:
  """Draw the parameters of a cell.

  Args:
    key: a PRNG key.
    in_features: F.
    hidden_features: H.
    toggles: None, there are none.
    forget_bias: −b_f; 1 − f starts near σ(forget_bias).
    chrono_t_max: T_max of −b_f ~ log U[1, T_max − 1]; 0 for the constant.
    recurrent_init: a name from `initializers.RECURRENT`.
    dtype: of every leaf.

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.

  Reference:
    Tallec & Ollivier, ICLR 2018, arXiv:1804.11188 (chrono).
  """
  del toggles
  kernel, recurrent_kernel = initializers.blocks(
    key, in_features, hidden_features, 2, recurrent_init, dtype
  )
  keep = initializers.keep_bias(
    jax.random.fold_in(key, 2), hidden_features, forget_bias, chrono_t_max
  )
  zeros = jnp.zeros((hidden_features,), dtype)
  bias = jnp.concatenate((-keep.astype(dtype), zeros))
  return Params(kernel, recurrent_kernel, bias)


def project(params: Params, settings: None, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., 2H]`."""
  del settings
  return inputs @ params.kernel + params.bias


def advance(
  params: Params, settings: None, carry: Carry, projected: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance by one step: the equations of the module."""
  carry, _ = reveal(params, settings, carry, projected)
  return carry, carry.h


def reveal(
  params: Params, settings: None, carry: Carry, projected: jax.Array
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  del settings
  (h,) = carry
  x_f, x_g = jnp.split(projected, 2, axis=-1)
  r_f, r_g = jnp.split(params.recurrent_kernel, 2, axis=-1)
  f = jax.nn.sigmoid(x_f + h @ r_f)
  g = jnp.tanh(x_g + (f * h) @ r_g)
  h = (1 - f) * h + f * g
  return Carry(h), contract.Gates({'f': f}, g, keep=1 - f)


def count_params(settings: None, in_features: int, hidden_features: int) -> int:
  """Count the parameters: all are in use."""
  del settings
  return 2 * hidden_features * (in_features + hidden_features + 1)


CELLS: Mapping[str, contract.Cell] = types.MappingProxyType(
  {
    'mgu': contract.stepwise(
      init_params=init_params,
      init_carry=init_carry,
      project=project,
      advance=advance,
      reveal=reveal,
      count_params=count_params,
      size_of=lambda params: params.recurrent_kernel.shape[0],
      summary='minimal gated unit: one gate resets and updates',
      reference='Zhou et al. 2016, arXiv:1603.09420',
    )
  }
)
