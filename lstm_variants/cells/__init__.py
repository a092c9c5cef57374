"""Recurrent cells: one time step each, all under one contract.

To add one in the house: a module with its `CELLS`, and its name in `MODULES`;
from outside: `register_cell`.
"""

from collections.abc import Mapping
import functools
from typing import Any

import jax

from lstm_variants import arguments, registry
from lstm_variants.cells import (
  check_cell,
  clockwork,
  contract,
  cornn,
  delta_rule,
  depth_gated,
  diagonal_lstm,
  echo_state,
  gru,
  highway,
  indrnn,
  irnn,
  lem,
  lru,
  lstm,
  lstm_1997,
  mgu,
  minimal,
  mlstm,
  multiplicative,
  mut,
  projected,
  rg_lru,
  s6,
  simple_rnn,
  slstm,
  variants,
)

# In the order of docs/variants.md, after the LSTM.
MODULES = (
  diagonal_lstm,
  lstm_1997,
  projected,
  multiplicative,
  depth_gated,
  slstm,
  mlstm,
  gru,
  mgu,
  mut,
  highway,
  lem,
  minimal,
  lru,
  rg_lru,
  s6,
  delta_rule,
  simple_rnn,
  irnn,
  indrnn,
  cornn,
  clockwork,
  echo_state,
)
# name -> cell.
CELLS: registry.Registry[contract.Cell] = registry.Registry(
  'cell',
  {
    name: cell
    for module in (lstm, *MODULES)
    for name, cell in module.CELLS.items()
  },
)


def register_cell(name: str, cell: contract.Cell) -> None:
  """Make a cell known by a name, everywhere a cell can be named.

  Args:
    name: a letter, then letters, digits or underscores; not one of a cell or a
      variant.
    cell: its `init`, `init_carry` and `step` are tried on shapes.

  Raises:
    RegistryError: a name that is taken, or what the cell gets wrong; one line.
  """
  _refuse_other('cell', name, variants.VARIANTS)
  before = CELLS.get(name)
  others = {key: other for key, other in CELLS.items() if key != name}
  CELLS.register(name, cell, functools.partial(_check_new, others=others))
  if before not in (None, cell):
    # Programs are kept by the names of cells.
    jax.clear_caches()


def _check_new(
  cell: contract.Cell, others: Mapping[str, contract.Cell]
) -> None:
  """Refuse a cell that breaks the contract, or cannot share a field.

  A setting is one field of a config, `model.cell.NAME`, whatever cell reads it,
  and a field holds values of one type.

  Raises:
    ArgumentError: what the cell gets wrong; one line.
  """
  check_cell.check_cell(cell)
  for setting, known in cell.ranges.items():
    for other, another in others.items():
      kind = another.ranges.get(setting, known).kind
      if known.kind is not kind:
        raise arguments.ArgumentError(
          f'setting {setting!r}: {known.kind.__name__} here, '
          f'{kind.__name__} in {other}, and one field holds both; nearest: '
          f'my_{setting}'
        )


def register_variant(name: str, variant: variants.Variant) -> None:
  """Make a setting of the LSTM's toggles known by a name.

  Args:
    name: a letter, then letters, digits or underscores; not one of a cell or a
      variant.
    variant: with toggles of Python values.

  Raises:
    RegistryError: a name that is taken, or toggles that contradict each other;
      one line.
  """
  _refuse_other('variant', name, CELLS)
  variants.VARIANTS.register(name, variant, variants.check_variant)


def _refuse_other(kind: str, name: str, other: registry.Registry[Any]) -> None:
  """Refuse a name of the other registry: both are named in one field."""
  if name in other:
    raise registry.RegistryError(
      f'{kind} {name!r}: the name is that of a {other.kind} (by '
      f'{other.module_of(name)}); nearest: my_{name}'
    )


def find(name: str) -> contract.Cell:
  """Return the cell of a name.

  Raises:
    UnknownError: there is none, with the nearest.
  """
  return CELLS[name]


def check_settings(name: str, settings: Any, hidden_features: int) -> None:
  """Refuse settings that a cell does not have, or out of their range.

  Args:
    name: of a cell.
    settings: a NamedTuple as its `Cell.settings`, with other values.
    hidden_features: H.

  Raises:
    ArgumentError: settings of another cell.
    SettingError: a value out of its range, or values that contradict others.
  """
  cell = CELLS[name]
  if type(settings) is not type(cell.settings):
    raise arguments.ArgumentError(
      f'cell_settings={settings!r} are not those of {name}; nearest: '
      f'{cell.settings}'
    )
  for key, known in cell.ranges.items():
    contract.check_range(
      key,
      getattr(settings, key),
      known,
      functools.partial(_fits, cell, settings, hidden_features, key),
    )
  cell.check(settings, hidden_features)


def _fits(
  cell: contract.Cell, settings: Any, hidden_features: int, key: str, value: Any
) -> bool:
  """Tell whether a value of a setting goes with the other settings."""
  try:
    cell.check(settings._replace(**{key: value}), hidden_features)
  except contract.SettingError:
    return False
  return True
