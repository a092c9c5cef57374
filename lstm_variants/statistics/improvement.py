"""How likely a run is better than one of the baseline's, censored or not.

Plain NumPy and SciPy on lists of numbers; knows nothing of studies.
"""

from collections.abc import Callable
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.special

from lstm_variants.statistics import intervals

# Runs up to this many are divided in every way.
_DIVIDED = 200


class Pair(NamedTuple):
  """Runs and the baseline's, smaller values better.

  Attributes:
    sample: one number per run; inf is worse than any other.
    baseline: the same of the runs to compare with.
    solved: which of `sample` are exact, None for all. A run that is not is
      censored: its true number is larger.
    baseline_solved: the same of `baseline`.
  """

  sample: npt.ArrayLike
  baseline: npt.ArrayLike
  solved: npt.ArrayLike | None = None
  baseline_solved: npt.ArrayLike | None = None


class Improvement(NamedTuple):
  """How likely a run is better than one of the baseline's, and the test."""

  probability: intervals.Interval
  p_value: float


def probability_of_improvement(
  runs: Pair, *, confidence: float = intervals.CONFIDENCE
) -> Improvement:
  """Estimate how likely a run is better (smaller) than one of the baseline's.

    P = P(X < Y) + P(X = Y) / 2 = U / (n m)

  X is a run of the sample, Y one of the baseline, U Mann and Whitney's. A
  censored run is worse than any success up to where it is censored; against a
  later success, or another censored run, nothing is known, and the pair counts
  as equal (Gehan's scores). So with one budget for all runs P is the
  probability of success at fewer sequences, two failures being a draw; with
  unequal budgets it is pulled towards 1/2.

  The bounds are Newcombe's, the θ at which

    |P - θ| = t √V(θ),   V(θ) = θ (1 - θ) / (n m)
      (1 + ((n + m) / 2 - 1) ((1 - θ) / (2 - θ) + θ / (1 + θ))),

  with t of n + m - 2 degrees of freedom for his normal quantile. Simulated
  (normal, exponential and censored values, P from 0.5 to 0.97, two to twenty
  runs a side) they cover 93 % of the time or more instead of 95 %; they are
  wider than need be with five runs or fewer, where P is one of a few values.

  The test: if it makes no difference which side a run belongs to, all ways to
  divide the runs are equally likely. With up to 200 runs all of them are
  counted, ties and censoring included; of more the normal approximation with
  the variance of these ways is taken. It tests whether the distributions are
  equal, and needs equal budgets on both sides.

  Args:
    runs: of both sides.
    confidence: of the interval, two-sided.

  Returns:
    P and the two-sided p value. A side without runs or any NaN: all NaN. A side
    with one run: bounds NaN.

  Raises:
    ValueError: there are not as many `solved` as runs.

  Reference:
    Mann & Whitney, Annals of Mathematical Statistics 18(1), 1947; Gehan,
    Biometrika 52(1-2), 1965; Mantel, Biometrics 23(1), 1967; Agarwal et al.,
    NeurIPS 2021, arXiv:2108.13264; Newcombe, Statistics in Medicine 25(4),
    2006 (part 2, method 5).
  """
  order = _order(runs)
  if order is None:
    return Improvement(intervals.UNKNOWN, math.nan)
  wins = (1 + order.signs[: order.runs, order.runs :]) / 2
  return Improvement(_newcombe(wins, confidence), _exact(order))


class _Order(NamedTuple):
  """Which of two runs is better: 1 the row's, -1 the column's, 0 unknown.

  The first `runs` of them are the sample's.
  """

  signs: np.ndarray
  runs: int


def _order(runs: Pair) -> _Order | None:
  sides = [np.asarray(side, float) for side in (runs.sample, runs.baseline)]
  solved = [
    np.ones(side.shape, bool) if flags is None else np.asarray(flags, bool)
    for side, flags in zip(
      sides, (runs.solved, runs.baseline_solved), strict=True
    )
  ]
  for side, flags in zip(sides, solved, strict=True):
    if side.shape != flags.shape:
      raise ValueError(
        f'{flags.size} solved of {side.size} runs: must be one for each run'
      )
  times, exact = np.concatenate(sides), np.concatenate(solved)
  if not all(side.size for side in sides) or np.isnan(times).any():
    return None
  earlier = times[:, np.newaxis] < times
  # At one number a success is earlier than one that is yet to come.
  earlier |= (times[:, np.newaxis] == times) & ~exact
  better = (exact[:, np.newaxis] & earlier).astype(int)
  return _Order(better - better.T, sides[0].size)


def _newcombe(wins: np.ndarray, confidence: float) -> intervals.Interval:
  """Return the mean of `wins`, and the bounds about it."""
  estimate, (runs, others) = float(np.mean(wins)), wins.shape
  if min(runs, others) == 1:
    return intervals.Interval(estimate, math.nan, math.nan)
  t = scipy.special.stdtrit(runs + others - 2, (1 + confidence) / 2)

  def excess(theta: float) -> float:
    shape = (1 - theta) / (2 - theta) + theta / (1 + theta)
    variance = theta * (1 - theta) / (runs * others)
    variance *= 1 + ((runs + others) / 2 - 1) * shape
    return abs(estimate - theta) - t * math.sqrt(variance)

  tiny = 1e-12  # V is 0 at the ends, where P may lie
  low = high = estimate
  if estimate > 0:
    low = _root(excess, 0, estimate - tiny)
  if estimate < 1:
    high = _root(excess, estimate + tiny, 1)
  return intervals.Interval(estimate, low, high)


def _root(of: Callable[[float], float], low: float, high: float) -> float:
  return float(scipy.optimize.root_scalar(of, bracket=(low, high)).root)


def _exact(order: _Order) -> float:
  """Return the p value over all ways to divide the runs."""
  scores, count = np.sum(order.signs, axis=1), order.runs
  if scores.size > _DIVIDED:
    return _normal(scores, count)
  shifted = scores - scores.min()
  width = int(np.sort(shifted)[-count:].sum()) + 1
  # ways[k, s]: to choose k runs whose shifted scores sum to s.
  ways = np.zeros((count + 1, width))
  ways[0, 0] = 1
  for score in shifted:
    ways[1:, score:] += ways[:-1, : width - score]
  sums = np.arange(width) + count * scores.min()
  far = np.abs(sums) >= abs(np.sum(scores[:count]))
  return float(np.sum(ways[count, far]) / np.sum(ways[count]))


def _normal(scores: np.ndarray, count: int) -> float:
  """Return the p value by the normal approximation."""
  pairs = count * (scores.size - count)
  variance = pairs * np.sum(scores**2) / (scores.size * (scores.size - 1))
  if not variance:
    return 1.0
  total = abs(np.sum(scores[:count]))
  return float(2 * scipy.special.ndtr(-total / math.sqrt(variance)))
