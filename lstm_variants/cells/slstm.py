"""The sLSTM of xLSTM: an exponential input gate and a state that normalises it.

    (ĩ, f̃, z̃, õ) = x W + h R + b
    i  = exp(ĩ)
    f  = σ(f̃)                               exp(f̃) with exponential_forget
    c' = f ⊙ c + i ⊙ tanh(z̃)                c = n = h = 0 at first
    n' = f ⊙ n + i
    h' = σ(õ) ⊙ c' / n'

R is block-diagonal: a unit sees the h of its own head only, H / heads units;
with heads = 1 it is full. As in the paper, exp never overflows, for what is
carried is c e⁻ᵐ and n e⁻ᵐ, in their place:

    m' = max(log f + m, ĩ)                  ĩ where n = 0: nothing is kept yet
    c' = exp(log f + m − m') ⊙ c + exp(ĩ − m') ⊙ tanh(z̃)
    n' = exp(log f + m − m') ⊙ n + exp(ĩ − m')

which leaves h' as it is. The paper's m before the first step is −∞ in effect:
its code, too, tests n = 0, of a whole batch at once; here it is done for each
unit. From n = 0 on n ≥ 1, and there is no division by zero.

At first b_f = forget_bias, and log σ(forget_bias) with exponential_forget: f
is σ(forget_bias) in both; the other biases are 0. b_i is without effect, and
gets no gradient, where n was 0 at first: it scales c and n alike. The paper's
code spreads b_f from 5 to −7 over the units of a head instead, or from 3 to 6,
and has R = 0 at first.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import SIGMOID, TANH


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    heads: blocks of the recurrent matrices; divides hidden_features.
    exponential_forget: f = exp(f̃).
  """

  heads: int = 1
  exponential_forget: bool = False


class Params(NamedTuple):
  """Parameters of the cell; the blocks are those of i, f, z and o.

  Attributes:
    kernel: input weights W, `[F, 4H]`.
    recurrent_kernel: recurrent weights R of each head, `[heads, D, 4D]`, D =
      H / heads.
    bias: b, `[4H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


class Carry(NamedTuple):
  """The state of the cell, `[..., H]` each.

  Attributes:
    c: cell state, scaled by e⁻ᵐ.
    n: normaliser, scaled by e⁻ᵐ.
    m: stabiliser; of no meaning where n is 0.
    h: hidden state.
  """

  c: jax.Array
  n: jax.Array
  m: jax.Array
  h: jax.Array


def check(settings: Settings, hidden_features: int) -> None:
  """Refuse heads that do not divide the units.

  Raises:
    SettingError: the rule and the nearest valid choice.
  """
  contract.check_divides('heads', settings.heads, hidden_features)


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; each block of R by itself.

  f starts near σ(forget_bias), whatever makes it; see `contract.Init`.

  Raises:
    SettingError: heads that do not divide the units.
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  check(settings, hidden_features)
  dtype = options.dtype
  kernel_key, recurrent_key, bias_key = (
    jax.random.fold_in(key, leaf) for leaf in range(3)
  )
  inputs, recurrent = initializers.find(options.recurrent_init)
  shape = (in_features, hidden_features)
  kernels = [inputs(k, shape, dtype) for k in jax.random.split(kernel_key, 4)]
  size = hidden_features // settings.heads
  keys = jax.random.split(recurrent_key, (settings.heads, 4))
  draw = jax.vmap(jax.vmap(lambda k: recurrent(k, (size, size), dtype)))
  forget = initializers.keep_bias(
    bias_key, hidden_features, options.forget_bias, options.chrono_t_max
  )
  if settings.exponential_forget:
    forget = jax.nn.log_sigmoid(forget)
  zeros = jnp.zeros_like(forget)
  return Params(
    jnp.concatenate(kernels, axis=1),
    # [heads, 4, D, D] -> [heads, D, 4D]
    jnp.swapaxes(draw(keys), 1, 2).reshape(settings.heads, size, 4 * size),
    jnp.concatenate((zeros, forget, zeros, zeros)).astype(dtype),
  )


def init_carry(
  settings: Settings | None,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry, `[*batch_shape, H]` each."""
  del settings
  return Carry(*jnp.zeros((4, *batch_shape, hidden_features), dtype))


def project(
  params: Params, settings: Settings, inputs: jax.Array
) -> tuple[jax.Array, ...]:
  """Return x W + b of i, of f, and of z and o for each head.

  The arrays are `[..., H]`, `[..., H]` and `[..., 2H]`, and with heads
  `[..., heads, D]`, `[..., heads, D]` and `[..., heads, 2D]`.
  """
  x = inputs @ params.kernel + params.bias
  if settings.heads == 1:
    size = x.shape[-1] // 4
    return tuple(jnp.split(x, (size, 2 * size), axis=-1))
  heads, size, _ = params.recurrent_kernel.shape
  i, f, z, o = jnp.split(x.reshape(*x.shape[:-1], 4 * heads, size), 4, axis=-2)
  return i, f, jnp.concatenate((z, o), axis=-1)


def reveal(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: tuple[jax.Array, ...],
  product: products.Product = products.product,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h.

  They are those of the normalised state, whatever the stabiliser is:

      c'/n' = (f n / n') ⊙ c/n + (i / n') ⊙ tanh(z̃)      both add up to 1
  """
  c, n, m, h = carry
  x_i, x_f, x_zo = projected
  heads, size, _ = params.recurrent_kernel.shape
  seen, kernel = h.reshape(*h.shape[:-1], heads, size), params.recurrent_kernel
  if heads == 1:
    seen, kernel = h, kernel[0]
  r_i, r_f, r_zo = jnp.split(kernel, (size, 2 * size), axis=-1)
  # i and f are exponentiated: apart, as rows of one block are not vectorised.
  (z_i,), (z_f,) = product(seen, r_i, x_i), product(seen, r_f, x_f)
  g, o = product(seen, r_zo, x_zo, (TANH, SIGMOID))
  z_i, z_f, g, o = (part.reshape(h.shape) for part in (z_i, z_f, g, o))
  log_f = z_f if settings.exponential_forget else jax.nn.log_sigmoid(z_f)
  # Of nothing, any share may be kept: here the one that makes m' = ĩ.
  kept = jnp.where(n == 0, z_i, log_f + m)
  m = jnp.maximum(kept, z_i)
  f, i = jnp.exp(kept - m), jnp.exp(z_i - m)
  c = f * c + i * g
  n, kept = f * n + i, f * n
  h = o * c / n
  gates = {'i': i / n, 'f': kept / n, 'o': o}
  return Carry(c, n, m, h), contract.Gates(gates, g, gates['f'], c / n)


CELLS: Mapping[str, contract.Cell] = {
  'slstm': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.bias.shape[0] // 4,
    summary='exponential input gate, normalised and stabilised, with heads',
    reference='Beck et al. 2024, arXiv:2405.04517',
    keeps=True,
    fused=True,
    settings=Settings(),
    ranges={
      'heads': contract.Range(
        1, 1024, 'groups of units with weights of their own'
      ),
      'exponential_forget': contract.Range(None, None, 'f = exp instead of σ'),
    },
    check=check,
  )
}
