"""Reads JSON so that parts which are equal are one object.

The runs of a study differ by few fields: of their configs, which are most of
what is read of a large study, each section is kept once for all runs that have
it. Nobody may change what is read so.

A section is recognised by its text, and then read no further: most of a large
study is compared with what was read before it, byte by byte.
"""

import json
import re
import sys
from typing import Any

# Characters of texts that are remembered; some sections are new in every run.
_MOST = 2**21
# Of each name, so many texts are compared with what comes.
_TRIED = 8
# Characters of a text that is remembered, or of pairs that are read at once.
_LONGEST = 2**16
_SPACE = r'[ \t\n\r]*'
_NAME = rf'{_SPACE}"([^"\\\x00-\x1f]*)"{_SPACE}:{_SPACE}'
_ANY, _OPENED = re.compile(_NAME), re.compile(rf'{_NAME}(?={{)')
_BLANK, _COMMA = re.compile(_SPACE), re.compile(f'{_SPACE},{_SPACE}')
_END = {sign: re.compile(rf'{_SPACE}\{sign}') for sign in '}]'}


class _OtherTextError(ValueError):
  """A text is no JSON, or has what is not read here."""


class Sections:
  """Reads texts of JSON; objects within them whose texts are equal are one."""

  def __init__(self):
    self._known: dict[str, dict[str, Any]] = {}
    self._characters = 0
    # Name -> texts and sections that came more than once, the last one first.
    self._repeated: dict[str, list[tuple[str, dict[str, Any]]]] = {}

  def parse(self, data: bytes) -> Any:
    """Return what `json.loads` returns.

    Raises:
      ValueError, RecursionError: as `json.loads`.
    """
    try:
      text = data.decode(json.detect_encoding(data), 'surrogatepass')
      start = _skip(text, 0)
      value, end = (
        self._object(text, start)  # is no part of anything
        if text.startswith('{', start)
        else self._value('', text, start)
      )
      if _skip(text, end) == len(text):
        return value
    except (ValueError, RecursionError):
      pass
    return json.loads(data)

  def _value(self, name: str, text: str, start: int) -> tuple[Any, int]:
    """Return the value that begins at a place of a text, and its end.

    Args:
      name: under which it stands.
      text: of JSON.
      start: of the value, no space.
    """
    first = text[start : start + 1]
    if first == '{':
      return self._section(name, text, start)
    if first == '[' and not _is_flat(text, start, ']'):
      return self._list(name, text, start)
    return _decode(text, start)

  def _section(
    self, name: str, text: str, start: int
  ) -> tuple[dict[str, Any], int]:
    """Return an object, one that is known where its text is."""
    repeated = self._repeated.setdefault(name, [])
    for place, (known, section) in enumerate(repeated):
      # It ends with its last bracket: nothing after it belongs to it.
      if text.startswith(known, start):
        if place:
          repeated.insert(0, repeated.pop(place))
        return section, start + len(known)
    if _is_flat(text, start, '}'):
      section, end = _decode(text, start)
    else:
      section, end = self._object(text, start)
    if end - start > _LONGEST:
      return section, end
    own = text[start:end]
    if own in self._known:
      section = self._known[own]
      repeated.insert(0, (own, section))
      del repeated[_TRIED:]
    else:
      self._remember(own, section)
    return section, end

  def _remember(self, text: str, section: dict[str, Any]) -> None:
    """Keep a section by its text, in place of all others if they are many."""
    if self._characters + len(text) > _MOST:
      self._known.clear()
      self._characters = 0
    self._known[text] = section
    self._characters += len(text)

  def _object(self, text: str, start: int) -> tuple[dict[str, Any], int]:
    """Return an object that has others within it."""
    values: dict[str, Any] = {}
    at, by_pair = start + 1, False
    while True:
      opened = (_ANY if by_pair else _OPENED).match(text, at)
      if opened is not None:
        last, at = sys.intern(opened[1]), opened.end()
      elif by_pair:
        raise _OtherTextError
      else:
        pairs, at, is_whole = _stretch(text, at, not values)
        values.update(pairs)
        if is_whole:
          return values, at
        by_pair = not pairs
        if by_pair:
          continue
        last = pairs[-1][0]
      values[last], at = self._value(last, text, at)
      comma = _COMMA.match(text, at)
      if comma is None:
        return values, _end(text, at, '}')
      at = comma.end()

  def _list(self, name: str, text: str, start: int) -> tuple[list[Any], int]:
    """Return a list that has objects within it."""
    values: list[Any] = []
    at = _skip(text, start + 1)
    while True:
      value, at = self._value(name, text, at)
      values.append(value)
      comma = _COMMA.match(text, at)
      if comma is None:
        return values, _end(text, at, ']')
      at = comma.end()


def _stretch(
  text: str, start: int, may_be_empty: bool
) -> tuple[list[tuple[str, Any]], int, bool]:
  """Return pairs of an object, up to the next that has an object for a value.

  Args:
    text: of JSON.
    start: of the first pair.
    may_be_empty: no comma came before.

  Returns:
    The pairs, none where they cannot be read so; where they end; whether the
    object ends there, else it is the value of the last pair that begins there,
    which is None yet.
  """
  opened = text.find('{', start, start + _LONGEST)
  # What `null` is put for begins no other value: it joins nothing before it.
  rest = (
    text[start : start + _LONGEST]
    if opened < 0
    else f'{text[start:opened]}null}}'
  )
  try:
    pairs, end = _decode_pairs(f'{{{rest}')
  except ValueError:
    return [], start, False
  if not pairs and not may_be_empty:
    raise _OtherTextError
  pairs = [(sys.intern(name), value) for name, value in pairs]
  if opened < 0 or end <= len(rest):
    return pairs, start + end - 1, True
  return pairs, opened, False


def _skip(text: str, start: int) -> int:
  """Return where the next sign is that is no space."""
  blank = _BLANK.match(text, start)
  return start if blank is None else blank.end()


def _end(text: str, start: int, sign: str) -> int:
  """Return the place after a bracket that must come now."""
  end = _END[sign].match(text, start)
  if end is None:
    raise _OtherTextError
  return end.end()


def _is_flat(text: str, start: int, end: str) -> bool:
  """Tell whether an object or a list has no object within it, most likely.

  Where strings have brackets in them it may be wrong: less is shared then.
  """
  closed = text.find(end, start)
  return text.find('{', start + 1, max(closed, start + 1)) < 0


def _with_interned_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  return {sys.intern(name): value for name, value in pairs}


_decode = json.JSONDecoder(object_pairs_hook=_with_interned_names).raw_decode
_decode_pairs = json.JSONDecoder(object_pairs_hook=list).raw_decode


def unshared(value: Any) -> Any:
  """Return what was read as one's own, to be changed."""
  if isinstance(value, dict):
    return {name: unshared(item) for name, item in value.items()}
  if isinstance(value, list):
    return [unshared(item) for item in value]
  return value
