"""Arrays by name, as they cross to another library or come from it."""

from collections.abc import Iterable, Iterator, Mapping
import os
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from lstm_variants import arguments, errors, opening
from lstm_variants import names as names_lib
from lstm_variants.cells import lstm
from lstm_variants.config import fields
from lstm_variants.runs import files

# Bytes of a file.
_LARGEST = 2**35
# What a safetensors file calls numbers; the halves of BF16 are widened.
_TYPES = {
  'F64': '<f8',
  'F32': '<f4',
  'F16': '<f2',
  'BF16': '<u2',
  'I64': '<i8',
  'I32': '<i4',
  'I16': '<i2',
  'I8': 'i1',
  'U64': '<u8',
  'U32': '<u4',
  'U16': '<u2',
  'U8': 'u1',
  'BOOL': '?',
}


class ExportError(errors.Error, ValueError):
  """A model cannot be put as another tool needs it; the message is a line."""


class WeightsError(errors.Error, ValueError):
  """These are not the weights of such a layer; the message is a line."""


def save(path: str | os.PathLike[str], weights: Mapping[str, Any]) -> None:
  """Write weights, nested or by name, as a safetensors file.

  Those of bfloat16, which NumPy does not have, are widened to 32 bits.

  Raises:
    ExportError: the path names no file.
    StorageError: the file cannot be written.
  """
  place = file_path(path)
  arrays = {}
  for name, leaf in flatten(weights):
    values = np.asarray(leaf)
    if values.dtype == jnp.bfloat16:
      values = values.astype(np.float32)
    arrays[name] = np.ascontiguousarray(values)
  files.write(place, safetensors.numpy.save(arrays))


def file_path(path: str | os.PathLike[str]) -> pathlib.Path:
  """Return a path that can name a file.

  Raises:
    ArgumentError: it is no path.
    ExportError: it cannot.
  """
  place = pathlib.Path(arguments.path('path', path, 'a/file'))
  if not place.name:
    raise ExportError(f'path={str(path)!r}: names no file; nearest: a/file')
  return place


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Read a safetensors file; what is BF16 there is of 32 bits here.

  Raises:
    WeightsError: it cannot be read, or is none.
  """
  try:
    leaves = safetensors.deserialize(opening.read(path, _LARGEST))
    return {name: _leaf(**leaf) for name, leaf in leaves}
  except OSError as error:
    raise WeightsError(f'{path}: {error.strerror}') from error
  except (safetensors.SafetensorError, ValueError, KeyError) as error:
    raise WeightsError(
      f'{path}: not a safetensors file of numbers ({error})'
    ) from error


def _leaf(dtype: str, shape: list[int], data: bytearray) -> np.ndarray:
  """Return an array of a safetensors file."""
  values = np.frombuffer(data, _TYPES[dtype]).reshape(shape)
  if dtype != 'BF16':
    return values
  # The upper half of 32 bits.
  return (values.astype(np.uint32) << 16).view(np.float32)


def flatten(weights: Any) -> Iterator[tuple[str, Any]]:
  """Yield leaves by dotted name.

  Raises:
    WeightsError: there are no names.
  """
  if not isinstance(weights, Mapping):
    raise WeightsError(
      f'weights: a {type(weights).__name__}, must be arrays by name'
    )
  yield from fields.flatten(weights)


def as_params(
  kernel: np.ndarray,
  recurrent_kernel: np.ndarray,
  bias: np.ndarray,
  peephole: np.ndarray | None = None,
) -> lstm.Params:
  """Return the arrays of a cell as `Params`, without gate recurrence."""
  leaves: Any = (kernel, recurrent_kernel, bias, peephole, None)
  return lstm.Params(*leaves)


def array(
  name: str, value: Any, error: type[ValueError] = ExportError
) -> np.ndarray:
  """Return what any library has as an array, of 32 bits or of 64.

  Raises:
    error: it is none of real numbers.
  """
  try:
    values = np.asarray(value)
  except (TypeError, ValueError, RuntimeError) as problem:  # torch's, mostly
    kind = getattr(value, 'dtype', type(value).__name__)
    half = str(kind) == 'torch.bfloat16'
    raise error(
      f'{name}: of {kind}, cannot be made a NumPy array; nearest: '
      + ('tensor.float()' if half else 'tensor.detach().cpu()')
    ) from problem
  if not jnp.issubdtype(values.dtype, jnp.floating):
    raise error(
      f'{name}: has type {values.dtype}, must be real; nearest: float32'
    )
  return values.astype(np.promote_types(np.float32, values.dtype))


def check_shapes(
  arrays: Mapping[str, np.ndarray],
  wanted: Mapping[str, tuple[int, ...]],
  error: type[ValueError] = ExportError,
) -> None:
  """Refuse arrays of other shapes than `wanted`.

  Raises:
    error: naming the first.
  """
  for name, shape in wanted.items():
    if arrays[name].shape != shape:
      stacked = arrays[name].ndim == len(shape) + 1
      advice = '; nearest: those of one run, leaf[0] of each leaf'
      raise error(
        f'{name}: has shape {list(arrays[name].shape)}, must have {list(shape)}'
        + (advice if stacked else '')
      )


def check_names(names: Iterable[str], wanted: Iterable[str]) -> None:
  """Refuse names that are missing, or not wanted.

  Raises:
    WeightsError: naming the first.
  """
  names, wanted = list(names), list(wanted)
  for name in wanted:
    if name not in names:
      unknown = [other for other in names if other not in wanted]
      raise WeightsError(f'{name}: missing{names_lib.hint(name, unknown)}')
  for name in names:
    if name not in wanted:
      raise WeightsError(f'{name}: unknown{names_lib.hint(name, wanted)}')
