"""Groups of runs: those of one task that differ by their seeds alone.

Here and not in `report`, as evidence groups runs as tables do, and imports no
report.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
import itertools
import json
import math
import types
from typing import Any, NamedTuple

import numpy as np

from lstm_variants import errors
from lstm_variants import names as names_lib
from lstm_variants.config import fields

# What the task and the model of a group tell, or what it averages over; and
# when a run was looked at and saved, which may change as a study goes on.
_NOT_IN_LABEL = (
  'seed.',
  'task.',
  'model.variant.',
  'model.toggles.',
  *(
    f'{name}.' for name in fields.OUTSIDE_IDENTITY if name != 'training.updates'
  ),
)
_NO_PART_OF_LABEL = tuple(f'{name.rstrip(".")}.' for name in _NOT_IN_LABEL)
Run = Mapping[str, Any]
# What others are compared with, where it is there.
_USUAL = 'vanilla'
# Values of a field that a random search drew, at least; of the only one.
_DRAWN, _MANY = 4, 20
# Times the smallest distance of values that the largest has if they are drawn.
# In the series 1, 2, 5, 10 it is 1.3 (of logarithms); among 20 drawn numbers it
# was below 4 once in 200,000 draws.
_UNEVEN = 4.0
# Fields of a search that a label names.
_NAMED = 3
_PLAIN = frozenset((bool, int, float, str, type(None)))
# Of a run that does not have a field, and a section that is not there.
ABSENT, _NOTHING = object(), types.MappingProxyType({})


class BaselineError(errors.Error, ValueError):
  """The baseline is not among the runs; the message is one line."""


class Group(NamedTuple):
  """Runs of one task that differ by their seeds alone.

  Attributes:
    task: its label.
    model: the name of the model.
    others: the other fields that vary within the task, dotted name -> value.
    label: `model` and `others` in words, unique within the task.
    runs: rows of `results.read_runs`.
  """

  task: str
  model: str
  others: Mapping[str, Any]
  label: str
  runs: Sequence[Run]


class Table(NamedTuple):
  """The runs of a task, and the fields that vary among them.

  Attributes:
    task: its label.
    runs: rows of `results.read_runs`.
    columns: dotted name -> the value of each run; `ABSENT` of one that does not
      have the field.
    searched: names of those that a search drew.
  """

  task: str
  runs: Sequence[Run]
  columns: Mapping[str, Sequence[Any]]
  searched: Sequence[str]


def searched_fields(study: Mapping[str, Any]) -> Sequence[str] | None:
  """Return the fields over which a study searched, None where it is no search.

  Args:
    study: of `results.read_study`. In one of halving trials end at several
      numbers of updates.
  """
  search = study.get('search')
  if search is None:
    return None
  more = ('training.updates',) if search.get('halving') else ()
  return (*search.get('fields', {}), *more)


def group_runs(
  tasks: Iterable[str],
  runs: Sequence[Run],
  *,
  pooled: bool = True,
  searched: Sequence[str] | None = None,
) -> list[Group]:
  """Group the runs of each task by all that varies within it but the seed.

  Args:
    tasks: labels in the order wanted; tasks without runs are left out, and
      runs of other tasks follow.
    runs: rows of `results.read_runs`.
    pooled: the trials of a search are one group of each model, else each is
      its own.
    searched: the fields of a search that says so (`searched_fields`); None:
      those of a random search are recognised by their values.

  Returns:
    Groups in the order of their tasks and of their first runs.
  """
  return group(tabulate(tasks, runs, searched), pooled)


def tabulate(
  tasks: Iterable[str],
  runs: Sequence[Run],
  searched: Sequence[str] | None = None,
) -> list[Table]:
  """Return what varies among the runs of each task, to be grouped by it.

  Args:
    tasks: as of `group_runs`.
    runs: as of `group_runs`.
    searched: as of `group_runs`.
  """
  of_tasks: dict[str, list[Run]] = {task: [] for task in tasks}
  for run in runs:
    of_tasks.setdefault(run['task'], []).append(run)
  return [_tabulate(task, own, searched) for task, own in of_tasks.items()]


def _tabulate(
  task: str, runs: Sequence[Run], recorded: Sequence[str] | None
) -> Table:
  columns = {
    name: field_values(runs, name)
    for name in varying([run['config'] for run in runs])
  }
  drawn = recorded
  if drawn is None:
    drawn = _searched([run['model'] for run in runs], columns)
  return Table(task, runs, columns, [name for name in columns if name in drawn])


def group(tables: Iterable[Table], pooled: bool = True) -> list[Group]:
  """Group the runs of each task, as `group_runs` does.

  Args:
    tables: of `tabulate`.
    pooled: as of `group_runs`.
  """
  return [one for table in tables for one in _group_task(table, pooled)]


def _group_task(table: Table, pooled: bool) -> list[Group]:
  columns, names = table.columns, _short_names(list(table.columns))
  searched = ''
  if pooled:
    drawn = table.searched
    columns = {k: v for k, v in columns.items() if k not in drawn}
    # How long trials train no search draws: halving decides it.
    searched = _search_in_words(
      [names[name] for name in drawn if name not in fields.CONDUCT_FIELDS]
    )
  members: dict[Hashable, list[Run]] = {}
  settings: dict[Hashable, Sequence[Any]] = {}
  for run, *values in zip(table.runs, *columns.values(), strict=True):
    # A field that is not there is as one that is None.
    key = (run['model'], *map(_hashable_or_none, values))
    own = members.get(key)
    if own is None:
      own = members[key] = []
      settings[key] = values
    own.append(run)
  groups = []
  for key, own in members.items():
    values = settings[key]
    # A field of a component that the run does not use is not recorded.
    parts = (
      f'{names[name]}={_word(value)}'
      for name, value in zip(columns, values, strict=True)
      if value is not ABSENT
    )
    model = own[0]['model']
    label = ', '.join((model, *parts)) + searched
    others = (None if value is ABSENT else value for value in values)
    fields_of_group = dict(zip(columns, others, strict=True))
    groups.append(Group(table.task, model, fields_of_group, label, own))
  return groups


def _hashable_or_none(value: Any) -> Hashable:
  return hashable(None if value is ABSENT else value)


def _search_in_words(names: Sequence[str]) -> str:
  """Return the end of the label of trials of a search; '' of other runs."""
  if not names:
    return ''
  if len(names) > _NAMED:
    return f' (search over {len(names)} fields)'
  return f' (search over {", ".join(names)})'


def field_values(runs: Sequence[Run], name: str) -> list[Any]:
  """Return the value of a field for each run, `ABSENT` of one without it."""
  *parts, last = name.split('.')
  places: Sequence[Any] = [run['config'] for run in runs]
  for part in parts:
    places = [place.get(part, _NOTHING) for place in places]
    if any(type(place) is not dict for place in places):
      places = [
        place if isinstance(place, Mapping) else _NOTHING for place in places
      ]
  return [place.get(last, ABSENT) for place in places]


def choose_baseline(
  runs: Sequence[Run],
  baseline: str | None,
  say: Callable[[str], None] = lambda line: None,
) -> str:
  """Return the model that others are compared with.

  Args:
    runs: rows of `results.read_runs`, one at least.
    baseline: the one that is asked for; None: vanilla, and where there is none
      the first model of the study.
    say: takes a line that tells what was chosen for want of vanilla.

  Raises:
    BaselineError: no run is of the model that is asked for.
  """
  if baseline is not None:
    check_baseline(runs, baseline)
    return baseline
  models = list(dict.fromkeys(run['model'] for run in runs))
  if _USUAL in models:
    return _USUAL
  others = f', or {names_lib.some(models[1:])}' if len(models) > 1 else ''
  say(
    f'baseline: {models[0]}, the first model, as no run is of {_USUAL}; '
    f'--baseline chooses it{others}'
  )
  return models[0]


def check_baseline(runs: Sequence[Run], baseline: str) -> None:
  """Refuse a baseline that no run is of.

  Raises:
    BaselineError: the nearest model, and all.
  """
  models = list(dict.fromkeys(run['model'] for run in runs))
  if isinstance(baseline, str) and baseline in models:
    return
  raise BaselineError(
    f'--baseline={baseline!r}: no runs of that model'
    + names_lib.tail(baseline, models, repr)
  )


def final_loss(run: Run) -> float | None:
  """Return the held-out loss at the end of a run.

  None of a run that diverged, and where the loss is not finite.
  """
  loss = run['final'].get('loss')
  if run['status'] == 'diverged' or loss is None or not math.isfinite(loss):
    return None
  return loss


def final_losses(runs: Sequence[Run]) -> dict[str, float]:
  """Return id -> final loss, of the runs that have one (`final_loss`)."""
  losses = {run['id']: final_loss(run) for run in runs}
  return {name: loss for name, loss in losses.items() if loss is not None}


def varying(
  sections: Sequence[Mapping[str, Any]], place: str = ''
) -> list[str]:
  """Return the names with more than one value that belong into a label.

  A field that only some components bring counts among their runs.

  Args:
    sections: the configs of runs, or a part of them; what runs share is looked
      at once if it is one object.
    place: of that part, as 'model.'.
  """
  distinct = list({id(section): section for section in sections}.values())
  if len(distinct) < 2:
    return []
  names = []
  # Most have the same keys: they are looked at once for all of these.
  keys = dict.fromkeys(map(tuple, distinct))
  for name in dict.fromkeys(itertools.chain.from_iterable(keys)):
    if f'{place}{name}.'.startswith(_NO_PART_OF_LABEL):
      continue
    if len(keys) == 1:
      values = [section[name] for section in distinct]
    else:
      values = [section[name] for section in distinct if name in section]
    inner, plain = _apart(values)
    names += varying(inner, f'{place}{name}.')
    if _differ(plain):
      names.append(f'{place}{name}')
  return names


def _apart(values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
  """Return those values that are sections, and the others."""
  kinds = set(map(type, values))
  if kinds <= _PLAIN:
    return (), values
  if kinds == {dict}:
    return values, ()
  return (
    [value for value in values if isinstance(value, Mapping)],
    [value for value in values if not isinstance(value, Mapping)],
  )


def _differ(values: Sequence[Any]) -> bool:
  """Tell whether more than one of the values of a field is another."""
  kinds = set(map(type, values))
  if len(kinds) == 1 and kinds <= _PLAIN:
    return len(set(values)) > 1
  return len({hashable(value) for value in values}) > 1


def _searched(
  models: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> list[str]:
  """Return the fields that a random search drew, none of a grid.

  In a search at least two numbers are new in most trials of a model; with them
  go those that take a few rounded values, as widths. A search over one number,
  or one whose trials have several seeds each, has many values of it, which do
  not lie evenly, as those of a grid do.

  Args:
    models: of the runs.
    columns: the fields that vary, each with its value for every run.
  """
  drawn, rounded, alone = set(), set(), set()
  places: dict[str, list[int]] = {}
  for place, model in enumerate(models):
    places.setdefault(model, []).append(place)
  for own in places.values():
    for name, column in columns.items():
      values = [column[place] for place in own]
      if any(type(value) not in (int, float) for value in values):
        continue
      distinct = set(values)
      if len(distinct) >= _DRAWN:
        rounded.add(name)
        if 2 * len(distinct) > len(own):
          drawn.add(name)
        if len(distinct) >= _MANY and not _lie_evenly(distinct):
          alone.add(name)
  chosen = rounded if len(drawn) > 1 else alone
  return [name for name in columns if name in chosen]


def _lie_evenly(values: Iterable[float]) -> bool:
  """Tell whether values, or their logarithms, have about equal distances."""
  ordered = np.sort(np.asarray(list(values), float))
  scales = [ordered]
  if ordered[0] > 0:
    scales.append(np.log(ordered))
  gaps = [np.diff(scale) for scale in scales]
  return any(np.max(gap) < _UNEVEN * np.min(gap) for gap in gaps)


def _short_names(names: Sequence[str]) -> dict[str, str]:
  """Map dotted names to their last parts where those are unambiguous."""
  last = [name.rpartition('.')[2] for name in names]
  return {
    name: short if last.count(short) == 1 else name
    for name, short in zip(names, last, strict=True)
  }


def hashable(value: Any) -> Hashable:
  """Return a value of JSON as a key."""
  if type(value) in _PLAIN:
    return (type(value), value)  # 1, 1.0 and True are equal
  return json.dumps(value, sort_keys=True)


def _word(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value)
