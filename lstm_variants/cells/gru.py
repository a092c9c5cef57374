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

from lstm_variants.cells import contract, initializers, products, remedies
from lstm_variants.cells.products import SIGMOID, TANH
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


def project(
  params: Params, settings: None, inputs: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Return x W + b of z and r, `[..., 2H]`, and of g, `[..., H]`."""
  del settings
  x = inputs @ params.kernel + params.bias
  x_zr, x_g = jnp.split(x, (2 * x.shape[-1] // 3,), axis=-1)
  return x_zr, x_g


def reveal(
  params: Params,
  settings: None,
  carry: Carry,
  projected: tuple[jax.Array, jax.Array],
  product: products.Product = products.product,
  keep: jax.Array | None = None,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h; see `remedied_step`."""
  del settings
  (h,), (x_zr, x_g) = carry, projected
  r_zr, r_g = jnp.split(params.recurrent_kernel, (2 * h.shape[-1],), axis=-1)
  z, r = product(h, r_zr, x_zr, (SIGMOID, SIGMOID))
  if params.recurrent_bias is None:
    (g,) = product(r * h, r_g, x_g, (TANH,))
  else:
    (h_g,) = product(h, r_g, params.recurrent_bias)
    (g,) = product(None, None, x_g + r * h_g, (TANH,))
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
  (h,) = carry
  if gains is None:
    projected, product = project(params, settings, inputs), products.product
  else:
    projected, product = _normalised(params, inputs, gains)
  carry, _ = reveal(params, settings, Carry(h), projected, product, keep)
  return carry, carry.h


def _normalised(
  params: Params, inputs: jax.Array, gains: remedies.Gains
) -> tuple[tuple[jax.Array, jax.Array], products.Product]:
  """Return what `project` does, and a product, both normalised."""
  assert gains.recurrent is not None
  ends = (2 * params.bias.shape[0] // 3,)
  x_zr, x_g = jnp.split(inputs @ params.kernel, ends, axis=-1)
  b_zr, b_g = jnp.split(params.bias, ends)
  of_zr, of_g = jnp.split(gains.inputs, ends)
  of_state = iter(jnp.split(gains.recurrent, ends))

  def product(left, kernel, added, activations=(products.IDENTITY,)):
    if kernel is not None:
      added = added + remedies.normalise(left @ kernel, next(of_state))
    return products.product(None, None, added, activations)

  projected = (
    remedies.normalise(x_zr, of_zr) + b_zr,
    remedies.normalise(x_g, of_g) + b_g,
  )
  return projected, product


def _cell(resets_after: bool, **rest: Any) -> contract.Cell:
  return contract.stepwise(
    init=functools.partial(init, resets_after=resets_after),
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.recurrent_kernel.shape[0],
    keeps=True,
    fused=True,
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
