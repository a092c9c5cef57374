"""The clockwork network: groups of units that step at different rates.

`groups` groups of H / groups units; group n = 0, 1, … has the period 2^n, and
computes at the steps t that it divides, from itself and the slower groups:

    h_n' = tanh(x W_n + Σ_{m ≥ n} h_m R_mn + b_n)       t mod 2^n = 0
           h_n                                          else

t counts from 0, so that every group computes at the first step; the paper does
not say. It is kept modulo the slowest period, exact in any type of float. The
paper's equation has no bias.

At first each block R_mn in use is drawn by itself and divided by the root of
the number of blocks that feed its group n; the others are zero, and stay so.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    groups: of units; they divide H.
  """

  groups: int = 4


class Params(NamedTuple):
  """Parameters of the cell; units are ordered from the fastest group on.

  Attributes:
    kernel: input weights W, `[F, H]`.
    recurrent_kernel: recurrent weights R, `[H, H]`; from a group (rows) to a
      slower one (columns) none is in use.
    bias: b, `[H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


class Carry(NamedTuple):
  """What one step hands to the next.

  Attributes:
    h: hidden state, `[..., H]`.
    t: the step to come, modulo the slowest period, `[..., 1]`.
  """

  h: jax.Array
  t: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell, W and each block of R by itself.

  Raises:
    SettingError: `groups` that do not divide H.
    ValueError: an unknown `recurrent_init`.
  """
  check(settings, hidden_features)
  dtype = options.dtype
  inputs_init, recurrent = initializers.find(options.recurrent_init)
  kernel_key, recurrent_key = (jax.random.fold_in(key, leaf) for leaf in (0, 1))
  groups = settings.groups
  size = hidden_features // groups
  blocks = jax.vmap(lambda k: recurrent(k, (size, size), dtype))(
    jax.random.split(recurrent_key, groups**2)
  )
  # [source, target, row, column] -> [source, row, target, column]
  blocks = blocks.reshape(groups, groups, size, size).swapaxes(1, 2)
  sources = groups - jnp.arange(groups, dtype=dtype)
  blocks = blocks / jnp.sqrt(sources)[:, None]
  whole = blocks.reshape(hidden_features, hidden_features)
  return Params(
    kernel=inputs_init(kernel_key, (in_features, hidden_features), dtype),
    recurrent_kernel=jnp.where(_in_use(settings, hidden_features), whole, 0),
    bias=jnp.zeros((hidden_features,), dtype),
  )


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry at step 0."""
  del settings
  return Carry(
    jnp.zeros((*batch_shape, hidden_features), dtype),
    jnp.zeros((*batch_shape, 1), dtype),
  )


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., H]`."""
  del settings
  return inputs @ params.kernel + params.bias


def advance(
  params: Params, settings: Settings, carry: Carry, projected: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance by one step."""
  size = carry.h.shape[-1]
  in_use = _in_use(settings, size)
  recurrent_kernel = jnp.where(in_use, params.recurrent_kernel, 0)
  periods = 2.0 ** _groups_of_units(settings, size)
  computes = jnp.mod(carry.t, periods.astype(carry.t.dtype)) == 0
  new = jnp.tanh(projected + carry.h @ recurrent_kernel)
  h = jnp.where(computes, new, carry.h)
  return Carry(h, jnp.mod(carry.t + 1, 2.0 ** (settings.groups - 1))), h


def count_params(
  settings: Settings, in_features: int, hidden_features: int
) -> int:
  """Count the parameters in use: R is block triangular.

  Raises:
    SettingError: `groups` that do not divide H.
  """
  check(settings, hidden_features)
  groups = settings.groups
  blocks = groups * (groups + 1) // 2
  recurrent = blocks * (hidden_features // groups) ** 2
  return hidden_features * (in_features + 1) + recurrent


def check(settings: Settings, hidden_features: int) -> None:
  """Refuse groups that do not divide the units.

  Raises:
    SettingError: the rule, and the nearest number of groups that does.
  """
  most = int(RANGES['groups'].largest or 1)
  contract.check_divides('groups', settings.groups, hidden_features, most)


def _groups_of_units(settings: Settings, hidden_features: int) -> jax.Array:
  """Return the group of each unit, `[H]`."""
  return jnp.arange(hidden_features) // (hidden_features // settings.groups)


def _in_use(settings: Settings, hidden_features: int) -> jax.Array:
  """Return which recurrent weights are in use, boolean `[H, H]`."""
  group = _groups_of_units(settings, hidden_features)
  return group[:, None] >= group


# The steps of nine groups, up to 256, are exact in every type of float.
RANGES: Mapping[str, contract.Range] = {
  'groups': contract.Range(1, 9, 'groups of units')
}
CELLS: Mapping[str, contract.Cell] = {
  'clockwork': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    size=lambda params: params.recurrent_kernel.shape[0],
    count=count_params,
    summary='groups of tanh units that step every 1, 2, 4, … steps',
    reference='Koutník et al. 2014, arXiv:1402.3511',
    settings=Settings(),
    ranges=RANGES,
    check=check,
    counters=('t',),
  )
}
