"""Compares runs with a baseline's runs of equal seeds.

Plain NumPy and SciPy on lists of numbers; knows nothing of studies.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lstm_variants.statistics import intervals

# Differences up to this many have all their signs flipped: 32,768 ways.
_FLIPPED = 16


class Paired(NamedTuple):
  """A sample compared with a baseline run by run.

  Attributes:
    pairs: number of pairs that have two finite values.
    difference: mean of sample - baseline over them.
    sign_flip: p value of `sign_flip`.
  """

  pairs: int
  difference: intervals.Interval
  sign_flip: float


def paired(
  sample: npt.ArrayLike,
  baseline: npt.ArrayLike,
  *,
  confidence: float = intervals.CONFIDENCE,
  resamples: int = intervals.RESAMPLES,
  seed: int = 0,
) -> Paired:
  """Compare runs with the baseline's runs of equal seeds.

  Runs of equal seed share initial weights and data, as far as shapes allow:
  what both owe to them cancels in the difference.

  Args:
    sample: one number per run, in the order of their seeds.
    baseline: of the runs with the same seeds, in the same order. A pair with a
      value that is not finite is left out.
    confidence: of the interval, two-sided.
    resamples: of many sign flips.
    seed: of the resampling; equal inputs give equal results.

  Returns:
    The comparison. Below two pairs only the estimate is known, the rest is NaN.

  Raises:
    ValueError: the two sides differ in length.
  """
  x, y = np.asarray(sample, float), np.asarray(baseline, float)
  if x.shape != y.shape:
    raise ValueError(
      f'sample of {x.size} runs, baseline of {y.size}: must be pairs'
    )
  finite = np.isfinite(x) & np.isfinite(y)
  difference = x[finite] - y[finite]
  return Paired(
    difference.size,
    intervals.mean_interval(difference, confidence=confidence),
    sign_flip(difference, resamples=resamples, seed=seed),
  )


def sign_flip(
  differences: npt.ArrayLike,
  *,
  resamples: int = intervals.RESAMPLES,
  seed: int = 0,
) -> float:
  """Test whether paired differences lie symmetrically about zero.

  If it makes no difference which of a pair is the sample, each of the 2^n ways
  to choose the signs is equally likely: p is the share of them whose sum is at
  least as far from zero. Up to 16 differences all ways are counted. Of more,
  B random ways are drawn, and p = (1 + their number) / (1 + B), so that it is
  never too small. Fewer than six pairs cannot reach 0.05: p is at least
  2 / 2^n.

  Args:
    differences: one per pair.
    resamples: B.
    seed: of the random ways.

  Returns:
    The two-sided p value; NaN below two values or with one not finite.

  Reference:
    Fisher, "The Design of Experiments", 1935, chapter 3; the 1 is added as in
    Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology
    9(1), 2010, arXiv:1603.05766.
  """
  values = np.asarray(differences, float)
  if values.size < 2 or not np.isfinite(values).all():
    return math.nan
  # Equal sums that differ by rounding count as equal.
  least = abs(values.sum()) - intervals.ROUNDING * np.abs(values).sum()
  if values.size <= _FLIPPED:
    # The last sign stays: flipping all signs leaves the distance as it is.
    ways = np.arange(2 ** (values.size - 1))
    flips = ways[:, np.newaxis] >> np.arange(values.size) & 1
    return float(np.mean(np.abs((1 - 2 * flips) @ values) >= least))
  rng = np.random.default_rng(seed)
  signs = rng.choice((-1, 1), (resamples, values.size))
  count = np.count_nonzero(np.abs(signs @ values) >= least)
  return (1 + count) / (1 + resamples)
