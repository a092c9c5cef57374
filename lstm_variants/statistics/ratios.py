"""Final losses of two sides: their ratio, its interval and the test.

Plain NumPy and SciPy on numbers; knows nothing of studies.

Losses are compared on their logarithm. Those of one model lie a factor apart
rather than a difference; the mean of the losses is that of the worst of them,
and Welch's test of it sees a ratio of 5 with five runs a side half as often as
on logarithms (docs/statistics.md).
"""

from collections.abc import Mapping
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lstm_variants.statistics import intervals

# What a loss of zero counts as in a test: no float32 is closer to it.
FLOOR = float(np.finfo(np.float32).tiny)
# Of rounding errors, see `intervals.is_constant`.
_LOGARITHMS = 1.0


class Ratio(NamedTuple):
  """A sample's geometric mean over the baseline's, and the test that it is 1.

  Attributes:
    ratio: below 1 where the sample's is the smaller, with its interval.
    p_value: two-sided; at most 1 - confidence just where 1 is not within the
      bounds.
    pairs: number of pairs that were compared; 0: the sides were, by Welch.
  """

  ratio: intervals.Interval
  p_value: float
  pairs: int


UNKNOWN = Ratio(intervals.UNKNOWN, math.nan, 0)


def compare(
  sample: Mapping[Any, float],
  baseline: Mapping[Any, float],
  *,
  confidence: float = intervals.CONFIDENCE,
) -> Ratio:
  """Compare losses that are paired by seed, or not, as is right for them.

  Runs of equal seed share initial weights and data, as far as shapes allow.
  Where both sides have the same seeds the test is `paired`, else `welch`. This
  rests on the seeds alone, never on the losses, so that the level of the test
  stays what it is. Of equal seeds that have nothing in common after all, it
  sees a little less than Welch's (a ratio of 5 with five runs a side, σ = 1: in
  49 % of studies in place of 58 %); of seeds that correlate more (by 0.6: 85 %
  in place of 63 %), and Welch's level would be far below what it says.

  Args:
    sample: seed -> final loss; NaN or inf of a run that has none (diverged).
      Such a run is left out, and of pairs its partner: say how many.
    baseline: the same of the runs to compare with.
    confidence: of the interval, two-sided; 0.9 for `intervals.equivalent`.

  Returns:
    The ratio of the geometric means; see `paired` and `welch`.
  """
  if sample.keys() == baseline.keys():
    return paired(
      [sample[seed] for seed in sample],
      [baseline[seed] for seed in sample],
      confidence=confidence,
    )
  sides = ([*sample.values()], [*baseline.values()])
  return welch(*sides, confidence=confidence)


def paired(
  sample: npt.ArrayLike,
  baseline: npt.ArrayLike,
  *,
  confidence: float = intervals.CONFIDENCE,
) -> Ratio:
  """Compare losses pair by pair, by Student's t on differences of logarithms.

    d = ln x - ln y,   exp(mean d ± t(n - 1, (1 + confidence) / 2) s_d / √n)

  Args:
    sample: not below zero, one per run, in the order of their seeds. A pair
      with a value that is not finite is left out.
    baseline: of the runs with the same seeds, in the same order.
    confidence: of the interval, two-sided.

  Returns:
    The ratio of the geometric means of the pairs, its interval, and the p value
    of Student's paired test. Below two pairs, or where all ratios are equal,
    only the ratio is known, the rest is NaN. With a loss of zero only the p
    value is known, for which it counts as `FLOOR`; with one below zero nothing.

  Raises:
    ValueError: the two sides differ in length.
  """
  x, y = np.asarray(sample, float), np.asarray(baseline, float)
  if x.shape != y.shape:
    raise ValueError(
      f'sample of {x.size} runs, baseline of {y.size}: must be pairs'
    )
  finite = np.isfinite(x) & np.isfinite(y)
  x, y = x[finite], y[finite]
  if not x.size or min(x.min(), y.min()) < 0:
    return UNKNOWN
  logs = _log(x) - _log(y)
  error = math.sqrt(intervals.variance_of_mean(logs, _LOGARITHMS))
  result = intervals.by_t(float(np.mean(logs)), error, x.size - 1, confidence)
  return _as_ratio(result, x, y)._replace(pairs=x.size)


def welch(
  sample: npt.ArrayLike,
  baseline: npt.ArrayLike,
  *,
  confidence: float = intervals.CONFIDENCE,
) -> Ratio:
  """Compare losses side by side, by Welch's t on logarithms.

    exp(m_x - m_y ± …),  the interval of `intervals.welch` of ln x and ln y

  Args:
    sample: not below zero, one per run; one that is not finite is left out.
    baseline: the same of the runs to compare with.
    confidence: of the interval, two-sided.

  Returns:
    The ratio of the geometric means, its interval, and the p value of Welch's
    test. With fewer than two values on a side, or no spread on either, only the
    ratio is known, the rest is NaN; zeros as in `paired`.

  Reference:
    Welch, Biometrika 34(1-2), 1947.
  """
  x, y = (
    side[np.isfinite(side)]
    for side in (np.asarray(sample, float), np.asarray(baseline, float))
  )
  if not x.size or not y.size or min(x.min(), y.min()) < 0:
    return UNKNOWN
  result = intervals.welch(
    _log(x), _log(y), confidence=confidence, scale=_LOGARITHMS
  )
  return _as_ratio(result, x, y)


def _as_ratio(
  of_logs: intervals.Difference, x: np.ndarray, y: np.ndarray
) -> Ratio:
  """Return the ratio; none where a zero would make it one of `FLOOR`."""
  known = x.all() and y.all()
  ratio = (
    intervals.exponential(of_logs.interval) if known else intervals.UNKNOWN
  )
  return Ratio(ratio, of_logs.p_value, 0)


def _log(losses: np.ndarray) -> np.ndarray:
  return np.log(np.maximum(losses, FLOOR))
