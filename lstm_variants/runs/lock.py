"""One writer to a directory, on one machine or on many that share a disk.

The file `.lock` is there while a process writes. It tells who: the host, the
process and when it began, the boot of the system, the process's own start, a
token that no other lock has, and a count that the process raises every few
seconds. Two things tell whether that process still lives:

- On the same boot of the same system the system's own lock (flock), which ends
  with its process, and where that is not to be had the process's number and
  start. So a container that was killed and started again, under whatever name,
  goes on at once.
- From elsewhere the count: a process that has not raised it for a minute has
  ended. Who waits measures that minute by its own clock and nobody else's, so
  that clocks that differ matter nothing. Should it only have slept, it finds
  its lock gone (`check`) and ends before it writes again.

A lock appears under its name as a whole (a link), and one of a process that has
ended is replaced by whoever first takes the right to that: a second lock, named
after the first one's token. Locks of earlier versions have no count: one of
another host must be removed by hand.
"""

from collections.abc import Callable, Iterator
import contextlib
import datetime
import enum
import errno
import fcntl
import os
import pathlib
import re
import secrets
import socket
import threading
import time
from typing import NamedTuple

from lstm_variants import opening
from lstm_variants.runs import files

NAME = '.lock'
# Of those who write a report and its figures, while they do.
REPORT = '.report.lock'
# A process that has not raised its count for so many seconds has ended.
_LEASE = 60.0
# Seconds between two counts, and between two looks at them.
_BEAT = 10.0
_LOOK = 1.0
# Seconds in which a lock that is created tells by whom.
_SETTLE = 0.05
# Far more than a lock has.
_LARGEST = 1000
# Others may change it in between, but not for ever.
_TRIES = 1000
_TOKEN = re.compile('[0-9a-f]{16}')
# What a file system says that has no links, or no locks.
_UNKNOWN = {
  *(errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK),
  errno.EMLINK,
}


class Life(enum.Enum):
  """Whether the process of a lock lives."""

  LIVES = 'lives'
  ENDED = 'ended'
  # It may live elsewhere: its count tells in time.
  UNKNOWN = 'unknown'


class Holder(NamedTuple):
  """Who has a lock.

  Attributes:
    host: its name.
    process: its number.
    since: when it got the lock, as ISO 8601.
    boot: of the system, '' where the system does not tell.
    space: of the numbers of processes: a container has its own.
    start: when the process began, in the system's own unit.
    token: of this lock; '' in a lock of an earlier version.
    renewed: how often it was.
  """

  host: str
  process: int
  since: str
  boot: str = ''
  space: str = ''
  start: str = ''
  token: str = ''
  renewed: int = 0

  def __str__(self) -> str:
    return f'process {self.process} on {self.host}, since {self.since}'

  def line(self) -> bytes:
    """Return what is written: three words, as earlier versions read them."""
    facts = (self.since, self.boot, self.space, self.start, self.token)
    return (
      f'{self.host} {self.process} {",".join(facts)},{self.renewed:010}\n'
    ).encode()


class _Seen(NamedTuple):
  """A file that is where a lock belongs.

  Attributes:
    inode: of the file.
    holder: None where it tells nobody.
    is_locked: by the system; None where that cannot be told.
    key: of this state of the lock, a part of a file's name.
  """

  inode: tuple[int, int]
  holder: Holder | None
  is_locked: bool | None
  key: str


class _Ours:
  """A lock of this process, and the thread that renews it."""

  def __init__(self, path: pathlib.Path):
    self.path = path
    self.holder = _describe()
    # None where the file system has no links.
    self._aside: pathlib.Path | None = path.with_name(
      f'{path.name}.{self.holder.token}{files.ASIDE}'
    )
    self._descriptor = _create(self._aside)
    self._done = threading.Event()
    self._thread = threading.Thread(target=self._renew, daemon=True)
    try:
      self._write()
    except OSError:
      self.close()
      raise

  def _write(self) -> None:
    """Write who has it, in a file that the system locks if it can."""
    with contextlib.suppress(OSError):
      fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(self._descriptor, self.holder.line())
    os.fsync(self._descriptor)

  def is_at(self, path: pathlib.Path) -> bool:
    """Tell whether the file at a path is this lock's."""
    ours, there = os.fstat(self._descriptor), os.lstat(path)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

  def create(self, path: pathlib.Path) -> bool:
    """Give the lock a name, unless there is a file of that name.

    Raises:
      OSError: the system refuses.
    """
    try:
      if self._aside is not None:
        os.link(self._aside, path)
        return True
    except FileExistsError:
      return False
    except OSError as error:
      if error.errno not in _UNKNOWN:
        raise
      self._remove_aside()
    # Without links it is empty for a moment: others look twice (`_SETTLE`).
    try:
      descriptor = _create(path)
    except FileExistsError:
      return False
    os.close(self._descriptor)
    self._descriptor = descriptor
    self._write()
    try:
      return self.is_at(path)
    except FileNotFoundError:
      return False

  def start(self) -> None:
    """Renew the lock from now on; it has its name."""
    self._remove_aside()
    self._thread.start()

  def _remove_aside(self) -> None:
    if self._aside is not None:
      with contextlib.suppress(OSError):
        self._aside.unlink()
      self._aside = None

  def _renew(self) -> None:
    """Raise the count from time to time, until `release`."""
    # Data alone: nothing else of the file matters.
    sync = getattr(os, 'fdatasync', os.fsync)
    while not self._done.wait(_BEAT):
      self.holder = self.holder._replace(renewed=self.holder.renewed + 1)
      with contextlib.suppress(OSError):
        os.pwrite(self._descriptor, self.holder.line(), 0)
        sync(self._descriptor)

  def release(self) -> None:
    """Remove the lock, if it still is this one's."""
    self._done.set()
    self._remove_aside()
    with contextlib.suppress(OSError):
      if self.is_at(self.path):
        self.path.unlink()

  def close(self) -> None:
    """Close the file; the system's lock ends with it."""
    self._remove_aside()
    if self._thread.is_alive():  # its number may be another file's soon
      self._thread.join()
    os.close(self._descriptor)


# The locks of this process, by their paths.
_held: dict[pathlib.Path, _Ours] = {}


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
    StorageError: the file cannot be written.
  """
  with _hold(directory / NAME, notice):
    files.held.add(directory)
    try:
      yield
    finally:
      files.held.discard(directory)


@contextlib.contextmanager
def hold_report(
  directory: pathlib.Path, patience: float = 30.0
) -> Iterator[None]:
  """Keep others from writing a report and figures, for a moment.

  Training goes on meanwhile.

  Args:
    directory: of the study.
    patience: seconds to wait for who has it.

  Raises:
    BusyError: another process has it all that time.
    StorageError: the file cannot be written.
  """
  end = time.monotonic() + patience
  with contextlib.ExitStack() as stack:
    while True:
      try:
        stack.enter_context(_hold(directory / REPORT, lambda line: None))
        break
      except files.BusyError as error:
        if time.monotonic() > end:
          raise files.BusyError(
            f'{directory}: another process has been writing its report for '
            f'{patience:g} s; repeat the command when it has ended'
          ) from error
      time.sleep(_SETTLE)
    yield


@contextlib.contextmanager
def _hold(path: pathlib.Path, notice: Callable[[str], None]) -> Iterator[None]:
  """Have the lock at a path until the block ends."""
  with files.refusals(path):
    ours = _Ours(path)
  try:
    with files.refusals(path):
      _take(path, ours, notice)
    _held[path] = ours
    _check(ours)
    ours.start()
    _remove_of_ended(path)
    yield
  finally:
    if _held.get(path) is ours:  # it may be of another thread, which goes on
      del _held[path]
    ours.release()
    ours.close()


def _remove_of_ended(path: pathlib.Path) -> None:
  """Remove locks that never got their name: who made them was killed."""
  ours = re.compile(rf'{re.escape(path.name)}\.{_TOKEN.pattern}{files.ASIDE}')
  files.remove_where(
    path.parent,
    lambda entry: bool(ours.fullmatch(entry.name)) and _is_of_ended(entry),
  )


def _is_of_ended(entry: os.DirEntry[str]) -> bool:
  """Tell whether the process that made a lock has ended, or must have by now.

  The system is not asked for the lock: that would be to take it for a moment,
  from a process that makes its own just then.

  Raises:
    OSError: the system refuses to read it.
  """
  seen = _look(pathlib.Path(entry.path), ask=False)
  if seen and seen.holder and _life(seen) is Life.ENDED:
    return True
  return files.is_old(entry)


def check(directory: pathlib.Path) -> None:
  """Check that the lock of this process still stands in its directory.

  It does not where the directory was removed and made anew, or where this
  process slept for so long that another one took it for ended.

  Raises:
    StorageError: it does not.
  """
  ours = _held.get(directory / NAME)
  if ours is not None:
    _check(ours)


def _check(ours: _Ours) -> None:
  directory = ours.path.parent
  with files.refusals(directory):
    is_there = ours.is_at(ours.path)
  if not is_there:
    raise files.StorageError(
      f'{directory}: was removed and made anew, or taken over by another '
      'process, while this program trained in it'
    )


def release_all() -> None:
  """Give back what this process holds; its end would leave a name behind."""
  while _held:
    _held.popitem()[1].release()


def holder(directory: pathlib.Path) -> tuple[Holder | None, Life]:
  """Return who has a directory's lock, and whether that process lives.

  The system is not asked for the lock: that would be to take it for a moment,
  from a program that begins just then.
  """
  try:
    seen = _look(directory / NAME, ask=False)
  except OSError:
    seen = None
  if seen is None or seen.holder is None:
    return None, Life.ENDED
  return seen.holder, _life(seen)


def _take(
  path: pathlib.Path, ours: _Ours, notice: Callable[[str], None]
) -> None:
  """Give our lock a name, from which a lock of what has ended is removed.

  Raises:
    BusyError: another process has it.
    OSError: the system refuses.
  """
  for _ in range(_TRIES):
    if ours.create(path):
      return
    seen = _look(path)
    if seen is None or not _has_ended(path, seen, notice):
      continue  # it is another one now
    # The right to replace this one; nobody else has it.
    right = path.with_name(f'{path.name}.{seen.key}')
    _take(right, ours, notice)
    again = _look(path, ask=False)
    if again is not None and (again.inode, again.key) == (seen.inode, seen.key):
      os.replace(right, path)
      if seen.holder:
        notice(f'{path.parent}: taken over from {seen.holder}, which has ended')
      return
    with contextlib.suppress(OSError):
      right.unlink()
  raise files.BusyError(f'{path.parent}: its lock does not stand still')


def _has_ended(
  path: pathlib.Path, seen: _Seen, notice: Callable[[str], None]
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
  now = _look(path, ask=False)
  if now is None or now.inode != seen.inode:
    return False
  if life is Life.LIVES:
    raise _busy(path, seen, f'wait for it, or choose {path.parent}_2')
  return True


def _busy(path: pathlib.Path, seen: _Seen, advice: str) -> files.BusyError:
  who = f'{seen.holder},' if seen.holder else 'another process'
  return files.BusyError(f'{path.parent}: {who} is training here; {advice}')


def _wait(path: pathlib.Path, seen: _Seen) -> Life:
  """Tell whether a process of elsewhere lives, by whether its lock changes."""
  end = time.monotonic() + _LEASE
  while time.monotonic() < end:
    time.sleep(_LOOK)
    now = _look(path, ask=False)
    if now is None or (now.inode, now.holder) != (seen.inode, seen.holder):
      return Life.LIVES
  return Life.ENDED


def _life(seen: _Seen) -> Life:
  """Tell whether the process of a lock lives, as far as one can see here."""
  who, here = seen.holder, _describe()
  if seen.is_locked or who is None:
    return Life.LIVES if seen.is_locked else Life.ENDED
  is_free = seen.is_locked is not None
  if who.boot and here.boot:
    if who.boot != here.boot:
      return Life.UNKNOWN
    runs = _runs(who) if who.space == here.space else None
    if runs is None:
      return Life.ENDED if is_free else Life.UNKNOWN
    return Life.LIVES if runs else Life.ENDED
  if who.host != here.host:
    return Life.UNKNOWN
  ended = is_free or not _exists(who.process)
  return Life.ENDED if ended else Life.LIVES


def _look(path: pathlib.Path, ask: bool = True) -> _Seen | None:
  """Return the lock that is at a path, None without one.

  Args:
    path: a link is not followed, a pipe not waited for.
    ask: whether to ask the system if it is locked.

  Raises:
    OSError: it cannot be opened, or is no regular file.
  """
  flags = os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_RDWR if ask else os.O_RDONLY)
  try:
    descriptor = os.open(path, flags)
  except FileNotFoundError:
    return None
  try:
    there = os.fstat(descriptor)
    opening.check_kind(there.st_mode)
    who = _parse(os.read(descriptor, _LARGEST))
    is_locked = _is_locked(descriptor) if ask else None
  finally:
    os.close(descriptor)
  key = f'{there.st_ino:x}-{there.st_mtime_ns:x}'
  if who and who.token:
    key = who.token
  return _Seen((there.st_dev, there.st_ino), who, is_locked, key)


def _is_locked(descriptor: int) -> bool | None:
  """Tell whether the system has locked a file, None where it cannot."""
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return True
  except OSError as error:
    if error.errno not in _UNKNOWN:
      raise
    return None
  return False


def _parse(content: bytes) -> Holder | None:
  """Return who has a lock by what it tells, also one of earlier versions."""
  words = content.decode(errors='replace').split()
  if len(words) != 3 or not words[1].isdecimal():
    return None
  host, process, facts = words
  since, *rest = facts.split(',')
  if len(rest) != 5:
    return Holder(host, int(process), since)
  boot, space, start, token, count = rest
  if not _TOKEN.fullmatch(token) or not count.isdecimal():
    return None
  return Holder(
    host, int(process), since, boot, space, start, token, int(count)
  )


def _describe() -> Holder:
  """Return this process as who has a new lock."""
  now = datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds')
  boot = space = ''
  with contextlib.suppress(OSError):
    system = pathlib.Path('/proc/sys/kernel/random/boot_id')
    boot = system.read_text().strip()
    space = os.readlink('/proc/self/ns/pid')
  process = os.getpid()
  return Holder(
    *(socket.gethostname(), process, now, boot, space),
    *(_start(process) or '', secrets.token_hex(8)),
  )


def _start(process: int) -> str | None:
  """Return when a process began; '' of one that ended, None of a hidden one."""
  try:
    text = pathlib.Path(f'/proc/{process}/stat').read_text(errors='replace')
  except (FileNotFoundError, ProcessLookupError):
    return None if _exists(process) else ''
  except OSError:
    return None
  # Behind the name, which may have spaces; the state comes first.
  state, *facts = text.rpartition(')')[2].split()
  return '' if state in 'ZX' else facts[18]


def _runs(who: Holder) -> bool | None:
  """Tell whether a process of this system runs, None where it is hidden."""
  start = _start(who.process)
  return None if start is None else start == who.start


def _create(path: pathlib.Path) -> int:
  """Create a file and return its descriptor; raises as `os.open`."""
  return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _exists(process: int) -> bool:
  """Tell whether a process has this number, be it another user's."""
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:
    pass
  return True
