"""Statistics of a few runs: intervals, censored medians, tests.

Plain NumPy and SciPy on lists of numbers; knows nothing of studies.
"""

import math
from typing import NamedTuple
import warnings

import numpy as np
import numpy.typing as npt
import scipy.stats

CONFIDENCE = 0.95
_RESAMPLES = 9999
# Relative spread below which values are one value with rounding errors.
_ROUNDING = 1e-12


class Interval(NamedTuple):
  """An estimate with its confidence interval.

  NaN where nothing can be said, inf where a censored sample does not reach it.
  """

  estimate: float
  low: float
  high: float


def mean_interval(
  values: npt.ArrayLike,
  *,
  confidence: float = CONFIDENCE,
  resamples: int = _RESAMPLES,
  seed: int = 0,
) -> Interval:
  """Estimate a mean with its bias-corrected and accelerated bootstrap interval.

  Args:
    values: finite numbers, one per run.
    confidence: of the interval, two-sided.
    resamples: number of bootstrap samples.
    seed: of the resampling; equal inputs give equal intervals.

  Returns:
    The mean and its bounds. No values: all NaN. One value: bounds NaN, as it
    says nothing about the spread. Equal values: all three equal.

  Reference:
    Efron, Annals of Statistics 7(1), 1979; BCa: Efron, JASA 82(397), 1987.
  """
  array = np.asarray(values, float)
  if not array.size:
    return Interval(math.nan, math.nan, math.nan)
  mean = float(np.mean(array))
  if array.size == 1:
    return Interval(mean, math.nan, math.nan)
  if _is_constant(array):
    return Interval(mean, mean, mean)
  result = scipy.stats.bootstrap(
    (array,),
    np.mean,
    n_resamples=resamples,
    confidence_level=confidence,
    method='BCa',
    rng=np.random.default_rng(seed),
  )
  interval = result.confidence_interval
  return Interval(mean, float(interval.low), float(interval.high))


def median_to_success(
  sequences: npt.ArrayLike,
  solved: npt.ArrayLike,
  *,
  confidence: float = CONFIDENCE,
) -> Interval:
  """Estimate the median number of sequences to success, with censored runs.

  A run without success is right-censored: its number is larger than the one it
  was trained on. The median is the first point at which the Kaplan-Meier
  survival curve S is at most 1/2. Its interval are the points at which
  S = 1/2 is not rejected, by the pointwise band of log(-log S): low is where
  the lower edge of the band first reaches 1/2, high where the upper edge does.

  The band does not exist at S = 1 and S = 0, where it is completed thus:
  before the first success it is [1, 1], so no interval begins before the first
  success; where all n runs at risk succeed together (S = 0) the lower edge is
  0 and the upper edge the exact binomial limit 1 - (alpha/2)^(1/n) of n out of
  n, if that is below the previous edge. Without ties n is 1 there and the limit
  is 1 - alpha/2: the edge stays above 1/2, as is usual.

  Args:
    sequences: to success of a solved run, trained on of another.
    solved: whether the run met the criterion, in the order of `sequences`.
    confidence: of the interval, two-sided.

  Returns:
    The median and its bounds; inf where the curve or its band stays above 1/2,
    as with fewer than six runs the upper bound always does.

  Reference:
    Kaplan & Meier, JASA 53(282), 1958; Brookmeyer & Crowley, Biometrics 38(1),
    1982; the band: Kalbfleisch & Prentice, 1980; the limit: Clopper & Pearson,
    Biometrika 26(4), 1934.
  """
  times, success = np.asarray(sequences, float), np.asarray(solved, bool)
  if not success.any():
    return Interval(math.inf, math.inf, math.inf)
  survival = scipy.stats.ecdf(
    scipy.stats.CensoredData(times[success], right=times[~success])
  ).sf
  with warnings.catch_warnings():
    # The band is undefined at 0 and 1; both are completed below.
    warnings.simplefilter('ignore', RuntimeWarning)
    band = survival.confidence_interval(confidence, method='log-log')
  curve, points = survival.probabilities, survival.quantiles
  low = np.where(curve == 1, 1, np.nan_to_num(band.low.probabilities, nan=0))
  high = np.nan_to_num(band.high.probabilities, nan=1)
  last = np.count_nonzero(times >= points[-1])
  if curve[-1] == 0:
    high[-1] = 1 - ((1 - confidence) / 2) ** (1 / last)
  return Interval(*(_first_half(points, edge) for edge in (curve, low, high)))


def welch(sample: npt.ArrayLike, baseline: npt.ArrayLike) -> float:
  """Test whether two means differ, without assuming equal variances.

  Args:
    sample: finite numbers, one per run.
    baseline: the same of the runs to compare with.

  Returns:
    The two-sided p value; NaN when either side has fewer than two values or
    neither has any spread.

  Reference:
    Welch, Biometrika 34(1-2), 1947.
  """
  sides = [np.asarray(side, float) for side in (sample, baseline)]
  if min(side.size for side in sides) < 2:
    return math.nan
  deviations = [
    0.0 if _is_constant(side) else float(np.std(side, ddof=1)) for side in sides
  ]
  if not any(deviations):
    return math.nan
  # From moments: on one constant side SciPy's ttest_ind warns of cancellation.
  result = scipy.stats.ttest_ind_from_stats(
    *(float(np.mean(sides[0])), deviations[0], sides[0].size),
    *(float(np.mean(sides[1])), deviations[1], sides[1].size),
    equal_var=False,
  )
  return float(result.pvalue)


def holm(p_values: npt.ArrayLike) -> list[float]:
  """Adjust p values for their number, step-down.

  Of m values in increasing order the k-th is multiplied by m - k + 1, then
  raised to the largest before it, and capped at 1.

  Args:
    p_values: of one family; NaN is no comparison: not counted, left NaN.

  Returns:
    The adjusted values, in the order given.

  Reference:
    Holm, Scandinavian Journal of Statistics 6(2), 1979.
  """
  p = np.asarray(p_values, float)
  order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
  factors = np.arange(order.size, 0, -1)
  adjusted = np.full(p.shape, math.nan)
  adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
  return adjusted.tolist()


def _is_constant(values: np.ndarray) -> bool:
  return bool(np.ptp(values) <= _ROUNDING * np.max(np.abs(values)))


def _first_half(points: np.ndarray, edge: np.ndarray) -> float:
  """Return the first point at which `edge` is at most 1/2, else inf."""
  reached = edge <= 0.5 + _ROUNDING
  return float(points[np.argmax(reached)]) if reached.any() else math.inf
