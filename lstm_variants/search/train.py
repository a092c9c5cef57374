"""Trains a search: a generation is asked for, written down, and trained.

The study of a search grows (`growing`). All that decides what comes next is in
the directory (`generations`, and the rows of finished runs), so a search goes
on as if nobody had disturbed it, and several processes may train it: whoever
comes by does what needs no training, having the directory for a moment, and
takes the lease of a population that is left.
"""

from collections.abc import Sequence
import functools
import importlib.metadata
import itertools
import math
import time
from typing import Any, NamedTuple

from lstm_variants import console, optimizers
from lstm_variants.config import populations, rules
from lstm_variants.launch import hosts, local, shared
from lstm_variants.runs import directory, lease, lock, results
from lstm_variants.search import (
  ask,
  check,
  generations,
  growing,
  mirror,
  objective,
  rungs,
  space,
)
from lstm_variants.training import interrupt, resume, tracking, watching
from lstm_variants.training import progress as progress_lib

# Seconds between two looks at what others train.
_PAUSE = 2.0
# Seconds to wait at the end for others who write the mirror.
_PATIENCE = 180.0


def train(
  workdir: str,
  name: str,
  config: Any,
  search: space.Search,
  mode: directory.Mode = directory.Mode.NEW,
  watch: watching.Watch = watching.NOBODY,
  mirror_to: str | None = None,
) -> None:
  """Train a search to its last generation.

  Args:
    workdir: the run directory.
    name: the study's name.
    config: the base config, a `ConfigDict`.
    search: what is searched, of `check.read`.
    mode: what to do with a study that exists in `workdir`.
    watch: who looks on.
    mirror_to: a file or a URL that follows as a study of Optuna; None: none.

  Raises:
    Error: as of `check.check` and of `local.train`; a search that is gone on
      with is another one.
    Interrupted: if a signal asked for the end; everything is saved.
    DivergedError: if every run diverged; the results are written.
    JoinError: this process is joined to others (`launch.hosts`).
  """
  hosts.check_alone('search')
  base = check.check(config, search)
  state = growing.begin(workdir, name, config, search, base, mode)
  follower = mirror.open_mirror(mirror_to, workdir)
  with growing.opened(state, mode) as worker:
    while True:
      state, left = _turn(state, worker)
      # By now others can have the search: a database may be slow.
      patience = 0 if left else _PATIENCE
      follower.follow(workdir, state.search, _trials(state), patience)
      if not left:
        break
      # One at a time: after it what is left may be other populations.
      if not any(train_populations(state, worker, one, watch) for one in left):
        time.sleep(_PAUSE)
    everything = results.read_rows(workdir)
    if not everything:
      refusal = state.generations[0].trials[0].refusal
      raise space.SpaceError(f'every trial was refused: {refusal}')
    local.check_diverged(
      workdir, all(row['status'] == 'diverged' for row in everything)
    )


def _turn(
  state: growing.Searched, worker: lease.Worker | None
) -> tuple[growing.Searched, list['Left']]:
  """Return a search, and what is left of it to be trained, as `_advance` does.

  Nobody else looks at it meanwhile; should this process sleep so long that
  others do, it looks again.

  Raises:
    lease.LostError: it slept for so long that it is counted out.
    lock.LostError: it has the whole study, and has lost it.
  """
  while True:
    try:
      with growing.alone(state.workdir, worker):
        state = growing.with_all_trials(state)
        return state, _advance(state)
    except lock.LostError as error:
      if worker is None:
        raise
      worker.check()
      console.warn(f'{error}; looking again')


def _asked(state: growing.Searched) -> int:
  return sum(len(one.trials) for one in state.generations)


def _place(state: growing.Searched, number: int) -> str:
  """Return which generation it is, of how many.

  One may be smaller: the last of a search that was to have fewer trials.
  """
  further = state.search.generations(_asked(state))
  return f'generation {number + 1}/{len(state.generations) + further}'


def _ask(state: growing.Searched) -> None:
  """Ask for the next generation, and write it down.

  The sampler knows what came of generations before g − ahead; those between
  were asked for, and whatever is known of them by now it does not know.
  """
  number, search = len(state.generations), state.search
  known = max(number - search.ahead, 0)
  before = [
    [
      state.values[trial.number]
      if place < known
      else ask.Known(trial.params, None)
      for trial in generation.trials
    ]
    for place, generation in enumerate(state.generations)
  ]
  count = min(search.batch, search.trials - _asked(state))
  trials = []
  for params in ask.ask(search, number, before, count):
    trial = generations.Trial(_asked(state) + len(trials), params, ())
    trials.append(_accept(state, trial))
  generation = generations.Generation(
    *(number, known, _made_by(search), tuple(trials)),
    whole_arrays=_whole_arrays(state, trials),
  )
  refused = [trial for trial in trials if trial.refusal]
  if refused:
    console.warn(
      f'generation {number + 1}: {len(refused)} of {len(trials)} trials are '
      f'refused and count as the worst: {refused[0].refusal}'
    )
  generations.write(state.workdir, search, generation)
  state.generations.append(generation)


def _accept(
  state: growing.Searched, trial: generations.Trial
) -> generations.Trial:
  """Return a trial with the names of its runs, or why it has none.

  What is refused is so on any machine: which trials are asked for next depends
  on it. One that is too large for this machine ends its training (`check`).
  """
  settings = growing.settings_of(state, trial)
  try:
    runs = local.expand(state.config, lambda hyper: settings, here=False)
  except (rules.InputError, local.GridError) as error:
    return trial._replace(refusal=str(error))
  names = tuple(growing.name_of(state, run) for run in runs)
  for name, run in zip(names, runs, strict=True):
    state.runs.setdefault(name, run)
  return trial._replace(runs=names)


def _whole_arrays(
  state: growing.Searched, trials: Sequence[generations.Trial]
) -> tuple[str, ...]:
  """Return which optimizers of trials look at whole arrays."""
  names = {
    state.runs[name].settings.optimizer
    for trial in trials
    for name in trial.runs
  }
  return tuple(
    sorted(
      name for name in names if not optimizers.OPTIMIZERS[name].elementwise
    )
  )


def _made_by(search: space.Search) -> str:
  package = {'tpe': 'optuna', 'cmaes': 'cmaes', 'qmc': 'scipy'}.get(
    search.sampler, 'numpy'
  )
  return f'{package} {importlib.metadata.version(package)}'


class Left(NamedTuple):
  """What is left to be trained of a generation that was asked for.

  Attributes:
    number: of the generation.
    title: for the progress.
    members: populations that are not finished.
  """

  number: int
  title: str
  members: Sequence[populations.Population]


def _advance(state: growing.Searched) -> list[Left]:
  """Do all that needs no training, and return what does.

  What of a generation has ended is looked at, populations are divided at their
  rungs, and the next generation is asked for as soon as it may be.
  """
  state.generations[:] = generations.read_all(
    state.workdir, state.search, state.read
  )
  growing.expand_again(state)
  left: list[Left] = []
  for number in itertools.count():
    if number == len(state.generations):
      waits = number - state.search.ahead
      is_open = len(left) > 0 and left[0].number < waits
      if is_open or _asked(state) >= state.search.trials:
        break
      _ask(state)
    title, members = _settle(state, number)
    if members:
      left.append(Left(number, title, members))
  growing.grow(state)
  return left


def _settle(
  state: growing.Searched, number: int
) -> tuple[str, list[populations.Population]]:
  """Bring a generation from rung to rung as far as it is trained.

  Returns:
    For the progress, which generation it is; and the populations that are left
    to be trained, none where it has ended.
  """
  while not _is_known(state, number):
    stages = growing.stages_of(state, number)
    for place, (stage, following) in enumerate(itertools.pairwise(stages)):
      smaller = [*growing.split(state, growing.parts_of(stages)[place])]
      smaller += growing.split(state, following)
      # A second signal ends it at once: what is half divided is done again.
      with interrupt.deferred():
        rungs.divide(
          state.workdir, growing.split(state, stage), smaller, stage.updates
        )
      interrupt.check(saved=True)
    last = stages[-1]
    pending = [
      one
      for one in growing.split(state, last)
      if not resume.looks_done(state.workdir, one)
    ]
    if pending:
      place = _place(state, number)
      return f'{state.name}, {place}, to update {last.updates}', pending
    if last.names and len(stages) <= len(growing.rungs_of(state)):
      _decide(state, number, last)
      growing.grow(state)
    elif _repeats_unknown(state, number):
      break  # one before it still trains what this one repeats
    else:
      _know(state, number)
  return '', []


def _repeats_unknown(state: growing.Searched, number: int) -> bool:
  """Tell whether a trial repeats one of a generation before, not known yet."""
  unknown = {
    trial.runs
    for generation in state.generations[:number]
    for trial in generation.trials
    if trial.runs and trial.number not in state.values
  }
  return any(one.runs in unknown for one in state.generations[number].trials)


def _is_known(state: growing.Searched, number: int) -> bool:
  """Tell whether it was looked at what came of a generation."""
  return all(
    trial.number in state.values for trial in state.generations[number].trials
  )


def train_populations(
  state: growing.Searched,
  worker: lease.Worker | None,
  left: Left,
  watch: watching.Watch,
) -> bool:
  """Train what nobody else has of a generation: all that trains in a search.

  Args:
    state: of an open study.
    worker: this process; None: it has the whole study.
    left: the generation, and its populations that are not finished.
    watch: who looks on.

  Returns:
    Whether there was any.
  """
  workdir, members = state.workdir, left.members
  local.check_machine(workdir, members)
  if worker is None:
    local.train_populations(workdir, left.title, members, watch=watch)
    return True
  parts = [progress_lib.part(member) for member in members]
  with progress_lib.Progress(left.title, parts) as progress:
    others = shared.train_left(
      *(workdir, worker, members, None, watch, progress),
      is_wanted=functools.partial(_is_undecided, state, left.number),
    )
  return len(others) < len(members)


def _is_undecided(state: growing.Searched, number: int) -> bool:
  """Tell whether nobody has decided a rung since this process looked.

  Whoever has may have divided what this process takes for untrained.
  """
  if state.search.halving is None:
    return True
  now = generations.read(state.workdir, state.search, number)
  return now.rungs == state.generations[number].rungs


def _decide(state: growing.Searched, number: int, stage: growing.Stage) -> None:
  """Write down which trials go on behind a rung, if that is not decided."""
  generation, halving = state.generations[number], state.search.halving
  assert halving is not None
  rows = _rows(state, stage)
  (one,) = state.search.objectives
  values = {
    trial.number: objective.values([one], [rows[run] for run in trial.runs])[0]
    for trial in generations.own_trials(state.generations, number)
    if rows.keys() >= set(trial.runs)
  }
  count = -(-len(values) // halving.eta)
  kept = objective.best(one, values, count)
  rung = generations.Rung(stage.updates, tuple(kept))
  generation = generation._replace(rungs=(*generation.rungs, rung))
  generations.write(state.workdir, state.search, generation)
  state.generations[number] = generation


def _rows(
  state: growing.Searched, stage: growing.Stage
) -> dict[str, dict[str, Any]]:
  """Return the rows of runs that have ended or reached a rung, by their ids."""
  return {
    row['id']: row
    for population in growing.split(state, stage)
    for row in results.read_population_rows(state.workdir, population.name)
  }


def _know(state: growing.Searched, number: int) -> None:
  """Look at what came of a generation, which is trained."""
  parts = growing.parts_of(growing.stages_of(state, number))
  rows: dict[str, dict[str, Any]] = {}
  retired: dict[str, int] = {}
  for place, part in enumerate(parts):
    rows.update(_rows(state, part))
    for population in growing.split(state, part):
      tracking.hand_over(state.workdir, population)
    if place < len(parts) - 1:
      retired.update(dict.fromkeys(part.names, part.updates))
  before = {
    trial.runs: trial.number
    for generation in state.generations[: number + 1]
    for trial in generation.trials
    if trial.number in state.values
  }
  objectives = state.search.objectives
  for trial in state.generations[number].trials:
    known = ask.Known(trial.params, tuple(one.worst for one in objectives))
    if trial.runs in before and trial.runs:
      known = state.values[before[trial.runs]]
    elif trial.runs:
      values = objective.values(objectives, [rows[run] for run in trial.runs])
      rung = retired.get(trial.runs[0])
      known = ask.Known(trial.params, values, rung)
      before[trial.runs] = trial.number
    state.values[trial.number] = known
  console.note(_best_so_far(state, number))


def _best_so_far(state: growing.Searched, number: int) -> str:
  """Return a line: how far the search is, and its best trial."""
  line = (
    f'{_place(state, number)}: {len(state.values)}/{state.search.trials} trials'
  )
  ends = {
    trial: known.values[0]
    for trial, known in state.values.items()
    if known.values and known.rung is None and math.isfinite(known.values[0])
  }
  one, *others = state.search.objectives
  if not ends or others:
    return line
  (best,) = objective.best(one, ends, 1)
  params = ', '.join(
    f'{name.rpartition(".")[2]}={_text(value)}'
    for name, value in state.values[best].params.items()
  )
  return f'{line}, best {one.name} {ends[best]:.4g}: trial {best} ({params})'


def _text(value: Any) -> str:
  return f'{value:.3g}' if isinstance(value, float) else str(value)


def _trials(
  state: growing.Searched,
) -> list[tuple[generations.Trial, ask.Known]]:
  """Return the trials whose end is known, in the order of their numbers."""
  return [
    (trial, state.values[trial.number])
    for generation in state.generations
    for trial in generation.trials
    if trial.number in state.values
  ]
