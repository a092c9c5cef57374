"""The linear recurrent unit: a diagonal, complex, linear recurrence.

With a complex state s of H numbers:

    s' = λ ⊙ s + γ ⊙ (x B)              λ = exp(−eᵛ + i eᶿ), |λ| < 1
    h  = Re(s' C) + x D                 γ = e^γ_log

v, θ and γ_log are real and trained. |λ| = exp(−eᵛ) cannot reach 1, and eᶿ, the
phase by which a step turns, cannot be 0. s is carried as two real arrays.

At first λ is uniform on the ring from r_min to r_max, by area, with phases from
0 to max_phase:

    |λ|² ~ U[r_min², r_max²]            eᶿ ~ U[0, max_phase]
    γ = √(1 − |λ|²)                     of independent inputs s has variance 1
    B ~ N(0, 1/(2F)), C ~ N(0, 1/H), real and imaginary parts apart

as in the paper, which has r_min from 0 to 0.99 and max_phase from 2π down to
π/100 where dependencies are long. D is a matrix here, LeCun-normal, as h has
not the size of x; the paper's layers, where it has, let each unit see its own
input. They have a norm, gated outputs and a skip connection around it; here the
readout follows h. With parallel all steps are made at once (`linear`).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import contract, linear

# What is drawn from U[0, 1] keeps this far from the ends, where logarithms of
# it are infinite.
_MARGIN = 1e-6


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    r_min: |λ| is at least that at first.
    r_max: |λ| is at most that at first; above r_min.
    max_phase: the phase of λ is at most that at first, in radians.
    parallel: all steps at once, instead of one after another.
  """

  r_min: float = 0.0
  r_max: float = 1.0
  max_phase: float = 6.28
  parallel: bool = False


class Params(NamedTuple):
  """Parameters of the cell.

  Attributes:
    nu_log: v, `[H]`.
    theta_log: θ, `[H]`.
    gamma_log: ln γ, `[H]`.
    input_real: Re B, `[F, H]`.
    input_imag: Im B, `[F, H]`.
    output_real: Re C, `[H, H]`.
    output_imag: Im C, `[H, H]`.
    skip: D, `[F, H]`.
  """

  nu_log: jax.Array
  theta_log: jax.Array
  gamma_log: jax.Array
  input_real: jax.Array
  input_imag: jax.Array
  output_real: jax.Array
  output_imag: jax.Array
  skip: jax.Array


class Carry(NamedTuple):
  """The state of the cell, `[..., H]` each.

  Attributes:
    real: Re s.
    imag: Im s.
    h: hidden state, which no step reads.
  """

  real: jax.Array
  imag: jax.Array
  h: jax.Array


class Projected(NamedTuple):
  """What a step needs of its input, `[..., H]` each.

  Attributes:
    real: Re γ ⊙ (x B).
    imag: Im γ ⊙ (x B).
    skipped: x D.
  """

  real: jax.Array
  imag: jax.Array
  skipped: jax.Array


def check(settings: Settings, hidden_features: int) -> None:
  """Refuse a ring without an inside.

  Raises:
    SettingError: the rule and the nearest valid choice.
  """
  del hidden_features
  if not settings.r_min < settings.r_max:
    raise contract.SettingError(
      'r_min',
      settings.r_min,
      f'must be below r_max={settings.r_max:g}; nearest: '
      f'{0.99 * settings.r_max:g}',
    )


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell as the module says, λ on the ring.

  Raises:
    SettingError: a ring without an inside.
  """
  check(settings, hidden_features)
  keys = jax.random.split(key, 7)
  low, high = settings.r_min**2, settings.r_max**2

  def uniform(key: jax.Array) -> jax.Array:
    return jax.random.uniform(
      key, (hidden_features,), minval=_MARGIN, maxval=1 - _MARGIN
    )

  def normal(key: jax.Array, rows: int, variance: float) -> jax.Array:
    drawn = jax.random.normal(key, (rows, hidden_features), options.dtype)
    return drawn * variance**0.5

  decay = -0.5 * jnp.log(low + uniform(keys[0]) * (high - low))
  made = Params(
    nu_log=jnp.log(decay),
    theta_log=jnp.log(settings.max_phase * uniform(keys[1])),
    gamma_log=0.5 * jnp.log(-jnp.expm1(-2 * decay)),
    input_real=normal(keys[2], in_features, 0.5 / in_features),
    input_imag=normal(keys[3], in_features, 0.5 / in_features),
    output_real=normal(keys[4], hidden_features, 1 / hidden_features),
    output_imag=normal(keys[5], hidden_features, 1 / hidden_features),
    skip=normal(keys[6], in_features, 1 / in_features),
  )
  return jax.tree.map(lambda leaf: leaf.astype(options.dtype), made)


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry, `[*batch_shape, H]` each."""
  del settings
  return Carry(*jnp.zeros((3, *batch_shape, hidden_features), dtype))


def project(params: Params, settings: Settings, inputs: jax.Array) -> Projected:
  """Return γ ⊙ (x B) and x D, of any number of axes."""
  del settings
  gamma = jnp.exp(params.gamma_log)
  return Projected(
    gamma * (inputs @ params.input_real),
    gamma * (inputs @ params.input_imag),
    inputs @ params.skip,
  )


def _complex(real: jax.Array, imag: jax.Array) -> jax.Array:
  """Return a complex array, of single precision at least."""
  wide = jnp.promote_types(real.dtype, jnp.float32)
  return lax.complex(real.astype(wide), imag.astype(wide))


def _eigenvalues(params: Params) -> jax.Array:
  """Return λ, `[H]`."""
  return jnp.exp(_complex(-jnp.exp(params.nu_log), jnp.exp(params.theta_log)))


def _read(params: Params, states: jax.Array, projected: Projected) -> Carry:
  """Return the carry of states s', with h."""
  dtype = projected.skipped.dtype
  real, imag = states.real.astype(dtype), states.imag.astype(dtype)
  read = real @ params.output_real - imag @ params.output_imag
  return Carry(real, imag, read + projected.skipped)


def advance(
  params: Params, settings: Settings, carry: Carry, projected: Projected
) -> tuple[Carry, jax.Array]:
  """Advance by one step: the equations of the module."""
  del settings
  state = _complex(carry.real, carry.imag)
  entered = _complex(projected.real, projected.imag)
  state = _eigenvalues(params) * state + entered
  carry = _read(params, state, projected)
  return carry, carry.h


def every(
  params: Params, settings: Settings, carry: Carry, projected: Projected
) -> Carry:
  """Return the carries after all steps, `[time, batch, H]` each."""
  del settings
  entered = _complex(projected.real, projected.imag)
  kept = _eigenvalues(params)
  kept = jnp.broadcast_to(kept, (entered.shape[0], 1, *kept.shape))
  states = linear.prefix(kept, entered, _complex(carry.real, carry.imag))
  return _read(params, states, projected)


CELLS: Mapping[str, contract.Cell] = {
  'lru': linear.cell(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    every=every,
    size=lambda params: params.nu_log.shape[0],
    summary='linear, diagonal and complex, with eigenvalues on a ring',
    reference='Orvieto et al. 2023, arXiv:2303.06349',
    settings=Settings(),
    ranges={
      'r_min': contract.Range(0.0, 0.9999, 'the smallest |λ| at first'),
      'r_max': contract.Range(0.001, 1.0, 'the largest |λ| at first'),
      'max_phase': contract.Range(
        0.001, 6.2832, 'the largest phase of λ at first'
      ),
      'parallel': linear.PARALLEL,
    },
    check=check,
    initial='the ring of its eigenvalues and normal weights',
    states=(),
  )
}
