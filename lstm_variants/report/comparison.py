"""Compares the groups of runs of a study, task by task, at equal training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import math
from typing import NamedTuple

from lstm_variants.runs import equal_training, grouping, success_times
from lstm_variants.statistics import intervals, ratios, speed, survival


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
    trained: the fewest and the most training sequences of its runs.
    looks: updates between two looks for success, `updates_between_looks`.
    median: sequences to success, unsolved runs censored.
    speed: the sequences to success beside the baseline's.
    speed_holm: its p value adjusted for all comparisons within the task.
    compared_at: training sequences at which the losses of the task are
      compared; None: there is no such number.
    loss: geometric mean of the held-out losses there, over `finite` runs; the
      mean if a loss of the task is below zero.
    finite: number of runs that did not diverge and whose loss there is finite.
    ratio: the losses there beside the baseline's.
    loss_holm: its p value adjusted for all comparisons within the task.
    final: geometric mean of the held-out losses at the end of each run.
    nats_per: what the loss is the cross-entropy of, in nats, such as
      'character'; '': it is no such loss.
    params_in_use: parameters that the model reads.
    milliseconds: per update and run.
    seconds: the shortest and the longest training of a run: its share of that
      of its population, without compilation; NaN where nobody measured it.
  """

  task: str
  label: str
  model: str
  is_baseline: bool
  runs: int
  solved: int
  diverged: int
  trained: tuple[int, int]
  looks: Sequence[int]
  median: intervals.Interval
  speed: speed.Speed
  speed_holm: float
  compared_at: int | None
  loss: intervals.Interval
  finite: int
  ratio: ratios.Ratio
  loss_holm: float
  final: intervals.Interval
  nats_per: str
  params_in_use: int
  milliseconds: float
  seconds: tuple[float, float]

  @property
  def bits(self) -> float:
    """Bits per symbol of a cross-entropy; NaN of another loss."""
    return self.loss.estimate / math.log(2) if self.nats_per else math.nan

  @property
  def perplexity(self) -> float:
    """How many equally likely symbols a cross-entropy stands for, or NaN."""
    if not self.nats_per or self.loss.estimate > 700:  # of a float64
      return math.nan
    return math.exp(self.loss.estimate)


def compare(
  tasks: Iterable[str] | Mapping[str, Mapping[str, object]],
  runs: Sequence[grouping.Run],
  baseline: str,
  read_evaluations: Callable[[], equal_training.Evaluations] = tuple,
  searched: Sequence[str] | None = None,
) -> list[Row]:
  """Compare every group with the baseline's group of equal other fields.

  Args:
    tasks: labels in the order wanted, with what is known of each, or without.
    runs: rows of `results.read_runs`.
    baseline: the model to compare with.
    read_evaluations: returns rows as `results.read_metrics`; asked where runs
      of a task were not trained equally long.
    searched: as of `grouping.group_runs`.

  Returns:
    Rows in the order of `tasks`, within a task the baseline's groups first.

  Raises:
    BaselineError: no run is of that model.
  """
  grouping.check_baseline(runs, baseline)
  standings = equal_training.stand(runs, read_evaluations)
  groups = grouping.group_runs(tasks, runs, searched=searched)
  return compare_tasks(tasks, groups, baseline, standings)


def compare_tasks(
  tasks: Iterable[str] | Mapping[str, Mapping[str, object]],
  groups: Iterable[grouping.Group],
  baseline: str,
  standings: Mapping[str, equal_training.Standing],
) -> list[Row]:
  """Compare groups, as `compare` does.

  Args:
    tasks: as of `compare`.
    groups: of all tasks, in their order.
    baseline: the model to compare with.
    standings: of the runs of each task.
  """
  families: dict[str, list[grouping.Group]] = {}
  for group in groups:
    families.setdefault(group.task, []).append(group)
  rows = []
  for task, family in families.items():
    facts = tasks.get(task, {}) if isinstance(tasks, Mapping) else {}
    ordered = sorted(family, key=lambda group: group.model != baseline)
    rows += [
      row._replace(nats_per=str(facts.get('nats_per') or ''))
      for row in compare_groups(ordered, baseline, standings[task])
    ]
  return rows


def compare_groups(
  groups: Sequence[grouping.Group],
  baseline: str,
  standing: equal_training.Standing,
) -> list[Row]:
  """Compare groups of one task with the baseline's of equal other fields.

  Args:
    groups: of the task.
    baseline: the model to compare with.
    standing: of all runs of the task.

  Returns:
    A row for each group.
  """
  baselines = {
    grouping.hashable(group.others): group
    for group in groups
    if group.model == baseline
  }
  rows, below_zero = [], _is_below_zero(standing)
  for group in groups:
    row = _row(group, group.model == baseline, standing, below_zero)
    other = baselines.get(grouping.hashable(group.others))
    if other is not None and not row.is_baseline:
      row = _against(row, group, other, standing, below_zero)
    rows.append(row)
  speeds = intervals.holm([row.speed.p_value for row in rows])
  losses = intervals.holm([row.ratio.p_value for row in rows])
  return [
    row._replace(speed_holm=speed_p, loss_holm=loss_p)
    for row, speed_p, loss_p in zip(rows, speeds, losses, strict=True)
  ]


def _against(
  row: Row,
  group: grouping.Group,
  other: grouping.Group,
  standing: equal_training.Standing,
  below_zero: bool,
) -> Row:
  """Return a row with what compares its group with the baseline's."""
  sides = group.runs, other.runs
  longest = max(run['sequences'] for side in sides for run in side)
  times = equal_training.times_by_seed(sides, longest)
  losses = (
    equal_training.losses_by_seed(side, standing.losses) for side in sides
  )
  row = row._replace(speed=speed.compare(*times))
  if standing.sequences is None:
    return row
  if below_zero:
    own, base = ([*side.values()] for side in losses)
    finite = [[x for x in side if math.isfinite(x)] for side in (own, base)]
    p_value = intervals.welch(*finite).p_value
    return row._replace(ratio=ratios.UNKNOWN._replace(p_value=p_value))
  return row._replace(ratio=ratios.compare(*losses))


def _is_below_zero(standing: equal_training.Standing) -> bool:
  """Tell whether losses have no logarithms, as those of one's own task may."""
  return any(loss < 0 for loss in standing.losses.values())


def _row(
  group: grouping.Group,
  is_baseline: bool,
  standing: equal_training.Standing,
  below_zero: bool,
) -> Row:
  """Return what is known of a group by itself."""
  runs = group.runs
  solved = [run['sequences_to_success'] is not None for run in runs]
  trained = [run['sequences'] for run in runs]
  losses: list[float] = []
  if standing.sequences is not None:
    names = (run['id'] for run in runs)
    losses = [
      standing.losses[name] for name in names if name in standing.losses
    ]
  final = [*grouping.final_losses(runs).values()]
  average = intervals.geometric_interval
  if below_zero:
    average = intervals.mean_interval
  return Row(
    task=group.task,
    label=group.label,
    model=group.model,
    is_baseline=is_baseline,
    runs=len(runs),
    solved=sum(solved),
    diverged=sum(run['status'] == 'diverged' for run in runs),
    trained=(min(trained), max(trained)),
    looks=success_times.updates_between_looks(runs),
    median=survival.median_to_success(
      success_times.times_to_success(runs), solved
    ),
    speed=speed.UNKNOWN,
    speed_holm=math.nan,
    compared_at=standing.sequences,
    loss=average(losses),
    finite=len(losses),
    ratio=ratios.UNKNOWN,
    loss_holm=math.nan,
    final=average(final),
    nats_per='',
    params_in_use=runs[0]['params_in_use'],
    milliseconds=1e3 * _mean([run['seconds_per_update'] for run in runs]),
    seconds=_ends([seconds(run) for run in runs]),
  )


def seconds(run: grouping.Run) -> float:
  """Return how long a run trained, its share of its population; or NaN."""
  each = run['seconds_per_update']
  return math.nan if each is None else each * run['updates']


def _ends(values: Sequence[float]) -> tuple[float, float]:
  known = [value for value in values if math.isfinite(value)]
  return (min(known), max(known)) if known else (math.nan, math.nan)


def _mean(values: Sequence[float | None]) -> float:
  known = [value for value in values if value is not None]
  return sum(known) / len(known) if known else math.nan
