"""Sequences to success of runs some of which never succeed.

A run without success is right-censored: its number is larger than the one it
was trained on. Plain NumPy and SciPy on lists of numbers; knows nothing of
studies.
"""

import math
from typing import Any, NamedTuple
import warnings

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

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
    at_risk: runs still in training and unsolved just before.
    solved: of them succeeded there.
    censored: of them ended there unsolved.
  """

  times: np.ndarray
  survival: np.ndarray
  low: np.ndarray
  high: np.ndarray
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

    S(t) = Π (1 - d/n),  Var(ln S) = Σ d / (n (n - d))

  over the times up to t at which d of the n runs at risk succeed. The band is
  that of log(-log S), which stays within 0 to 1:

    S^exp(± z √Var(ln S) / ln S)

  It does not exist at S = 1 and S = 0, where it is completed thus: before the
  first success it is [1, 1], so no interval begins before the first success;
  where all n runs at risk succeed together (S = 0) the lower edge is 0 and the
  upper edge the exact binomial limit 1 - (alpha/2)^(1/n) of n out of n, if that
  is below the previous edge. Without ties n is 1 there and the limit is
  1 - alpha/2: the edge stays where it was, as is usual.

  Args:
    sequences: to success of a solved run, trained on of another.
    solved: whether the run met the criterion, in the order of `sequences`.
    confidence: of the band at each point, two-sided.

  Returns:
    The curve; without runs it has no points.

  Raises:
    ValueError: a number of sequences is NaN, or there are not as many `solved`.

  Reference:
    Kaplan & Meier, JASA 53(282), 1958; the variance: Greenwood, "The Errors of
    Sampling of the Survivorship Tables", 1926; the band: Kalbfleisch &
    Prentice, 1980; the limit: Clopper & Pearson, Biometrika 26(4), 1934.
  """
  times, success = checked(sequences, solved)
  points, index = np.unique(times, return_inverse=True)
  runs = np.bincount(index, minlength=points.size)
  died = np.bincount(index, weights=success, minlength=points.size)
  at_risk = times.size - np.cumsum(runs) + runs
  # Their order is all that counts, and SciPy refuses infinite times.
  ends = scipy.stats.CensoredData.right_censored(index, ~success)
  estimate = scipy.stats.ecdf(ends).sf
  low, high = _band(estimate, died, confidence)
  died = died.astype(int)
  return Curve(
    *(points, estimate.probabilities, low, high, at_risk, died, runs - died)
  )


def _band(
  estimate: Any, died: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
  """Return the edges of the band of a curve, completed at 1 and 0.

  Args:
    estimate: SciPy's of the survival function.
    died: successes at each of its points.
    confidence: of the band at each point.
  """
  with warnings.catch_warnings():
    # Says that the band does not exist at 1 and 0.
    warnings.simplefilter('ignore', RuntimeWarning)
    band = estimate.confidence_interval(confidence, method='log-log')
  curve = estimate.probabilities
  low = np.where(curve == 1, 1, band.low.probabilities)
  high = np.where(curve == 1, 1, band.high.probabilities)
  if curve.size and curve[-1] == 0:
    # From the last success on; nobody is left to be censored later.
    before = high[-2] if curve.size > 1 else 1.0
    low[-1] = 0
    limit = 1 - ((1 - confidence) / 2) ** (1 / died[-1])
    high[-1] = min(before, limit)
  return low, high


def median_to_success(
  sequences: npt.ArrayLike,
  solved: npt.ArrayLike,
  *,
  confidence: float = intervals.CONFIDENCE,
) -> intervals.Interval:
  """Estimate the median number of sequences to success, with censored runs.

  The median is the first point at which the curve of `kaplan_meier` is at most
  1/2. Its interval are the points at which S = 1/2 is not rejected by the
  curve's band: low is where the lower edge of the band first reaches 1/2, high
  where the upper edge does.

  Args:
    sequences: to success of a solved run, trained on of another.
    solved: whether the run met the criterion, in the order of `sequences`.
    confidence: of the interval, two-sided.

  Returns:
    The median and its bounds; inf where the curve or its band stays above 1/2,
    as with fewer than six runs the upper bound always does. No runs: all NaN.

  Raises:
    ValueError: as `kaplan_meier`.

  Reference:
    Brookmeyer & Crowley, Biometrics 38(1), 1982.
  """
  curve = kaplan_meier(sequences, solved, confidence=confidence)
  if not curve.times.size:
    return intervals.UNKNOWN
  edges = (curve.survival, curve.low, curve.high)
  return intervals.Interval(*(_first_half(curve.times, edge) for edge in edges))


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
  few runs are solved. Its variance is Greenwood's,

    n/(n - 1) Σ A(t)² d / (n_t (n_t - d)),   A(t) = ∫ S from t to `limit`,

  and its bounds are those of Student's t with n - 1 degrees of freedom within 0
  to `limit`, n the number of runs: without censoring before `limit` this is the
  usual interval of a mean.

  Args:
    sequences: to success of a solved run, trained on of another.
    solved: whether the run met the criterion, in the order of `sequences`.
    limit: the same for all groups that are compared.
    confidence: of the interval, two-sided.

  Returns:
    The mean and its bounds. No runs, or a curve that ends above 0 before
    `limit`: all NaN. One run: bounds NaN. No success up to `limit`: all three
    are `limit`.

  Raises:
    ValueError: as `kaplan_meier`, or `limit` is not above 0 and finite.

  Reference:
    Kaplan & Meier, JASA 53(282), 1958, section 6; Royston & Parmar, BMC Medical
    Research Methodology 13:152, 2013.
  """
  if not 0 < limit < math.inf:
    raise ValueError(f'limit={limit}: must be above 0 and finite')
  curve = kaplan_meier(sequences, solved)
  if not curve.times.size or (curve.times[-1] < limit and curve.survival[-1]):
    return intervals.UNKNOWN
  inside = curve.times < limit
  times = np.concatenate(([0.0], curve.times[inside], [limit]))
  areas = np.diff(times) * np.concatenate(([1.0], curve.survival[inside]))
  mean, runs = float(np.sum(areas)), curve.at_risk[0]
  if runs == 1:
    return intervals.Interval(mean, math.nan, math.nan)
  after = np.cumsum(areas[::-1])[::-1][1:]
  died, at_risk = curve.solved[inside], curve.at_risk[inside]
  # Where all runs at risk succeed nothing is left after, nor of the variance.
  terms = after**2 * died / (at_risk * np.maximum(at_risk - died, 1))
  error = math.sqrt(np.sum(terms) * runs / (runs - 1))
  width = error * float(scipy.special.stdtrit(runs - 1, (1 + confidence) / 2))
  return intervals.Interval(
    mean, max(mean - width, 0.0), min(mean + width, float(limit))
  )


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
