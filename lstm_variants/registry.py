"""Registries: what is there by name, of the house and from outside.

A registry is a live mapping: what is registered shows at once, in the house's
order first. An entry remembers which module registered it, so that a run
directory can name the module that a reader needs (`--import=MODULE`).
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
import operator
import re
import sys
from typing import Any, TypeVar

from lstm_variants import errors
from lstm_variants import names as names_lib

T = TypeVar('T')
# A name goes into file names, labels and flags.
_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')
_LONGEST = 40
HOUSE = 'lstm_variants'


class RegistryError(errors.Error, ValueError):
  """Something cannot be registered; the message is one line."""


class UnknownError(errors.Error, KeyError, ValueError):
  """Nothing is registered under a name; the message is one line."""


class Same:
  """Holds a value, and equals what holds the same one."""

  def __init__(self, value: Any):
    self.value = value

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Same) and other.value is self.value

  def __hash__(self) -> int:
    return id(self.value)


class Registry(Mapping[str, T]):
  """A live mapping from names to what is registered under them."""

  def __init__(self, kind: str, house: Mapping[str, T]):
    """Begin with what the house has.

    Args:
      kind: what is registered, in one word, for messages, as 'cell'.
      house: name -> entry, in the order in which they are listed.
    """
    self.kind = kind
    self._entries = dict(house)
    self._modules = dict.fromkeys(house, HOUSE)
    self._known = Same({})

  def register(
    self,
    name: str,
    entry: T,
    check: Callable[[T], None] = lambda entry: None,
  ) -> None:
    """Add an entry under a new name.

    Registering the same object again under its name does nothing, so that a
    module may be imported twice. Another one from the same module replaces it,
    so that the cell of a notebook may be run again.

    Args:
      name: a letter, then letters, digits or underscores, 40 at most.
      entry: what is registered.
      check: refuses an entry that cannot be used, with a `ValueError`.

    Raises:
      RegistryError: a name that is taken or cannot be one, or what `check`
        refuses.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
      raise RegistryError(
        f'{self.kind} {name!r}: a name is a letter, then letters, digits or '
        'underscores; nearest: my_' + self.kind
      )
    if len(name) > _LONGEST:
      raise RegistryError(
        f'{self.kind} {name!r}: a name has at most {_LONGEST} characters; '
        f'nearest: {name[:_LONGEST]}'
      )
    module = calling_module()
    if name in self._entries:
      if self._entries[name] is entry:
        return
      if self._modules[name] != module or module == HOUSE:
        raise RegistryError(
          f'{self.kind} {name!r}: the name is taken (by '
          f'{self._modules[name]}); nearest: my_{name}'
        )
    try:
      check(entry)
    except ValueError as error:
      raise RegistryError(f'{self.kind} {name!r}: {error}') from error
    self._entries[name] = entry
    self._modules[name] = module

  @property
  def state(self) -> Hashable:
    """What is registered now, hashable: what is kept by names depends on it.

    An entry may be replaced under its name.
    """
    known, now = self._known.value, self._entries
    if (
      len(known) != len(now)
      or not all(map(operator.is_, known.values(), now.values()))
      or list(known) != list(now)
    ):
      self._known = Same(dict(now))
    return self._known

  def module_of(self, name: str) -> str:
    """Return the module that registered an entry; `HOUSE` for the house's."""
    return self._modules[name]

  def __getitem__(self, name: str) -> T:
    if name not in self:
      raise UnknownError(
        f'{self.kind} {name!r} is not one of {", ".join(self._entries)}'
        + names_lib.hint(name, self._entries, repr)
      )
    return self._entries[name]

  def __contains__(self, name: object) -> bool:
    return isinstance(name, str) and name in self._entries

  def __iter__(self) -> Iterator[str]:
    return iter(self._entries)

  def __len__(self) -> int:
    return len(self._entries)

  def __repr__(self) -> str:
    return f'{self.kind}s({", ".join(self._entries)})'


def calling_module() -> str:
  """Return the name of the first module on the stack outside of the house."""
  frame: Any = sys._getframe(1)
  while frame is not None:
    name = frame.f_globals.get('__name__', '')
    if name.partition('.')[0] != HOUSE:
      return name
    frame = frame.f_back
  return HOUSE
