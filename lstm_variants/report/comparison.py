"""Groups the runs of a study and compares the groups, task by task."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import difflib
import json
import math
from typing import Any, NamedTuple

from lstm_variants.runs import results
from lstm_variants.statistics import intervals, survival

# Told by the task and the model of a row, or averaged over.
# Going on with a study may have changed when it was looked at and saved.
_NOT_IN_LABEL = (
  *('seed.', 'task.', 'model.variant.', 'model.toggles.'),
  *(f'{name}.' for name in results.HARMLESS if name != 'training.updates'),
)

Run = Mapping[str, Any]
# Values of a field that a random search drew, at least.
_DRAWN = 4


class BaselineError(ValueError):
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


class Row(NamedTuple):
  """One line of a task's table.

  Attributes:
    task: label of the task.
    label: the group's, unique within the task.
    model: the name of the model.
    is_baseline: whether others are compared with this row.
    runs: number of runs.
    solved: of them met the success criterion, some before they diverged.
    diverged: of them ended with numbers that are not finite.
    median: sequences to success, unsolved runs censored.
    budget: the most sequences that a run of the group was trained on.
    loss: mean held-out loss at the end over `finite` runs.
    finite: number of runs that did not diverge and whose final loss is finite.
    welch: p value of the mean final loss against the baseline's.
    holm: `welch` adjusted for all comparisons within the task.
    params_in_use: parameters that the model reads.
    milliseconds: per update and run.
  """

  task: str
  label: str
  model: str
  is_baseline: bool
  runs: int
  solved: int
  diverged: int
  median: intervals.Interval
  budget: int
  loss: intervals.Interval
  finite: int
  welch: float
  holm: float
  params_in_use: int
  milliseconds: float


def group_runs(
  tasks: Iterable[str], runs: Sequence[Run], *, pooled: bool = True
) -> list[Group]:
  """Group the runs of each task by all that varies within it but the seed.

  Args:
    tasks: labels in the order wanted; tasks without runs are left out, and
      runs of other tasks follow.
    runs: rows of `results.read_runs`.
    pooled: the trials of a random search are one group of each model, else
      each is its own.

  Returns:
    Groups in the order of their tasks and of their first runs.
  """
  labels = dict.fromkeys([*tasks, *(run['task'] for run in runs)])
  groups = []
  for task in labels:
    of_task = [run for run in runs if run['task'] == task]
    groups += _group_task(task, of_task, pooled)
  return groups


def _group_task(task: str, runs: Sequence[Run], pooled: bool) -> list[Group]:
  configs = [dict(flatten(run['config'])) for run in runs]
  varying = _varying(configs)
  if pooled:
    searched = _searched([run['model'] for run in runs], configs, varying)
    varying = [name for name in varying if name not in searched]
  names = _short_names(varying)
  groups = {}
  for run, config in zip(runs, configs, strict=True):
    others = {name: config.get(name) for name in varying}
    key = _hashable((run['model'], others))
    words = (f'{names[name]}={_word(others[name])}' for name in varying)
    label = ', '.join((run['model'], *words))
    group = Group(task, run['model'], others, label, [])
    groups.setdefault(key, group).runs.append(run)
  return list(groups.values())


def compare(
  tasks: Iterable[str], runs: Sequence[Run], baseline: str
) -> list[Row]:
  """Compare every group with the baseline's group of equal other fields.

  Args:
    tasks: labels in the order wanted.
    runs: rows of `results.read_runs`.
    baseline: the model to compare with.

  Returns:
    Rows in the order of `tasks`, within a task the baseline's groups first.

  Raises:
    BaselineError: no run is of that model.
  """
  check_baseline(runs, baseline)
  families: dict[str, list[Group]] = {}
  for group in group_runs(tasks, runs):
    families.setdefault(group.task, []).append(group)
  rows = []
  for family in families.values():
    ordered = sorted(family, key=lambda group: group.model != baseline)
    rows += _compare_task(ordered, baseline)
  return rows


def _compare_task(groups: Sequence[Group], baseline: str) -> list[Row]:
  losses = {group.label: _final_losses(group.runs) for group in groups}
  baselines = {
    _hashable(group.others): losses[group.label]
    for group in groups
    if group.model == baseline
  }
  p_values = [
    math.nan
    if group.model == baseline
    else intervals.welch(
      losses[group.label], baselines.get(_hashable(group.others), ())
    )
    for group in groups
  ]
  adjusted = intervals.holm(p_values)
  return [
    _row(group, group.model == baseline, losses[group.label])._replace(
      welch=p_value, holm=holm
    )
    for group, p_value, holm in zip(groups, p_values, adjusted, strict=True)
  ]


def _row(group: Group, is_baseline: bool, losses: Sequence[float]) -> Row:
  runs = group.runs
  solved = [run['sequences_to_success'] is not None for run in runs]
  return Row(
    task=group.task,
    label=group.label,
    model=group.model,
    is_baseline=is_baseline,
    runs=len(runs),
    solved=sum(solved),
    diverged=sum(run['status'] == 'diverged' for run in runs),
    median=survival.median_to_success(times_to_success(runs), solved),
    budget=max(run['sequences'] for run in runs),
    loss=intervals.mean_interval(losses),
    finite=len(losses),
    welch=math.nan,
    holm=math.nan,
    params_in_use=runs[0]['params_in_use'],
    milliseconds=1e3 * _mean([run['seconds_per_update'] for run in runs]),
  )


def times_to_success(
  runs: Sequence[Run], longest: int | None = None
) -> list[int]:
  """Return each run's sequences to success, or where it is censored.

  An unsolved run is censored where its training ended. One that diverged would
  not have solved later either, so it counts as trained as long as the longest
  of the group: to censor it when it diverged would flatter the group.

  Args:
    runs: of one group.
    longest: sequences of the longest of the groups that are compared; None: of
      this one.
  """
  if longest is None:
    longest = max(run['sequences'] for run in runs)
  times = []
  for run in runs:
    end = longest if run['status'] == 'diverged' else run['sequences']
    success = run['sequences_to_success']
    times.append(end if success is None else success)
  return times


def _final_losses(runs: Sequence[Run]) -> list[float]:
  losses = (
    run['final'].get('loss') for run in runs if run['status'] != 'diverged'
  )
  return [loss for loss in losses if loss is not None and math.isfinite(loss)]


def _mean(values: Sequence[float | None]) -> float:
  known = [value for value in values if value is not None]
  return sum(known) / len(known) if known else math.nan


def check_baseline(runs: Sequence[Run], baseline: str) -> None:
  """Refuse a baseline that no run is of.

  Raises:
    BaselineError: the nearest model, and all.
  """
  models = list(dict.fromkeys(run['model'] for run in runs))
  if baseline in models:
    return
  nearest = difflib.get_close_matches(baseline, models, n=1, cutoff=0)
  raise BaselineError(
    f'--baseline={baseline!r}: no runs of that model; '
    f'nearest: {nearest[0]!r} (have: {", ".join(models)})'
  )


def flatten(
  config: Mapping[str, Any], prefix: str = ''
) -> Iterator[tuple[str, Any]]:
  """Yield the leaves of a nested config with their dotted names."""
  for key, value in config.items():
    if isinstance(value, Mapping):
      yield from flatten(value, f'{prefix}{key}.')
    else:
      yield prefix + key, value


def _varying(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """Return the names with more than one value that belong into a label."""
  names = dict.fromkeys(name for config in configs for name in config)
  return [
    name
    for name in names
    if not f'{name}.'.startswith(
      tuple(f'{n.rstrip(".")}.' for n in _NOT_IN_LABEL)
    )
    and len({_hashable(config.get(name)) for config in configs}) > 1
  ]


def _searched(
  models: Sequence[str],
  configs: Sequence[Mapping[str, Any]],
  varying: Sequence[str],
) -> set[str]:
  """Return the fields that a random search drew, none of a grid.

  In a search at least two numbers are new in most trials of a model; with them
  go those that take a few rounded values, as widths.
  """
  drawn, rounded = set(), set()
  for model in set(models):
    own = [c for m, c in zip(models, configs, strict=True) if m == model]
    for name in varying:
      values = [config.get(name) for config in own]
      numeric = all(type(value) in (int, float) for value in values)
      distinct = len(set(values)) if numeric else 0
      if distinct >= _DRAWN:
        rounded.add(name)
        if 2 * distinct > len(own):
          drawn.add(name)
  return rounded if len(drawn) > 1 else set()


def _short_names(names: Sequence[str]) -> dict[str, str]:
  """Map dotted names to their last parts where those are unambiguous."""
  last = [name.rpartition('.')[2] for name in names]
  return {
    name: short if last.count(short) == 1 else name
    for name, short in zip(names, last, strict=True)
  }


def _hashable(value: Any) -> str:
  return json.dumps(value, sort_keys=True)


def _word(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value)
