"""When runs met their rule of success, in sequences.

Success is seen by looks, some updates apart, and no more exactly than those.
"""

from collections.abc import Mapping, Sequence
import types
from typing import Any

from lstm_variants.runs.grouping import Run

_NOTHING: Mapping[str, Any] = types.MappingProxyType({})


def updates_between_looks(runs: Sequence[Run]) -> list[int]:
  """Return how many updates lie between two looks for success, ascending.

  Each number once, so one of them where all runs were looked at equally often.
  They differ where a study went on with another `training.success_interval` or
  `training.evaluation_interval`.
  """
  # What runs share is looked at once, where it is one object.
  sections = {id(own): own for own in map(_training, runs)}.values()
  return sorted({min(_updates_of_looks(own), default=0) for own in sections})


def _training(run: Run) -> Mapping[str, Any]:
  return run['config'].get('training', _NOTHING)


def _updates_of_looks(training: Mapping[str, Any]) -> list[int]:
  """Return the numbers of updates at the multiples of which a run is judged."""
  names = 'evaluation_interval', 'success_interval'
  # Not recorded before there was one; 0: none.
  return [training[name] for name in names if training.get(name, 0) > 0]


def common_step(runs: Sequence[Run]) -> int:
  """Return the step in which times to success can be compared, in sequences.

  Success is late by up to what lies between two looks. Where runs were looked
  at unequally often it is that of the runs that were seldom, in which all of
  them count; else 1.
  """
  if len(updates_between_looks(runs)) < 2:
    return 1
  return max(min(_sequences_of_looks(run), default=1) for run in runs)


def _sequences_of_looks(run: Run) -> list[int]:
  each = _updates_of_looks(_training(run))
  if not each or not run['updates']:
    return []
  # A file that somebody wrote may have more updates than sequences.
  return [max(n * run['sequences'] // run['updates'], 1) for n in each]


def middle_times(
  sides: Sequence[Sequence[Run]], longest: int
) -> list[list[float]]:
  """Return each run's time to success, where it is most likely to have been.

  A success that a look has seen came since the look before it, and counts half
  way between the two. All times are late by the same, which is no factor: where
  looks are far apart ratios of them lie too near to 1, in bounds that are too
  narrow. Simulated, with twenty runs a side and looks half a median apart, 95 %
  covered 78 to 85 % of the time; of middles they cover 93 %. Where success is
  judged after every update, as some of the times tell, they are as they are.

  Args:
    sides: runs of the groups that are compared.
    longest: as in `times_to_success`.
  """
  runs = [run for side in sides for run in side]
  step = common_step(runs)
  times = [times_to_success(side, longest, step) for side in sides]
  if step == 1 and not all(map(_is_seen_by_a_look, runs)):
    return [[float(time) for time in own] for own in times]
  return [
    [
      time - _half_a_look(run, step, time)
      for run, time in zip(side, own, strict=True)
    ]
    for side, own in zip(sides, times, strict=True)
  ]


def _half_a_look(run: Run, step: int, time: int) -> float:
  if run['sequences_to_success'] is None:
    return 0.0
  steps = [step] if step > 1 else _sequences_of_looks(run)
  looks_before = ((time - 1) // each * each for each in steps)
  return (time - max(looks_before, default=time)) / 2


def _is_seen_by_a_look(run: Run) -> bool:
  success = run['sequences_to_success']
  if success is None or success == run['sequences']:
    return True
  return any(success % each == 0 for each in _sequences_of_looks(run))


def times_to_success(
  runs: Sequence[Run], longest: int | None = None, step: int = 1
) -> list[int]:
  """Return each run's sequences to success, or where it is censored.

  An unsolved run is censored where its training ended. One that diverged would
  not have solved later either, so it counts as trained as long as the longest
  of the group: to censor it when it diverged would flatter the group.

  Args:
    runs: of one group.
    longest: sequences of the longest of the groups that are compared; None: of
      this one.
    step: success counts from the next multiple of it (`common_step`).
  """
  most = max(run['sequences'] for run in runs) if longest is None else longest
  times = []
  for run in runs:
    success = run['sequences_to_success']
    if success is None:
      times.append(most if run['status'] == 'diverged' else run['sequences'])
    elif step > 1:
      times.append(min(-(-success // step) * step, most))
    else:
      times.append(success)
  return times
