"""The log-rank test: are groups of runs solved equally fast?

Plain NumPy on lists of numbers; knows nothing of studies.

By permutations of the runs: with few runs the usual χ² follows its distribution
only roughly. Simulated without any difference, its p is below 0.05 in 9 % of
tests of two groups of three runs, 7 % of five, 6 % of eight; in 11 % of nine
groups of five. That of the permutations is in at most 5 %.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lstm_variants.statistics import intervals, survival


class LogRank(NamedTuple):
  """The log-rank test of several groups.

  Attributes:
    permuted: p value by permutations of the runs.
    observed: successes, `[groups]`.
    expected: successes if all groups were alike, `[groups]`.
  """

  permuted: float
  observed: np.ndarray
  expected: np.ndarray


def log_rank(
  groups: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
  *,
  resamples: int = intervals.RESAMPLES,
  seed: int = 0,
) -> LogRank:
  """Test whether groups of runs are solved equally fast.

  At each time at which d of the n runs at risk succeed, group j, with n_j of
  them, is expected to have d n_j / n of the successes. O - E, summed over the
  times, is the sum over a group's runs of the scores success - Σ d/n (up to the
  run's end), and of B random ways to divide the runs into groups of these sizes

    p = (1 + the number whose Σ_j (O_j - E_j)² / n_j is as large) / (1 + B).

  It assumes equal budgets in all groups.

  Args:
    groups: for each its sequences and whether they are solved, as in
      `kaplan_meier`; one without runs is not counted.
    resamples: B.
    seed: of the random ways.

  Returns:
    The test; without success, or fewer than two groups with runs, p is NaN.

  Raises:
    ValueError: as `kaplan_meier`.

  Reference:
    Mantel, Cancer Chemotherapy Reports 50(3), 1966; Peto & Peto, Journal of the
    Royal Statistical Society A 135(2), 1972.
  """
  times, success, member = _pool(groups)
  points = np.unique(times[success])
  # [points, groups], and [points] each
  n = np.sum(risk := (times >= points[:, np.newaxis]) @ member, axis=1)
  d = np.sum((times == points[:, np.newaxis]) & success, axis=1)
  share = risk / n[:, np.newaxis]
  observed, expected = success @ member, d @ share
  # A time tells something where runs of several groups are at risk, and not all
  # of them succeed.
  several = np.any((share > 0) & (share < 1), axis=1)
  if not np.any(several & (d < n)):
    return LogRank(math.nan, observed, expected)
  scores = success - (times[:, np.newaxis] >= points) @ (d / n)
  p_value = _permuted(scores, member, resamples, seed)
  return LogRank(p_value, observed, expected)


def _pool(
  groups: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Return times, successes and group of all runs; groups one-hot."""
  sides = [survival.checked(*group) for group in groups]
  times = np.concatenate([np.zeros(0), *(side[0] for side in sides)])
  success = np.concatenate([np.zeros(0, bool), *(side[1] for side in sides)])
  sizes = np.array([side[0].size for side in sides], int)
  member = np.repeat(np.eye(sizes.size, dtype=int), sizes, axis=0)
  return times, success, member


def _permuted(
  scores: np.ndarray, member: np.ndarray, resamples: int, seed: int
) -> float:
  sizes = np.maximum(np.sum(member, axis=0), 1)
  rng = np.random.default_rng(seed)
  draws = rng.permuted(np.tile(scores, (resamples, 1)), axis=1)
  spread = np.sum((draws @ member) ** 2 / sizes, axis=1)
  least = np.sum((scores @ member) ** 2 / sizes) * (1 - intervals.ROUNDING)
  return float((1 + np.count_nonzero(spread >= least)) / (1 + resamples))
