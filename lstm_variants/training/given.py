"""Weights that runs begin with, in place of those that their seeds draw.

    --from=WORKDIR:RUN        those of another run, as it was last saved

A study keeps them in start.safetensors, so that it can be gone on with where
the other is gone. `training.start`, their SHA-256, is part of the identity of
its runs. The optimizer begins anew.
"""

from collections.abc import Sequence
import hashlib
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
import safetensors.numpy

from lstm_variants import errors, opening
from lstm_variants.config import settings as settings_lib
from lstm_variants.runs import files, results
from lstm_variants.training import population as population_lib
from lstm_variants.training import states

_SOURCE = 'from'
# Bytes of the weights of one run: 2^28 numbers of 64 bits.
_LARGEST = 2**31


class GivenError(errors.Error, ValueError):
  """Runs cannot begin with these weights; the message is one line."""


class Given(NamedTuple):
  """Weights of a run.

  Attributes:
    source: where they are from, 'WORKDIR:RUN'.
    arrays: by the path of the leaf, as 'layers/0/kernel'.
  """

  source: str
  arrays: dict[str, np.ndarray]

  @property
  def digest(self) -> str:
    """The SHA-256 of names, types, shapes and values; not of the source."""
    whole = hashlib.sha256()
    for name in sorted(self.arrays):
      leaf = np.ascontiguousarray(self.arrays[name])
      whole.update(f'{name} {leaf.dtype} {leaf.shape}\n'.encode())
      whole.update(leaf.tobytes())
    return whole.hexdigest()


def shapes(run: settings_lib.Run) -> dict[str, tuple[int, ...]]:
  """Return the shapes of the weights that a run has by itself, by path."""
  with jax.enable_x64(run.settings.dtype == 'float64'):
    alone = population_lib.describe_state(run.settings, [run.hyperparams])
  leaves = states.named_leaves(alone.params)
  return {name: tuple(leaf.shape[1:]) for name, leaf in leaves.items()}


def check(given: Given, runs: Sequence[settings_lib.Run]) -> None:
  """Refuse runs whose weights have other shapes than those given.

  Raises:
    GivenError: naming the first array that differs, and both shapes.
  """
  theirs = {name: leaf.shape for name, leaf in given.arrays.items()}
  alike: dict[Any, settings_lib.Run] = {
    (run.settings, run.hyperparams.toggles): run for run in runs
  }
  for run in alike.values():
    ours = shapes(run)
    for name in (*ours, *theirs):
      one, two = (_text(arrays.get(name)) for arrays in (theirs, ours))
      if one != two:
        raise GivenError(
          f'--from={given.source}: its {name} is {one}, that of {run.model} '
          f'{two}; choose a run of the same shapes'
        )


def _text(shape: tuple[int, ...] | None) -> str:
  return 'missing' if shape is None else str(list(shape))


def save(workdir: str, given: Given) -> None:
  """Keep the weights in the directory of a study that begins with them.

  Raises:
    StorageError: they cannot be written.
  """
  data = safetensors.numpy.save(given.arrays, {_SOURCE: given.source})
  files.write(pathlib.Path(workdir) / results.START, data)


def read(workdir: str) -> Given | None:
  """Return the weights that a study began with; None if it drew its own.

  Raises:
    GivenError: they cannot be read.
  """
  path = pathlib.Path(workdir) / results.START
  try:
    data = opening.read(path, _LARGEST)
  except OSError:
    return None  # `of_study`, or `directory.check`, says what is wrong with it
  try:
    size = int.from_bytes(data[:8], 'little')
    header = files.parse_json(data[8 : 8 + size])
    source = header['__metadata__'][_SOURCE]
    return Given(str(source), safetensors.numpy.load(data))
  except (
    *(safetensors.SafetensorError, files.DamagedError),
    *(ValueError, LookupError, TypeError),
  ) as error:
    raise GivenError(
      f'{path}: does not hold the weights that the study began with '
      f'({type(error).__name__}); put it back'
    ) from error


def of_study(workdir: str, digest: str) -> Given | None:
  """Return the weights of `training.start`, from the study that has it.

  Args:
    workdir: of the study.
    digest: what it recorded as training.start; '' where it drew its own.

  Raises:
    GivenError: they are missing, or others.
  """
  if not digest:
    return None
  given = read(workdir)
  if given is None or given.digest != digest:
    state = 'missing' if given is None else 'not what the study began with'
    raise GivenError(
      f'{pathlib.Path(workdir) / results.START}: {state}; put it back'
    )
  return given
