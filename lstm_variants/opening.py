"""Opens files that may come from anywhere: regular ones, up to a size.

A pipe would be waited for, a device has no end, and of some devices opening is
enough to do something. All refusals are `OSError`s, as the system's own.
"""

from collections.abc import Callable
import errno
import functools
import io
import os
import stat
from typing import ParamSpec, TypeVar

Path = str | os.PathLike[str]
_Given = ParamSpec('_Given')
_Read = TypeVar('_Read')
# Neither wait for who writes to a pipe, nor take a terminal.
_FLAGS = getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_NOCTTY', 0)
# Bytes that are read at a time of a file that does not tell its size.
_PIECE = 2**20
_KINDS = (
  (stat.S_ISDIR, 'a directory'),
  (stat.S_ISFIFO, 'a pipe'),
  (stat.S_ISSOCK, 'a socket'),
  (stat.S_ISCHR, 'a device'),
  (stat.S_ISBLK, 'a device'),
)


class RefusedError(OSError):
  """A file is none that can be read here; `strerror` says why."""

  def __str__(self) -> str:
    return str(self.strerror)


def open_file(path: Path, largest: int | None = None) -> io.BufferedReader:
  """Open a regular file to be read, at once.

  Args:
    path: of the file; a link is followed.
    largest: bytes that it may have; None: any number.

  Raises:
    RefusedError: it is no regular file, or larger.
    OSError: the system refuses.
  """
  check_kind(os.stat(path).st_mode)
  file = open(path, 'rb', opener=_open_at_once)
  try:
    status = os.fstat(file.fileno())
    check_kind(status.st_mode)  # it may be another one meanwhile
    if largest is not None and status.st_size > largest:
      raise too_large(largest)
  except OSError:
    file.close()
    raise
  return file


def again(reader: Callable[_Given, _Read]) -> Callable[_Given, _Read]:
  """Have a reader begin once more where another host replaces its file.

  NFS 3 says so by ESTALE, of a file that was opened and not yet read.
  """

  @functools.wraps(reader)
  def begin(*arguments: _Given.args, **options: _Given.kwargs) -> _Read:
    try:
      return reader(*arguments, **options)
    except OSError as error:
      if error.errno != errno.ESTALE:
        raise
    return reader(*arguments, **options)

  return begin


@again
def read(path: Path, largest: int) -> bytes:
  """Return the content of a regular file of at most `largest` bytes.

  Raises:
    RefusedError, OSError: as `open_file`.
  """
  with open_file(path, largest) as file:
    # Python sets aside what is asked for: no more than the file tells to have.
    content = file.read(os.fstat(file.fileno()).st_size + 1)
    while len(content) <= largest and (more := file.read(_PIECE)):
      content += more
  if len(content) > largest:  # it has grown, or does not tell its size
    raise too_large(largest)
  return content


def version(path: Path) -> tuple[int, ...] | None:
  """Return what differs once a file is replaced; None: there is none to read.

  It is opened for that: a network file system asks its server then, and answers
  a mere look by what it remembers.
  """
  try:
    with open_file(path) as file:
      now = os.fstat(file.fileno())
  except OSError:
    return None
  return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


def too_large(largest: int) -> RefusedError:
  """Return the error that refuses a file of more bytes."""
  return RefusedError(errno.EFBIG, f'is larger than {largest:,} bytes')


def check_kind(mode: int) -> None:
  """Refuse what is no regular file, by its `st_mode`.

  Raises:
    RefusedError: it is none.
  """
  if stat.S_ISREG(mode):
    return
  kind = next((name for is_kind, name in _KINDS if is_kind(mode)), 'special')
  raise RefusedError(errno.EINVAL, f'is {kind}, not a regular file')


def _open_at_once(path: str, flags: int) -> int:
  return os.open(path, flags | _FLAGS)
