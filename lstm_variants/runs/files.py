"""Files that are whole or not there, and one writer to a directory.

A file is written aside, synced, renamed, and its directory synced (Pillai et
al., OSDI 2014, tell why each of them). No jax, nothing of ours.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import csv
import datetime
import errno
import fcntl
import io
import json
import math
import os
import pathlib
import socket
from typing import Any

import numpy as np

from lstm_variants import errors

ASIDE = '.tmp'
LOCK = '.lock'
# Beyond them a file, or a line of one, is none of ours: in study.json a run
# takes about 2 KiB.
LARGEST_STUDY = 2**26
_LARGEST_JSON = 2**22
# The locks of this process: directory -> the open file.
_held: dict[pathlib.Path, Any] = {}


class StorageError(errors.Error):
  """Something could not be written; the message is one line for the user."""

  exit_status = 6


class BusyError(errors.Error):
  """Another process writes here; the message is one line for the user."""

  exit_status = 5


class DamagedError(errors.Error, ValueError):
  """A file is not what was written; the message is one line."""


def write(path: pathlib.Path, data: bytes) -> None:
  """Write a file so that it is there as a whole, or as it was before.

  Raises:
    StorageError: the system refuses. What was there is there, or, where only
      syncing the directory fails, the new file.
  """
  aside = path.with_name(path.name + ASIDE)
  with refusals(path, len(data)):
    try:
      aside.unlink(missing_ok=True)  # a link would be followed
      with open(aside, 'xb') as file:
        file.write(data)
        sync(file)
      os.replace(aside, path)
    except OSError:
      with contextlib.suppress(OSError):
        aside.unlink()
      raise
    sync_directory(path.parent)


def write_json(path: pathlib.Path, value: Any) -> None:
  """Write JSON as `write` does; numbers that are not finite become null."""
  text = json.dumps(jsonable(value), indent=2, allow_nan=False)
  write(path, text.encode() + b'\n')


@contextlib.contextmanager
def refusals(path: pathlib.Path, size: int | None = None) -> Iterator[None]:
  """Turn what the system refuses into a `StorageError` that names `path`."""
  try:
    yield
  except OSError as error:
    needs = '' if size is None else f' ({size:,} bytes)'
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
      advice = 'make room, then repeat the command with --resume'
    else:
      advice = 'what was saved before is not changed'
    raise StorageError(
      f'{path}{needs}: cannot be written: {error.strerror or error}; {advice}'
    ) from error


def sync(file: Any) -> None:
  """Have the system put what was written to a file on its disk."""
  file.flush()
  os.fsync(file.fileno())


def sync_directory(path: pathlib.Path) -> None:
  """Have the system put the names in a directory on its disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def read_json(path: pathlib.Path, largest: int = _LARGEST_JSON) -> Any:
  """Read a JSON file of up to `largest` bytes.

  Raises:
    DamagedError: it is not JSON, too deep, or too large to be ours.
    OSError: as `open` raises them.
  """
  with open(path, 'rb') as file:
    return parse_json(file.read(largest + 1), largest)


def read_json_lines(path: pathlib.Path) -> Iterator[Any]:
  """Yield the rows of a file of JSON lines; raises as `read_json`."""
  with open(path, 'rb') as file:
    while line := file.readline(_LARGEST_JSON + 1):
      yield parse_json(line)


def parse_json(text: bytes, largest: int = _LARGEST_JSON) -> Any:
  """Parse JSON that may come from anywhere.

  Raises:
    DamagedError: it is not JSON, too deep, or too large to be ours.
  """
  if len(text) > largest:
    raise DamagedError(f'more than {largest:,} bytes')
  try:
    return json.loads(text)
  except (ValueError, RecursionError) as error:
    raise DamagedError(' '.join(str(error).split())) from error


def json_line(row: Mapping[str, Any]) -> bytes:
  """Return a row as a line of JSON."""
  return json.dumps(jsonable(row), allow_nan=False).encode() + b'\n'


def jsonable(value: Any) -> Any:
  """Turn NumPy scalars to Python's and what is not finite to None."""
  if isinstance(value, Mapping):
    return {str(key): jsonable(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [jsonable(item) for item in value]
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


@contextlib.contextmanager
def lock(
  directory: pathlib.Path, notice: Callable[[str], None]
) -> Iterator[None]:
  """Keep other processes from writing to a directory.

  The system's lock (flock) ends with the process, however that ends. The file
  tells who has it: host, process, since when. Where the system's lock does not
  reach, between hosts that share a disk, what the file tells is believed.

  Args:
    directory: exists.
    notice: called with a line where the lock of a dead process is taken over.

  Raises:
    BusyError: another process has it.
    StorageError: the file cannot be written.
  """
  path = directory / LOCK
  with refusals(path):
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    file = os.fdopen(os.open(path, flags, 0o666), 'r+', errors='replace')
  with file:
    _acquire(file, path)
    _take_over(file, directory, notice)
    started = datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds')
    _held[directory] = file
    try:
      with refusals(path):
        _rewrite(file, f'{socket.gethostname()} {os.getpid()} {started}\n')
        sync(file)
      check_lock(directory)
      yield
    finally:
      release_locks()


def check_lock(directory: pathlib.Path) -> None:
  """Check that the lock of this process still stands in its directory.

  Where the directory was removed and made anew, another process may have it.

  Raises:
    StorageError: it does not.
  """
  file = _held.get(directory)
  if file is None:
    return
  with refusals(directory):
    ours, there = os.fstat(file.fileno()), os.stat(directory / LOCK)
  if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
    raise StorageError(
      f'{directory}: was removed and made anew while this program trained in it'
    )


def release_locks() -> None:
  """Give back what this process holds; its end would leave a name behind."""
  while _held:
    _, file = _held.popitem()
    with contextlib.suppress(OSError):
      os.ftruncate(file.fileno(), 0)


def _acquire(file: Any, path: pathlib.Path) -> None:
  with refusals(path):
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise BusyError(
        f'{path.parent}: {_holder(file)} is training here; wait for it, or '
        f'choose {path.parent}_2'
      ) from error


def _rewrite(file: Any, text: str) -> None:
  file.seek(0)
  file.truncate(0)
  file.write(text)


def _take_over(file: Any, directory: pathlib.Path, notice: Any) -> None:
  """Say from whom, or refuse what a process of another host may still have."""
  owner = _owner(file)
  if owner and owner[0] != socket.gethostname():
    raise BusyError(
      f'{directory}: {_holder(file)} is training here; if it is not, remove '
      f'{directory / LOCK}'
    )
  if owner:
    notice(f'{directory}: taken over from {_holder(file)} which has ended')


def _holder(file: Any) -> str:
  if owner := _owner(file):
    host, process, start = owner
    return f'process {process} on {host}, since {start},'
  return 'another process'


def _owner(file: Any) -> list[str]:
  """Return host, process and start from a lock; nothing if it is not one."""
  file.seek(0)
  parts = file.read(1000).split()
  return parts if len(parts) == 3 and parts[1].isdigit() else []


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  """Return rows as CSV, their headings first."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(columns)
  writer.writerows(rows)
  return text.getvalue()
