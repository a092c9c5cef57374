"""Patience: a population stops once none of its runs gets better any more."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.runs import files


class Patience(NamedTuple):
  """What the evaluations so far have shown.

  It follows from the rows of metrics.jsonl alone, so that a population that
  goes on from a checkpoint stops where it would have stopped at once.

  Attributes:
    limit: `training.patience`, in updates; it is never over at 0.
    best: the smallest held-out loss of each run, `[runs]`.
    improved: updates done when the loss of some run was last the smallest.
    update: of the last evaluation.
  """

  limit: int
  best: np.ndarray
  improved: int = 0
  update: int = 0

  @property
  def is_over(self) -> bool:
    """Whether no run has got better for `limit` updates."""
    return 0 < self.limit <= self.update - self.improved


def begin(limit: int, runs: int) -> Patience:
  """Return the patience before the first evaluation."""
  return Patience(limit, np.full(runs, np.inf))


def see(
  patience: Patience, update: int, losses: Sequence[float] | np.ndarray
) -> Patience:
  """Return the patience after an evaluation.

  Args:
    patience: before it.
    update: updates done.
    losses: held-out, of each run; one that is not finite is no better.
  """
  now = np.asarray(losses, np.float64)
  better = np.isfinite(now) & (now < patience.best)
  return patience._replace(
    best=np.where(better, now, patience.best),
    improved=update if better.any() else patience.improved,
    update=update,
  )


def read(limit: int, path: pathlib.Path, run_names: Sequence[str]) -> Patience:
  """Return the patience after all the evaluations that were written down.

  Args:
    limit: `training.patience`.
    path: of metrics.jsonl; its rows are in the order in which they were made.
    run_names: of the population.
  """
  patience = begin(limit, len(run_names))
  if not limit:
    return patience
  losses: dict[int, dict[str, float]] = {}
  for row in files.read_json_lines(path):
    losses.setdefault(int(row['update']), {})[row['run']] = _loss(row)
  for update, of_runs in losses.items():
    patience = see(patience, update, [of_runs[name] for name in run_names])
  return patience


def _loss(row: Mapping[str, Any]) -> float:
  """Return the loss of a row; JSON has null for what is not finite."""
  return np.nan if row['loss'] is None else float(row['loss'])
