"""How a run directory records its runs, and what makes two runs the same.

Two runs are the same if their identities are equal. In all formats every field
is recorded, and one with the role CONDUCT or GROUPING is no part of the
identity.

    format 1   the identity of a run is all its other fields
    format 2   of these the identity leaves out each that has the value that
               runs without it in their record have (`Field.unrecorded`, mostly
               its default): adding a field changes no identity

A directory keeps the format, and the fields, with which it was created.
"""

from collections.abc import Mapping, Sequence
import types
from typing import Any, NamedTuple

from lstm_variants.config import fields
from lstm_variants.runs import results

# How many hexadecimal digits of a hash are part of a name: 8 are enough for a
# few runs, but among 10^5 runs two would often be equal.
_FEW_RUNS, _SHORT, _LONG = 1000, 8, 16


class Format(NamedTuple):
  """The format in which a run directory records its runs.

  Attributes:
    version: 1 or 2, as described above.
    recorded: the fields that the directory records; None: all fields.
    unrecorded: what each field has in a run whose record lacks it.
  """

  version: int
  recorded: frozenset[str] | None
  unrecorded: Mapping[str, Any]

  def record(self, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's config as the directory records it, nested."""
    if self.recorded is None:
      return dict(config)
    flat = dict(fields.flatten(config))
    return fields.nest({k: v for k, v in flat.items() if k in self.recorded})

  def identity(self, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that decide what a run trains, by dotted name."""
    decisive = {
      name: value
      for name, value in fields.flatten(self.record(config))
      if name not in fields.OUTSIDE_IDENTITY
    }
    if self.version == 1:
      return decisive
    missing = object()
    return {
      name: value
      for name, value in decisive.items()
      if value != self.unrecorded.get(name, missing)
    }

  def hash(self, configs: Sequence[Mapping[str, Any]]) -> str:
    """Return a hash of the identities of runs, in their order."""
    return results.fingerprint([self.identity(config) for config in configs])

  def digits(self, runs: int | None) -> int:
    """Return how many digits of a hash the names in a study of `runs` have.

    Args:
      runs: how many it has; None: nobody knows yet.
    """
    few = runs is not None and runs <= _FEW_RUNS
    return _SHORT if self.version == 1 or few else _LONG


# The format of a new directory where nothing is known of the fields: then a
# run's identity leaves none out.
NEW = Format(results.FORMAT, None, types.MappingProxyType({}))


def new(unrecorded: Mapping[str, Any]) -> Format:
  """Return the format of a new directory.

  Args:
    unrecorded: `schema.unrecorded`, by dotted name.
  """
  return Format(results.FORMAT, None, unrecorded)


def of_study(study: Mapping[str, Any], unrecorded: Mapping[str, Any]) -> Format:
  """Return the format of an existing study.

  Args:
    study: what `results.read_study` returns.
    unrecorded: `schema.unrecorded`, by dotted name.
  """
  recorded = frozenset(
    name for config in study['runs'] for name, _ in fields.flatten(config)
  )
  return Format(study['format'], recorded, unrecorded)
