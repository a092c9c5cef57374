"""Whether one model solves a task sooner than another, and by what odds."""

from collections.abc import Iterator, Mapping, Sequence
import functools
import math
from typing import Any

import numpy as np

from lstm_variants.evidence import gallery, subjects
from lstm_variants.evidence.survival import captions, figures
from lstm_variants.runs import equal_training, grouping, results, success_times
from lstm_variants.statistics import (
  improvement,
  intervals,
  power,
  ratios,
  shares,
  speed,
  survival,
)

COLUMNS = (
  'model',
  'runs',
  'solved',
  'share_solved',
  'share_low',
  'share_high',
  'mean_sequences',
  'mean_sequences_low',
  'mean_sequences_high',
  'speed_ratio',
  'speed_ratio_low',
  'speed_ratio_high',
  'speed_p',
  'sooner',
  'sooner_low',
  'sooner_high',
  'sooner_p',
  'loss_at_sequences',
  'loss_iqm',
  'loss_iqm_low',
  'loss_iqm_high',
  'loss_ratio',
  'loss_ratio_low',
  'loss_ratio_high',
  'loss_p',
  'hedges_g_log_loss',
  'seeds_for_80_percent_power',
)


def draw(study: subjects.Study, baseline: str) -> Iterator[gallery.Drawing]:
  """Draw the survival curves of each task, with its table of statistics.

  Args:
    study: whose finished runs are compared; also those that diverged.
    baseline: the model to compare with; without its runs nothing is tested.
  """
  wanted = {(row['task'], row['model']) for row in study.rows}
  wanted |= {(task, baseline) for task, _ in wanted}
  groups = [
    group
    for group in grouping.group_runs(
      study.tasks, study.every_row, searched=study.searched
    )
    if (group.task, group.model) in wanted
  ]
  standings = equal_training.stand(
    study.every_row, functools.partial(results.read_losses, study.workdir)
  )
  for task in dict.fromkeys(group.task for group in groups):
    family = [group for group in groups if group.task == task]
    yield _draw_task(task, family, baseline, standings[task])


def _draw_task(
  task: str,
  family: Sequence[grouping.Group],
  baseline: str,
  standing: equal_training.Standing,
) -> gallery.Drawing:
  # Groups that differ by other fields too have each its own baseline.
  baselines = {
    grouping.hashable(group.others): group
    for group in family
    if group.model == baseline
  }
  # Where the longest of them ended: a run that diverged is as good as unsolved
  # there, wherever its own group stopped.
  budget = max(run['sequences'] for group in family for run in group.runs)
  curves, p_values, rows = {}, {}, []
  for group in family:
    other = baselines.get(grouping.hashable(group.others))
    other = None if other is group else other
    outcomes = _outcomes(group.runs, budget)
    curves[group.label] = survival.kaplan_meier(*outcomes)
    row = _row(group, other, budget, standing)
    p_values[group.label] = row['speed_p']
    rows.append([row[column] for column in COLUMNS])
  first = next(iter(baselines.values()), None)
  figure = figures.draw_survival(
    task,
    curves,
    p_values=p_values,
    baseline=first.label if first and len(baselines) == 1 else None,
  )
  caption = captions.SURVIVAL.format(baseline=baseline)
  if not baselines:
    caption += captions.ALONE.format(baseline=baseline)
  return gallery.Drawing(
    kind='survival',
    task=task,
    part='',
    heading='How soon the runs are solved',
    caption=caption,
    figure=figure,
    columns=COLUMNS,
    rows=rows,
  )


def _row(
  group: grouping.Group,
  other: grouping.Group | None,
  budget: int,
  standing: equal_training.Standing,
) -> dict[str, Any]:
  """Return a group's statistics, NaN where it has nothing to compare with."""
  times, solved = _outcomes(group.runs, budget)
  losses = _finite(equal_training.losses_by_seed(group.runs, standing.losses))
  share = shares.interval(sum(solved), len(solved))
  mean = survival.restricted_mean(times, solved, budget)
  trimmed = intervals.interquartile_interval(losses)
  at = standing.sequences
  row = {
    'model': group.label,
    'runs': len(solved),
    'solved': sum(solved),
    **_interval('share', share, 'share_solved'),
    **_interval('mean_sequences', mean),
    'loss_at_sequences': math.nan if at is None else at,
    **_interval('loss_iqm', trimmed),
  }
  against = _against(group, other, budget, standing)
  return dict.fromkeys(COLUMNS, math.nan) | row | against


def _against(
  group: grouping.Group,
  other: grouping.Group | None,
  budget: int,
  standing: equal_training.Standing,
) -> dict[str, Any]:
  """Return what compares a group with its baseline."""
  if other is None:
    return {}
  sides = group.runs, other.runs
  step = success_times.common_step([*group.runs, *other.runs])
  sooner = improvement.probability_of_improvement(_pair(sides, budget, step))
  fast = speed.compare(*equal_training.times_by_seed(sides, budget))
  own, base = (
    equal_training.losses_by_seed(side, standing.losses) for side in sides
  )
  ratio = ratios.compare(own, base)
  logs = [_logarithms(_finite(side)) for side in (own, base)]
  return {
    **_interval('speed_ratio', fast.ratio),
    'speed_p': fast.p_value,
    **_interval('sooner', sooner.probability),
    'sooner_p': sooner.p_value,
    **_interval('loss_ratio', ratio.ratio),
    'loss_p': ratio.p_value,
    'hedges_g_log_loss': intervals.hedges_g(*logs),
    'seeds_for_80_percent_power': _seeds_needed(*logs),
  }


def _pair(
  sides: tuple[Sequence[grouping.Run], Sequence[grouping.Run]],
  budget: int,
  step: int,
) -> improvement.Pair:
  """Return times to success up to where the shortest unsolved run ended."""
  times, solved = zip(
    *(_outcomes(side, budget, step) for side in sides), strict=True
  )
  ends = [
    time
    for side, flags in zip(times, solved, strict=True)
    for time, flag in zip(side, flags, strict=True)
    if not flag
  ]
  end = min(ends, default=math.inf)
  return improvement.Pair(
    *(np.minimum(side, end) for side in times),
    *(
      np.logical_and(flags, np.less_equal(side, end))
      for side, flags in zip(times, solved, strict=True)
    ),
  )


def _finite(losses: Mapping[Any, float]) -> list[float]:
  return [loss for loss in losses.values() if math.isfinite(loss)]


def _logarithms(losses: Sequence[float]) -> list[float]:
  """Return the logarithms of losses; none where one is not above zero."""
  if any(loss <= 0 for loss in losses):
    return []
  return [math.log(loss) for loss in losses]


def _seeds_needed(own: Sequence[float], base: Sequence[float]) -> float:
  """Return the seeds a side that would show this difference of means."""
  if min(len(own), len(base)) < 2:
    return math.nan
  spreads = [float(np.std(side, ddof=1)) for side in (own, base)]
  if not any(spreads):
    return math.nan
  return power.seeds_needed(
    float(np.mean(own) - np.mean(base)),
    spreads[0],
    baseline_deviation=spreads[1],
  )


def _outcomes(
  runs: Sequence[Mapping[str, Any]], budget: int, step: int = 1
) -> tuple[list[int], list[bool]]:
  solved = [run['sequences_to_success'] is not None for run in runs]
  return success_times.times_to_success(runs, budget, step), solved


def _interval(
  name: str, interval: intervals.Interval, estimate: str = ''
) -> dict[str, float]:
  return {
    estimate or name: interval.estimate,
    f'{name}_low': interval.low,
    f'{name}_high': interval.high,
  }
