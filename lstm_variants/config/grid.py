"""The grid of a study: the well-known `get_hyper(hyper)` idiom, made to run.

A study's config file defines, beside `get_config()`,

    def get_hyper(hyper):
      return hyper.product([
        hyper.sweep('config.model.variant', ['vanilla', 'peephole']),
        hyper.sweep('config.seed', range(5)),
      ])

Every function returns a list of settings; a setting maps dotted config fields
to values. The grid above has ten settings.
"""

from collections.abc import Iterable, Sequence
import itertools
from typing import Any

from lstm_variants import arguments

Setting = dict[str, Any]


def sweep(field: str, values: Iterable[Any]) -> list[Setting]:
  """Return one setting per value of a field, as 'config.seed'."""
  return [{field: value} for value in values]


def fixed(field: str, value: Any, length: int = 1) -> list[Setting]:
  """Return `length` settings with the same value of a field."""
  return [{field: value} for _ in range(length)]


def discrete(values: Iterable[Any]) -> list[Any]:
  """Return the values: `sweep(field, discrete([…]))` reads as elsewhere."""
  return list(values)


def product(grids: Sequence[Iterable[Setting]]) -> list[Setting]:
  """Combine each setting of each grid with all those of the others.

  The last grid varies fastest. A field may come from one grid only; of no
  grids there are no settings.

  Raises:
    ArgumentError: two grids set the same field.
  """
  if not grids:
    return []
  return [_join(parts) for parts in itertools.product(*map(list, grids))]


def zipit(grids: Sequence[Iterable[Setting]]) -> list[Setting]:
  """Combine the first settings of all grids, then the second ones, and so on.

  Raises:
    ArgumentError: the grids differ in length, or set the same field.
  """
  lists = [list(grid) for grid in grids]
  if len({len(grid) for grid in lists}) > 1:
    lengths = ', '.join(str(len(grid)) for grid in lists)
    raise arguments.ArgumentError(
      f'zipit needs grids of equal length, got {lengths}'
    )
  return [_join(parts) for parts in zip(*lists, strict=True)]


def chainit(grids: Sequence[Iterable[Setting]]) -> list[Setting]:
  """Return the settings of the first grid, then those of the second, …"""
  return list(itertools.chain.from_iterable(grids))


def _join(parts: Iterable[Setting]) -> Setting:
  joined: Setting = {}
  for part in parts:
    twice = joined.keys() & part.keys()
    if twice:
      raise arguments.ArgumentError(f'two grids set {", ".join(sorted(twice))}')
    joined.update(part)
  return joined
