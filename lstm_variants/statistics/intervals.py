"""Statistics of a few runs: intervals, differences of means, Holm.

Plain NumPy and SciPy on lists of numbers; knows nothing of studies.
"""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple
import warnings

import numpy as np
import numpy.typing as npt
import scipy.stats

CONFIDENCE = 0.95
RESAMPLES = 9999
# Relative spread below which values are one value with rounding errors.
ROUNDING = 1e-12


class Interval(NamedTuple):
  """An estimate with its confidence interval.

  NaN where nothing can be said, inf where a censored sample does not reach it.
  """

  estimate: float
  low: float
  high: float


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def bootstrap_interval(
  values: npt.ArrayLike,
  statistic: Callable[..., Any] = np.mean,
  *,
  confidence: float = CONFIDENCE,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Interval:
  """Estimate a statistic with its bias-corrected, accelerated bootstrap range.

  Args:
    values: numbers, one per run.
    statistic: `statistic(values, axis=...)`, such as `np.median`.
    confidence: of the interval, two-sided.
    resamples: number of bootstrap samples.
    seed: of the resampling; equal inputs give equal intervals.

  Returns:
    The statistic and its bounds. No values: all NaN. One value, or one that is
    not finite: bounds NaN, as nothing is known of the spread. Equal values: all
    three equal. Where the correction does not exist, as for the largest value,
    the bounds are plain percentiles of the bootstrap samples.

  Reference:
    Efron, Annals of Statistics 7(1), 1979; BCa: Efron, JASA 82(397), 1987.
  """
  array = np.asarray(values, float)
  if not array.size:
    return UNKNOWN
  with np.errstate(invalid='ignore'):
    estimate = float(statistic(array, axis=-1))
  if array.size == 1 or not np.isfinite(array).all():
    return Interval(estimate, math.nan, math.nan)
  if is_constant(array):
    return Interval(estimate, estimate, estimate)
  with warnings.catch_warnings():
    # Says that the correction does not exist.
    warnings.simplefilter('ignore', RuntimeWarning)
    result = scipy.stats.bootstrap(
      (array,),
      statistic,
      n_resamples=resamples,
      confidence_level=confidence,
      method='BCa',
      rng=np.random.default_rng(seed),
    )
  bounds = [float(bound) for bound in result.confidence_interval]
  if not np.isfinite(bounds).all():
    bounds = percentiles(result.bootstrap_distribution, confidence)
  return Interval(estimate, *bounds)


def mean_interval(
  values: npt.ArrayLike,
  *,
  confidence: float = CONFIDENCE,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Interval:
  """Estimate a mean as `bootstrap_interval` does any statistic."""
  return bootstrap_interval(
    values, np.mean, confidence=confidence, resamples=resamples, seed=seed
  )


def interquartile_mean(values: npt.ArrayLike, axis: int = -1) -> np.ndarray:
  """Return the mean of the middle half of the values along an axis.

  Of n values the floor(n / 4) smallest and as many largest are left out, whole
  values, as `scipy.stats.trim_mean` and so rliable have it: where 4 does not
  divide n a little more than half is kept (of 5 values 3, of 3 all). The other
  definition gives the outermost values kept a weight below one; this one makes
  numbers comparable with those published.

  An infinite value is an extreme like any other: with at most a quarter of the
  runs at inf the mean is finite. No values or any NaN: NaN.

  Reference:
    Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", NeurIPS 2021, arXiv:2108.13264.
  """
  ordered = np.moveaxis(np.sort(np.asarray(values, float), axis=axis), axis, -1)
  count = ordered.shape[-1]
  if not count:
    return np.full(ordered.shape[:-1], math.nan)
  middle = ordered[..., count // 4 : count - count // 4]
  with np.errstate(invalid='ignore'):
    mean = np.mean(middle, axis=-1)
  # NaN are sorted to the end, where they would be left out.
  return np.where(np.isnan(ordered[..., -1]), math.nan, mean)


def interquartile_interval(
  tasks: Sequence[npt.ArrayLike],
  *,
  confidence: float = CONFIDENCE,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Interval:
  """Estimate the interquartile mean of the runs of one task or of several.

  The runs of all tasks are pooled, then trimmed; a bootstrap sample draws the
  runs of each task from that task (stratified), and the bounds are percentiles
  of such samples, as in the paper. They are too narrow with few runs: of normal
  values the 95 % bounds cover 90 % of the time with five, 93 to 95 % with ten.

  Args:
    tasks: for each task its values, one per run. Values of several tasks must
      share a scale (a share of a baseline, say), and a task counts by its
      number of runs.
    confidence: of the interval, two-sided.
    resamples: number of bootstrap samples.
    seed: of the resampling; equal inputs give equal intervals.

  Returns:
    The mean and its bounds. No task, a task without values or any NaN: all
    NaN. A task with one value: bounds NaN. Bounds may be inf where values are.

  Reference:
    Agarwal et al., NeurIPS 2021, arXiv:2108.13264.
  """
  strata = [np.asarray(task, float) for task in tasks]
  if not strata or not all(stratum.size for stratum in strata):
    return UNKNOWN
  pooled = np.concatenate(strata)
  if np.isnan(pooled).any():
    return UNKNOWN
  estimate = float(interquartile_mean(pooled))
  if min(stratum.size for stratum in strata) == 1:
    return Interval(estimate, math.nan, math.nan)
  rng = np.random.default_rng(seed)
  draws = [rng.choice(stratum, (resamples, stratum.size)) for stratum in strata]
  means = interquartile_mean(np.concatenate(draws, axis=1))
  return Interval(estimate, *percentiles(means, confidence))


def percentiles(draws: np.ndarray, confidence: float) -> list[float]:
  """Return the two values between which the share `confidence` of draws lies.

  Both are draws themselves, so that they exist where some draws are infinite.
  """
  tail = (1 - confidence) / 2
  bounds = np.quantile(draws, (tail, 1 - tail), method='inverted_cdf')
  return [float(bound) for bound in bounds]


def welch(sample: npt.ArrayLike, baseline: npt.ArrayLike) -> float:
  """Test whether two means differ, without assuming equal variances.

  Args:
    sample: finite numbers, one per run.
    baseline: the same of the runs to compare with.

  Returns:
    The two-sided p value; NaN when either side has fewer than two values or
    one that is not finite, or neither has any spread.

  Reference:
    Welch, Biometrika 34(1-2), 1947.
  """
  sides = [np.asarray(side, float) for side in (sample, baseline)]
  if not all(side.size > 1 and np.isfinite(side).all() for side in sides):
    return math.nan
  deviations = [
    0.0 if is_constant(side) else float(np.std(side, ddof=1)) for side in sides
  ]
  if not any(deviations):
    return math.nan
  # From moments: on one constant side SciPy's ttest_ind warns of cancellation.
  result = scipy.stats.ttest_ind_from_stats(
    float(np.mean(sides[0])),
    deviations[0],
    sides[0].size,
    float(np.mean(sides[1])),
    deviations[1],
    sides[1].size,
    equal_var=False,
  )
  return float(result.pvalue)


def hedges_g(sample: npt.ArrayLike, baseline: npt.ArrayLike) -> float:
  """Return the difference of two means in standard deviations of one run.

  Cohen's d is the difference over the pooled deviation s; with few runs it is
  too large on average, by a factor that Hedges' g takes away:

    d = (mean_x - mean_y) / s,   s^2 = ((n-1) s_x^2 + (m-1) s_y^2) / k
    g = J d,   J = Γ(k/2) / (√(k/2) Γ((k-1)/2)),   k = n + m - 2

  J is 0.90 for five runs a side. Unbiased for normal values of equal spread.

  Args:
    sample: finite numbers, one per run.
    baseline: the same of the runs to compare with.

  Returns:
    g, below 0 where the sample's mean is the smaller; NaN when either side has
    fewer than two values or one that is not finite, or neither has any spread.

  Reference:
    Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1969;
    Hedges, Journal of Educational Statistics 6(2), 1981.
  """
  x, y = np.asarray(sample, float), np.asarray(baseline, float)
  if not all(side.size > 1 and np.isfinite(side).all() for side in (x, y)):
    return math.nan
  if is_constant(x) and is_constant(y):
    return math.nan
  freedom = x.size + y.size - 2
  squares = np.sum((x - x.mean()) ** 2) + np.sum((y - y.mean()) ** 2)
  log_ratio = math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)
  correction = math.exp(log_ratio) / math.sqrt(freedom / 2)
  d = (x.mean() - y.mean()) / math.sqrt(squares / freedom)
  return float(correction * d)


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


def is_constant(values: np.ndarray) -> bool:
  """Return whether values differ by rounding errors at most."""
  return bool(np.ptp(values) <= ROUNDING * np.max(np.abs(values)))
