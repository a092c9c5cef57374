"""Groups of runs: those of one task that differ by their seeds alone.

Here and not in `report`, as evidence groups runs as tables do, and imports no
report.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
import json
import math
from typing import Any, NamedTuple

from lstm_variants import errors
from lstm_variants import names as names_lib
from lstm_variants.config import fields

# What the task and the model of a group tell, or what it averages over; and
# when a run was looked at and saved, which may change as a study goes on.
_NOT_IN_LABEL = (
  'seed.',
  'task.',
  'model.variant.',
  'model.toggles.',
  *(f'{name}.' for name in fields.CONDUCT_FIELDS if name != 'training.updates'),
)
Run = Mapping[str, Any]
# What others are compared with, where it is there.
_USUAL = 'vanilla'
# Values of a field that a random search drew, at least.
_DRAWN = 4


class BaselineError(errors.Error, ValueError):
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
  configs = [dict(fields.flatten(run['config'])) for run in runs]
  varying = _varying(configs)
  if pooled:
    searched = _searched([run['model'] for run in runs], configs, varying)
    varying = [name for name in varying if name not in searched]
  names = _short_names(varying)
  groups: dict[Hashable, Any] = {}
  for run, config in zip(runs, configs, strict=True):
    others = {name: config.get(name) for name in varying}
    key = hashable((run['model'], others))
    # A field of a component that the run does not use is not recorded.
    parts = (
      f'{names[name]}={_word(others[name])}'
      for name in varying
      if name in config
    )
    label = ', '.join((run['model'], *parts))
    group = Group(task, run['model'], others, label, [])
    groups.setdefault(key, group).runs.append(run)
  return list(groups.values())


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


def choose_baseline(
  runs: Sequence[Run],
  baseline: str | None,
  say: Callable[[str], None] = lambda line: None,
) -> str:
  """Return the model that others are compared with.

  Args:
    runs: rows of `results.read_runs`, one at least.
    baseline: the one that is asked for; None: vanilla, and where there is none
      the first model of the study.
    say: takes a line that tells what was chosen for want of vanilla.

  Raises:
    BaselineError: no run is of the model that is asked for.
  """
  if baseline is not None:
    check_baseline(runs, baseline)
    return baseline
  models = list(dict.fromkeys(run['model'] for run in runs))
  if _USUAL in models:
    return _USUAL
  others = f', or {names_lib.some(models[1:])}' if len(models) > 1 else ''
  say(
    f'baseline: {models[0]}, the first model, as no run is of {_USUAL}; '
    f'--baseline chooses it{others}'
  )
  return models[0]


def check_baseline(runs: Sequence[Run], baseline: str) -> None:
  """Refuse a baseline that no run is of.

  Raises:
    BaselineError: the nearest model, and all.
  """
  models = list(dict.fromkeys(run['model'] for run in runs))
  if baseline in models:
    return
  raise BaselineError(
    f'--baseline={baseline!r}: no runs of that model'
    + names_lib.tail(baseline, models, repr)
  )


def final_loss(run: Run) -> float | None:
  """Return the held-out loss at the end of a run.

  None of a run that diverged, and where the loss is not finite.
  """
  loss = run['final'].get('loss')
  if run['status'] == 'diverged' or loss is None or not math.isfinite(loss):
    return None
  return loss


def final_losses(runs: Sequence[Run]) -> dict[str, float]:
  """Return id -> final loss, of the runs that have one (`final_loss`)."""
  losses = {run['id']: final_loss(run) for run in runs}
  return {name: loss for name, loss in losses.items() if loss is not None}


def _varying(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """Return the names with more than one value that belong into a label.

  A field that only some components bring counts among their runs.
  """
  names = dict.fromkeys(name for config in configs for name in config)
  return [
    name
    for name in names
    if not f'{name}.'.startswith(
      tuple(f'{n.rstrip(".")}.' for n in _NOT_IN_LABEL)
    )
    and len({hashable(c[name]) for c in configs if name in c}) > 1
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


def hashable(value: Any) -> str:
  """Return a value of JSON as a key."""
  return json.dumps(value, sort_keys=True)


def _word(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value)
