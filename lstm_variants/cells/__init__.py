"""Recurrent cells: one time step each, all under one contract.

To add one: a module with its `CELLS`, and its name in `MODULES`.
"""

from collections.abc import Mapping
import functools
from typing import Any

from lstm_variants.cells import (
  clockwork,
  contract,
  depth_gated,
  diagonal_lstm,
  echo_state,
  gru,
  indrnn,
  irnn,
  lstm,
  lstm_1997,
  mgu,
  minimal,
  multiplicative,
  projected,
  simple_rnn,
  slstm,
  with_remedies,
)

# In the order of docs/variants.md.
MODULES = (
  diagonal_lstm,
  lstm_1997,
  projected,
  multiplicative,
  depth_gated,
  slstm,
  gru,
  mgu,
  minimal,
  simple_rnn,
  irnn,
  indrnn,
  clockwork,
  echo_state,
)
# Its settings are its toggles; None stands for any cell's default ones.
LSTM = contract.Cell(
  lstm.init_params,
  lstm.init_carry,
  lstm.step,
  lstm.unroll,
  lstm.count_params,
  'every LSTM with toggles',
  'docs/variants.md',
  gates=lstm.gates,
  zones=('c', 'h'),
  toggled=True,
)
# name -> cell.
CELLS: Mapping[str, contract.Cell] = with_remedies.extend(
  {
    'lstm': LSTM,
    **{name: cell for module in MODULES for name, cell in module.CELLS.items()},
  }
)


def check_settings(name: str, settings: Any, hidden_features: int) -> None:
  """Refuse settings that a cell does not have, or out of their range.

  Args:
    name: of a cell.
    settings: a NamedTuple as its `Cell.settings`, with other values.
    hidden_features: H.

  Raises:
    ValueError: settings of another cell.
    SettingError: a value out of its range, or values that contradict others.
  """
  cell = CELLS[name]
  if type(settings) is not type(cell.settings):
    raise ValueError(
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
