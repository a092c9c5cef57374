"""Patience: a population stops when none of its runs improves any more."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.runs import files


class Patience(NamedTuple):
  """The best losses so far, and when they were last improved.

  It follows from the rows of metrics.jsonl alone, so that a resumed population
  stops at the same update as one that was not interrupted.

  Attributes:
    limit: `training.patience`, in updates; 0: without limit.
    best: the smallest held-out loss of each run so far, `[runs]`.
    improved: the update at which some run last reached a smaller loss.
    update: the update of the last evaluation.
  """

  limit: int
  best: np.ndarray
  improved: int = 0
  update: int = 0

  @property
  def is_over(self) -> bool:
    """Whether no run has improved for `limit` updates."""
    return 0 < self.limit <= self.update - self.improved


def begin(limit: int, runs: int) -> Patience:
  """Return the patience before the first evaluation."""
  return Patience(limit, np.full(runs, np.inf))


def see(
  patience: Patience, update: int, losses: Sequence[float] | np.ndarray
) -> Patience:
  """Return the patience after an evaluation.

  Args:
    patience: the patience before it.
    update: the number of updates done.
    losses: the held-out loss of each run; one that is not finite is no
      improvement.
  """
  now = np.asarray(losses, np.float64)
  better = np.isfinite(now) & (now < patience.best)
  return patience._replace(
    best=np.where(better, now, patience.best),
    improved=update if better.any() else patience.improved,
    update=update,
  )


def read(limit: int, path: pathlib.Path, run_names: Sequence[str]) -> Patience:
  """Return the patience after all evaluations in a metrics.jsonl.

  Args:
    limit: `training.patience`.
    path: the file; its rows are in the order of the evaluations.
    run_names: the names of the population's runs.
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
