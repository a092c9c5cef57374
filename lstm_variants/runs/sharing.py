"""Reads JSON so that parts which are equal are one object.

The runs of a study differ by few fields: of their configs, which are most of
what is read of a large study, each section is kept once for all runs that have
it. Nobody may change what is read so.
"""

from typing import Any

# Sections that are remembered; a few of them are new in every run.
_MOST = 4096


class Section(dict[str, Any]):
  """An object of JSON, hashable as that very object."""

  __slots__ = ()

  def __hash__(self) -> int:
    return id(self)


class Sections:
  """Makes the objects of JSON, equal ones once: `json.loads`'s hook."""

  def __init__(self):
    self._known: dict[Any, Section] = {}

  def __call__(self, pairs: list[tuple[str, Any]]) -> Section:
    """Return the object with these pairs."""
    # 1, 1.0 and True are equal, as are 0.0 and -0.0.
    kinds = [
      value.hex() if type(value) is float else type(value) for _, value in pairs
    ]
    key = (*pairs, *kinds)
    try:
      section = self._known.get(key)
    except TypeError:  # it holds a list
      return Section(pairs)
    if section is None:
      section = Section(pairs)
      if len(self._known) >= _MOST:
        self._known.clear()
      self._known[key] = section
    return section


def unshared(value: Any) -> Any:
  """Return what was read as one's own, to be changed."""
  if isinstance(value, dict):
    return {name: unshared(item) for name, item in value.items()}
  if isinstance(value, list):
    return [unshared(item) for item in value]
  return value
