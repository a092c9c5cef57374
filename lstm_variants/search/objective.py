"""What a trial came to, by the rows of its runs."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

import numpy as np

from lstm_variants.search import space

SUCCESS, SIZE = 'sequences_to_success', 'params_in_use'


def values(
  objectives: Sequence[space.Objective], rows: Sequence[Mapping[str, Any]]
) -> tuple[float, ...]:
  """Return what a trial has in each objective: the median of its runs.

  Args:
    objectives: of the search.
    rows: of its runs, as in runs.jsonl.
  """
  return tuple(
    float(np.median([_of_run(one, row) for row in rows])) for one in objectives
  )


def best(
  objective: space.Objective, known: Mapping[int, float], count: int
) -> list[int]:
  """Return the numbers of the best trials, the first of equals, ascending."""
  sign = -1 if objective.maximize else 1
  order = sorted(known, key=lambda number: (sign * known[number], number))
  return sorted(order[:count])


def _of_run(objective: space.Objective, row: Mapping[str, Any]) -> float:
  """Return what a run has in an objective.

  One that diverged has the worst there is, but for its size. One that was not
  solved counts as not before twice its training, the less the smaller its loss:
  s (1 + ℓ / (1 + ℓ)) after s sequences with the loss ℓ.
  """
  if objective.name == SIZE:
    return float(row[SIZE])
  if row['status'] == 'diverged':
    return objective.worst
  if objective.name == SUCCESS:
    if row[SUCCESS] is not None:
      return float(row[SUCCESS])
    loss = _number(row['final'].get('loss'))
    if loss is None:
      return objective.worst
    return row['sequences'] * (1 + max(loss, 0.0) / (1 + max(loss, 0.0)))
  value = _number(row['final'].get(objective.name))
  return objective.worst if value is None else value


def _number(value: Any) -> float | None:
  """Return a finite number, None for anything else."""
  if isinstance(value, int | float) and math.isfinite(value):
    return float(value)
  return None
