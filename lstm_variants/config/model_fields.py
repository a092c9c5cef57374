"""From `config.model` to a cell, its settings, and the model's name."""

from collections.abc import Mapping
import functools
from typing import Any, NamedTuple

from lstm_variants import cells
from lstm_variants.cells import contract, lstm, variants
from lstm_variants.config import fields, rules
from lstm_variants.config.rules import InputError

# The fields by which a layer is normalised or noisy.
_APART = ('layer_norm', 'bidirectional', 'dropout', *fields.RATES)


class Choice(NamedTuple):
  """What `config.model` names.

  Attributes:
    cell: a name from `cells.CELLS`.
    cell_settings: those of a cell that is no LSTM; None if it has none.
    toggles: of an LSTM, else None.
    name: of the model: the variant, and what is changed of it.
    reads: names of the fields that it reads, of those that not all models do.
  """

  cell: str
  cell_settings: Any
  toggles: lstm.Toggles | None
  name: str
  reads: frozenset[str]


def choose(model: Mapping[str, Any]) -> Choice:
  """Return what is chosen.

  Args:
    model: the fields of `config.model`, nested, checked by themselves.

  Raises:
    InputError: a setting out of its range, or toggles or settings that
      contradict each other.
  """
  variant, recurrence = model['variant'], model['recurrence']
  toggles, settings = (
    {k: v for k, v in model[kind].items() if v is not None}
    for kind in ('toggles', 'cell')
  )
  if variant in variants.VARIANTS:
    chosen, name = _toggles(variant, toggles)
    cell = fields.LSTMS[recurrence]
    if recurrence != 'full':
      name += '+' + recurrence
    _check_normalised(name, chosen, model)
    read = _reads(cell, chosen, bool(model['chrono_t_max']))
    return Choice(cell, None, chosen, name, read)
  read = _reads(variant, None, bool(model['chrono_t_max']))
  if any(f'model.cell.{key}' not in read for key in settings):
    return Choice(variant, None, None, variant, read)  # to be refused
  chosen = _settings(variant, settings, model['hidden_features'])
  names = _differences(cells.CELLS[variant].settings, chosen)
  return Choice(variant, chosen, None, variant + ''.join(names), read)


def readers() -> Mapping[str, frozenset[str]]:
  """Return what each model reads by itself, of what not all models do."""
  return _readers(
    (*variants.VARIANTS, *cells.CELLS),
    (variants.VARIANTS.state, cells.CELLS.state),
  )


def takes(model: str, field: str) -> bool:
  """Tell whether a model can have a field of `config.model` set beside it."""
  own = {row.name for row in fields.ROWS if row.by == 'model.variant'}
  if field in own and field not in readers()[model]:
    return False
  if field != 'model.layer_norm' or model not in variants.VARIANTS:
    return True
  return not _lacks_gate(variants.VARIANTS[model].toggles)


@functools.lru_cache(maxsize=4)
def _readers(*registered: tuple[Any, ...]) -> Mapping[str, frozenset[str]]:
  """Return `readers`; made anew when something was registered."""
  del registered
  own = {
    name: _reads(fields.LSTMS['full'], variant.toggles, chrono=False)
    for name, variant in variants.VARIANTS.items()
  }
  others = {
    name: _reads(name, None, chrono=False)
    for name in cells.CELLS
    if name not in fields.LSTMS.values()
  }
  return own | others


def _reads(
  name: str, toggles: lstm.Toggles | None, chrono: bool
) -> frozenset[str]:
  """Return the fields that a cell reads, of those that not all cells do."""
  cell = cells.CELLS[name]
  # A forget gate has the bias, unless chrono puts another in its place.
  biased = cell.keeps and not chrono
  if toggles is not None:
    biased = biased and bool(toggles.forget_gate)
  read = {
    'model.recurrence': cell.toggled,
    'model.forget_bias': biased,
    'model.chrono_t_max': cell.keeps,
    'model.recurrent_init': not cell.initial,
    'model.layer_norm': cell.gains is not None,
    'model.recurrent_dropout': cell.drops,
    'model.zoneout_c': 'c' in cell.zones,
    'model.zoneout_h': 'h' in cell.zones,
    'model.learned_carry': bool(cell.zones),
    'optimizer.gradient_penalty': cell.penalised,
    **{f'model.cell.{setting}': True for setting in cell.ranges},
  }
  if cell.toggled:
    read |= {f'model.toggles.{toggle}': True for toggle in lstm.Toggles._fields}
  return frozenset(field for field, is_read in read.items() if is_read)


def check_penalty(config: Mapping[str, Any]) -> None:
  """Refuse a gradient penalty beside what takes part in a step.

  Args:
    config: nested, checked field by field.

  Raises:
    InputError: layer normalisation, noise, or devices that share a batch.
  """
  weight = config['optimizer']['gradient_penalty']
  if not weight:
    return
  for field in _APART:
    if config['model'][field]:
      raise InputError(
        'optimizer.gradient_penalty',
        weight,
        f'not together with model.{field}; nearest: 0',
      )
  if config['training']['batch_devices'] > 1:
    raise InputError(
      'training.batch_devices',
      config['training']['batch_devices'],
      'a gradient penalty needs the whole batch on one device; nearest: 1',
    )


def _check_normalised(
  name: str, toggles: lstm.Toggles, model: Mapping[str, Any]
) -> None:
  """Refuse layer normalisation over gates that are not there."""
  if model['layer_norm'] and _lacks_gate(toggles):
    raise InputError(
      'model.layer_norm',
      True,
      f'{name} lacks a gate, whose weights would count in the mean over all; '
      'nearest: false',
    )


def _lacks_gate(toggles: lstm.Toggles) -> bool:
  """Tell whether a gate is not there, or is one with another."""
  gates = toggles.input_gate, toggles.forget_gate, toggles.output_gate
  return not all(gates) or bool(toggles.coupled)


def _settings(variant: str, changes: dict[str, Any], hidden: int) -> Any:
  """Return the settings of a cell that is no LSTM."""
  cell = cells.CELLS[variant]
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
