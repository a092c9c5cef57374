"""How a run directory records its runs, and what makes two runs the same.

    format 1   every field is recorded; a run's identity is all of them but
               those of its conduct
    format 2   every field is recorded; the identity leaves out what has its
               default, so that a field that comes later changes none

A directory keeps the format, and the fields, with which it was begun.
"""

from collections.abc import Mapping, Sequence
import types
from typing import Any, NamedTuple

from lstm_variants.config import fields
from lstm_variants.runs import results

# Of a name's hash, in hexadecimal digits: 8 are enough for a few runs, among
# 10^5 of them two would often be equal.
_FEW_RUNS, _SHORT, _LONG = 1000, 8, 16


class Form(NamedTuple):
  """How a directory records its runs.

  Attributes:
    format: of the directory.
    recorded: the fields that it records; None: all that there are.
    defaults: of every field that there is now.
  """

  format: int
  recorded: frozenset[str] | None
  defaults: Mapping[str, Any]

  def record(self, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's config as the directory records it, nested."""
    if self.recorded is None:
      return dict(config)
    flat = dict(fields.flatten(config))
    return fields.nest({k: v for k, v in flat.items() if k in self.recorded})

  def identity(self, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run's config decides what it trains, by field."""
    decisive = {
      name: value
      for name, value in fields.flatten(self.record(config))
      if name not in fields.CONDUCT_FIELDS
    }
    if self.format == 1:
      return decisive
    missing = object()
    return {
      name: value
      for name, value in decisive.items()
      if value != self.defaults.get(name, missing)
    }

  def hash(self, configs: Sequence[Mapping[str, Any]]) -> str:
    """Return a hash of what runs train, in their order."""
    return results.fingerprint([self.identity(config) for config in configs])

  def digits(self, runs: int) -> int:
    """Return how many digits of a hash are in the names of so many runs."""
    return _SHORT if self.format == 1 or runs <= _FEW_RUNS else _LONG


# Of a directory that is begun now, where nobody knows the fields' defaults:
# its identities leave nothing out.
NEW = Form(results.FORMAT, None, types.MappingProxyType({}))


def new(defaults: Mapping[str, Any]) -> Form:
  """Return the form of a directory that is begun now."""
  return Form(results.FORMAT, None, defaults)


def of_study(study: Mapping[str, Any], defaults: Mapping[str, Any]) -> Form:
  """Return the form of a study that is there, from `results.read_study`."""
  recorded = frozenset(
    name for config in study['runs'] for name, _ in fields.flatten(config)
  )
  return Form(study['format'], recorded, defaults)
