"""A file that one process has: there as a whole, renewed, replaced by one.

It appears under its name by a link, which fails where there is one already, or
where a file system has no links by creating it. Its first line tells who has it
(`holder.Holder`), with a count that the process raises every few seconds, and
so the file's time too. One of a process that has ended is replaced by whoever
first takes the right to that: a second such file, named after the first one's
token. Whether a process has ended is for `lock` and `lease` to say.
"""

from collections.abc import Callable, Iterator
import contextlib
import errno
import fcntl
import os
import pathlib
import re
import threading
import time
from typing import NamedTuple

from lstm_variants import opening
from lstm_variants.runs import files
from lstm_variants.runs import holder as holder_lib

# A part of the name of the right to replace a file: the file's token, or of one
# that tells none its inode and time.
_KEY = rf'({holder_lib.TOKEN.pattern}|[0-9a-f]+-[0-9a-f]+)'
_RIGHT = re.compile(rf'\.{_KEY}\Z')
# Seconds between two looks whether it is time to renew a file: so soon after a
# machine has slept it is done, before others take it over.
_GLANCE = 1.0
# Far more than such a file has.
_LARGEST = 8192
# Others may change it in between, but not for ever.
_TRIES = 1000
# What a file system says that has no links, or no locks.
UNKNOWN = {
  *(errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK),
  errno.EMLINK,
}


class Seen(NamedTuple):
  """A file that is where such a file belongs.

  Attributes:
    inode: of the file.
    holder: None where it tells nobody.
    is_locked: by the system; None where that cannot be told, or is not asked.
    key: of this state of the file, a part of a file's name.
    renewed_at: its time, by the clock of its file system.
    more: what is behind its first line.
  """

  inode: tuple[int, int]
  holder: holder_lib.Holder | None
  is_locked: bool | None
  key: str
  renewed_at: float
  more: bytes


# Of what is at a path: whether its process has ended; raises `BusyError` where
# it has not. False: it is another file by now.
Judge = Callable[[pathlib.Path, Seen], bool]


class Own:
  """A file of this process, and the thread that renews it."""

  def __init__(
    self,
    path: pathlib.Path,
    beat: float,
    more: bytes = b'',
    is_locked: bool = False,
  ):
    """Write the file aside.

    Args:
      path: where it belongs.
      beat: seconds between two renewals.
      more: what is behind the line that tells who has it.
      is_locked: whether the system is to lock it, if it can.

    Raises:
      OSError: the system refuses.
    """
    self.path = path
    self.holder = holder_lib.describe()
    self._beat, self._more, self.is_locked = beat, more, is_locked
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
    """Write who has it."""
    if self.is_locked:
      with contextlib.suppress(OSError):
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(self._descriptor, self.holder.line() + self._more)
    os.fsync(self._descriptor)

  def is_at(self, path: pathlib.Path) -> bool:
    """Tell whether the file at a path is this one.

    Raises:
      OSError: there is none.
    """
    ours, there = os.fstat(self._descriptor), os.lstat(path)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

  def has(self, path: pathlib.Path) -> bool:
    """Tell what `is_at` does; False where there is no file.

    Raises:
      OSError: the system refuses to look.
    """
    try:
      return self.is_at(path)
    except FileNotFoundError:
      return False
    except OSError as error:
      # What NFS says of a file that another host has replaced.
      if error.errno != errno.ESTALE:
        raise
      return False

  def create(self, path: pathlib.Path) -> bool:
    """Give the file a name, unless there is a file of that name.

    Raises:
      OSError: the system refuses.
    """
    try:
      if self._aside is not None:
        os.link(self._aside, path)
        return True
    except FileExistsError:
      # A server that is asked again, as its answer was lost, says so too.
      return self.has(path)
    except OSError as error:
      if error.errno not in UNKNOWN:
        raise
      self._remove_aside()
    # Without links it is empty for a moment: others look twice.
    try:
      descriptor = _create(path)
    except FileExistsError:
      return False
    os.close(self._descriptor)
    self._descriptor = descriptor
    self._write()
    return self.has(path)

  def start(self) -> None:
    """Renew the file from now on; it has its name."""
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
    renewed_at = time.time()
    while not self._done.wait(min(self._beat, _GLANCE)):
      # While a machine sleeps this clock goes on, and that of `wait` does not.
      if abs(time.time() - renewed_at) < self._beat:
        continue
      renewed_at = time.time()
      self.holder = self.holder._replace(renewed=self.holder.renewed + 1)
      with contextlib.suppress(OSError):
        os.pwrite(self._descriptor, self.holder.line(), 0)
        sync(self._descriptor)

  def release(self) -> None:
    """Remove the file, if it still is this one's."""
    self._done.set()
    self._remove_aside()
    self.remove(self.path)

  def remove(self, path: pathlib.Path) -> None:
    """Remove the file at a path, if it is this one and the system lets it."""
    with contextlib.suppress(OSError):
      if self.is_at(path):
        path.unlink()

  def close(self) -> None:
    """Close the file; the system's lock ends with it."""
    self._remove_aside()
    if self._thread.is_alive():  # its number may be another file's soon
      self._thread.join()
    os.close(self._descriptor)


# What this process has, by the paths.
held: dict[pathlib.Path, Own] = {}


@contextlib.contextmanager
def have(own: Own, has_ended: Judge) -> Iterator[holder_lib.Holder | None]:
  """Have a file at its path until the block ends.

  Args:
    own: the file, which is closed at the end.
    has_ended: judges what is in its place.

  Yields:
    Whose place it took, None where there was nothing.

  Raises:
    BusyError: another process has it.
    StorageError: the system refuses.
  """
  path = own.path
  try:
    with files.refusals(path):
      before = take(path, own, has_ended)
    held[path] = own
    own.start()
    yield before
  finally:
    if held.get(path) is own:  # it may be of another thread, which goes on
      del held[path]
    own.release()
    own.close()


def release_all() -> None:
  """Give back what this process has; its end would leave a name behind."""
  while held:
    held.popitem()[1].release()


def take(
  path: pathlib.Path, own: Own, has_ended: Judge
) -> holder_lib.Holder | None:
  """Give our file a name, from which a file of what has ended is removed.

  Returns, raises: as `have`; `OSError`: the system refuses.
  """
  for _ in range(_TRIES):
    if own.create(path):
      return None
    seen = look(path, ask=own.is_locked)
    if seen is None or not has_ended(path, seen):
      continue  # it is another one now
    # The right to replace this one; nobody else has it.
    right = path.with_name(f'{path.name}.{seen.key}')
    take(right, own, has_ended)
    again = look(path)
    # Nor was it renewed: this process may have slept since it looked.
    if again is not None and (again.inode, again.key, again.holder) == (
      *(seen.inode, seen.key),
      seen.holder,
    ):
      # Here too: then another one has taken the right from it.
      with contextlib.suppress(FileNotFoundError):
        os.replace(right, path)
      if own.has(path):
        return seen.holder
    own.remove(right)
  raise files.BusyError(f'{path}: does not stand still')


def look(path: pathlib.Path, ask: bool = False) -> Seen | None:
  """Return the file that is at a path, None without one.

  Args:
    path: a link is not followed, a pipe not waited for.
    ask: whether to ask the system if it is locked.

  Raises:
    OSError: it cannot be opened, or is no regular file.
  """
  try:
    return _look(path, ask)
  except FileNotFoundError:
    return None
  except OSError as error:
    # What NFS says of a file that another host removes just now.
    if error.errno != errno.ESTALE:
      raise
    return None


def _look(path: pathlib.Path, ask: bool) -> Seen:
  """Return what `look` does; raises also where there is none."""
  flags = os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_RDWR if ask else os.O_RDONLY)
  descriptor = os.open(path, flags)
  try:
    there = os.fstat(descriptor)
    opening.check_kind(there.st_mode)
    line, _, more = os.read(descriptor, _LARGEST).partition(b'\n')
    is_locked = _is_locked(descriptor) if ask else None
  finally:
    os.close(descriptor)
  who = holder_lib.parse(line)
  key = f'{there.st_ino:x}-{there.st_mtime_ns:x}'
  if who and who.token:
    key = who.token
  inode = there.st_dev, there.st_ino
  return Seen(inode, who, is_locked, key, there.st_mtime, more)


def is_right(name: str) -> bool:
  """Tell whether a name is that of the right to replace a file."""
  return _RIGHT.search(name) is not None


def remove_of_ended(directory: pathlib.Path, start: str = '') -> None:
  """Remove files that never got their name: who made them was killed.

  Args:
    directory: of the files.
    start: of their names.
  """
  end = rf'\.{_KEY}({re.escape(files.ASIDE)})?'
  ours = re.compile(rf'{re.escape(start)}.*{end}')
  files.remove_where(
    directory,
    lambda entry: bool(ours.fullmatch(entry.name)) and _is_of_ended(entry),
  )


def _is_of_ended(entry: os.DirEntry[str]) -> bool:
  """Tell whether the process that made a file has ended, or must have by now.

  The system is not asked for the lock: that would be to take it for a moment,
  from a process that makes its own just then.

  Raises:
    OSError: the system refuses to read it.
  """
  seen = look(pathlib.Path(entry.path))
  if seen and seen.holder:
    if holder_lib.life(seen.holder) is holder_lib.Life.ENDED:
      return True
  return files.is_old(entry)


def _is_locked(descriptor: int) -> bool | None:
  """Tell whether the system has locked a file, None where it cannot."""
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return True
  except OSError as error:
    if error.errno not in UNKNOWN:
      raise
    return None
  return False


def _create(path: pathlib.Path) -> int:
  """Create a file and return its descriptor; raises as `os.open`."""
  return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
