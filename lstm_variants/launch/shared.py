"""A study that several processes train: each takes what nobody else has.

The run directory is all that they have in common. Whoever comes first begins
the study, the others join it; each takes the lease of a population, trains it,
and looks for the next (`runs.lease`). What is started how often and where, by a
shell, by `local_workers` or by an engine of a cluster, does not matter to the
results, nor does it matter when a process ends.
"""

from collections.abc import Callable, Sequence
import contextlib
import functools
import math
import pathlib
import time

from ml_collections import config_dict

from lstm_variants import console
from lstm_variants.config import populations
from lstm_variants.config import settings as settings_lib
from lstm_variants.launch import hosts, local
from lstm_variants.runs import directory, files, partial, results
from lstm_variants.runs import lease as lease_lib
from lstm_variants.training import given as given_lib
from lstm_variants.training import interrupt, loop, resume, tracking, watching
from lstm_variants.training import progress as progress_lib

# Seconds between two looks at what others train, and for which a look is good.
_PAUSE, _FRESH = 2.0, 1.0


def train_as(
  workdir: str,
  name: str,
  config: config_dict.ConfigDict,
  runs: Sequence[settings_lib.Run],
  mode: directory.Mode,
  given: given_lib.Given | None = None,
  watch: watching.Watch = watching.NOBODY,
  *,
  wait: bool = False,
) -> int:
  """Train a study alone, or with others where `mode` is SHARE.

  Args, returns, raises: as of `local.train` and `train`.
  """
  if mode is directory.Mode.SHARE:
    return train(workdir, name, config, runs, given, watch, wait)
  local.train(workdir, name, config, runs, mode, given, watch)
  return 0


def train(
  workdir: str,
  name: str,
  config: config_dict.ConfigDict,
  runs: Sequence[settings_lib.Run],
  given: given_lib.Given | None = None,
  watch: watching.Watch = watching.NOBODY,
  wait: bool = False,
) -> int:
  """Begin a study, or join those who train it.

  Args:
    workdir, name, config, runs, given, watch: as of `local.train`.
    wait: stay until nothing is left, and take over from whoever ends.

  Returns:
    How many populations others train; 0: the study is finished.

  Raises:
    LostError: this process slept for so long that it is counted out.
    Other errors: as `local.train`; BusyError: a process trains there that does
      not share the study.
  """
  hosts.check_alone('--share')
  mode = directory.Mode.SHARE
  plan = local.make_plan(workdir, runs, mode, given)
  fingerprint = plan.fingerprint
  local.check_machine(workdir, plan.members)
  with directory.join_study(
    workdir,
    name,
    config.to_dict(),
    plan.tasks,
    plan.configs,
    functools.partial(local.check_joinable, workdir, plan, fingerprint),
    plan.study_format,
    plan.modules,
  ) as worker:
    if results.read_study(workdir)['fingerprint'] != fingerprint:
      # Another version has begun it meanwhile, and records other fields.
      plan = local.make_plan(workdir, runs, mode, given)
    local.say_plan(name, plan)
    if given is not None:
      given_lib.save(workdir, given)
    parts = [progress_lib.part(member) for member in plan.members]
    with progress_lib.Progress(name, parts) as progress:
      others = train_left(
        workdir, worker, plan.members, given, watch, progress, wait
      )
  if not others:
    diverged = (
      results.is_all_diverged(workdir, member.name) for member in plan.members
    )
    local.check_diverged(workdir, all(diverged))
  return len(others)


def train_left(
  workdir: str,
  worker: lease_lib.Worker,
  members: Sequence[populations.Population],
  given: given_lib.Given | None,
  watch: watching.Watch,
  progress: progress_lib.Progress,
  wait: bool = False,
  is_wanted: Callable[[], bool] = lambda: True,
) -> Sequence[populations.Population]:
  """Train what is left of a study, each population under its lease.

  The longest come first, so that the last ones to end are short; each process
  begins at a place of its own, so that not all try the same.

  Args:
    workdir: of a study that this process has joined.
    worker: what `directory.join_study` yields.
    members: the populations of the study, all of them.
    given, watch, progress: as of `loop.train_population`.
    wait: stay until nothing is left.
    is_wanted: asked under a lease, whether what is not finished is still to be
      trained: of a study that grows it may have become another population.

  Returns:
    The populations that others train, none if `wait`.

  Raises:
    As `loop.train_population`; LostError: this process is counted out. Where it
    has lost a population it goes on with the others.
  """
  pending = sorted(members, key=_cost, reverse=True)
  first = worker.rank % len(pending)
  pending = [*pending[first:], *pending[:first]]
  is_told, others = False, _Others(workdir, worker)
  while pending:
    taken = []
    for member in pending:
      others.look()
      is_settled = _train_one(
        workdir, worker, member, given, watch, progress, is_wanted, others
      )
      if not is_settled:
        taken.append(member)
      interrupt.check(saved=True)
    if len(taken) == len(pending):
      if not wait:
        # Once more: who had them may have been followed by who has ended, or
        # by nobody.
        if others.forget():
          continue
        return taken
      if not is_told:
        console.say(f'waiting for {len(taken)} populations of others')
        is_told = True
      time.sleep(_PAUSE)
    pending = taken
  return []


def _cost(population: populations.Population) -> float:
  part = progress_lib.part(population)
  return part.work * part.updates


class _Others:
  """What others have and have trained, without a look at each population.

  Two listings tell of all of them. Those who share a study train it alike: what
  was finished since this process came is finished as is wanted.
  """

  def __init__(self, workdir: str, worker: lease_lib.Worker):
    self._workdir, self._worker = pathlib.Path(workdir), worker
    # Name -> the number of the file that is its lease, and until when that
    # holds.
    self._noted: dict[str, tuple[int | None, float]] = {}
    self._is_unsure = False
    self._looked_at = -math.inf
    # What was trained before must not appear later: it may be for less.
    files.look_anew(self._workdir / partial.POPULATIONS)
    self._before = self._finished = partial.finished(self._workdir)
    self.look()

  def look(self) -> None:
    """Look at what there is, unless that was done a moment ago.

    Raises:
      LostError: this process is counted out; others may train in another way.
    """
    if time.monotonic() < self._looked_at + _FRESH:
      return
    # In this order: what is given back in between is finished by then.
    self._leased = lease_lib.numbers(self._workdir)
    self._finished = partial.finished(self._workdir, self._finished)
    self._worker.check()  # behind it: until now all have trained as this one
    self._looked_at = time.monotonic()

  def have_trained(self, name: str) -> bool:
    """Tell whether others have finished a population since this one came."""
    return name in self._finished and name not in self._before

  def have(self, name: str) -> bool:
    """Tell whether others have a population for sure; False: try to take it."""
    if name not in self._leased or name in self._finished:
      return False
    number, until = self._noted.get(name, (None, -math.inf))
    is_sure = number == self._leased[name] and time.monotonic() < until
    self._is_unsure |= is_sure
    return is_sure

  def note(self, name: str, seconds: float) -> None:
    """Note that others have a population, for some seconds at least."""
    # The listing is older: where it has another lease than the one that was
    # met just now, the next listing differs, and the population is tried again.
    self._noted[name] = self._leased.get(name), time.monotonic() + seconds

  def lose(self) -> None:
    """Note that this process has lost a population, be it to nobody."""
    self._is_unsure = True

  def forget(self) -> bool:
    """Forget what was noted; tell whether it is to be tried once more.

    So it is where something was left to others without a look at its lease.
    """
    is_unsure, self._is_unsure = self._is_unsure, False
    self._noted.clear()
    return is_unsure


def _train_one(
  workdir: str,
  worker: lease_lib.Worker,
  population: populations.Population,
  given: given_lib.Given | None,
  watch: watching.Watch,
  progress: progress_lib.Progress,
  is_wanted: Callable[[], bool],
  others: _Others,
) -> bool:
  """Train a population that is not finished; False: another process does.

  Raises:
    LostError: all of them are lost to this process, which is counted out.
  """
  name = population.name
  if others.have(name):
    return False
  is_done = others.have_trained(name) or resume.looks_done(workdir, population)
  if is_done and not tracking.lack(workdir, population):
    progress.skip(name)
    return True
  try:
    with worker.claim(name) as lease:
      # Its server: whoever had it may have finished it a moment ago.
      files.look_anew(pathlib.Path(workdir) / partial.POPULATIONS)
      # Again: it may have been finished, or reopened, until just now. Whoever
      # makes other populations of it says so first, and only then does it: what
      # is still wanted was seen as it is.
      is_done = resume.looks_done(workdir, population)
      if not is_wanted():
        progress.skip(name)
      elif is_done or resume.is_done(workdir, population):
        tracking.hand_over(workdir, population)
        progress.skip(name)
      else:
        local.say_hint(population)
        loop.train_population(
          workdir, population, given, watch, progress, lease
        )
  except lease_lib.TakenError as error:
    others.note(name, error.seconds)
    return False
  except lease_lib.LostError as error:
    worker.check()
    others.lose()
    progress.give_up()
    console.warn(f'{error}; going on with the others')
    return False
  return True


def completion(
  workdir: str, members: Sequence[populations.Population]
) -> Callable[[], bool]:
  """Return what tells whether a study is trained as is wanted now.

  Args:
    workdir: of the study, which may not be begun yet.
    members: the populations of the study, all of them.
  """
  pending = list(members)

  def is_trained() -> bool:
    # What was done once is not looked at again: there may be thousands. Where
    # the file system does not answer that is told later.
    with contextlib.suppress(OSError):
      while pending and resume.looks_done(workdir, pending[-1]):
        pending.pop()
    return not pending

  return is_trained
