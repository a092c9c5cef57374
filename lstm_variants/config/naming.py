"""From `config.model` to a cell, its settings, and the model's name."""

from typing import Any, NamedTuple

from lstm_variants import cells
from lstm_variants.cells import contract, lstm, variants
from lstm_variants.config import checks, rules
from lstm_variants.config.checks import InputError
from lstm_variants.models import penalty

# Of configs/base.py: where no gate keeps the state, only this one passes.
DEFAULT_BIAS = 1.0


class Choice(NamedTuple):
  """What `config.model` names.

  Attributes:
    cell: a name from `cells.CELLS`.
    cell_settings: those of a cell that is no LSTM; None if it has none.
    toggles: of an LSTM, else None.
    name: of the model: the variant, and what is changed of it.
  """

  cell: str
  cell_settings: Any
  toggles: lstm.Toggles | None
  name: str


def choose(model: dict[str, Any]) -> Choice:
  """Return what is chosen.

  Args:
    model: the fields of `config.model`, checked by themselves.

  Raises:
    InputError: a toggle or a setting that the cell does not have, one out of
      its range, or two that contradict each other.
  """
  variant = model['variant']
  toggles, settings = (
    {k: v for k, v in model[kind].items() if v is not None}
    for kind in ('toggles', 'cell')
  )
  _check_remedies(variant, model)
  if variant in variants.VARIANTS:
    for key, value in settings.items():
      users = ', '.join(n for n, c in cells.CELLS.items() if key in c.ranges)
      raise InputError(
        f'model.cell.{key}',
        value,
        f'{variant} has no such setting; nearest: leave it out, or '
        f'--config.model.variant of {users}',
      )
    chosen, name = _toggles(variant, toggles)
    _check_normalised(name, chosen, model)
    diagonal = '+diagonal' * (model['recurrence'] == 'diagonal')
    return Choice(
      checks.LSTMS[model['recurrence']], None, chosen, name + diagonal
    )
  if model['recurrence'] != 'full':
    raise InputError(
      'model.recurrence',
      model['recurrence'],
      f'only the variants of the LSTM have it, {variant} has not; nearest: '
      "'full'",
    )
  for key, value in toggles.items():
    raise InputError(
      f'model.toggles.{key}',
      value,
      f'{variant} has no toggles; nearest: --config.model.variant=vanilla, '
      'or leave the toggle out',
    )
  _check_init(variant, model)
  chosen = _settings(variant, settings, model['hidden_features'])
  names = _differences(cells.CELLS[variant].settings, chosen)
  return Choice(variant, chosen, None, variant + ''.join(names))


def _check_remedies(variant: str, model: dict[str, Any]) -> None:
  """Refuse what the cell has no place for."""
  name = checks.LSTMS[model['recurrence']]
  cell = cells.CELLS[name if variant in variants.VARIANTS else variant]
  takers = {
    'layer_norm': lambda other: other.gains is not None,
    'recurrent_dropout': lambda other: other.drops,
    'zoneout_c': lambda other: 'c' in other.zones,
    'zoneout_h': lambda other: 'h' in other.zones,
    'learned_carry': lambda other: bool(other.zones),
  }
  for field, takes in takers.items():
    if model[field] and not takes(cell):
      able = [n for n, other in cells.CELLS.items() if takes(other)]
      diagonal = '+diagonal' * (model['recurrence'] == 'diagonal')
      raise InputError(
        f'model.{field}',
        model[field],
        f'{variant}{diagonal} has no place for it, cells that have: '
        f'{", ".join(able)}; nearest: leave it out',
      )


def check_penalty(chosen: Choice, fields: dict[str, Any]) -> None:
  """Refuse a gradient penalty on what it is not defined for.

  Args:
    chosen: the model.
    fields: the whole config, checked field by field.

  Raises:
    InputError: another cell, or something else that takes part in a step.
  """
  weight = fields['optimizer']['gradient_penalty']
  if not weight:
    return
  if chosen.cell not in penalty.CELLS:
    raise InputError(
      'optimizer.gradient_penalty',
      weight,
      f'of {", ".join(penalty.CELLS)} only, not of {chosen.cell}; nearest: 0',
    )
  apart = ('layer_norm', 'bidirectional', *checks.RATES)
  for field in apart:
    if fields['model'][field]:
      raise InputError(
        'optimizer.gradient_penalty',
        weight,
        f'not together with model.{field}; nearest: 0',
      )
  if fields['training']['batch_devices'] > 1:
    raise InputError(
      'training.batch_devices',
      fields['training']['batch_devices'],
      'a gradient penalty needs the whole batch on one device; nearest: 1',
    )


def _check_normalised(
  name: str, toggles: lstm.Toggles, model: dict[str, Any]
) -> None:
  """Refuse layer normalisation over gates that are not there."""
  gates = toggles.input_gate, toggles.forget_gate, toggles.output_gate
  if model['layer_norm'] and (not all(gates) or toggles.coupled):
    raise InputError(
      'model.layer_norm',
      True,
      f'{name} lacks a gate, whose weights would count in the mean over all; '
      'nearest: false',
    )


def _check_init(variant: str, model: dict[str, Any]) -> None:
  """Refuse initial values that the cell has no place for."""
  cell = cells.CELLS[variant]
  if model['forget_bias'] != DEFAULT_BIAS and not cell.keeps:
    raise InputError(
      'model.forget_bias',
      model['forget_bias'],
      f'{variant} has no gate that keeps its state; nearest: {DEFAULT_BIAS}',
    )
  if model['chrono_t_max'] and not cell.keeps:
    raise InputError(
      'model.chrono_t_max',
      model['chrono_t_max'],
      f'{variant} has no gate that keeps its state; nearest: 0',
    )
  if cell.initial and model['recurrent_init'] != 'orthogonal':
    raise InputError(
      'model.recurrent_init',
      model['recurrent_init'],
      f'{variant} begins with {cell.initial}; nearest: leave it out',
    )


def _settings(variant: str, changes: dict[str, Any], hidden: int) -> Any:
  """Return the settings of a cell that is no LSTM."""
  cell = cells.CELLS[variant]
  for key, value in changes.items():
    if key not in cell.ranges:
      usable = ', '.join(cell.ranges) or 'none'
      raise InputError(
        f'model.cell.{key}',
        value,
        f'{variant} has no such setting (it has: {usable}); nearest: leave it '
        'out',
      )
  if cell.settings is None:
    return None
  settings = cell.settings._replace(**changes)
  try:
    cells.check_settings(variant, settings, hidden)
  except contract.SettingError as error:
    place = 'model' if error.setting == 'hidden_features' else 'model.cell'
    raise InputError(
      f'{place}.{error.setting}', error.value, error.rule
    ) from error
  return settings


def _toggles(variant: str, changes: dict[str, Any]) -> tuple[lstm.Toggles, str]:
  """Return the toggles of an LSTM and its name."""
  before = variants.VARIANTS[variant].toggles
  toggles = before._replace(**changes)
  shift = toggles.coupling_shift
  if not abs(shift) <= rules.LARGEST:
    raise InputError(
      'model.toggles.coupling_shift',
      shift,
      'must be finite in float32; for example 1',
    )
  key, value = next(iter(changes.items()), ('', None))
  try:
    lstm.check_toggles(toggles)
  except ValueError as error:
    raise InputError(
      f'model.toggles.{key}', value, f'with {variant}: {error}'
    ) from error
  return toggles, variant + ''.join(_differences(before, toggles))


def _differences(before: Any, after: Any) -> list[str]:
  """Return what tells a model from its variant, as '+peephole_i'."""
  names = []
  for key, value in after._asdict().items() if after else ():
    if value == getattr(before, key):
      continue
    if isinstance(value, bool):
      names.append(('+' if value else '-') + key)
    else:
      names.append(f'+{key}={value:g}')
  return names
