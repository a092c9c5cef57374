"""The rules that values of config fields keep, and their refusals in one line.

A rule knows its type, says itself in words, and refuses a value. Numbers are
judged after rounding to the precision in which the program reads them: 1e-50
is 0 in 32 bits, 0.9999999999 is 1.
"""

from collections.abc import Callable, Iterable
import dataclasses
import math
import numbers
from typing import Any, Protocol

import numpy as np

from lstm_variants import errors
from lstm_variants import names as names_lib

# Of float32, in which hyper-parameters are traced; smaller numbers are lost.
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)


class InputError(errors.Error, ValueError):
  """A setting is refused: one line with field, value, rule, valid choice.

  Attributes:
    field: dotted name.
    value: that was given.
    rule: that it breaks, and a valid choice.
  """

  def __init__(self, field: str, value: Any, rule: str):
    super().__init__(f'--config.{field}={value!r}: {rule}')
    self.field, self.value, self.rule = field, value, rule

  def place(self, path: str) -> None:
    """Name the config file in which the value stands, in place of a flag."""
    self.args = (f'--config={path}: {self.field}={self.value!r}: {self.rule}',)


class Rule(Protocol):
  """What a value must be.

  Attributes:
    kind: the type of its values.
  """

  @property
  def kind(self) -> type:
    """The type of its values."""
    ...

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse a value.

    Args:
      field: dotted name.
      value: that was given.
      precision: a NumPy dtype; the one in which the program reads numbers.

    Raises:
      InputError: field, value, rule, nearest valid choice.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Boolean:
  """True or false."""

  kind: type = bool

  def __str__(self) -> str:
    return 'true or false'

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse what is no Python bool; see `Rule`."""
    del precision
    if not isinstance(value, bool):
      nearest = 'true' if value == 1 else 'false'
      raise InputError(field, value, f'not true or false; nearest: {nearest}')


@dataclasses.dataclass(frozen=True)
class Text:
  """Text in UTF-8."""

  kind: type = str

  def __str__(self) -> str:
    return 'text'

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse what is no text; see `Rule`."""
    del precision
    if not isinstance(value, str):
      parts = value if isinstance(value, list | tuple) else [value]
      nearest = ','.join(map(str, parts))
      raise InputError(field, value, f"not text; nearest: '{nearest}'")
    try:
      value.encode()
    except UnicodeEncodeError as error:
      raise InputError(field, value, 'must be in UTF-8') from error


@dataclasses.dataclass(frozen=True)
class Integer:
  """An integer from `least` to `most`."""

  least: int
  most: int
  kind: type = int

  def __str__(self) -> str:
    return f'{self.least:,} to {self.most:,}'

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse what is no such integer; see `Rule`."""
    del precision
    if not isinstance(value, int) or isinstance(value, bool):
      nearest = self.least
      if isinstance(value, float) and math.isfinite(value):
        nearest = min(max(round(value), self.least), self.most)
      raise InputError(field, value, f'not an integer; nearest: {nearest}')
    if not self.least <= value <= self.most:
      nearest = self.least if value < self.least else self.most
      raise InputError(
        field,
        value,
        f'must be {self.least} to {self.most}; nearest: {nearest}',
      )


@dataclasses.dataclass(frozen=True)
class Real:
  """A number within bounds; finite unless `infinite`.

  Attributes:
    example: a valid value, for refusals.
    above: it is larger than this.
    least: it is at least this.
    below: it is smaller than this.
    off: a value outside of the bounds that is valid too and stands for none.
    infinite: inf is valid and stands for none.
  """

  example: float
  above: float | None = None
  least: float | None = None
  below: float | None = None
  off: float | None = None
  infinite: bool = False
  kind: type = float

  def __str__(self) -> str:
    bounds = [
      text.format(bound)
      for text, bound in (
        ('> {:g}', self.above),
        ('at least {:g}', self.least),
        ('below {:g}', self.below),
      )
      if bound is not None
    ]
    rule = ' and '.join(bounds) or 'finite'
    if self.off is not None:
      rule = f'{self.off:g} (off) or {rule}'
    return f'{rule}, or inf for none' if self.infinite else rule

  def allows(self, value: float) -> bool:
    """Tell whether a number keeps the rule."""
    if self.off is not None and value == self.off:
      return True
    if not math.isfinite(value):
      return self.infinite and value > 0
    return (
      (self.above is None or value > self.above)
      and (self.least is None or value >= self.least)
      and (self.below is None or value < self.below)
    )

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse what is no such number, as given or as rounded; see `Rule`."""
    example = f'for example {self.example:g}'
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
      raise InputError(field, value, f'not a number; {example}')
    try:
      number = float(value)
    except OverflowError as error:
      raise InputError(field, value, f'beyond float64; {example}') from error
    if not self.allows(number):
      raise InputError(field, value, f'must be {self}; {example}')
    size = abs(number)
    if LARGEST < size < math.inf or 0 < size < SMALLEST:
      raise InputError(
        field,
        value,
        f'beyond float32, {SMALLEST:.2g} to {LARGEST:.2g}; {example}',
      )
    rounded = float(np.dtype(precision).type(value))
    if not self.allows(rounded):
      raise InputError(
        field,
        value,
        f'is {rounded:g} in {precision}, must be {self}; {example}',
      )


@dataclasses.dataclass(frozen=True)
class Choice:
  """One of some names, which may be a live registry.

  Attributes:
    names: of the choices.
    takes: tells whether a choice can have another field set beside it.
  """

  names: Iterable[str]
  kind: type = str
  takes: Callable[[str, str], bool] = dataclasses.field(
    default=names_lib.takes_any, compare=False, repr=False
  )

  def __str__(self) -> str:
    return ', '.join(self.names)

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse what is none of the names; see `Rule`."""
    del precision
    names = tuple(self.names)
    if not isinstance(value, str) or value not in names:
      near = self.meant(field, value)
      choices = ', '.join(names)
      raise InputError(field, value, f'unknown{near}; choices: {choices}')

  def meant(self, field: str, value: Any) -> names_lib.Meant:
    """Return what a value that is none of the names was meant to be."""
    return names_lib.meant(field, value, tuple(self.names), self.takes)


@dataclasses.dataclass(frozen=True)
class Registered:
  """One of the names of a registry, which `schema` looks up."""

  registry: str
  kind: type = str

  def __str__(self) -> str:
    return f'a {self.registry}'

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse what is no text; the table of `schema` refuses unknown names."""
    Text().check(field, value, precision)


@dataclasses.dataclass(frozen=True)
class Open:
  """A value that may be left open, None: whoever reads it has a default."""

  rule: Rule

  @property
  def kind(self) -> type:
    """The type of its values."""
    return self.rule.kind

  def __str__(self) -> str:
    return f'open, or {self.rule}'

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse what `rule` refuses, but None; see `Rule`."""
    if value is not None:
      self.rule.check(field, value, precision)


@dataclasses.dataclass(frozen=True)
class Unchecked:
  """A value of a type that its reader checks: the rule needs other values."""

  kind: type
  text: str

  def __str__(self) -> str:
    return self.text

  def check(self, field: str, value: Any, precision: str) -> None:
    """Refuse nothing; see `Rule`."""
    del field, value, precision
