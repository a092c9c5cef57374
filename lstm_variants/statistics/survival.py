"""Sequences to success of runs some of which never succeed.

A run without success is right-censored: its number is larger than the one it
was trained on. Plain NumPy and SciPy on lists of numbers; knows nothing of
studies.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.special

from lstm_variants.statistics import intervals


class Curve(NamedTuple):
  """The Kaplan-Meier estimate S(t), the share of runs not solved by then.

  Every array is `[times]`. S is 1 before the first of them, steps at each
  that has successes, and is unknown beyond the last where S is above 0 there.

  Attributes:
    times: sequences at which a run succeeded or was censored, ascending.
    survival: S from there on.
    low: lower edge of its pointwise band.
    high: upper edge.
    first_low: lower edge before the first of the times, where the upper is 1.
    at_risk: runs still in training and unsolved just before.
    solved: of them succeeded there.
    censored: of them ended there unsolved.
  """

  times: np.ndarray
  survival: np.ndarray
  low: np.ndarray
  high: np.ndarray
  first_low: float
  at_risk: np.ndarray
  solved: np.ndarray
  censored: np.ndarray


def kaplan_meier(
  sequences: npt.ArrayLike,
  solved: npt.ArrayLike,
  *,
  confidence: float = intervals.CONFIDENCE,
) -> Curve:
  """Estimate the share of runs not yet solved after t training sequences.

    S(t) = Π (1 - d/n)

  over the times up to t at which d of the n runs at risk succeed. The band is
  the beta product: as if S fell at each such time by a factor drawn from
  Beta(n - d + 1, d), the upper edge is a quantile of the product of those up to
  t, the lower one of that product and one more, Beta(m, 1), m the runs still at
  risk after t (0: the edge is 0). The products are taken as Beta distributions
  of their first two moments. Without censoring before t the edges are Clopper
  and Pearson's, so the band covers at least as often as it says, at every t and
  for every number of runs; with it, too, in all that its authors and we
  simulated. The usual band, Greenwood's on log(-log S), begins as [1, 1] before
  the first success and holds the true share there never.

  Args:
    sequences: to success of a solved run, trained on of another.
    solved: whether the run met the criterion, in the order of `sequences`.
    confidence: of the band at each point, two-sided.

  Returns:
    The curve; without runs it has no points.

  Raises:
    ValueError: a number of sequences is NaN, or there are not as many `solved`.

  Reference:
    Kaplan & Meier, JASA 53(282), 1958; the band: Fay, Brittain & Proschan,
    Biostatistics 14(4), 2013; Clopper & Pearson, Biometrika 26(4), 1934.
  """
  times, success = checked(sequences, solved)
  points, index = np.unique(times, return_inverse=True)
  runs = np.bincount(index, minlength=points.size)
  died = np.bincount(index, weights=success, minlength=points.size)
  at_risk = times.size - np.cumsum(runs) + runs
  # Not by SciPy: importing its statistics takes longer than the rest of it.
  estimate = np.cumprod((at_risk - died) / at_risk)
  if success.all():  # then it is a plain share, with no error of a product
    estimate = 1 - np.cumsum(died) / times.size
  died = died.astype(int)
  first_low, low, high = _band(at_risk, died, at_risk - runs, confidence)
  return Curve(
    points, estimate, low, high, first_low, at_risk, died, runs - died
  )


def _band(
  at_risk: np.ndarray, died: np.ndarray, after: np.ndarray, confidence: float
) -> tuple[float, np.ndarray, np.ndarray]:
  """Return the edges of the band: the lower before the first time, and both.

  Args:
    at_risk: runs at risk just before each time, `[times]`.
    died: successes at each.
    after: runs at risk after each.
    confidence: of the band at each point.
  """
  tail = (1 - confidence) / 2
  # Of Beta(n - d + 1, d), mean and mean square.
  mean = np.cumprod((at_risk - died + 1) / (at_risk + 1))
  square = (at_risk - died + 1) * (at_risk - died + 2)
  square = np.cumprod(square / ((at_risk + 1) * (at_risk + 2)))
  high = _quantile(mean, square, 1 - tail)
  low = _quantile(
    mean * after / (after + 1), square * after / (after + 2), tail
  )
  first_low = tail ** (1 / at_risk[0]) if at_risk.size else 0.0
  return float(first_low), low, high


def _quantile(mean: np.ndarray, square: np.ndarray, level: float) -> np.ndarray:
  """Return that of a Beta distribution with this mean and mean square.

  Without a spread it is the mean: 1 before any success, 0 after all runs.
  """
  variance = square - mean**2
  spread = variance > 0
  size = mean * (1 - mean) / np.where(spread, variance, 1) - 1
  a, b = (
    np.where(spread, mean * size, 1),
    np.where(spread, (1 - mean) * size, 1),
  )
  return np.where(spread, scipy.special.betaincinv(a, b, level), mean)


def median_to_success(
  sequences: npt.ArrayLike,
  solved: npt.ArrayLike,
  *,
  confidence: float = intervals.CONFIDENCE,
) -> intervals.Interval:
  """Estimate the median number of sequences to success, with censored runs.

  The median is the first point at which the curve of `kaplan_meier` is at most
  1/2. Its interval are the points at which S = 1/2 is not rejected by the
  curve's band: low is where the lower edge of the band first is at most 1/2,
  high where the upper edge first is. Without censoring that is the sign test's
  interval between two of the runs, which covers more often than it says as runs
  are whole: 95 % is 97 % of six runs, 98 % of ten, 96 % of twenty.

  With five runs or fewer no upper end has a confidence of 95 %: it is inf, and
  the lower end takes all the doubt. Of five that is the first success, in 97 %
  below the median; of four or fewer it would be in 94 % or fewer, and there is
  no interval.

  Args:
    sequences: to success of a solved run, trained on of another.
    solved: whether the run met the criterion, in the order of `sequences`.
    confidence: of the interval, two-sided.

  Returns:
    The median and its bounds; inf where the curve or its band stays above 1/2;
    bounds NaN where runs are too few for any. No runs: all NaN.

  Raises:
    ValueError: as `kaplan_meier`.

  Reference:
    Brookmeyer & Crowley, Biometrics 38(1), 1982; Fay, Brittain & Proschan,
    Biostatistics 14(4), 2013.
  """
  curve = kaplan_meier(sequences, solved, confidence=confidence)
  if not curve.times.size:
    return intervals.UNKNOWN
  median = _first_half(curve.times, curve.survival)
  if curve.first_low > 0.5:
    low, high = (
      _first_half(curve.times, edge) for edge in (curve.low, curve.high)
    )
    return intervals.Interval(median, low, high)
  one_sided = 2 * confidence - 1
  curve = kaplan_meier(sequences, solved, confidence=one_sided)
  if curve.first_low <= 0.5:
    return intervals.Interval(median, math.nan, math.nan)
  return intervals.Interval(
    median, _first_half(curve.times, curve.low), math.inf
  )


def restricted_mean(
  sequences: npt.ArrayLike,
  solved: npt.ArrayLike,
  limit: float,
  *,
  confidence: float = intervals.CONFIDENCE,
) -> intervals.Interval:
  """Estimate the mean number of sequences spent on a run, `limit` at most.

  It is E[min(T, limit)] = ∫ S(t) dt from 0 to `limit`: what a run costs that is
  stopped at success and given up at `limit`. Unlike a median it exists however
  few runs are solved. Its bounds are the areas below the edges of the band of
  `kaplan_meier`. Simulated for exponential, log-normal and two-valued times and
  two to twenty runs they cover 98 % of the time or more in place of 95 %, and
  are as wide as Student's where one run in five is given up; those cover 71 to
  95 % of the time. Nothing is assumed but that values lie between 0 and
  `limit`, so it is an interval for the mean of any such numbers, as shares of
  wrong answers (`limit` 1, all solved).

  Args:
    sequences: to success of a solved run, trained on of another.
    solved: whether the run met the criterion, in the order of `sequences`.
    limit: the same for all groups that are compared.
    confidence: of the interval, two-sided.

  Returns:
    The mean and its bounds. No runs, or a curve that ends above 0 before
    `limit`: all NaN. One run: bounds NaN.

  Raises:
    ValueError: as `kaplan_meier`, or `limit` is not above 0 and finite.

  Reference:
    Kaplan & Meier, JASA 53(282), 1958, section 6; Royston & Parmar, BMC Medical
    Research Methodology 13:152, 2013.
  """
  if not 0 < limit < math.inf:
    raise ValueError(f'limit={limit}: must be above 0 and finite')
  curve = kaplan_meier(sequences, solved, confidence=confidence)
  if not curve.times.size or (curve.times[-1] < limit and curve.survival[-1]):
    return intervals.UNKNOWN
  inside = curve.times < limit
  steps = np.diff(np.concatenate(([0.0], curve.times[inside], [limit])))
  mean, low, high = (
    float(steps @ np.concatenate(([first], edge[inside])))
    for first, edge in (
      (1.0, curve.survival),
      (curve.first_low, curve.low),
      (1.0, curve.high),
    )
  )
  if curve.at_risk[0] == 1:
    return intervals.Interval(mean, math.nan, math.nan)
  return intervals.Interval(mean, low, high)


def checked(
  sequences: npt.ArrayLike, solved: npt.ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
  """Return runs as arrays, or raise the errors of `kaplan_meier`."""
  times, success = np.asarray(sequences, float), np.asarray(solved, bool)
  if times.shape != success.shape:
    raise ValueError(
      f'{success.size} solved of {times.size} runs: must be one for each run'
    )
  if np.isnan(times).any():
    raise ValueError(
      'sequences=nan: must be a number; of an unsolved run what it was trained '
      'on'
    )
  return times, success


def _first_half(points: np.ndarray, edge: np.ndarray) -> float:
  """Return the first point at which `edge` is at most 1/2, else inf."""
  reached = edge <= 0.5 + intervals.ROUNDING
  return float(points[np.argmax(reached)]) if reached.any() else math.inf
