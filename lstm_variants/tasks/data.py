"""Files with data: read within limits, never executed, named by their hash."""

import csv
import gzip
import hashlib
import importlib.util
import io
import math
import os
import pathlib
import stat
import struct
import zlib

import numpy as np

from lstm_variants import names as names_lib
from lstm_variants import opening
from lstm_variants.tasks import base

Path = str | os.PathLike[str]
# Data become constants of the compiled program: larger files are refused.
LARGEST = 256 * 2**20
EXTRA = "needs an extra: pip install 'lstm-variants[data]'"


def read(path: Path) -> bytes:
  """Return the content of a regular file of at most `LARGEST` bytes.

  Raises:
    base.SpecError: there is no such file, or it cannot be read.
  """
  try:
    return opening.read(path, LARGEST)
  except opening.RefusedError as error:
    raise refusal(path, str(error)) from None
  except (OSError, ValueError) as error:
    why = getattr(error, 'strerror', None) or str(error)
    raise refusal(path, f'cannot be read: {why}') from None


def read_packed(path: Path) -> bytes:
  """Return what is in a gzip file, at most `LARGEST` bytes.

  Raises:
    base.SpecError: as `read`, or it is not a gzip file.
  """
  packed = io.BytesIO(read(path))
  try:
    content = gzip.GzipFile(fileobj=packed).read(LARGEST + 1)
  except (OSError, EOFError, zlib.error) as error:
    raise refusal(path, f'is not a whole gzip file: {error}') from None
  return _within_limit(content, path)


def decode(content: bytes, path: Path) -> str:
  """Return a text, without its byte order mark.

  Raises:
    base.SpecError: it is not UTF-8.
  """
  try:
    return content.decode('utf-8').removeprefix('\ufeff')
  except UnicodeDecodeError as error:
    raise refusal(path, f'is not UTF-8 text: see byte {error.start}') from None


def parse_idx(content: bytes, rank: int, path: Path) -> np.ndarray:
  """Return the bytes in an IDX file, `[n_1, …, n_rank]` as its header says.

  The header: 0, 0, 8 (for bytes), the rank, then each n in four bytes, the
  highest first.

  Raises:
    base.SpecError: the header is another, or the file is shorter or longer.
  """
  start = 4 + 4 * rank
  if len(content) < start or content[:4] != bytes((0, 0, 8, rank)):
    raise refusal(path, f'is not an IDX file of bytes of rank {rank}')
  shape = struct.unpack(f'>{rank}I', content[4:start])
  asked = start + math.prod(shape)
  if len(content) != asked or asked == start:
    raise refusal(
      path, f'has {len(content)} bytes; its header {shape} asks for {asked}'
    )
  return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_column(text: str, column: str, path: Path) -> tuple[list[float], int]:
  """Return the numbers of a column of a CSV file, and which it is, from 1.

  Args:
    text: of the file.
    column: its name or its number, from 1; '': the last.
    path: of the file, for messages.

  Raises:
    base.SpecError: there is no such column, or a cell is not a finite number.
  """
  rows = csv.reader(io.StringIO(text, newline=''), strict=True)
  values = []
  try:
    header = [cell.strip() for cell in next(rows, [])]
    index = _find_column(header, column, path)
    for row in rows:
      if not row:
        continue
      cell = row[index] if index < len(row) else ''
      value = _number(cell)
      if value is None:
        raise refusal(
          path,
          f'line {rows.line_num}, column {index + 1}: {cell[:40]!r} is not a '
          'finite number',
        )
      values.append(value)
  except csv.Error as error:
    raise refusal(path, f'line {rows.line_num}: {error}') from None
  return values, index + 1


def name_column(text: str, column: str, path: Path) -> str:
  """Return what a column is called, however it was chosen.

  Its name; its number, from 1, where other columns have that name; what was
  given, where a column has that number as its name.

  Raises:
    base.SpecError: there is no such column.
  """
  rows = csv.reader(io.StringIO(text, newline=''), strict=True)
  try:
    header = [cell.strip() for cell in next(rows, [])]
  except csv.Error:  # `read_column` says where
    return column
  index = _find_column(header, column, path)
  if header.count(header[index]) == 1 and header[index]:
    return header[index]
  number = str(index + 1)
  return column if number in header else number


def identity(path: Path) -> tuple[tuple[int, ...], ...]:
  """Return what differs when a file has changed, or a directory's files.

  Times, sizes, places; () of what is not there.
  """
  try:
    stats = [os.stat(path)]
    if stat.S_ISDIR(stats[0].st_mode):
      with os.scandir(path) as entries:
        stats += [entry.stat() for entry in entries]
  except (OSError, ValueError):
    return ()
  return tuple(sorted((s.st_ino, s.st_size, s.st_mtime_ns) for s in stats))


def fingerprint(*contents: bytes) -> str:
  """Return a dash and 8 hexadecimal digits of SHA-256, for labels.

  Of several contents: of their digests in a row.
  """
  digests = [hashlib.sha256(content) for content in contents]
  if len(digests) > 1:
    digests = [hashlib.sha256(b''.join(one.digest() for one in digests))]
  return f'-{digests[0].hexdigest()[:8]}'


def find_bundled(name: str, package: str, *parts: str) -> pathlib.Path:
  """Return where a file of an optional package is, without importing it.

  To import the packages of the extra takes seconds; their data are files.

  Args:
    name: of the task that needs it.
    package: its name.
    *parts: the path within it.

  Raises:
    base.SpecError: the package is not installed.
  """
  try:
    module_spec = importlib.util.find_spec(package)
  except ValueError:
    module_spec = None
  places = module_spec.submodule_search_locations if module_spec else None
  for place in places or ():
    path = pathlib.Path(place, *parts)
    if path.is_file():
      return path
  raise base.SpecError('name', name, EXTRA)


def refusal(path: Path, rule: str) -> base.SpecError:
  """Return the error that refuses a path."""
  return base.SpecError('path', os.fspath(path), rule)


def _within_limit(content: bytes, path: Path) -> bytes:
  if len(content) > LARGEST:
    raise refusal(path, f'is larger than {LARGEST >> 20} MiB, the limit')
  return content


def _find_column(header: list[str], column: str, path: Path) -> int:
  """Return the index of a column."""
  if not any(header) or all(_number(cell) is not None for cell in header):
    raise refusal(path, 'the first row must hold the names of the columns')
  if not column:
    return len(header) - 1
  matching = [n for n, name in enumerate(header) if name == column.strip()]
  if len(matching) == 1:
    return matching[0]
  if matching:
    raise base.SpecError(
      'column',
      column,
      f'is the name of {len(matching)} columns; nearest: {matching[0] + 1}',
    )
  if column.isdecimal() and 1 <= int(column[:9]) <= len(header):
    return int(column) - 1
  raise base.SpecError(
    'column',
    column,
    f'is neither a name nor a number from 1 to {len(header)} of a column'
    + names_lib.tail(column, [name[:40] for name in header], most=8),
  )


def _number(cell: str) -> float | None:
  """Return the finite number in a cell, if there is one."""
  try:
    value = float(cell)
  except ValueError:
    return None
  return value if math.isfinite(value) and '_' not in cell else None
