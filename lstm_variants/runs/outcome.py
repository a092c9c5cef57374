"""What a study has come to, in the words of a warning."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

from lstm_variants import names as names_lib
from lstm_variants.runs import grouping, results

# A loss so many times the first one, that of the initial weights, got lost.
_LOST = 2.0
# Updates after which a model that learns is no worse than one without memory.
_ENOUGH = 500
# So many times the loss without memory is worse than it, not equal by chance.
_WORSE = 1.1


def warning(workdir: str) -> str | None:
  """Return a line about runs that a reader would take for trained ones.

  Those that ended far above where they began have diverged, although their
  numbers are finite; those that trained for long and are above the best guess
  without memory have learnt nothing.

  Args:
    workdir: of a study with finished runs.

  Returns:
    None if there is nothing to warn of.
  """
  tasks = results.read_study(workdir)['tasks']
  runs = [
    run for run in results.read_runs(workdir) if _is_worse(run, tasks, 1.0)
  ]
  if not runs:
    return None
  first = _first_losses(workdir)
  lost = [
    run
    for run in runs
    if run['final']['loss'] > _LOST * first.get(run['id'], math.inf)
  ]
  if lost:
    return _line(lost, tasks, 'diverged', 'a smaller')
  idle = [
    run
    for run in runs
    if run['updates'] >= _ENOUGH and _is_worse(run, tasks, _WORSE)
  ]
  if idle:
    return _line(idle, tasks, 'learnt nothing', 'another')
  return None


def _line(
  runs: Sequence[grouping.Run],
  tasks: Mapping[str, Any],
  verdict: str,
  rate: str,
) -> str:
  ids = names_lib.some([run['id'] for run in runs], 3)
  loss, chance = runs[0]['final']['loss'], _chance(runs[0], tasks)
  without = '' if chance is None else f', without memory it is {chance:.3g}'
  return (
    f'warning: {verdict}: {ids}: held-out loss {loss:.3g}{without}; try {rate} '
    '--config.optimizer.learning_rate'
  )


def _is_worse(
  run: grouping.Run, tasks: Mapping[str, Any], times: float
) -> bool:
  """Tell whether a run's final loss is so many times that without memory."""
  loss, chance = grouping.final_loss(run), _chance(run, tasks)
  return loss is not None and (chance is None or loss > times * chance)


def _chance(run: grouping.Run, tasks: Mapping[str, Any]) -> float | None:
  """Return the loss of the best guess without memory, None if unknown."""
  baselines = tasks.get(run['task'], {}).get('baselines') or {}
  chance = baselines.get('loss')
  return chance if isinstance(chance, (int, float)) else None


def _first_losses(workdir: str) -> dict[str, float]:
  """Return the loss of each run before its first update."""
  return {
    row['run']: row['loss']
    for row in results.read_metrics(workdir)
    if row['update'] == 0 and row.get('loss') is not None
  }
