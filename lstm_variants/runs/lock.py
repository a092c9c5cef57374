"""One writer to a directory, on one machine or on many that share a disk.

The file `.lock` is there while a process writes (`exclusive`), and tells who it
is (`holder`). Two things tell whether that process still lives:

- On the same boot of the same system the system's own lock (flock), which ends
  with its process, and where that is not to be had the process's number and
  start. So a container that was killed and started again, under whatever name,
  goes on at once.
- From elsewhere the count: a process that has not raised it for a minute has
  ended. Who waits measures that minute by its own clock and nobody else's, so
  that clocks that differ matter nothing. Should it only have slept, it finds
  its lock gone (`check`) and ends before it writes again.

Locks of earlier versions have no count: one of another host must be removed by
hand.
"""

from collections.abc import Callable, Iterator
import contextlib
import functools
import pathlib
import random
import time

from lstm_variants import errors
from lstm_variants.runs import exclusive, files
from lstm_variants.runs import holder as holder_lib
from lstm_variants.runs.holder import Holder, Life

NAME = '.lock'
# Of those who write a report and its figures, while they do.
REPORT = '.report.lock'
# Of those who begin a study that others may join, or join it.
JOIN = '.join.lock'
# Of those who write the mirror of a search, while they do.
MIRROR = '.mirror.lock'
# A process that has not raised its count for so many seconds has ended.
_LEASE = 60.0
# Seconds between two counts, and between two looks at them.
_BEAT = 10.0
_LOOK = 1.0
# Seconds in which a lock that is created tells by whom.
_SETTLE = 0.05


class LostError(files.StorageError):
  """Others have this process's lock; the message is one line."""


@contextlib.contextmanager
def hold(
  directory: pathlib.Path, notice: Callable[[str], None]
) -> Iterator[None]:
  """Keep other processes from training in a directory.

  Args:
    directory: exists.
    notice: called with a line where a lock is taken over from a process that
      has ended, and where that takes time to tell.

  Raises:
    BusyError: another process has it.
    LostError: what failed in the block may have failed of that.
    StorageError: the file cannot be written.
  """
  with _hold(directory / NAME, notice):
    files.held.add(directory)
    try:
      yield
    except (errors.Error, OSError):
      # Whoever has it now may have removed what this process was writing.
      check(directory)
      raise
    finally:
      files.held.discard(directory)


@contextlib.contextmanager
def hold_alone(
  directory: pathlib.Path,
  notice: Callable[[str], None],
  refuse: Callable[[], None],
) -> Iterator[None]:
  """`hold` a directory unless others train there together.

  Who joins waits until that is known: a process that is refused was nobody to
  refuse others for.

  Args:
    directory, notice: as of `hold`.
    refuse: called with the lock; raises an error where others train there.

  Raises:
    As `hold`, `hold_join` and `refuse`.
  """
  with contextlib.ExitStack() as asking:
    asking.enter_context(hold_join(directory))
    with hold(directory, notice):
      refuse()
      asking.close()
      yield


@contextlib.contextmanager
def hold_report(
  directory: pathlib.Path, patience: float = 30.0
) -> Iterator[None]:
  """Keep others from writing a report and figures, for a moment.

  Training goes on meanwhile.

  Args:
    directory: of the study.
    patience: seconds to wait for each process that has it.

  Raises:
    BusyError: one has it all that time.
    StorageError: the file cannot be written.
  """
  with _hold_soon(directory / REPORT, patience, 'writing its report'):
    yield


@contextlib.contextmanager
def hold_join(
  directory: pathlib.Path, patience: float = 180.0
) -> Iterator[None]:
  """Keep others from beginning or joining a study, for a moment.

  Args, raises: as `hold_report`.
  """
  with _hold_soon(directory / JOIN, patience, 'joining it'):
    yield


@contextlib.contextmanager
def hold_mirror(directory: pathlib.Path, patience: float) -> Iterator[None]:
  """Keep others from writing the mirror of a search, which may take long.

  The search goes on meanwhile.

  Args, raises: as `hold_report`.
  """
  with _hold_soon(directory / MIRROR, patience, 'writing its mirror'):
    yield


@contextlib.contextmanager
def hold_among(
  directory: pathlib.Path,
  notice: Callable[[str], None],
  patience: float = 180.0,
) -> Iterator[None]:
  """Have a study that several processes train for oneself, for a moment.

  Nobody joins meanwhile. Whoever wants to train it alone, and is refused, has
  its lock until then: that is waited for.

  Args:
    directory, notice: as of `hold`.
    patience: seconds to wait for each process that has it.

  Raises:
    BusyError: one has it all that time.
    LostError: as of `hold`.
    StorageError: the file cannot be written.
  """
  asking = _soon(
    functools.partial(hold, directory, notice),
    *(directory / NAME, patience, 'asking to train it alone'),
  )
  with hold_join(directory, patience), asking:
    yield


def _hold_soon(
  path: pathlib.Path, patience: float, doing: str
) -> contextlib.AbstractContextManager[None]:
  """Have a lock that others have for a moment; wait for them."""
  take = functools.partial(_hold, path, lambda line: None)
  return _soon(take, path, patience, doing)


@contextlib.contextmanager
def _soon(
  take: Callable[[], contextlib.AbstractContextManager[None]],
  path: pathlib.Path,
  patience: float,
  doing: str,
) -> Iterator[None]:
  """Have what `take` gives, as soon as others no longer have it.

  Thousands may come at once: as long as another process follows each that has
  had it, one waits, however many they are.

  Args:
    take: raises a BusyError where somebody has it.
    path: of the lock that it takes.
    patience: seconds to wait for one process.
    doing: what it has the lock for.
  """
  busy = files.BusyError(
    f'{path.parent}: another process has been {doing} for {patience:g} s; '
    'repeat the command when it has ended'
  )
  before, end, pause = None, time.monotonic() + patience, _SETTLE
  with contextlib.ExitStack() as stack:
    while True:
      who = _holder(path)
      token = who.token if who else ''
      if token != before:
        before, end, pause = token, time.monotonic() + patience, _SETTLE
      elif time.monotonic() > end:
        raise busy
      life = holder_lib.life(who) if who else Life.ENDED
      # Of one that lives it is known without a file that is made and synced, if
      # the system says when a process began: numbers of processes come again.
      is_sure = bool(who and who.start)
      is_far = (
        bool(who) and life is Life.UNKNOWN and not holder_lib.is_here(who)
      )
      if not patience and is_far:
        raise busy  # whether it has ended takes a while to see
      elif life is not Life.LIVES or not is_sure:
        with contextlib.suppress(files.BusyError):
          stack.enter_context(take())
          break
      # Not all at once, and seldom where it takes long.
      time.sleep(pause * random.uniform(0.5, 1))
      pause = min(2 * pause, _LOOK)
    yield


@contextlib.contextmanager
def _hold(path: pathlib.Path, notice: Callable[[str], None]) -> Iterator[None]:
  """Have the lock at a path until the block ends."""
  with files.refusals(path):
    own = exclusive.Own(path, _BEAT, is_locked=True)
  has_ended = functools.partial(_has_ended, notice)
  with exclusive.have(own, has_ended) as before:
    if before:
      notice(f'{path.parent}: taken over from {before}, which has ended')
    _check(own)
    exclusive.remove_of_ended(path.parent, path.name)
    yield


def token(directory: pathlib.Path) -> str:
  """Return the token of this process's lock; '' where it has none."""
  own = exclusive.held.get(directory / NAME)
  return own.holder.token if own else ''


def check(directory: pathlib.Path) -> None:
  """Check that the lock of this process still stands in its directory.

  It does not where the directory was removed and made anew, or where this
  process slept for so long that another one took it for ended.

  Raises:
    LostError: it does not.
    StorageError: the system refuses to look.
  """
  own = exclusive.held.get(directory / NAME)
  if own is not None:
    _check(own)


def _check(own: exclusive.Own) -> None:
  directory = own.path.parent
  with files.refusals(directory):
    if own.has(own.path):
      return
    directory.stat()  # where it is gone, too, the system says so
  raise LostError(
    f'{directory}: was made anew, or taken over by another process, while '
    'this program trained in it'
  )


def holder(directory: pathlib.Path) -> tuple[Holder | None, Life]:
  """Return who has a directory's lock, and whether that process lives.

  The system is not asked for the lock: that would be to take it for a moment,
  from a program that begins just then.
  """
  try:
    seen = exclusive.look(directory / NAME)
  except OSError:
    seen = None
  if seen is None or seen.holder is None:
    return None, Life.ENDED
  return seen.holder, _life(seen)


def _holder(path: pathlib.Path) -> Holder | None:
  """Return who has a lock; None where nobody is told of it."""
  with contextlib.suppress(OSError):
    seen = exclusive.look(path)
    return seen.holder if seen else None
  return None


def _has_ended(
  notice: Callable[[str], None], path: pathlib.Path, seen: exclusive.Seen
) -> bool:
  """Tell whether nobody has a lock any more; False: it is another one now.

  Raises:
    BusyError: somebody has it.
  """
  if seen.holder is None and not seen.is_locked:
    time.sleep(_SETTLE)  # it may be on its way; then it is another one now
    return True
  life = _life(seen)
  if life is Life.UNKNOWN and seen.holder and not seen.holder.token:
    raise _busy(path, seen, f'if it is not, remove {path}')
  if life is Life.UNKNOWN:
    notice(
      f'{path.parent}: {seen.holder}, may be training here; waiting '
      f'{_LEASE:g} s for a sign of life'
    )
    life = _wait(path, seen)
  now = exclusive.look(path)
  if now is None or now.inode != seen.inode:
    return False
  if life is Life.LIVES:
    raise _busy(path, seen, f'wait for it, or choose {path.parent}_2')
  return True


def _busy(
  path: pathlib.Path, seen: exclusive.Seen, advice: str
) -> files.BusyError:
  who = f'{seen.holder},' if seen.holder else 'another process'
  return files.BusyError(f'{path.parent}: {who} is training here; {advice}')


def _wait(path: pathlib.Path, seen: exclusive.Seen) -> Life:
  """Tell whether a process of elsewhere lives, by whether its lock changes."""
  end = time.monotonic() + _LEASE
  while time.monotonic() < end:
    time.sleep(_LOOK)
    now = exclusive.look(path)
    if now is None or (now.inode, now.holder) != (seen.inode, seen.holder):
      return Life.LIVES
  return Life.ENDED


def _life(seen: exclusive.Seen) -> Life:
  """Tell whether the process of a lock lives, as far as one can see here."""
  who = seen.holder
  if seen.is_locked or who is None:
    return Life.LIVES if seen.is_locked else Life.ENDED
  life = holder_lib.life(who)
  is_free = seen.is_locked is not None
  # Without its start a number may be another process's by now.
  is_unsure = life is Life.UNKNOWN or not who.start
  if is_free and is_unsure and holder_lib.is_here(who):
    return Life.ENDED
  return life
