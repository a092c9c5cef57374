"""What a study has come to, in the words of a warning or a note."""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple

from lstm_variants import names as names_lib
from lstm_variants.runs import grouping, results

# A loss so many times the first one, that of the initial weights, got lost.
_LOST = 2.0
# Updates after which a model that learns is no worse than one without memory.
_ENOUGH = 500
# So many times the loss without memory is worse than it, not equal by chance.
_WORSE = 1.1


class Outcome(NamedTuple):
  """What is to be said of the runs of a study; None: nothing.

  Attributes:
    warning: of runs that a reader would take for trained ones.
    note: of models that learnt nothing where others did, which is a result.
  """

  warning: str | None
  note: str | None


def read(workdir: str) -> Outcome:
  """Return what is to be said of the finished runs of a study.

  Those that ended far above where they began have diverged, although their
  numbers are finite. Those that trained for long and are above the best guess
  without memory have learnt nothing: that is worth a warning where no run of
  the task is below it, else a note.

  Args:
    workdir: of a study with finished runs.
  """
  tasks = results.read_study(workdir)['tasks']
  every = results.read_runs(workdir)
  runs = [run for run in every if _is_worse(run, tasks, 1.0)]
  if not runs:
    return Outcome(None, None)
  first = _first_losses(workdir)
  lost = [
    run
    for run in runs
    if run['final']['loss'] > _LOST * first.get(run['id'], math.inf)
  ]
  if lost:
    return Outcome(_line(lost, tasks, 'diverged', 'a smaller'), None)
  idle = [
    run
    for run in runs
    if run['updates'] >= _ENOUGH
    and _chance(run, tasks) is not None
    and _is_worse(run, tasks, _WORSE)
  ]
  worse = {run['id'] for run in runs}
  learnt = [
    run
    for run in every
    if run['id'] not in worse and grouping.final_loss(run) is not None
  ]
  tasks_learnt = {run['task'] for run in learnt}
  hopeless = [run for run in idle if run['task'] not in tasks_learnt]
  if hopeless:
    return Outcome(_line(hopeless, tasks, 'learnt nothing', 'another'), None)
  return Outcome(None, _note(idle, learnt) if idle else None)


def _note(idle: Sequence[grouping.Run], learnt: Sequence[grouping.Run]) -> str:
  """Say which models did not get below a guess where others did."""
  task = idle[0]['task']
  models = dict.fromkeys(run['model'] for run in idle if run['task'] == task)
  others = dict.fromkeys(
    run['model']
    for run in learnt
    if run['task'] == task and run['model'] not in models
  )
  count = sum(run['task'] == task for run in idle)
  runs = names_lib.counted(count, 'run')
  better = names_lib.some(others, 3) or 'other runs of it'
  return (
    f'{task}: {runs} of {names_lib.some(models, 3)} ended no better than a '
    f'guess without memory; {better} learnt the task'
  )


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
