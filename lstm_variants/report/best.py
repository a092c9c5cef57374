"""Each model at its best settings: chosen by some runs, told of others.

The best of several settings looks better than it is where it is told by the
runs that chose it. So half of the seeds choose, and the others are compared;
where there is one run of a setting, as of the trials of a search, the table
says that it flatters.
"""

from collections.abc import Callable, Mapping, Sequence
import math
from typing import Any, NamedTuple

from lstm_variants.report import comparison
from lstm_variants.runs import equal_training, grouping
from lstm_variants.statistics import intervals

# What is chosen for each model: how it is trained.
_TUNED = 'optimizer.'


class Best(NamedTuple):
  """The models of a task at their best settings.

  Attributes:
    fields: that were chosen, dotted names.
    rows: a row for each model, of the runs that did not choose, if any.
    groups: their runs.
    candidates: settings that each row was chosen from.
    choosers: seeds that chose; empty: the runs of the rows did.
  """

  fields: Sequence[str]
  rows: Sequence[comparison.Row]
  groups: Sequence[grouping.Group]
  candidates: Sequence[int]
  choosers: Sequence[int]


def compare(
  tables: Sequence[grouping.Table],
  baseline: str,
  standings: Mapping[str, equal_training.Standing],
) -> dict[str, Best]:
  """Compare the models of each task at the best settings of each.

  Args:
    tables: of `grouping.tabulate`.
    baseline: the model to compare with.
    standings: of the runs of each task.

  Returns:
    Label -> what came of it, of tasks whose models have several settings of
    training each.
  """
  chosen = {}
  for table in tables:
    tuned = [
      name
      for name in table.columns
      if name.startswith(_TUNED) or name in table.searched
    ]
    if table.runs and tuned:
      groups = grouping.group([table], pooled=False)
      best = _choose(groups, tuned, baseline, standings[table.task])
      if best is not None:
        chosen[table.task] = best
  return chosen


def _choose(
  groups: Sequence[grouping.Group],
  tuned: Sequence[str],
  baseline: str,
  standing: equal_training.Standing,
) -> Best | None:
  """Choose the best group of each model; None where there is no choice."""
  families: dict[Any, list[grouping.Group]] = {}
  rest = [name for name in groups[0].others if name not in tuned]
  for group in groups:
    others = {name: group.others[name] for name in rest}
    key = (group.model, *map(grouping.hashable, others.values()))
    families.setdefault(key, []).append(group._replace(others=others))
  if standing.sequences is None or all(len(f) < 2 for f in families.values()):
    return None
  choosers = _choosers(groups)
  below_zero = any(loss < 0 for loss in standing.losses.values())
  average = (
    intervals.mean_interval if below_zero else intervals.geometric_interval
  )
  best, candidates = [], []
  ordered = sorted(families.values(), key=lambda own: own[0].model != baseline)
  for family in ordered:
    group = min(
      family, key=lambda one: _rank(one, choosers, standing.losses, average)
    )
    others = [run for run in group.runs if _seed(run) not in choosers]
    best.append(group._replace(runs=others))
    candidates.append(len(family))
  rows = comparison.compare_groups(best, baseline, standing)
  return Best(tuned, rows, best, candidates, choosers)


def _seed(run: grouping.Run) -> int:
  return run['config']['seed']


def _choosers(groups: Sequence[grouping.Group]) -> list[int]:
  """Return half of the seeds that all settings have; none of fewer than two."""
  seeds = set.intersection(*({*map(_seed, group.runs)} for group in groups))
  return sorted(seeds)[: len(seeds) // 2]


def _rank(
  group: grouping.Group,
  choosers: Sequence[int],
  losses: Mapping[str, float],
  average: Callable[[Sequence[float]], intervals.Interval],
) -> tuple[int, float]:
  """Return what the best group has least of: lost runs, then the loss."""
  own = [run for run in group.runs if not choosers or _seed(run) in choosers]
  known = [losses[run['id']] for run in own if run['id'] in losses]
  loss = known[0] if len(known) == 1 else average(known).estimate
  return len(own) - len(known), math.inf if math.isnan(loss) else loss
