"""Arguments of public functions, which Python would refuse in words of its own.

No jax: what reads results has arguments, too.
"""

import operator
import os
from typing import Any

from lstm_variants import errors


class ArgumentError(errors.Error, ValueError, TypeError):
  """An argument has a value, or is of a type, that cannot be used; one line."""


class ShapeError(ArgumentError, AssertionError):
  """An array has a shape that fits no other argument; one line."""


def path(name: str, value: Any, nearest: str) -> str:
  """Return a path as a text.

  Args:
    name: of the argument.
    value: that was given.
    nearest: a path that could be given.

  Raises:
    ArgumentError: it is none.
  """
  if isinstance(value, str | os.PathLike):
    text = os.fspath(value)
    if isinstance(text, str) and '\0' not in text:
      return text
  raise ArgumentError(f'{name}={value!r}: is no path; nearest: {nearest!r}')


def flag(name: str, value: Any) -> bool:
  """Return a choice between yes and no; a text would always be yes.

  Raises:
    ArgumentError: it is none.
  """
  if isinstance(value, bool):
    return value
  raise ArgumentError(f'{name}={value!r}: not True or False; nearest: False')


def integer(name: str, value: Any, least: int = 1) -> int:
  """Return an integer, also one of NumPy, of at least `least`.

  Raises:
    ArgumentError: it is none.
  """
  if not isinstance(value, bool) and hasattr(value, '__index__'):
    try:
      number = operator.index(value)
    except TypeError:  # an array of several
      number = least - 1
    if number >= least:
      return number
  raise ArgumentError(
    f'{name}={value!r}: must be an integer of at least {least}; nearest: '
    f'{least}'
  )


def shape(
  name: str, has: tuple[int, ...], wanted: tuple[int | None, ...]
) -> None:
  """Refuse an array of another shape than `wanted`.

  Args:
    name: of the argument.
    has: the shape of what was given.
    wanted: None is any size.

  Raises:
    ShapeError: it is another one.
  """
  fits = len(has) == len(wanted) and all(
    size in (None, given) for given, size in zip(has, wanted, strict=True)
  )
  if not fits:
    sizes = ', '.join('any' if size is None else str(size) for size in wanted)
    raise ShapeError(f'{name}: has shape {list(has)}, must have [{sizes}]')
