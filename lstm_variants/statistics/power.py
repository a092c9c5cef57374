"""How many seeds it takes to see a difference of means.

Plain NumPy and SciPy on numbers; knows nothing of studies. For shares of
solved runs see `shares`.
"""

import math

import numpy as np
import scipy.special
import scipy.stats

ALPHA = 0.05
# More runs of one model than anybody trains.
_MOST_SEEDS = 1_000_000
_POINTS = 256  # of the integral: an error below 1e-4


def welch(
  difference: float,
  deviation: float,
  seeds: int,
  *,
  baseline_deviation: float | None = None,
  alpha: float = ALPHA,
) -> float:
  """Return how often Welch's two-sided test sees a difference of two means.

  Exact for normal values: of n runs a side, with deviations s and r, let b be
  the share of the first side in the sum of both sides' squares, each in units
  of its own variance. Given b, which is Beta((n-1)/2, (n-1)/2) and independent
  of the rest, Welch's degrees of freedom k and so the limit of his t are known,
  and t is noncentral t but for a factor:

    δ = difference / √(s²/n + r²/n),   v = s² b / (s² b + r² (1 - b)),
    k = (n - 1) / (v² + (1 - v)²),     q² = 2 (s² b + r² (1 - b)) / (s² + r²),
    power = E_b P(|T(2(n-1), δ)| > q t(k, 1 - α/2)).

  The usual formula takes k from the true deviations. For equal ones it is the
  power of Student's test: from ten runs a side on the same to 0.01, but where
  it says 0.80, Welch's test has 0.77 with five runs, 0.70 with three, 0.47 with
  two. Values far from normal (one run in ten diverges) need more runs still.

  Args:
    difference: of the true means, in the unit of the values.
    deviation: standard deviation of one run's value.
    seeds: number of runs of each side.
    baseline_deviation: that of the baseline where it differs.
    alpha: the test rejects where its p value is below this.

  Returns:
    The probability of rejection; without a difference that is the true type-1
    error. NaN with fewer than two runs a side, without any spread, or where a
    number is not finite.

  Raises:
    ValueError: a deviation is negative, or `alpha` not between 0 and 1.

  Reference:
    Welch, Biometrika 34(1-2), 1947; Moser, Stevens & Watts, Communications in
    Statistics - Theory and Methods 18(11), 1989.
  """
  other = deviation if baseline_deviation is None else baseline_deviation
  _check(deviation, other, alpha)
  scale = math.hypot(deviation, other)
  if seeds < 2 or not scale or not math.isfinite(difference + scale):
    return math.nan
  ours, theirs = (deviation / scale) ** 2, (other / scale) ** 2
  b = _beta((seeds - 1) / 2)
  total = ours * b + theirs * (1 - b)
  v = ours * b / total
  k = (seeds - 1) / (v**2 + (1 - v) ** 2)
  limit = -np.sqrt(2 * total) * scipy.special.stdtrit(k, alpha / 2)
  shift = abs(difference) / scale * math.sqrt(seeds)
  above = scipy.stats.nct.sf(limit, 2 * (seeds - 1), shift)
  # Of a large shift SciPy gives no number, where it is far below 1e-15.
  below = np.nan_to_num(scipy.stats.nct.cdf(-limit, 2 * (seeds - 1), shift))
  return float(min(np.mean(above + below), 1.0))


def _beta(half: float) -> np.ndarray:
  """Return points of equal probability: fine also where Beta is narrow."""
  levels = (np.arange(_POINTS) + 0.5) / _POINTS
  return scipy.special.betaincinv(half, half, levels)


def seeds_needed(
  difference: float,
  deviation: float,
  power: float = 0.8,
  *,
  baseline_deviation: float | None = None,
  alpha: float = ALPHA,
) -> float:
  """Return how many runs a side it takes to see a difference of two means.

  Args:
    difference: of the true means, in the unit of the values.
    deviation: standard deviation of one run's value.
    power: probability wanted of seeing the difference.
    baseline_deviation: that of the baseline where it differs.
    alpha: level of Welch's test.

  Returns:
    The smallest number of runs a side that has this power, at least 2: a whole
    number, or inf where none of a million has; NaN where `welch` is.

  Raises:
    ValueError: as `welch`, or a `power` that is not between 0 and 1.
  """
  if not 0 < power < 1:
    raise ValueError(f'power={power}: must be between 0 and 1')

  def reached(seeds: int) -> float:
    return welch(
      difference,
      deviation,
      seeds,
      baseline_deviation=baseline_deviation,
      alpha=alpha,
    )

  if math.isnan(reached(2)):
    return math.nan
  low, high = 1, 2  # of which the first is too few
  while reached(high) < power:
    if high >= _MOST_SEEDS:
      return math.inf
    low, high = high, 2 * high
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (middle, high) if reached(middle) < power else (low, middle)
  return float(high)


def _check(deviation: float, other: float, alpha: float) -> None:
  for value in (deviation, other):
    if value < 0:
      raise ValueError(f'deviation={value}: must be at least 0')
  if not 0 < alpha < 1:
    raise ValueError(f'alpha={alpha}: must be between 0 and 1')
