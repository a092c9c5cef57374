"""Losses at equal training: where all runs of a task have been evaluated.

Runs of a task end after different numbers of training sequences, as a
population stops when its runs are solved, or is told to train longer. What they
lost at their ends does not compare the models then: it compares how long they
were trained. So all are compared at the largest number of sequences at which
each of them was evaluated.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import math
from typing import Any, NamedTuple, TypeVar

from lstm_variants.runs import grouping, success_times

Evaluations = Iterable[Mapping[str, Any]]
_Value = TypeVar('_Value')


class Standing(NamedTuple):
  """How the runs of a task stand at the same number of training sequences.

  Attributes:
    sequences: at which they are compared; None: there is no evaluation of all
      of them at one number.
    losses: id -> held-out loss there, of the runs that did not diverge and
      whose loss is finite.
  """

  sequences: int | None
  losses: Mapping[str, float]


def stand(
  runs: Sequence[grouping.Run], read_evaluations: Callable[[], Evaluations]
) -> dict[str, Standing]:
  """Return how the runs of each task stand.

  A run that diverged cannot be trained as long as the others: it does not say
  where they are compared, and has no loss, wherever it diverged.

  Args:
    runs: rows of `results.read_runs`.
    read_evaluations: returns rows as `results.read_metrics`; called at most
      once, and not at all where the runs of every task ended together.

  Returns:
    Label of a task -> `Standing`.
  """
  tasks: dict[str, list[grouping.Run]] = {}
  for run in runs:
    whole = tasks.setdefault(run['task'], [])
    if run['status'] != 'diverged':
      whole.append(run)
  standings, uneven = {}, {}
  for task, whole in tasks.items():
    ends = {run['sequences'] for run in whole}
    if len(ends) > 1:
      uneven |= {run['id']: (task, min(ends)) for run in whole}
    end = ends.pop() if len(ends) == 1 else None
    standings[task] = Standing(end, grouping.final_losses(whole))
  if uneven:
    counts = {task: len(whole) for task, whole in tasks.items()}
    standings |= _stand_earlier(uneven, counts, read_evaluations())
  return standings


def _stand_earlier(
  uneven: Mapping[str, tuple[str, int]],
  counts: Mapping[str, int],
  evaluations: Evaluations,
) -> dict[str, Standing]:
  """Return how runs stand that ended after different numbers of sequences.

  Args:
    uneven: id of a run -> its task, and the fewest sequences of a run of it.
    counts: runs of each task that did not diverge.
    evaluations: of all runs.
  """
  # Task -> sequences -> id of a run -> its loss there.
  seen: dict[str, dict[int, dict[str, float]]] = {}
  for row in evaluations:
    task, most = uneven.get(row['run'], (None, 0))
    # Before training nothing is compared.
    if task is not None and 0 < row['sequences'] <= most:
      loss = row.get('loss')
      at = seen.setdefault(task, {}).setdefault(row['sequences'], {})
      at[row['run']] = math.nan if loss is None else loss
  standings = {}
  for task, _ in uneven.values():
    if task in standings:
      continue
    at = seen.get(task, {})
    common = max((n for n in at if len(at[n]) == counts[task]), default=None)
    losses = {} if common is None else at[common]
    standings[task] = Standing(
      common,
      {name: loss for name, loss in losses.items() if math.isfinite(loss)},
    )
  return standings


def by_seed(
  runs: Sequence[grouping.Run], values: Iterable[_Value]
) -> dict[Any, _Value]:
  """Return seed -> value of the runs of a group.

  Where runs share a seed, as the trials of a search may, each has its id in
  place of it, so that they are paired with no other run.
  """
  keys = [run['config']['seed'] for run in runs]
  if len(set(keys)) < len(keys):
    keys = [run['id'] for run in runs]
  return dict(zip(keys, values, strict=True))


def losses_by_seed(
  runs: Sequence[grouping.Run], losses: Mapping[str, float]
) -> dict[Any, float]:
  """Return the losses of a group `by_seed`, NaN of runs that have none."""
  return by_seed(runs, (losses.get(run['id'], math.nan) for run in runs))


def times_by_seed(
  sides: Sequence[Sequence[grouping.Run]], longest: int
) -> list[dict[Any, tuple[float, bool]]]:
  """Return sequences to success, or at the end, and whether solved, `by_seed`.

  Args:
    sides: runs of the groups that are compared.
    longest: where a run that diverged counts as ended (`success_times`).

  Returns:
    Of each side; times as of `success_times.middle_times`, 1 or more, as a run
    that is solved before its first update is as good as solved at it.
  """
  times = success_times.middle_times(sides, longest)
  return [
    by_seed(
      side,
      (
        (max(time, 1.0), run['sequences_to_success'] is not None)
        for run, time in zip(side, own, strict=True)
      ),
    )
    for side, own in zip(sides, times, strict=True)
  ]
