"""The mutated units of a search over ten thousand cells: MUT1 and MUT3.

    both:  r  = σ(x W_r + h R_r + b_r)
           h' = (1 − z) ⊙ h + z ⊙ g
    mut1:  z  = σ(x W_z + b_z)
           g  = tanh(tanh(x W_g) + (r ⊙ h) R_g + b_g)
    mut3:  z  = σ(x W_z + tanh(h) R_z + b_z)
           g  = tanh(x W_g + (r ⊙ h) R_g + b_g)

The paper's MUT1 has tanh(x) in g, which fits only where x has H features; here
x is projected first. Its MUT2 has x in r the same way, and would, projected, be
`gru_reset_before` with z turned: it is not here. As z replaces the state, b_z =
−forget_bias at first; the other biases are 0.
"""

from collections.abc import Mapping
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import SIGMOID, TANH
from lstm_variants.cells.simple_rnn import Carry, init_carry


class Params(NamedTuple):
  """Parameters of a cell; the blocks are those of z, r and g.

  Attributes:
    kernel: input weights W, `[F, 3H]`.
    recurrent_kernel: recurrent weights R, `[H, 3H]`; of MUT1, whose z has none,
      `[H, 2H]`.
    bias: b, `[3H]`.
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
  *,
  first: bool,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  Args:
    key: a PRNG key.
    in_features: F.
    hidden_features: H.
    settings: None, there are none.
    options: 1 − z keeps the state: −b_z is `forget_bias`, or drawn by chrono.
    first: MUT1, not MUT3.

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
  ).astype(options.dtype)
  zeros = jnp.zeros(hidden_features, options.dtype)
  if first:
    recurrent_kernel = recurrent_kernel[:, hidden_features:]
  return Params(
    kernel, recurrent_kernel, jnp.concatenate((-keep, zeros, zeros))
  )


def project(
  params: Params, settings: None, inputs: jax.Array, *, first: bool
) -> tuple[jax.Array, ...]:
  """Return what z, r and g see of the input, with their biases, `[..., H]`."""
  del settings
  z, r, g = jnp.split(inputs @ params.kernel, 3, axis=-1)
  b_z, b_r, b_g = jnp.split(params.bias, 3)
  return z + b_z, r + b_r, (jnp.tanh(g) if first else g) + b_g


def reveal(
  params: Params,
  settings: None,
  carry: Carry,
  projected: tuple[jax.Array, ...],
  product: products.Product = products.product,
  *,
  first: bool,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  del settings
  (h,), (x_z, x_r, x_g) = carry, projected
  *r_z, r_r, r_g = jnp.split(
    params.recurrent_kernel, 2 if first else 3, axis=-1
  )
  if first:
    (z,) = product(None, None, x_z, (SIGMOID,))
  else:
    (z,) = product(jnp.tanh(h), r_z[0], x_z, (SIGMOID,))
  (r,) = product(h, r_r, x_r, (SIGMOID,))
  (g,) = product(r * h, r_g, x_g, (TANH,))
  h = (1 - z) * h + z * g
  return Carry(h), contract.Gates({'z': z, 'r': r}, g, keep=1 - z)


def _cell(first: bool, summary: str) -> contract.Cell:
  def chosen(function):
    return functools.partial(function, first=first)

  return contract.stepwise(
    init=chosen(init),
    init_carry=init_carry,
    project=chosen(project),
    reveal=chosen(reveal),
    size=lambda params: params.bias.shape[0] // 3,
    summary=summary,
    reference='Jozefowicz et al. 2015, ICML',
    keeps=True,
    fused=True,
  )


CELLS: Mapping[str, contract.Cell] = {
  'mut1': _cell(True, 'mutated GRU, whose update gate sees the input alone'),
  'mut3': _cell(False, 'mutated GRU, whose update gate sees tanh(h)'),
}
