"""Compares the groups of runs of a study, task by task."""

from collections.abc import Iterable, Sequence
import math
from typing import NamedTuple

from lstm_variants.runs import grouping
from lstm_variants.statistics import intervals, survival


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


def compare(
  tasks: Iterable[str], runs: Sequence[grouping.Run], baseline: str
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
  grouping.check_baseline(runs, baseline)
  families: dict[str, list[grouping.Group]] = {}
  for group in grouping.group_runs(tasks, runs):
    families.setdefault(group.task, []).append(group)
  rows = []
  for family in families.values():
    ordered = sorted(family, key=lambda group: group.model != baseline)
    rows += _compare_task(ordered, baseline)
  return rows


def _compare_task(groups: Sequence[grouping.Group], baseline: str) -> list[Row]:
  losses = {group.label: _final_losses(group.runs) for group in groups}
  baselines = {
    grouping.hashable(group.others): losses[group.label]
    for group in groups
    if group.model == baseline
  }
  p_values = [
    math.nan
    if group.model == baseline
    else intervals.welch(
      losses[group.label], baselines.get(grouping.hashable(group.others), ())
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


def _row(
  group: grouping.Group, is_baseline: bool, losses: Sequence[float]
) -> Row:
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
    median=survival.median_to_success(grouping.times_to_success(runs), solved),
    budget=max(run['sequences'] for run in runs),
    loss=intervals.mean_interval(losses),
    finite=len(losses),
    welch=math.nan,
    holm=math.nan,
    params_in_use=runs[0]['params_in_use'],
    milliseconds=1e3 * _mean([run['seconds_per_update'] for run in runs]),
  )


def _final_losses(runs: Sequence[grouping.Run]) -> list[float]:
  losses = map(grouping.final_loss, runs)
  return [loss for loss in losses if loss is not None]


def _mean(values: Sequence[float | None]) -> float:
  known = [value for value in values if value is not None]
  return sum(known) / len(known) if known else math.nan
