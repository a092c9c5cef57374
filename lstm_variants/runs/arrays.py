"""Reads the arrays of an npz file of ours, each only after its header.

Ours are stored, not packed: an array takes in memory what it takes in the
file. A packed one, or a header that asks for more than follows it, is none of
ours, and nothing is allocated for it.
"""

import math
import os
import pathlib
import tokenize
from typing import IO
import zipfile

import numpy as np

from lstm_variants import opening
from lstm_variants.runs import files

# Bytes for names and headers, beside those of arrays.
_HEADERS = 2**22
# Arrays, at most: a layer has up to a dozen.
_MOST = 10_000
_SUFFIX = '.npy'
# Kinds of NumPy's dtypes: booleans, integers, floats.
_NUMBERS = 'biuf'


def read(
  path: pathlib.Path, largest: int | None = None
) -> dict[str, np.ndarray]:
  """Return the arrays of a file that `numpy.savez` wrote, by name.

  Args:
    path: of the file.
    largest: bytes of all arrays; None: the file's own size is the limit.

  Raises:
    DamagedError: it is no such file, or has more.
    OSError: it cannot be opened, or is no regular file.
  """
  limit = None if largest is None else largest + _HEADERS
  with opening.open_file(path, limit) as file:
    try:
      with zipfile.ZipFile(file) as archive:
        return _read_members(archive, os.fstat(file.fileno()).st_size)
    except files.DamagedError:
      raise
    except (
      *(zipfile.BadZipFile, ValueError, EOFError, LookupError, TypeError),
      *(NotImplementedError, RuntimeError, OverflowError, SyntaxError),
    ) as error:
      text = ' '.join(str(error).split())[:200]
      raise files.DamagedError(f'holds no arrays of ours: {text}') from error


def _read_members(archive: zipfile.ZipFile, size: int) -> dict[str, np.ndarray]:
  members = archive.infolist()
  if len(members) > _MOST:
    raise files.DamagedError(f'holds more than {_MOST:,} arrays')
  if sum(member.file_size for member in members) > size:
    raise files.DamagedError(f'its arrays have more than its {size:,} bytes')
  arrays = {}
  for member in members:
    name = member.filename.removesuffix(_SUFFIX)
    if name in arrays or name == member.filename:
      raise files.DamagedError(f'holds {member.filename[:40]!r}, no array')
    if member.compress_type != zipfile.ZIP_STORED:
      raise files.DamagedError(f'{name[:40]!r} is packed')
    if member.compress_size != member.file_size:
      raise files.DamagedError(f'{name[:40]!r} has two sizes')
    with archive.open(member) as file:
      arrays[name] = _read_array(file, name, member.file_size)
  return arrays


def _read_array(file: IO[bytes], name: str, size: int) -> np.ndarray:
  """Read an array whose header goes with its size in the file."""
  version = np.lib.format.read_magic(file)
  readers = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  if version not in readers:
    raise files.DamagedError(f'{name[:40]!r} has format {version}')
  try:
    shape, fortran_order, dtype = readers[version](file)
  except (tokenize.TokenError, MemoryError) as error:  # as of open brackets
    raise files.DamagedError(f'{name[:40]!r} has no header of ours') from error
  if dtype.kind not in _NUMBERS:
    raise files.DamagedError(f'{name[:40]!r} holds {dtype}, no numbers')
  needed = math.prod(shape) * dtype.itemsize
  if min(shape, default=0) < 0 or file.tell() + needed != size:
    raise files.DamagedError(
      f'{name[:40]!r} is said to have {list(shape)} numbers, which its '
      f'{size:,} bytes are not'
    )
  order = 'F' if fortran_order else 'C'
  return np.ndarray(shape, dtype, bytearray(file.read(needed)), order=order)
