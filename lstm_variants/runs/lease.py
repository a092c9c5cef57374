"""One process trains a population; who sleeps too long loses it, harmlessly.

    leases/POPULATION     there while a process trains it
    workers/NAME.lease    there while a process shares the study
    workers/NAME.log      what it says, where it was started by another one

Both are files that one process has (`exclusive`), made anew and renewed; the
system's locks are not asked, as they do not reach from one host to another
everywhere. A second line tells for how many seconds the lease holds without
being renewed. It has ended at once if its process has, as far as that can be
seen from here: same boot, same space of numbers. Else it has when its file is
older than these seconds, by the clock of the file system, which is that of the
file server: a probe file that is made now tells it. So clocks of hosts that
differ do not matter.

Whoever takes a population over also takes the directory in which it is trained:
the name of that directory has the lease's token (`partial`), and is changed by
one rename. A process that slept through its lease and wakes writes under a name
that is no more; `check` tells it why.
"""

from collections.abc import Iterator
import contextlib
import errno
import itertools
import json
import os
import pathlib
import secrets
import time
from typing import Any, NamedTuple

from lstm_variants import errors
from lstm_variants.runs import exclusive, files
from lstm_variants.runs import holder as holder_lib
from lstm_variants.runs.holder import Holder, Life

LEASES = 'leases'
WORKERS = 'workers'
LOG = '.log'
SUFFIX = '.lease'
# In the environment: the file with what this process says, where whoever
# started it made one; and the seconds that its leases hold, which tests change.
LOG_VARIABLE = 'LSTM_VARIANTS_LOG'
SECONDS_VARIABLE = 'LSTM_VARIANTS_LEASE'
# Seconds that a lease holds without being renewed.
_SECONDS = 120.0
_LONGEST = 1e6
# Renewals in that time.
_BEATS = 6
# So many times as long a worker may sleep until one who joins counts it out.
_PATIENCE = 30
# What a file system says that does not show what there may be.
_HIDDEN = {*files.SILENT, errno.ESTALE, errno.EACCES, errno.EPERM}
# Seconds for which a look at the clock of a file system is good.
_LOOK = 5.0
# Directory -> the time of its file system, and ours when that was looked at.
_clocks: dict[pathlib.Path, tuple[float, float]] = {}


class TakenError(files.BusyError):
  """Another process trains a population; the message is one line.

  Attributes:
    seconds: for which nobody need look again, unless the lease is given back:
      it will not have ended, nor, as far as can be told here, its process.
  """

  def __init__(self, text: str, seconds: float = 0.0):
    super().__init__(text)
    self.seconds = seconds


class LostError(files.BusyError):
  """This process has lost its lease; the message is one line."""


class Lease:
  """The right to train a population, or to be counted as a worker.

  Attributes:
    token: a part of the name of the directory in which it trains.
  """

  def __init__(self, own: exclusive.Own):
    self._own = own
    self.token = own.holder.token

  def check(self) -> None:
    """Check that nobody has taken it over.

    Where the file system does not answer for a while that cannot be told, and
    this passes: what is written then is written where the lease still says so,
    by the name of its directory, or not at all.

    Raises:
      LostError: somebody has.
      StorageError: the system refuses to look.
    """
    path = self._own.path
    with files.refusals(path):
      try:
        if self._own.has(path):
          return
      except OSError as error:
        if error.errno in files.SILENT:
          return
        raise
    seen = _look(path)
    why = 'the lease is gone: others had it meanwhile, or it was removed'
    if seen is not None:
      by = f' by {seen.holder}' if seen.holder else ''
      why = f'taken over{by}: it was not renewed for {length():g} s'
    raise LostError(
      f'{path.name.removesuffix(SUFFIX)}: {why}; what this process did since '
      'does not count'
    )


class Worker:
  """A process that shares a study, and takes leases of its populations.

  Attributes:
    rank: how many others are there whose names come before its own.
  """

  def __init__(self, workdir: pathlib.Path, lease: Lease, rank: int):
    self._workdir, self._lease, self.rank = workdir, lease, rank

  def check(self) -> None:
    """Check that this process is not counted out; raises as `Lease.check`."""
    self._lease.check()

  @contextlib.contextmanager
  def claim(self, population: str) -> Iterator[Lease]:
    """Have a population for oneself until the block ends.

    Raises:
      TakenError: another process trains it.
      LostError: this one slept for so long that another one has taken it over,
        or that it is counted out (`check`).
      StorageError: the system refuses.
    """
    with _have(self._workdir / LEASES / population) as lease:
      # Only now: who counts the workers looks at the leases after that.
      self.check()
      try:
        yield lease
      except LostError:
        raise
      except (errors.Error, OSError):
        # Between its last look and what failed it may have lost its directory.
        lease.check()
        raise


class Known(NamedTuple):
  """A lease as another process sees it.

  Attributes:
    name: of the population, or of the worker.
    holder: who has it.
    seconds: that it holds without being renewed.
    age: seconds since it was renewed.
    log: the file with what its process says; '': none is told.
    own_clock: whether the age is by the clock of this host, as the file system
      does not let this process ask for its own.
  """

  name: str
  holder: Holder
  seconds: float
  age: float
  log: str
  own_clock: bool = False

  @property
  def has_ended(self) -> bool:
    """Whether it can be taken over."""
    return holder_lib.life(self.holder) is Life.ENDED or self.has_expired

  @property
  def has_expired(self) -> bool:
    """Whether it was not renewed in time."""
    # One of the future is of before a clock was set back.
    return abs(self.age) > self.seconds


@contextlib.contextmanager
def join(workdir: pathlib.Path) -> Iterator[Worker]:
  """Be counted as a worker until the block ends.

  Args:
    workdir: of the study, whose lock this process has at the beginning.

  Raises:
    StorageError: the system refuses.
  """
  for folder in (workdir / LEASES, workdir / WORKERS):
    files.make_directory(folder)
    exclusive.remove_of_ended(folder)
  with contextlib.suppress(files.StorageError):  # the next one does it
    _remove_ended(workdir / WORKERS, _PATIENCE)
  who = holder_lib.describe()
  name = f'{who.host}-{who.process}-{who.token[:8]}{SUFFIX}'
  with _have(workdir / WORKERS / name) as lease:
    # Its own may be gone again, where this process slept: `check` tells.
    rank = sum(other < name for other in _names(workdir / WORKERS))
    yield Worker(workdir, lease, rank)


def refuse_workers(workdir: pathlib.Path) -> None:
  """Refuse a study that others share; remove what is left of ended ones.

  Args:
    workdir: of the study, whose lock this process has.

  Raises:
    BusyError: others share it.
  """
  # Where one lives this is refused, and nobody is counted out for it. Workers
  # first: one that was counted out takes no lease after that, and one that
  # lives may be taking over a lease that has ended.
  folders = workdir / WORKERS, workdir / LEASES
  looks = (lambda folder: _judge(folder).alive), _remove_ended
  for look, folder in itertools.product(looks, folders):
    if alive := look(folder):
      first, *more = alive
      others = f' and {len(more)} more' if more else ''
      raise files.BusyError(
        f'{workdir}: {first.holder},{others} train here with --share; join '
        'them with --share, or wait for them'
      )


def is_shared(workdir: pathlib.Path) -> bool:
  """Tell whether there is a worker or a lease that has not ended."""
  return any(
    not known.has_ended for known in (*workers(workdir), *leases(workdir))
  )


def has_workers(workdir: pathlib.Path) -> bool:
  """Tell what `is_shared` does, by no other clock than the file system's.

  Raises:
    StorageError: the system refuses.
  """
  return any(_judge(workdir / folder).alive for folder in (WORKERS, LEASES))


def leases(workdir: pathlib.Path) -> list[Known]:
  """Return the leases of populations, for who only wants to know.

  The clock is that of the file system where this process may write there, for
  a moment, else that of this host: `Known.own_clock`.
  """
  return _seen_from_here(workdir / LEASES)


def numbers(workdir: pathlib.Path) -> dict[str, int]:
  """Return the populations that have a lease, be it one that has ended.

  Returns:
    Name -> the number (inode) of its file. One of another number is another
    lease; some file systems soon give a number again.
  """
  return _numbers(workdir / LEASES)


def workers(workdir: pathlib.Path) -> list[Known]:
  """Return the leases of workers; see `leases`."""
  return [
    known._replace(name=known.name.removesuffix(SUFFIX))
    for known in _seen_from_here(workdir / WORKERS)
  ]


def length() -> float:
  """Return the seconds that a lease of this process holds."""
  try:
    seconds = float(os.environ.get(SECONDS_VARIABLE, _SECONDS))
  except ValueError:
    return _SECONDS
  return seconds if 0 < seconds < _LONGEST else _SECONDS


@contextlib.contextmanager
def _have(path: pathlib.Path) -> Iterator[Lease]:
  """Have the lease at a path until the block ends."""
  facts = {'seconds': length(), 'log': os.environ.get(LOG_VARIABLE, '')}
  more = json.dumps(facts).encode() + b'\n'
  with files.refusals(path):
    seen = exclusive.look(path)
    if seen is not None:  # else a file would be made and synced to be refused
      _has_ended(path, seen)
    own = exclusive.Own(path, length() / _BEATS, more)
  with exclusive.have(own, _has_ended):
    yield Lease(own)


def _has_ended(path: pathlib.Path, seen: exclusive.Seen) -> bool:
  """Tell that a lease can be taken over.

  Raises:
    TakenError: it cannot.
  """
  if seen.holder and holder_lib.life(seen.holder) is Life.ENDED:
    return True
  known = _known(path, seen, _now(path.parent))
  if known.has_expired:
    # The clock may be of before this machine slept.
    known = _known(path, seen, _now(path.parent, anew=True))
  if known.has_expired:
    return True
  is_hidden = holder_lib.life(known.holder) is Life.UNKNOWN
  raise TakenError(
    f'{path.name}: is trained by {known.holder}',
    known.seconds - abs(known.age) if is_hidden else 0.0,
  )


def _now(folder: pathlib.Path, anew: bool = False) -> float:
  """Return the time of a file system, by a file that is made now.

  Args:
    folder: of the file.
    anew: whether a look of some seconds ago is not enough.

  Raises:
    OSError: the system refuses.
  """
  known, clock = _clocks.get(folder), time.monotonic()
  if known and not anew and clock - known[1] < _LOOK:
    return known[0] + clock - known[1]
  probe = folder / f'clock.{secrets.token_hex(8)}{files.ASIDE}'
  descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
  try:
    now = os.fstat(descriptor).st_mtime
  finally:
    os.close(descriptor)
    probe.unlink()
  _clocks[folder] = now, clock
  return now


def _look(
  path: pathlib.Path, is_to_answer: bool = False
) -> exclusive.Seen | None:
  """Return what is in the place of a lease, None for what is none.

  Args:
    path: of the lease.
    is_to_answer: whether the file system is to say so.

  Raises:
    OSError: it does not, and is to.
  """
  try:
    return exclusive.look(path)
  except OSError as error:
    if is_to_answer and error.errno in _HIDDEN:
      raise
    return None


def _known(path: pathlib.Path, seen: exclusive.Seen, now: float) -> Known:
  """Return what a lease tells; of one that is not whole nobody is told."""
  try:
    facts: Any = json.loads(seen.more)
    seconds, log = float(facts['seconds']), str(facts['log'])
  except (ValueError, TypeError, LookupError):
    seconds, log = _SECONDS, ''
  if not 0 < seconds < _LONGEST:
    seconds = _SECONDS
  nobody = Holder('an unknown host', 0, 'a moment ago')
  who = seen.holder or nobody
  return Known(path.name, who, seconds, now - seen.renewed_at, log)


def _names(folder: pathlib.Path) -> list[str]:
  """Return the names of the leases in a directory; see `_numbers`."""
  return sorted(_numbers(folder))


def _numbers(
  folder: pathlib.Path, is_to_answer: bool = False
) -> dict[str, int]:
  """Return the leases in a directory, none where it is missing; see `numbers`.

  Nor has a link any: what is where it leads may be anybody's, and old.

  Args, raises: as of `_look`.
  """
  if folder.is_symlink():
    return {}
  try:
    with os.scandir(folder) as entries:
      there = {entry.name: entry.inode() for entry in entries}
  except OSError as error:
    if is_to_answer and error.errno in _HIDDEN:
      raise
    return {}
  return {
    name: number
    for name, number in there.items()
    if _is_lease(folder.name, name)
  }


def _is_lease(folder: str, name: str) -> bool:
  """Tell whether a name in a directory of leases is that of one."""
  if folder == WORKERS:
    return name.endswith(SUFFIX)
  return not name.endswith(files.ASIDE) and not exclusive.is_right(name)


def _list(
  folder: pathlib.Path, now: float, is_to_answer: bool = False
) -> list[Known]:
  paths = [folder / name for name in sorted(_numbers(folder, is_to_answer))]
  seen = [(path, _look(path, is_to_answer)) for path in paths]
  return [_known(path, each, now) for path, each in seen if each]


def _seen_from_here(folder: pathlib.Path) -> list[Known]:
  """Return the leases of a directory, in which one may not be let write."""
  if not _names(folder):
    return []
  try:
    now, is_own = _now(folder, anew=True), False
  except OSError:
    now, is_own = time.time(), True
  return [each._replace(own_clock=is_own) for each in _list(folder, now)]


def _listed(folder: pathlib.Path, now: float) -> list[Known]:
  """Return the leases of a directory, for who is to be sure of all of them.

  Raises:
    StorageError: the file system does not show one, or the directory.
  """
  try:
    return _list(folder, now, is_to_answer=True)
  except OSError as error:
    raise files.StorageError(
      f'{error.filename or folder}: does not tell who trains here: '
      f'{error.strerror}; repeat the command when it can be read'
    ) from error


class _Judged(NamedTuple):
  """The leases of a directory: those that hold, and those that have ended."""

  alive: list[Known]
  ended: list[Known]


def _judge(folder: pathlib.Path, patience: float = 1) -> _Judged:
  """Judge the leases of a directory by the clock of its file system.

  Args:
    folder: with the leases.
    patience: so many times their seconds they hold.

  Raises:
    StorageError: the system refuses.
  """
  judged = _Judged([], [])
  if folder.is_symlink():
    return judged
  # Who is not shown, or not yet on this host, is not nobody.
  files.look_anew(folder)
  # Who renewed between two looks lives, however long this process slept.
  before = {known.name: known.holder for known in _listed(folder, 0.0)}
  if not before:
    return judged
  with files.refusals(folder):
    now = _now(folder, anew=True)
  for known in _listed(folder, now):
    has_ended = known._replace(seconds=patience * known.seconds).has_ended
    is_same = before.get(known.name) == known.holder
    (judged.ended if has_ended and is_same else judged.alive).append(known)
  return judged


def _remove_ended(folder: pathlib.Path, patience: float = 1) -> list[Known]:
  """Remove the leases that have ended; return the others; see `_judge`."""
  judged = _judge(folder, patience)
  with files.refusals(folder):
    for known in judged.ended:
      (folder / known.name).unlink(missing_ok=True)
  return judged.alive
