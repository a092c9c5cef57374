"""How likely a run is better than one of the baseline's, censored or not.

Plain NumPy and SciPy on lists of numbers; knows nothing of studies.
"""

from collections.abc import Callable, Sequence
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
  """Runs of a task and the baseline's, smaller values better.

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
  tasks: Sequence[Pair],
  *,
  confidence: float = intervals.CONFIDENCE,
  resamples: int = intervals.RESAMPLES,
  seed: int = 0,
) -> Improvement:
  """Estimate how likely a run is better (smaller) than one of the baseline's.

    P = P(X < Y) + P(X = Y) / 2 = U / (n m),   of several tasks: the mean

  X is a run of the sample, Y one of the baseline, U Mann and Whitney's. A
  censored run is worse than any success up to where it is censored; against a
  later success, or another censored run, nothing is known, and the pair counts
  as equal (Gehan's scores). So with one budget for all runs P is the
  probability of success at fewer sequences, two failures being a draw; with
  unequal budgets it is pulled towards 1/2.

  The bounds are percentiles of a bootstrap that draws the runs of each side of
  each task from that side. Where all draws agree, as for two sides that do not
  overlap, they are Newcombe's score bounds (of several tasks their means): the
  bootstrap would claim to be certain of what it saw on three runs.

  The test: if it makes no difference which side a run belongs to, all ways to
  divide the runs of a task are equally likely. Of one task with up to 200 runs
  all of them are counted, ties and censoring included; otherwise the normal
  approximation with the variance of these ways is taken. It tests whether the
  distributions are equal, and needs equal budgets on both sides.

  Args:
    tasks: for each task the runs of both sides.
    confidence: of the interval, two-sided.
    resamples: number of bootstrap samples.
    seed: of the resampling; equal inputs give equal intervals.

  Returns:
    P and the two-sided p value. No task, a side without runs or any NaN: all
    NaN. A side with one run: bounds NaN.

  Raises:
    ValueError: there are not as many `solved` as runs.

  Reference:
    Mann & Whitney, Annals of Mathematical Statistics 18(1), 1947; Gehan,
    Biometrika 52(1-2), 1965; Mantel, Biometrics 23(1), 1967; Agarwal et al.,
    NeurIPS 2021, arXiv:2108.13264; Newcombe, Statistics in Medicine 25(4),
    2006 (part 2, method 5).
  """
  orders = [_order(task) for task in tasks]
  if not orders or any(order is None for order in orders):
    return Improvement(intervals.UNKNOWN, math.nan)
  known = [order for order in orders if order is not None]
  wins = [(1 + order.signs[: order.runs, order.runs :]) / 2 for order in known]
  estimates = [float(np.mean(win)) for win in wins]
  estimate = float(np.mean(estimates))
  p_value = _exact(known[0]) if len(known) == 1 else _normal(known)
  bounds = _bounds(wins, confidence, resamples, seed)
  return Improvement(intervals.Interval(estimate, *bounds), p_value)


def _bounds(
  wins: Sequence[np.ndarray], confidence: float, resamples: int, seed: int
) -> list[float]:
  """Return the bounds of P; NaN where a side has one run."""
  if min(min(win.shape) for win in wins) == 1:
    return [math.nan, math.nan]
  rng = np.random.default_rng(seed)
  draws = np.mean([_resample(rng, win, resamples) for win in wins], axis=0)
  if np.ptp(draws) <= intervals.ROUNDING:
    bounds = np.mean([_newcombe(win, confidence) for win in wins], axis=0)
  else:
    bounds = intervals.percentiles(draws, confidence)
  return [float(bound) for bound in bounds]


class _Order(NamedTuple):
  """Which of two runs is better: 1 the row's, -1 the column's, 0 unknown.

  The first `runs` of them are the sample's.
  """

  signs: np.ndarray
  runs: int


def _order(task: Pair) -> _Order | None:
  sides = [np.asarray(side, float) for side in (task.sample, task.baseline)]
  solved = [
    np.ones(side.shape, bool) if flags is None else np.asarray(flags, bool)
    for side, flags in zip(
      sides, (task.solved, task.baseline_solved), strict=True
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


def _resample(
  rng: np.random.Generator, wins: np.ndarray, resamples: int
) -> np.ndarray:
  """Return the mean of `wins` for rows and columns drawn with replacement."""
  rows, columns = (
    rng.multinomial(size, np.full(size, 1 / size), resamples) / size
    for size in wins.shape
  )
  return np.sum(rows @ wins * columns, axis=1)


def _newcombe(wins: np.ndarray, confidence: float) -> list[float]:
  """Return the θ with |P - θ| = z √V(θ), V for exponential distributions."""
  estimate, (runs, others) = float(np.mean(wins)), wins.shape
  z = scipy.special.ndtri((1 + confidence) / 2)

  def excess(theta: float) -> float:
    shape = (1 - theta) / (2 - theta) + theta / (1 + theta)
    variance = theta * (1 - theta) / (runs * others)
    variance *= 1 + ((runs + others) / 2 - 1) * shape
    return abs(estimate - theta) - z * math.sqrt(variance)

  tiny = 1e-12  # V is 0 at the ends, where P may lie
  low = high = estimate
  if estimate > 0:
    low = _root(excess, 0, estimate - tiny)
  if estimate < 1:
    high = _root(excess, estimate + tiny, 1)
  return [low, high]


def _root(of: Callable[[float], float], low: float, high: float) -> float:
  return float(scipy.optimize.root_scalar(of, bracket=(low, high)).root)


def _exact(order: _Order) -> float:
  """Return the p value over all ways to divide the runs."""
  scores, count = np.sum(order.signs, axis=1), order.runs
  if scores.size > _DIVIDED:
    return _normal([order])
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


def _normal(orders: Sequence[_Order]) -> float:
  """Return the p value by the normal approximation, over all tasks."""
  total = variance = 0.0
  for signs, count in orders:
    scores, others = np.sum(signs, axis=1), len(signs) - count
    pairs = count * others
    total += np.sum(scores[:count]) / pairs
    squares = np.sum(scores**2) / (len(signs) * (len(signs) - 1))
    variance += squares / pairs
  if not variance:
    return 1.0
  return float(2 * scipy.special.ndtr(-abs(total) / math.sqrt(variance)))
