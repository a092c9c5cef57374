"""The settings that runs really had, as recorded in each of them.

A study's own config is what it was before its grid: no run may have had it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lstm_variants.config import fields
from lstm_variants.report import tables
from lstm_variants.runs import grouping

LEARNING_RATE = 'optimizer.learning_rate'
# What a reader asks for first, where the runs have it.
FIRST = (LEARNING_RATE, 'model.hidden_features')
# Of a sentence about what all runs share.
_COMMON = (
  'optimizer.name',
  LEARNING_RATE,
  'optimizer.clip_norm',
  'model.hidden_features',
  'training.batch_size',
  'training.updates',
)
# Values that are told one by one.
_FEW = 4


def values(runs: Iterable[grouping.Run]) -> dict[str, list[Any]]:
  """Return the values of each field among runs, in the order they came.

  Args:
    runs: rows of `results.read_runs`; what they share is looked at once if it
      is one object.

  Returns:
    Dotted name -> its distinct values.
  """
  known: dict[str, dict[Any, Any]] = {}
  seen, last = set(), {}
  for run in runs:
    for name, part in run['config'].items():
      if id(part) in seen:
        continue
      if isinstance(part, Mapping):
        seen.add(id(part))
        pairs = fields.flatten(part, f'{name}.')
      else:
        pairs = iter([(name, part)])
      for field, value in pairs:
        # Most are those of the run before.
        before = last.get(field, grouping.ABSENT)
        kind = type(value)
        if kind is type(before) and kind is not list and value == before:
          continue
        known.setdefault(field, {}).setdefault(grouping.hashable(value), value)
        last[field] = value
  return {field: list(distinct.values()) for field, distinct in known.items()}


def columns(runs: Sequence[grouping.Run]) -> list[str]:
  """Return the fields that a table of runs of one task tells of each row.

  Args:
    runs: of the task.
  """
  first = [name for name in FIRST if is_recorded(runs, name)]
  varying = grouping.varying([run['config'] for run in runs])
  return list(dict.fromkeys([*first, *varying]))


def is_recorded(runs: Sequence[grouping.Run], field: str) -> bool:
  """Tell whether any of some runs has a field, by its dotted name."""
  values = grouping.field_values(runs, field)
  return any(value is not grouping.ABSENT for value in values)


def of_group(runs: Sequence[grouping.Run], field: str) -> tuple[str, str]:
  """Return what a field was in a group of runs: a text, and a key to sort by.

  Args:
    runs: of the group.
    field: its dotted name.
  """
  distinct = _distinct(runs, field)
  text = several(distinct)
  first = distinct[0] if distinct else None
  is_number = type(first) in (int, float)
  return text, tables.key(first if is_number and first is not None else text)


def _distinct(runs: Sequence[grouping.Run], field: str) -> list[Any]:
  own = [
    value
    for value in grouping.field_values(runs, field)
    if value is not grouping.ABSENT
  ]
  return list({grouping.hashable(value): value for value in own}.values())


def counted(runs: Sequence[grouping.Run], field: str) -> tuple[str, str]:
  """Return what a field was in a group of runs, and of many values the number.

  Args:
    runs: of the group.
    field: its dotted name.
  """
  return _summary(_distinct(runs, field))


def several(distinct: Sequence[Any]) -> str:
  """Return distinct values of a field in a text."""
  text, count = _summary(distinct)
  return f'{text} ({count})' if count else text


def _summary(distinct: Sequence[Any]) -> tuple[str, str]:
  """Return distinct values in a text, and of many numbers how many they are."""
  if not distinct:
    return tables.MISSING, ''
  if len(distinct) == 1:
    return value(distinct[0]), ''
  if all(type(one) in (int, float) for one in distinct):
    ordered = sorted(distinct)
    if len(ordered) > _FEW:
      ends = ' to '.join(
        value(end) if isinstance(end, int) else tables.number(end)
        for end in (ordered[0], ordered[-1])
      )
      return ends, f'{len(ordered):,} values'
    return ', '.join(map(value, ordered)), ''
  texts = [value(one) for one in distinct]
  if len(texts) > _FEW:
    return f'{", ".join(texts[:_FEW])} and {len(texts) - _FEW:,} more', ''
  return ', '.join(texts), ''


def value(one: Any) -> str:
  """Return the value of a field as it is read."""
  if one is None:
    return 'none'
  if isinstance(one, bool):
    return 'yes' if one else 'no'
  if isinstance(one, int):
    return f'{one:,}'
  if isinstance(one, float):
    return tables.setting(one)
  return str(one)


def listed(of_fields: Mapping[str, Any]) -> str:
  """Return fields with their values in a row, as 'learning rate 0.01'."""
  return ', '.join(
    f'{heading(name)} {value(one)}' for name, one in of_fields.items()
  )


def heading(field: str) -> str:
  """Return the name of a field as a heading."""
  section, _, name = field.rpartition('.')
  return (section if name == 'name' else name).replace('_', ' ')


def common(
  runs: Sequence[grouping.Run], known: Mapping[str, Sequence[Any]]
) -> str:
  """Return a sentence about what all runs of a task share.

  Args:
    runs: of the task.
    known: of `values`.
  """
  shared = {
    name: known[name][0]
    for name in _COMMON
    if len(known.get(name, ())) == 1
    and known[name][0] is not None
    # Also of those that recorded none it would be told.
    and grouping.ABSENT not in grouping.field_values(runs, name)
  }
  return listed(shared)
