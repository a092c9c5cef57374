"""The kinds of values that the fields of a config have, and their refusals."""

import difflib
import math
import numbers
from typing import Any

import numpy as np

# Of float32, in which hyper-parameters are traced; smaller numbers are lost.
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)


class InputError(ValueError):
  """A setting is refused: one line with field, value, rule, valid choice."""

  def __init__(self, field: str, value: Any, rule: str):
    super().__init__(f'--config.{field}={value!r}: {rule}')


def nearest(value: Any, names: Any, shown: Any = ()) -> str:
  """Name the choice closest to `value`, then all of them, or those `shown`."""
  names = list(names)
  close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
  prefix = f'nearest: {close[0]!r}; ' if close else ''
  return f'{prefix}choices: {", ".join(shown or names)}'


def nearest_field(field: str, known: Any) -> str:
  """Name the field closest to an unknown one, then those of its part."""
  part = field.rpartition('.')[0]
  beside = [name for name in known if name.rpartition('.')[0] == part]
  return nearest(field, known, beside)


def check_boolean(field: str, value: Any) -> None:
  """Refuse what is not true or false."""
  if not isinstance(value, bool):
    raise InputError(field, value, 'not true or false; nearest: false')


def check_text(field: str, value: Any) -> None:
  """Refuse what is not text in UTF-8."""
  if not isinstance(value, str):
    raise InputError(field, value, f"not text; nearest: '{value}'")
  try:
    value.encode()
  except UnicodeEncodeError as error:
    raise InputError(field, value, 'must be in UTF-8') from error


def check_integer(field: str, value: Any, smallest: int, largest: int) -> None:
  """Refuse what is not an integer from `smallest` to `largest`."""
  if not isinstance(value, int) or isinstance(value, bool):
    raise InputError(field, value, f'not an integer; nearest: {smallest}')
  if not smallest <= value <= largest:
    bound = smallest if value < smallest else largest
    raise InputError(
      field, value, f'must be {smallest} to {largest}; nearest: {bound}'
    )


def check_real(field: str, value: Any, test, rule: str, example: float):
  """Refuse what breaks the rule, or would in the program's float32."""
  if not isinstance(value, numbers.Real) or isinstance(value, bool):
    raise InputError(field, value, f'not a number; for example {example:g}')
  if not test(value):
    raise InputError(field, value, f'must be {rule}; for example {example:g}')
  size = abs(float(value))
  if LARGEST < size < math.inf or 0 < size < SMALLEST:
    raise InputError(
      field,
      value,
      f'beyond float32, {SMALLEST:.2g} to {LARGEST:.2g}; for example '
      f'{example:g}',
    )


def check_name(field: str, value: Any, names: Any) -> None:
  """Refuse what is not one of `names`."""
  if value not in names:
    raise InputError(field, value, f'unknown; {nearest(value, names)}')
