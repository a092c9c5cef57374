"""Whether one model solves a task sooner than another, and by what odds."""

from collections.abc import Iterator, Mapping, Sequence
import math
from typing import Any

import numpy as np

from lstm_variants.evidence import gallery, subjects
from lstm_variants.evidence.survival import captions, figures
from lstm_variants.runs import grouping
from lstm_variants.statistics import (
  improvement,
  intervals,
  log_rank,
  paired,
  power,
  shares,
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
  'log_rank_p',
  'sooner',
  'sooner_low',
  'sooner_high',
  'sooner_p',
  'loss_iqm',
  'loss_iqm_low',
  'loss_iqm_high',
  'loss_difference',
  'loss_difference_low',
  'loss_difference_high',
  'sign_flip_p',
  'hedges_g',
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
    for group in grouping.group_runs(study.tasks, study.every_row)
    if (group.task, group.model) in wanted
  ]
  for task in dict.fromkeys(group.task for group in groups):
    family = [group for group in groups if group.task == task]
    yield _draw_task(task, family, baseline)


def _draw_task(
  task: str, family: Sequence[grouping.Group], baseline: str
) -> gallery.Drawing:
  # Groups that differ by other fields too have each its own baseline.
  baselines = {
    repr(group.others): group for group in family if group.model == baseline
  }
  # Where the longest of them ended: a run that diverged is as good as unsolved
  # there, wherever its own group stopped.
  budget = max(run['sequences'] for group in family for run in group.runs)
  curves, p_values, rows = {}, {}, []
  for group in family:
    other = baselines.get(repr(group.others))
    other = None if other is group else other
    outcomes = _outcomes(group.runs, budget)
    curves[group.label] = survival.kaplan_meier(*outcomes)
    row = _row(group, other, budget)
    p_values[group.label] = row['log_rank_p']
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
  group: grouping.Group, other: grouping.Group | None, budget: int
) -> dict[str, Any]:
  """Return a group's statistics, NaN where it has nothing to compare with."""
  times, solved = _outcomes(group.runs, budget)
  losses = list(_final_losses(group.runs).values())
  share = shares.interval(sum(solved), len(solved))
  mean = survival.restricted_mean(times, solved, budget)
  trimmed = intervals.interquartile_interval(losses)
  row = {
    'model': group.label,
    'runs': len(solved),
    'solved': sum(solved),
    **_interval('share', share, 'share_solved'),
    **_interval('mean_sequences', mean),
    **_interval('loss_iqm', trimmed),
  }
  against = _against(group, other, budget)
  return dict.fromkeys(COLUMNS, math.nan) | row | against


def _against(
  group: grouping.Group, other: grouping.Group | None, budget: int
) -> dict[str, Any]:
  """Return what compares a group with its baseline."""
  if other is None:
    return {}
  (times, solved), (base_times, base_solved) = (
    _outcomes(side.runs, budget) for side in (group, other)
  )
  test = log_rank.log_rank([(times, solved), (base_times, base_solved)])
  sooner = improvement.probability_of_improvement(
    improvement.Pair(times, base_times, solved, base_solved)
  )
  own, base = (_final_losses(side.runs) for side in (group, other))
  seeds = [seed for seed in own if seed in base]
  pairs = paired.paired(
    [own[seed] for seed in seeds], [base[seed] for seed in seeds]
  )
  sides = list(own.values()), list(base.values())
  return {
    'log_rank_p': test.permuted,
    **_interval('sooner', sooner.probability),
    'sooner_p': sooner.p_value,
    **_interval('loss_difference', pairs.difference),
    'sign_flip_p': pairs.sign_flip,
    'hedges_g': intervals.hedges_g(*sides),
    'seeds_for_80_percent_power': _seeds_needed(*sides),
  }


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
  runs: Sequence[Mapping[str, Any]], budget: int
) -> tuple[list[int], list[bool]]:
  solved = [run['sequences_to_success'] is not None for run in runs]
  return grouping.times_to_success(runs, budget), solved


def _final_losses(runs: Sequence[Mapping[str, Any]]) -> dict[int, float]:
  """Return the finite losses of runs that did not diverge, by seed."""
  losses = ((run['config']['seed'], grouping.final_loss(run)) for run in runs)
  return {seed: loss for seed, loss in losses if loss is not None}


def _interval(
  name: str, interval: intervals.Interval, estimate: str = ''
) -> dict[str, float]:
  return {
    estimate or name: interval.estimate,
    f'{name}_low': interval.low,
    f'{name}_high': interval.high,
  }
