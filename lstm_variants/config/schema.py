"""The table of all fields: the shared rows, and those of single components."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
from typing import Any, NamedTuple

from lstm_variants import cells, optimizers, registry, tasks
from lstm_variants import names as names_lib
from lstm_variants.cells import initializers, lstm, variants
from lstm_variants.config import fields, model_fields, rules
from lstm_variants.config.fields import Field
from lstm_variants.config.rules import InputError
from lstm_variants.optimizers import rows as rows_lib

_TOGGLE = 'model.toggles.'
_SETTING = 'model.cell.'


def models() -> tuple[str, ...]:
  """Return what `config.model.variant` may name: variants and other cells."""
  others = (name for name in cells.CELLS if name not in fields.LSTMS.values())
  return (*variants.VARIANTS, *others)


def table() -> Mapping[str, Field]:
  """Return dotted name -> field for all fields, in the order of a config."""
  return _table(*registered())


def registered() -> tuple[Any, ...]:
  """Return the states of the registries, hashable.

  The table, and what settings mean, depend on these alone.
  """
  registries = (
    tasks.DIALECTS,
    cells.CELLS,
    variants.VARIANTS,
    optimizers.OPTIMIZERS,
    optimizers.SCHEDULES,
  )
  return tuple(one.state for one in registries)


@functools.lru_cache(maxsize=4)
def _table(*registered: Any) -> Mapping[str, Field]:
  """Return the table; `registered` is the key under which it is cached."""
  del registered
  rows = (
    *fields.ROWS,
    *_toggles(),
    *_cell_settings(),
    *optimizers.own_rows(),
  )
  ordered: dict[str, Field] = {}
  for part in ('', 'task', 'model', 'optimizer', 'training', 'study'):
    for row in rows:
      if _part(row) == part:
        ordered.setdefault(row.name, _resolved(row))
  return ordered


def extension_fields() -> frozenset[str]:
  """Return the fields that only components of extensions read.

  The record of a run that uses none of these components leaves them out, so
  that it can be read where the extension is not installed.
  """
  return _extension_fields(*registered())


@functools.lru_cache(maxsize=4)
def _extension_fields(*registered: Any) -> frozenset[str]:
  del registered
  built_in = {row.name for row in (*fields.ROWS, *rows_lib.SHARED, *_toggles())}
  for name, cell in cells.CELLS.items():
    if cells.CELLS.module_of(name) == registry.HOUSE:
      built_in |= {_SETTING + setting for setting in cell.ranges}
  for components in (optimizers.OPTIMIZERS, optimizers.SCHEDULES):
    for name, component in components.items():
      if components.module_of(name) == registry.HOUSE:
        built_in |= {row.name for row in component.fields}
  return frozenset(table().keys() - built_in)


def _part(row: Field) -> str:
  head, dot, _ = row.name.partition('.')
  return head if dot else ''


def _resolved(row: Field) -> Field:
  """Return a row whose rule knows the names of its registry."""
  registries: dict[str, Iterable[str]] = {
    'task': tasks.DIALECTS,
    'model': models(),
    'optimizer': optimizers.OPTIMIZERS,
    'schedule': optimizers.SCHEDULES,
    'initializer': initializers.RECURRENT,
  }
  if isinstance(row.rule, rules.Registered):
    names = registries[row.rule.registry]
    takes = {
      'model': model_fields.takes,
      'optimizer': _takes_of_optimizer,
    }.get(row.rule.registry, names_lib.takes_any)
    return row._replace(rule=rules.Choice(tuple(names), takes=takes))
  return row


def _takes_of_optimizer(optimizer: str, field: str) -> bool:
  """Tell whether an optimizer reads a field."""
  known = optimizers.OPTIMIZERS[optimizer]
  return field in (*known.reads, *(row.name for row in known.fields))


def _toggles() -> Iterable[Field]:
  for name, default in lstm.Toggles()._asdict().items():
    rule = rules.Boolean() if isinstance(default, bool) else rules.Real(1.0)
    yield Field(
      _TOGGLE + name,
      None,
      rules.Open(rule),
      fields.RUN,
      f'The toggle {name} of an LSTM, on top of its variant; open: as the '
      'variant has it.',
      by='model.variant',
    )


def _cell_settings() -> Iterable[Field]:
  """Yield the settings of the cells; one that several have comes once."""
  for cell in cells.CELLS.values():
    for name, known in cell.ranges.items():
      yield Field(
        _SETTING + name,
        None,
        rules.Unchecked(known.kind, known.meaning),
        fields.PROGRAM,
        f"{known.meaning[:1].upper()}{known.meaning[1:]}; open: the cell's.",
        by='model.variant',
      )


def defaults() -> dict[str, Any]:
  """Return the default of every field, by its name."""
  return {name: row.default for name, row in table().items()}


def unrecorded() -> dict[str, Any]:
  """Return what each field had in a run whose record lacks it.

  It is left out of a run's identity, so that adding a field changes none.
  """
  return {name: row.unrecorded for name, row in table().items()}


def check(
  values: Mapping[str, Any],
  rows: Mapping[str, Field],
  *,
  rounded: bool = True,
) -> dict[str, Any]:
  """Refuse a field that is missing, unknown, or breaks its own rule.

  Args:
    values: the values of a config, by dotted name.
    rows: what `table` returns.
    rounded: whether numbers are first rounded to the precision of the program.

  Returns:
    The values in the order of the table.

  Raises:
    InputError: for the first field that breaks a rule.
  """
  for name in sorted(rows.keys() - values.keys()):
    raise InputError(name, None, 'missing; start from lv.default_config()')
  for name in sorted(values.keys() - rows.keys()):
    raise InputError(
      name,
      values[name],
      f'unknown{names_lib.field_tail(name, rows)}',
    )
  for name, row in rows.items():
    if values[name] is row.default:
      continue  # valid whatever the precision, as most are
    precision = 'float64'
    if rounded and row.name not in fields.OUTSIDE_IDENTITY:
      precision = _precision(row, values['model.dtype'])
    row.rule.check(name, values[name], precision)
  return {name: values[name] for name in rows}


def not_taken(name: str, value: Any, error: Exception) -> InputError:
  """Return the refusal of a value that a `ConfigDict` does not take.

  Args:
    name: the field, dotted.
    value: of another type than the field's.
    error: what the `ConfigDict` said, of its own types.
  """
  row = table().get(name)
  if row is not None:
    try:
      row.rule.check(name, value, 'float64')
    except InputError as refusal:
      return refusal
  return InputError(name, value, ' '.join(str(error).split()))


def _precision(row: Field, dtype: Any) -> str:
  """Return the precision of a number in the program.

  Traced numbers have 32 bits whatever the dtype.
  """
  wide = row.role is fields.PROGRAM and dtype == 'float64'
  return 'float64' if wide else 'float32'


class Component(NamedTuple):
  """What a choosing field, such as 'optimizer.name', chooses in a config.

  Attributes:
    label: names the component in a refusal.
    reads: the fields that it reads, of those that have a `Field.by`.
  """

  label: str
  reads: frozenset[str]


def check_read(
  values: Mapping[str, Any],
  rows: Mapping[str, Field],
  chosen: Mapping[str, Component],
  readers: Callable[[], Mapping[str, Mapping[str, frozenset[str]]]],
) -> None:
  """Refuse a field that is set and that the chosen component does not read.

  Args:
    values: the values of a config, by dotted name.
    rows: what `table` returns.
    chosen: choosing field -> the component that it chooses.
    readers: returns choosing field -> every choice -> the fields that it reads;
      called for a refusal only, which names the choices that would do.

  Raises:
    InputError: for the first such field.
  """
  for name, row in rows.items():
    value = values[name]
    if not row.by or _is_default(value, row.default):
      continue
    component = chosen[row.by]
    if name in component.reads:
      continue
    choices = [
      choice for choice, reads in readers()[row.by].items() if name in reads
    ]
    if values[row.by] in choices:
      # It would read the field, were it not for another field's value.
      choices = []
    raise InputError(name, value, _unread(row, component.label, choices))


def _unread(row: Field, label: str, choices: Sequence[str]) -> str:
  """Say that a component does not read a field, and which choices do."""
  rule = f'{label} does not read it'
  nearest = _written(row.default)
  if not choices:
    return f'{rule}; nearest: {nearest}'
  return (
    f'{rule}, those that do: {names_lib.some(choices)}; nearest: {nearest}, or '
    f'--config.{row.by}={choices[0]}'
  )


def _written(default: Any) -> str:
  """Return a default as a command line has it."""
  if default is None:
    return 'leave it out'
  if isinstance(default, bool):
    return str(default).lower()
  return default if isinstance(default, str) else f'{default:g}'


def default_text(row: Field) -> str:
  """Return the default of a field as a reader sees it."""
  if row.default is None:
    return 'open'
  return _written(row.default) or "''"


def _is_default(value: Any, default: Any) -> bool:
  return value is default or value == default
