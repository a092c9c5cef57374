"""Checkpoints: all that a population needs to be resumed, in one file.

    DIRECTORY/000000400.safetensors      after update 400

A file is a safetensors file: a JSON header of names, types and shapes, then
the bytes of the arrays; data only, and other tools can open it. Its metadata
holds this format's version, the population's identity, the progress, and the
SHA-256 of the whole file, taken with zeros in its place.
"""

from collections.abc import Callable, Mapping
import contextlib
import hashlib
import json
import pathlib
import re
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from lstm_variants import console, errors, opening
from lstm_variants.runs import files

FORMAT = 1
SUFFIX = '.safetensors'
# Bytes of a header of ours, at most.
_HEADER = 2**20
_UNSET = '0' * 64
_NAME = re.compile(r'\d{9,}\.safetensors')
Arrays = dict[str, np.ndarray]
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')


class CheckpointError(errors.Error, ValueError):
  """No checkpoint can be used; the message is one line for the user."""

  exit_status = 4


class Progress(NamedTuple):
  """What a checkpoint tells beside the state.

  Attributes:
    update: updates done.
    seconds: trained so far, over all sessions.
    metrics_bytes: length of metrics.jsonl.
    metrics_sha256: of those bytes.
    made_by: versions and device; another one may round differently.
  """

  update: int
  seconds: float
  metrics_bytes: int
  metrics_sha256: str
  made_by: str


class Leaf(NamedTuple):
  """Shape and NumPy dtype of an array."""

  shape: tuple[int, ...]
  dtype: np.dtype


class Expected(NamedTuple):
  """What a state consists of.

  Attributes:
    leaves: name -> shape and dtype.
    translate: makes the arrays of now of those that the directory's format
      has.
    largest_bytes: of all arrays as they may be on the disk.
  """

  leaves: Mapping[str, Leaf]
  translate: Callable[[Arrays], Arrays]
  largest_bytes: int


def save(
  directory: pathlib.Path,
  identity: str,
  arrays: Mapping[str, np.ndarray],
  progress: Progress,
  keep: int,
) -> None:
  """Write a checkpoint, then remove all but the newest `keep`.

  Args:
    directory: made if missing.
    identity: of the population.
    arrays: the state of all runs, by the name of each leaf.
    progress: where the population stands.
    keep: at least 1.

  Raises:
    StorageError: it could not be written; those before are untouched.
  """
  text = json.dumps(
    {'format': FORMAT, 'identity': identity, **progress._asdict()}
  )
  blob = safetensors.numpy.save(
    dict(arrays), {'lstm_variants': text, 'sha256': _UNSET}
  )
  blob = blob.replace(_UNSET.encode(), _digest(blob).encode(), 1)
  path = directory / f'{progress.update:09}{SUFFIX}'
  with files.refusals(directory):
    directory.mkdir(exist_ok=True)
    files.sync_directory(directory.parent)
  files.write(path, blob)
  with files.refusals(directory):
    _remove_old(directory, progress.update, keep)


def load(
  directory: pathlib.Path,
  identity: str,
  expected: Expected,
  warn: Callable[[str], None] = console.warn,
) -> tuple[Arrays, Progress] | None:
  """Read the newest checkpoint that is whole.

  Args:
    directory: where `save` wrote.
    identity: of the population.
    expected: what the state consists of.
    warn: called with a line for each damaged checkpoint, which also says
      which one is used instead.

  Returns:
    The arrays of the state, and the progress; None if there are none.

  Raises:
    CheckpointError: there are some, and none can be used.
  """
  damaged = []
  for path in _newest_first(directory) if directory.is_dir() else []:
    try:
      restored = _read(path, identity, expected)
    except (OSError, files.DamagedError) as error:
      damaged.append(f'{path}: {error}')
      continue
    for line in damaged:
      warn(f'{line}; using {path.name} instead')
    return restored
  if damaged:
    more = f' (and {len(damaged) - 1} older)' if damaged[1:] else ''
    raise CheckpointError(
      f'{damaged[0]}{more}; no checkpoint is left to go on from: repeat the '
      'command with --overwrite to start anew'
    )
  return None


def load_all(
  directory: pathlib.Path, identity: str, expected: Expected
) -> list[tuple[Arrays, Progress]]:
  """Read every checkpoint that is whole, oldest first; see `load`."""
  restored = []
  for path in _newest_first(directory) if directory.is_dir() else []:
    with contextlib.suppress(OSError, files.DamagedError):
      restored.append(_read(path, identity, expected))
  return restored[::-1]


def newest_update(directory: pathlib.Path) -> int:
  """Return the update of the newest checkpoint, -1 where there is none."""
  try:
    paths = _newest_first(directory)
  except (FileNotFoundError, NotADirectoryError):  # or renamed just now
    return -1
  return _update_of(paths[0]) if paths else -1


def _newest_first(directory: pathlib.Path) -> list[pathlib.Path]:
  """Return what has the name of a checkpoint; other files are not ours."""
  paths = [p for p in directory.iterdir() if _NAME.fullmatch(p.name)]
  return sorted(paths, key=_update_of, reverse=True)


def _update_of(path: pathlib.Path) -> int:
  return int(path.name.removesuffix(SUFFIX))


def _remove_old(directory: pathlib.Path, update: int, keep: int) -> None:
  """Remove all but the newest up to `update`; later ones were not usable."""
  paths = _newest_first(directory)
  kept = [path for path in paths if _update_of(path) <= update][:keep]
  files.remove_aside(directory)  # of a killed save
  for path in paths:
    if path not in kept:
      path.unlink(missing_ok=True)


def _digest(blob: bytes) -> str:
  return hashlib.sha256(blob).hexdigest()


def _read(
  path: pathlib.Path, identity: str, expected: Expected
) -> tuple[Arrays, Progress]:
  """Read a checkpoint, each step only after the one before has held.

  Raises:
    DamagedError: the file is not what was saved, or not of this population.
  """
  largest = _HEADER + expected.largest_bytes
  blob = opening.read(path, largest)
  match = _DIGEST.search(blob, 0, _HEADER)
  if not match:
    raise files.DamagedError('is no checkpoint, or cut short')
  start, end = match.span(1)
  if _digest(blob[:start] + _UNSET.encode() + blob[end:]) != match[1].decode():
    raise files.DamagedError('is damaged (its checksum differs)')
  progress = _check_metadata(path, blob, identity)
  try:
    arrays = safetensors.numpy.load(blob)
  except (safetensors.SafetensorError, ValueError, KeyError) as error:
    raise files.DamagedError(f'is no checkpoint ({error})') from error
  arrays = expected.translate(arrays)
  _check_leaves(arrays, expected.leaves)
  return {name: arrays[name] for name in expected.leaves}, progress


def _check_metadata(path: pathlib.Path, blob: bytes, identity: str) -> Progress:
  size = int.from_bytes(blob[:8], 'little')
  header = files.parse_json(blob[8 : 8 + size])
  try:
    text = header['__metadata__']['lstm_variants']
    fields = files.parse_json(text.encode(errors='replace'))
    version, owner = fields.pop('format'), fields.pop('identity')
  except (KeyError, TypeError, AttributeError) as error:
    raise files.DamagedError('is no checkpoint of this program') from error
  if version != FORMAT:
    raise files.DamagedError(f'has format {version!r:.20}, not {FORMAT}')
  types = Progress.__annotations__
  if fields.keys() != types.keys() or not all(
    type(fields[name]) is kind for name, kind in types.items()
  ):
    raise files.DamagedError('has other fields than a checkpoint')
  progress = Progress(**fields)
  if owner != identity:
    raise files.DamagedError('belongs to another population')
  if path.name != f'{progress.update:09}{SUFFIX}':
    raise files.DamagedError(f'is that of update {progress.update}, renamed')
  return progress


def _check_leaves(arrays: Arrays, expected: Mapping[str, Leaf]) -> None:
  present = {name: (a.shape, a.dtype) for name, a in arrays.items()}
  wanted = {name: (leaf.shape, leaf.dtype) for name, leaf in expected.items()}
  differing = sorted(
    name
    for name in present.keys() | wanted.keys()
    if present.get(name) != wanted.get(name)
  )
  if differing:
    raise files.DamagedError(
      f'holds other arrays than this population: {", ".join(differing[:5])}'
    )
