"""The gated recurrent unit in its two published forms.

gru_reset_before resets before the product:

    z  = σ(x W_z + h R_z + b_z)             keeps the state
    r  = σ(x W_r + h R_r + b_r)
    g  = tanh(x W_g + (r ⊙ h) R_g + b_g)
    h' = z ⊙ h + (1 − z) ⊙ g

gru, which cuDNN, torch and flax (nnx: without b_n) run, resets after it:

    g  = tanh(x W_g + b_g + r ⊙ (h R_g + b_n))

Some texts have z and 1 − z the other way round: the same cell, with the weights
of z of the other sign.
"""

from collections.abc import Mapping
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, remedies
from lstm_variants.cells.simple_rnn import Carry, init_carry


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of z, r and g.

  Attributes:
    kernel: input weights W, `[F, 3H]`.
    recurrent_kernel: recurrent weights R, `[H, 3H]`.
    bias: b, `[3H]`.
    recurrent_bias: b_n of `gru`, `[H]`; None of `gru_reset_before`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array
  recurrent_bias: jax.Array | None


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: None,
  options: contract.Init,
  *,
  resets_after: bool,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  z keeps the state: b_z is `forget_bias`, or drawn by chrono.

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  del settings
  kernel, recurrent_kernel = initializers.blocks(
    *(key, in_features, hidden_features, 3),
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
  return Params(
    kernel,
    recurrent_kernel,
    jnp.concatenate((keep.astype(options.dtype), zeros, zeros)),
    zeros if resets_after else None,
  )


def project(params: Params, settings: None, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., 3H]`."""
  del settings
  return inputs @ params.kernel + params.bias


def advance(
  params: Params, settings: None, carry: Carry, projected: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance by one step, in the form that the parameters are of."""
  carry, _ = reveal(params, settings, carry, projected)
  return carry, carry.h


def reveal(
  params: Params, settings: None, carry: Carry, projected: jax.Array
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  del settings
  (h,) = carry
  size = h.shape[-1]
  if params.recurrent_bias is not None:
    recurrent = h @ params.recurrent_kernel
    return _reset_after(params, carry, projected, recurrent, None)
  x_z, x_r, x_g = jnp.split(projected, 3, axis=-1)
  h_z, h_r = jnp.split(h @ params.recurrent_kernel[:, : 2 * size], 2, -1)
  r = jax.nn.sigmoid(x_r + h_r)
  g = jnp.tanh(x_g + (r * h) @ params.recurrent_kernel[:, 2 * size :])
  z = jax.nn.sigmoid(x_z + h_z)
  h = z * h + (1 - z) * g
  return Carry(h), contract.Gates({'z': z, 'r': r}, g, keep=z)


def apply_gates(
  params: Params,
  carry: Carry,
  projected: jax.Array,
  recurrent: jax.Array,
  keep: jax.Array | None = None,
) -> tuple[Carry, jax.Array]:
  """Compute the pointwise half of a step of `gru`.

  Args:
    params: with a `recurrent_bias`.
    carry: `Carry` of the step before.
    projected: x W + b, `[..., 3H]`.
    recurrent: h R, `[..., 3H]`.
    keep: None, or what g is multiplied by, `[..., H]`; see `remedies`.
  """
  carry, _ = _reset_after(params, carry, projected, recurrent, keep)
  return carry, carry.h


def _reset_after(params, carry, projected, recurrent, keep):
  """Compute `apply_gates`, and return the gates, not h."""
  (h,), b_n = carry, params.recurrent_bias
  assert b_n is not None
  x_z, x_r, x_g = jnp.split(projected, 3, axis=-1)
  h_z, h_r, h_g = jnp.split(recurrent, 3, axis=-1)
  r = jax.nn.sigmoid(x_r + h_r)
  z = jax.nn.sigmoid(x_z + h_z)
  g = jnp.tanh(x_g + r * (h_g + b_n))
  g = g if keep is None else g * keep
  h = z * h + (1 - z) * g
  return Carry(h), contract.Gates({'z': z, 'r': r}, g, keep=z)


def remedied_step(
  params: Params,
  settings: None,
  carry: tuple[jax.Array, ...],
  inputs: jax.Array,
  gains: remedies.Gains | None,
  keep: jax.Array | None,
) -> tuple[Carry, jax.Array]:
  """Advance `gru` by one step; see `contract.Cell.with_remedies`.

  z, r = σ(LN(x W_zr) + LN(h R_zr) + b_zr)         over both
  g    = tanh(LN(x W_g) + b_g + r ⊙ (LN(h R_g) + b_n))
  h'   = z ⊙ h + (1 − z) ⊙ keep ⊙ g
  """
  del settings
  (h,) = carry
  x, recurrent = inputs @ params.kernel, h @ params.recurrent_kernel
  if gains is not None:
    x = _normalise_apart(x, gains.inputs)
    recurrent = _normalise_apart(recurrent, gains.recurrent)
  return apply_gates(params, Carry(h), x + params.bias, recurrent, keep)


def _normalise_apart(z: jax.Array, gain: Any) -> jax.Array:
  """Normalise the gates, and the candidate by itself."""
  ends = (2 * z.shape[-1] // 3,)
  parts = zip(jnp.split(z, ends, axis=-1), jnp.split(gain, ends), strict=True)
  return jnp.concatenate([remedies.normalise(*part) for part in parts], axis=-1)


def _cell(resets_after: bool, **rest: Any) -> contract.Cell:
  return contract.stepwise(
    init=functools.partial(init, resets_after=resets_after),
    init_carry=init_carry,
    project=project,
    advance=advance,
    reveal=reveal,
    size=lambda params: params.recurrent_kernel.shape[0],
    keeps=True,
    operator='GRU',
    **rest,
  )


CELLS: Mapping[str, contract.Cell] = {
  'gru': _cell(
    True,
    summary='gated recurrent unit that resets after the product, as in cuDNN',
    reference='Cho et al. 2014, arXiv:1406.1078v1',
    with_remedies=remedied_step,
    gains=remedies.Form(3, recurrent=True, state=False),
    drops=True,
    penalised=True,
  ),
  'gru_reset_before': _cell(
    False,
    summary='gated recurrent unit that resets before the product',
    reference='Cho et al., EMNLP 2014, arXiv:1406.1078v3',
  ),
}
