"""The delta rule: a matrix for a state, in which values are found by keys.

For each head, of D units with a state S `[D, D]`, from the input alone:

    q   = unit(silu(x W_q))             unit(a) = a / √(Σ a² + 10⁻⁶)
    k_j = unit(silu(x W_k,j))           j = 1, …, n
    v_j = silu(x W_v,j)
    β_j = r σ(x w_β,j)                  r = 1, or 2 with negative_eigenvalues
    α   = exp(−a softplus(x w_α + b))   1 without decay

    S_0 = α S                           what all keys find fades
    S_j = S_{j−1} + β_j k_j (v_j − S_{j−1}ᵀ k_j)ᵀ
    S'  = S_n
    h   = S'ᵀ q / √D

Each of the n steps replaces what k_j finds by v_j, as far as β_j says: S is
multiplied by I − β_j k_j k_jᵀ, which has the eigenvalue 1 − β_j, from 0 to 1,
for k_j and 1 for what is orthogonal to it. With r = 2 it goes from −1 on, so
that a step can reflect, as counting modulo 2 needs; and n reflections in a row
can turn, or permute n + 1 things.

    DeltaNet                the default settings
    Gated DeltaNet          decay
    DeltaProduct            householder_steps = n, negative_eigenvalues
    Gated DeltaProduct      all three

These are the recurrences alone. The papers' layers have a convolution over four
steps before silu, a normalised and gated output, and projections around them;
here the readout follows h. S' is affine in S, so nothing of S is fed to a gate.

At first the weights are those of `recurrent_init` for inputs, a is drawn from
U(0, 16] and softplus(b) log-uniformly from 0.001 to 0.1, as in their code.
"""

from collections.abc import Mapping
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers

_SMALL = 1e-6
# What a of the decay is drawn up to, and between which softplus(b) lies.
_FASTEST, _STEPS = 16.0, (0.001, 0.1)


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    heads: states S; divides hidden_features.
    householder_steps: n, keys and values of an input.
    negative_eigenvalues: β is from 0 to 2.
    decay: what is stored fades, by a factor that the input decides.
  """

  heads: int = 1
  householder_steps: int = 1
  negative_eigenvalues: bool = False
  decay: bool = False


class Params(NamedTuple):
  """Parameters of the cell; n steps, H units in heads.

  Attributes:
    query: W_q, `[F, H]`.
    key: W_k, `[F, n H]`, a step after the other.
    value: W_v, `[F, n H]`.
    write: w_β, `[F, n heads]`.
    fade: w_α, `[F, heads]`; None without decay, as what follows.
    fade_rate: ln a, `[heads]`.
    fade_bias: b, `[heads]`.
  """

  query: jax.Array
  key: jax.Array
  value: jax.Array
  write: jax.Array
  fade: jax.Array | None
  fade_rate: jax.Array | None
  fade_bias: jax.Array | None


class Carry(NamedTuple):
  """The state of the cell.

  Attributes:
    memory: S of each head, `[..., heads, D, D]`: keys, values.
    h: hidden state, which no step reads, `[..., H]`.
  """

  memory: jax.Array
  h: jax.Array


class Projected(NamedTuple):
  """What a step needs of its input.

  Attributes:
    query: q, `[..., heads, D]`.
    keys: k, `[..., n, heads, D]`.
    values: β v, `[..., n, heads, D]`.
    writes: β, `[..., n, heads]`.
    kept: α, `[..., heads]`; None without decay.
  """

  query: jax.Array
  keys: jax.Array
  values: jax.Array
  writes: jax.Array
  kept: jax.Array | None


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell.

  Raises:
    SettingError: heads that do not divide the units.
    ValueError: an unknown `recurrent_init`.
  """
  check(settings, hidden_features)
  steps, heads, dtype = (
    settings.householder_steps,
    settings.heads,
    options.dtype,
  )
  keys = jax.random.split(key, 7)
  draw, _ = initializers.find(options.recurrent_init)

  def weights(key: jax.Array, size: int, count: int = 1) -> jax.Array:
    shape = in_features, size
    parts = [draw(one, shape, dtype) for one in jax.random.split(key, count)]
    return jnp.concatenate(parts, axis=1)

  fade = rate = bias = None
  if settings.decay:
    fade = weights(keys[4], heads)
    share = 1 - jax.random.uniform(keys[5], (heads,))  # never 0
    rate = jnp.log(_FASTEST * share).astype(dtype)
    least, most = map(math.log, _STEPS)
    drawn = jax.random.uniform(keys[6], (heads,), minval=least, maxval=most)
    # The inverse of softplus.
    bias = jnp.log(jnp.expm1(jnp.exp(drawn))).astype(dtype)
  return Params(
    query=weights(keys[0], hidden_features),
    key=weights(keys[1], hidden_features, steps),
    value=weights(keys[2], hidden_features, steps),
    write=weights(keys[3], heads, steps),
    fade=fade,
    fade_rate=rate,
    fade_bias=bias,
  )


def check(settings: Settings, hidden_features: int) -> None:
  """Refuse heads that do not divide the units.

  Raises:
    SettingError: the rule and the nearest valid choice.
  """
  contract.check_divides('heads', settings.heads, hidden_features)


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the carry before the first step, zeros."""
  size = hidden_features // settings.heads
  return Carry(
    jnp.zeros((*batch_shape, settings.heads, size, size), dtype),
    jnp.zeros((*batch_shape, hidden_features), dtype),
  )


def project(params: Params, settings: Settings, inputs: jax.Array) -> Projected:
  """Return queries, keys, values and what they write, of any number of axes."""
  heads, steps = settings.heads, settings.householder_steps
  size = params.query.shape[1] // heads
  parts = *inputs.shape[:-1], steps, heads
  query = jax.nn.silu(inputs @ params.query)
  keys = jax.nn.silu(inputs @ params.key)
  values = jax.nn.silu(inputs @ params.value)
  writes = jax.nn.sigmoid(inputs @ params.write).reshape(parts)
  if settings.negative_eigenvalues:
    writes = 2 * writes
  fade, rate, bias = params.fade, params.fade_rate, params.fade_bias
  kept = None
  if fade is not None and rate is not None and bias is not None:
    kept = jnp.exp(-jnp.exp(rate) * jax.nn.softplus(inputs @ fade + bias))
  return Projected(
    _unit(query.reshape(*inputs.shape[:-1], heads, size)),
    _unit(keys.reshape(*parts, size)),
    values.reshape(*parts, size) * writes[..., None],
    writes,
    kept,
  )


def _unit(vectors: jax.Array) -> jax.Array:
  """Return vectors, along the last axis, of length 1, or 0 where they are."""
  squares = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
  return vectors * jax.lax.rsqrt(squares + _SMALL)


def advance(
  params: Params, settings: Settings, carry: Carry, projected: Projected
) -> tuple[Carry, jax.Array]:
  """Advance by one step: n times the delta rule, then what q finds."""
  del params
  memory = carry.memory
  if projected.kept is not None:
    memory = projected.kept[..., None, None] * memory
  for step in range(settings.householder_steps):
    key = projected.keys[..., step, :, :, None]
    found = jnp.sum(memory * key, axis=-2)
    erased = projected.writes[..., step, :, None] * found
    new = projected.values[..., step, :, :] - erased
    memory = memory + key * new[..., None, :]
  hidden = jnp.sum(memory * projected.query[..., None], axis=-2)
  hidden = hidden * hidden.shape[-1] ** -0.5
  hidden = hidden.reshape(*hidden.shape[:-2], -1)
  return Carry(memory, hidden), hidden


CELLS: Mapping[str, contract.Cell] = {
  'delta_rule': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    size=lambda params: params.query.shape[1],
    summary='DeltaNet, gated or with several steps: a matrix written by keys',
    reference=(
      'Yang et al. 2024, arXiv:2406.06484 and 2412.06464; Siems et al. 2025, '
      'arXiv:2502.10297'
    ),
    settings=Settings(),
    ranges={
      'heads': contract.Range(
        1, 1024, 'groups of units with weights of their own'
      ),
      'householder_steps': contract.Range(1, 16, 'keys and values of an input'),
      'negative_eigenvalues': contract.Range(
        None, None, 'a step may reflect: β is from 0 to 2'
      ),
      'decay': contract.Range(None, None, 'what is stored fades (gated)'),
    },
    check=check,
    states=(),
  )
}
