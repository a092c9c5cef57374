"""Files that are whole or not there.

A file is written aside, synced, renamed, and its directory synced (Pillai et
al., OSDI 2014, tell why each of them). No jax, nothing of ours.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import csv
import errno
import io
import json
import math
import os
import pathlib
import re
import secrets
import time
from typing import Any

import numpy as np

from lstm_variants import errors, opening
from lstm_variants.runs import sharing

ASIDE = '.tmp'
STUDY = 'study.json'
# Seconds, after which what a killed program left aside is in nobody's hands.
_STALE = 3600
# The end of the name that a file has aside: of its process, and drawn.
_OURS = re.compile(rf'\.\d+-[0-9a-f]{{12}}{re.escape(ASIDE)}')
# Of a network file system that does not answer for a while: nfs(5), "soft" and
# "softerr", sshfs, CIFS.
SILENT = {
  *(errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.ENOTCONN),
  *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
}
# Characters of a file's name that its name aside has, which may not be longer
# than 255 bytes.
_LONGEST = 50
# What a spreadsheet would execute.
_FORMULA = ('=', '+', '-', '@', '\t', '\r')
# Bytes beyond which a file of JSON, or a line of one, is none of ours.
LARGEST_LINE = 2**22
# Bytes of lines that are parsed at once.
_BLOCK = 2**18
# Where this process may train: `lock` tells.
held: set[pathlib.Path] = set()


class StorageError(errors.Error):
  """Something could not be written; the message is one line for the user."""

  exit_status = 6


class BusyError(errors.Error):
  """Another process writes here; the message is one line for the user."""

  exit_status = 5


class DamagedError(errors.Error, ValueError):
  """A file is not what was written; the message is one line."""


def write(
  path: pathlib.Path, data: bytes, check: Callable[[], None] = lambda: None
) -> None:
  """Write a file so that it is there as a whole, or as it was before.

  Whoever else writes it at the same time does so under another name: the file
  is that of one of them.

  Args:
    path: of the file.
    data: what it is to hold.
    check: called just before it gets its name, as syncing may take long;
      raises an error where it may not have it any more.

  Raises:
    StorageError: the system refuses. What was there is there, or, where only
      syncing the directory fails, the new file.
  """
  name = path.name[:_LONGEST]
  aside = path.with_name(f'{name}.{os.getpid()}-{secrets.token_hex(6)}{ASIDE}')
  with refusals(path, len(data)):
    # A user may keep files here that end in .tmp, too.
    remove_where(path.parent, lambda entry: _is_stale(entry, name))
    try:
      with open(aside, 'xb') as file:  # a link would not be followed
        file.write(data)
        sync(file)
      check()
      os.replace(aside, path)
    except (OSError, errors.Error):
      with contextlib.suppress(OSError):
        aside.unlink()
      raise
    sync_directory(path.parent)


def make_directory(path: pathlib.Path) -> None:
  """Make a directory of a study, unless it is there; none above it.

  Raises:
    StorageError: it cannot be made, or is a link: what that leads to may be
      anybody's, as in a run directory that came from elsewhere.
  """
  with refusals(path):
    path.mkdir(exist_ok=True)
  if path.is_symlink():
    raise StorageError(
      f'{path}: is a link to {os.readlink(path)}, nothing is written through '
      'it; remove the link'
    )


def remove_aside(directory: pathlib.Path, start: str = '') -> None:
  """Remove what killed programs have left aside where none of them writes.

  Args:
    directory: with their files; it need not exist. Nothing is removed where it
      is a link: what that leads to may be anybody's.
    start: of the names of their files; '': whatever they are.
  """
  if not directory.is_symlink():
    remove_where(
      directory,
      lambda entry: entry.name.startswith(start) and entry.name.endswith(ASIDE),
    )


def _is_stale(entry: os.DirEntry[str], name: str) -> bool:
  """Tell whether a file is what `write` has left aside, long ago."""
  is_ours = entry.name.startswith(name) and _OURS.fullmatch(
    entry.name, len(name)
  )
  return bool(is_ours) and is_old(entry)


def is_old(entry: os.DirEntry[str]) -> bool:
  """Tell whether no program can still be about to rename a file.

  Raises:
    OSError: there is none.
  """
  return time.time() - entry.stat(follow_symlinks=False).st_mtime >= _STALE


def remove_where(
  directory: pathlib.Path, is_left: Callable[[os.DirEntry[str]], bool]
) -> None:
  """Remove the files of a directory of which `is_left` says so, if it can."""
  with contextlib.suppress(OSError), os.scandir(directory) as entries:
    for entry in entries:
      with contextlib.suppress(OSError):
        if is_left(entry):
          os.unlink(entry.path)


def look_anew(directory: pathlib.Path) -> None:
  """Have a network file system tell what there is in a directory by now.

  It may tell for a minute what this host remembers of it, unless this host
  changes it: so its time is set, where that is allowed.

  Reference:
    nfs(5), "Data and metadata coherence".
  """
  with contextlib.suppress(OSError):
    os.utime(directory)


def write_json(
  path: pathlib.Path, value: Any, check: Callable[[], None] = lambda: None
) -> None:
  """Write JSON as `write` does; numbers that are not finite become null."""
  text = json.dumps(jsonable(value), indent=2, allow_nan=False)
  write(path, text.encode() + b'\n', check)


@contextlib.contextmanager
def refusals(path: pathlib.Path, size: int | None = None) -> Iterator[None]:
  """Turn what the system refuses into a `StorageError` that names `path`."""
  try:
    yield
  except OSError as error:
    needs = '' if size is None else f' ({size:,} bytes)'
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
      # There is something to go on with where this program trains a study.
      begun = any((place / STUDY).is_file() for place in held)
      advice = 'make room, then repeat the command'
      advice += ' with --resume' if begun else ''
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


def read_json(
  path: pathlib.Path,
  largest: int = LARGEST_LINE,
  sections: sharing.Sections | None = None,
) -> Any:
  """Read a JSON file of up to `largest` bytes.

  Args:
    path: of the file.
    largest: bytes that it may have.
    sections: makes its objects; nobody may change them then.

  Raises:
    DamagedError: it is not JSON, too deep, or too large to be ours.
    OSError: it cannot be opened, or is no regular file.
  """
  return parse_json(opening.read(path, largest), largest, sections)


def read_json_lines(
  path: pathlib.Path, sections: sharing.Sections | None = None
) -> Iterator[Any]:
  """Yield the rows of a file of JSON lines; see `read_json`."""
  with opening.open_file(path) as file:
    for lines in _blocks(file):
      yield from (_objects(lines) if sections is None else None) or (
        parse_json(line, sections=sections) for line in io.BytesIO(lines)
      )


def _blocks(file: io.BufferedReader) -> Iterator[bytes]:
  """Yield the lines of a file, some at a time."""
  rest = b''
  while piece := file.read(_BLOCK):
    rest += piece
    end = rest.rfind(b'\n') + 1
    if end:
      yield rest[:end]
      rest = rest[end:]
    elif len(rest) > LARGEST_LINE:
      break  # no more is read of what is none of ours
  if rest:
    yield rest


def _objects(lines: bytes) -> list[Any] | None:
  """Return the objects of lines that have one each; None: it takes more care.

  Read as one list, in a third of the time. An object that begins a line is an
  item of that list, as a comma comes before it, and no list is in the lines: so
  they are what each line holds by itself.
  """
  count = lines.count(b'\n', 0, -1)
  if not lines.startswith(b'{') or b'[' in lines:
    return None
  if lines.count(b'\n{') != count or len(lines) > LARGEST_LINE:
    return None
  try:
    text = lines.removesuffix(b'\n').replace(b'\n', b',\n')
    objects = json.loads(b'[%b]' % text)
  except (ValueError, RecursionError):
    return None
  return objects if len(objects) == count + 1 else None


def parse_json(
  text: bytes,
  largest: int = LARGEST_LINE,
  sections: sharing.Sections | None = None,
) -> Any:
  """Parse JSON that may come from anywhere; see `read_json`.

  Raises:
    DamagedError: it is not JSON, too deep, or too large to be ours.
  """
  if len(text) > largest:
    raise DamagedError(f'more than {largest:,} bytes')
  try:
    return json.loads(text) if sections is None else sections.parse(text)
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


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  """Return rows as CSV, their headings first.

  A text that a spreadsheet would take for a formula gets a ' before it.
  """
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(columns)
  writer.writerows([_harmless(cell) for cell in row] for row in rows)
  return text.getvalue()


def _harmless(cell: Any) -> Any:
  if not isinstance(cell, str) or not cell.startswith(_FORMULA):
    return cell
  try:
    float(cell)
  except ValueError:
    return f"'{cell}"
  return cell


def encode(text: str) -> bytes:
  """Return a text as UTF-8; halves of characters become question marks.

  Python has them in the names of files that are no text, and JSON may.
  """
  return text.encode('utf-8', 'replace')
