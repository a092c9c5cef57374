"""Statistics of a few runs: intervals, differences of means, Holm.

Plain NumPy and SciPy on lists of numbers; knows nothing of studies.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.special

CONFIDENCE = 0.95
# Of the interval that shows equality at the level 0.05, see `equivalent`.
TOST = 0.9
# Up to here a side is few runs, see `welch_freedom`.
_FEW = 3
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


def mean_interval(
  values: npt.ArrayLike, *, confidence: float = CONFIDENCE
) -> Interval:
  """Estimate a mean with Student's interval.

    mean ± t(n - 1, (1 + confidence) / 2) s / √n

  It holds for values that are about normal, from two on: simulated it covers
  as often as it says. For values that lie orders of magnitude apart it does not
  (log-normal with σ = 1: 81 % with five, 86 % with twenty, instead of 95 %):
  for losses take `geometric_interval`.

  Args:
    values: numbers, one per run.
    confidence: of the interval, two-sided.

  Returns:
    The mean and its bounds. No values: all NaN. One value, one that is not
    finite, or values that are all equal: bounds NaN, as such runs tell nothing
    of the spread.

  Reference:
    Student, Biometrika 6(1), 1908.
  """
  array = np.asarray(values, float)
  if not array.size:
    return UNKNOWN
  with np.errstate(invalid='ignore'):
    estimate = float(np.mean(array))
  if array.size == 1 or not np.isfinite(array).all() or is_constant(array):
    return Interval(estimate, math.nan, math.nan)
  error = float(np.std(array, ddof=1)) / math.sqrt(array.size)
  return student(estimate, error, array.size - 1, confidence)


def geometric_interval(
  values: npt.ArrayLike, *, confidence: float = CONFIDENCE
) -> Interval:
  """Estimate a geometric mean with Student's interval on logarithms.

    exp(m ± t(n - 1, (1 + confidence) / 2) s / √n),  m, s of ln x

  For losses, whose spread is a factor rather than a difference: exact for
  log-normal values at every number of runs from two on, and within simulated
  error of that for normal ones well above zero. For log-normal values the
  geometric mean is the median.

  Args:
    values: not below zero, one per run.
    confidence: of the interval, two-sided.

  Returns:
    The geometric mean and its bounds. No values, or one below zero or NaN: all
    NaN. A value of zero makes the mean zero, and says nothing of how far below
    the others it lies: bounds NaN; as with one value, an infinite one, or
    values that are all equal.
  """
  array = np.asarray(values, float)
  if not array.size or not np.all(array >= 0):
    return UNKNOWN
  if not array.all():
    estimate = 0.0 if np.isfinite(array).all() else math.nan
    return Interval(estimate, math.nan, math.nan)
  if np.isfinite(array).all() and is_constant(array):
    return Interval(float(array[0]), math.nan, math.nan)
  return exponential(mean_interval(np.log(array), confidence=confidence))


def share_interval(
  values: npt.ArrayLike, *, confidence: float = CONFIDENCE
) -> Interval:
  """Estimate a typical share with Student's interval on its angle.

    sin²(m ± t(n - 1, (1 + confidence) / 2) s / √n),  m, s of arcsin √x

  For shares of each run, as of wrong answers: some near 0, some at it. The
  angle makes their spread about the same everywhere. Simulated, bounds of 95 %
  cover 91 to 95 % of the time where shares are skewed (Student's of the mean 82
  to 93 %), 95 % where they are not.

  Args:
    values: from 0 to 1, one per run.
    confidence: of the interval, two-sided.

  Returns:
    The share that belongs to the mean angle, which lies a little nearer to the
    ends than the mean, and its bounds; those are NaN as in `mean_interval`. No
    values, or one outside of 0 to 1 or NaN: all NaN.

  Reference:
    Freeman & Tukey, Annals of Mathematical Statistics 21(4), 1950.
  """
  array = np.asarray(values, float)
  if not array.size or not np.all((array >= 0) & (array <= 1)):
    return UNKNOWN
  if is_constant(array):
    return Interval(float(array[0]), math.nan, math.nan)
  angle = mean_interval(np.arcsin(np.sqrt(array)), confidence=confidence)
  inside = np.clip(angle, 0, math.pi / 2)
  return Interval(*(float(share) for share in np.sin(inside) ** 2))


def student(
  estimate: float, error: float, freedom: float, confidence: float
) -> Interval:
  """Return the interval of an estimate of known standard error by Student's t.

  Args:
    estimate: of a mean or a difference of means.
    error: its estimated standard error.
    freedom: degrees of freedom of that error.
    confidence: of the interval, two-sided.
  """
  width = error * float(scipy.special.stdtrit(freedom, (1 + confidence) / 2))
  return Interval(estimate, estimate - width, estimate + width)


def exponential(interval: Interval) -> Interval:
  """Return an interval of logarithms as one of the values."""
  with np.errstate(over='ignore'):
    return Interval(*(float(value) for value in np.exp(interval)))


def equivalent(interval: Interval, margin: float) -> bool:
  """Return whether an interval of a ratio lies within a margin about 1.

    1 / margin <= low and high <= margin

  That the interval holds 1 shows no equality: a wide one always does. To test
  at the level α that two sides differ by less than the margin is to ask this of
  the interval of confidence 1 - 2α: both one-sided tests reject (TOST). So give
  an interval of confidence 0.9 (`TOST`) for a test at 0.05; one of 0.95 is the
  test at 0.025.

  Args:
    interval: of a ratio, or of a number divided by one that was published.
    margin: the largest ratio that counts as equal, stated beforehand.

  Returns:
    Whether both bounds are known and within the margin.

  Raises:
    ValueError: the margin is not above 1.

  Reference:
    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15(6), 1987.
  """
  if not margin > 1:
    raise ValueError(f'margin={margin}: must be above 1')
  return 1 / margin <= interval.low and interval.high <= margin


def interquartile_interval(
  values: npt.ArrayLike, *, confidence: float = CONFIDENCE
) -> Interval:
  """Estimate the interquartile mean of logarithms, as a value.

  Of n values the g = floor(n / 4) smallest and as many largest are left out,
  whole values as in rliable; h = n - 2g stay. With the logarithms of those left
  out moved to the nearest that stays, and their squares S about their mean:

    exp(m ± t(h - 1, (1 + confidence) / 2) √(S / (h (h - 1))))

  m the mean of the logarithms that stay. One run in four may be anything, inf
  or zero, and neither m nor its bounds notice. Below four runs this is
  `geometric_interval`. Simulated, bounds of 95 % cover 94 % of the time, of
  normal and of log-normal values alike. On the values themselves, as rliable
  averages them, they would cover 92 % of log-normal ones.

  Args:
    values: not below zero, one per run; inf of a run that diverged.
    confidence: of the interval, two-sided.

  Returns:
    The mean and its bounds; bounds NaN where those that stay are one value,
    or not all finite and above zero. No values, or one below zero or NaN: all
    NaN.

  Reference:
    Tukey & McLaughlin, Sankhya A 25(3), 1963; Yuen, Biometrika 61(1), 1974;
    the mean: Agarwal et al., NeurIPS 2021, arXiv:2108.13264.
  """
  array = np.asarray(values, float)
  if not array.size or not np.all(array >= 0):
    return UNKNOWN
  with np.errstate(divide='ignore'):
    logs = np.sort(np.log(array))
  out = array.size // 4
  middle = logs[out : array.size - out]
  with np.errstate(invalid='ignore'):
    estimate = float(np.mean(middle))
  if not np.isfinite(middle).all() or is_constant(np.exp(middle)):
    bounds = Interval(estimate, math.nan, math.nan)
  else:
    squares = np.sum(np.square(_spread(logs, middle)))
    error = math.sqrt(squares / (middle.size * (middle.size - 1)))
    bounds = student(estimate, error, middle.size - 1, confidence)
  return exponential(bounds)


def _spread(ordered: np.ndarray, middle: np.ndarray) -> np.ndarray:
  """Return the values moved into the middle's range, about their mean."""
  moved = np.clip(ordered, middle[0], middle[-1])
  return moved - np.mean(moved)


class Difference(NamedTuple):
  """A difference of two means, and the test that it is 0.

  Attributes:
    interval: of the difference; its bounds NaN where there is no test.
    p_value: two-sided; NaN where nothing tells of the spread.
  """

  interval: Interval
  p_value: float


def welch(
  sample: npt.ArrayLike,
  baseline: npt.ArrayLike,
  *,
  confidence: float = CONFIDENCE,
  scale: float | None = None,
) -> Difference:
  """Compare two means, without assuming equal variances.

  With m and v the mean of a side and the variance s² / n of that mean, k the
  degrees of freedom of `welch_freedom`:

    m_x - m_y ± t(k, (1 + confidence) / 2) √(v_x + v_y)

  For values that are about normal; losses are compared by `ratios`.

  Args:
    sample: finite numbers, one per run.
    baseline: the same of the runs to compare with.
    confidence: of the interval, two-sided.
    scale: of rounding errors, see `is_constant`.

  Returns:
    The difference and the p value of Welch's t. When either side has fewer than
    two values, or neither has any spread, only the difference is known; nothing
    with an empty side, or a value that is not finite.

  Reference:
    Welch, Biometrika 34(1-2), 1947.
  """
  x, y = (np.asarray(side, float) for side in (sample, baseline))
  if not all(side.size and np.isfinite(side).all() for side in (x, y)):
    return Difference(UNKNOWN, math.nan)
  estimate = float(np.mean(x) - np.mean(y))
  v, w = variance_of_mean(x, scale), variance_of_mean(y, scale)
  if min(x.size, y.size) < 2 or not v + w:
    return _without_test(estimate)
  freedom = welch_freedom(v, w, x.size, y.size)
  return by_t(estimate, math.sqrt(v + w), freedom, confidence)


def by_t(
  estimate: float, error: float, freedom: float, confidence: float
) -> Difference:
  """Return what Student's t says of a difference.

  Args:
    estimate: of the difference.
    error: its estimated standard error; 0: there is none, so no test.
    freedom: degrees of freedom of that error.
    confidence: of the interval, two-sided.
  """
  if not error:
    return _without_test(estimate)
  tail = float(scipy.special.stdtr(freedom, -abs(estimate) / error))
  return Difference(student(estimate, error, freedom, confidence), 2 * tail)


def _without_test(estimate: float) -> Difference:
  return Difference(Interval(estimate, math.nan, math.nan), math.nan)


def variance_of_mean(values: np.ndarray, scale: float | None = None) -> float:
  """Return s² / n; 0 of one value, or of values that are one but for rounding.

  Args:
    values: one per run, at least one.
    scale: of rounding errors, see `is_constant`.
  """
  if values.size < 2 or is_constant(values, scale):
    return 0.0
  return float(np.var(values, ddof=1)) / values.size


def welch_freedom(v: float, w: float, runs: int, others: int) -> float:
  """Return the degrees of freedom of a difference of two means.

    k = (v + w)² / (v² / (n - 1) + w² / (m - 1))

  Where sides of unequal size meet and one has three runs or fewer, k is that
  size less one: Welch's own would reject equal sides in 12 % of studies of two
  runs beside twenty, 8 % of three; this one in 5 % at most, at any variances.

  Args:
    v: estimated variance of the first mean.
    w: that of the other.
    runs: n.
    others: m.

  Reference:
    Welch, Biometrika 34(1-2), 1947; few runs beside many: Hsu, Statistical
    Research Memoirs 2, 1938; Mickey & Brown, Annals of Mathematical Statistics
    37(3), 1966.
  """
  fewer = min(runs, others)
  if runs != others and fewer <= _FEW:
    return fewer - 1
  return (v + w) ** 2 / (v**2 / (runs - 1) + w**2 / (others - 1))


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


def is_constant(values: np.ndarray, scale: float | None = None) -> bool:
  """Return whether values differ by rounding errors at most.

  Args:
    values: at least one.
    scale: rounding errors are `ROUNDING` of it at most; None: the largest
      value. Of logarithms 1, as what is relative to a value adds to its
      logarithm.
  """
  largest = np.max(np.abs(values)) if scale is None else scale
  return bool(np.ptp(values) <= ROUNDING * largest)
