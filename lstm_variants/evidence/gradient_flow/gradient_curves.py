"""From norms of sequences to curves of models: what the figures are drawn from.

NumPy alone; the norms come from `gradient_flow`, `jacobians` and
`singular_values`.
"""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple
import warnings

import numpy as np
import numpy.typing as npt

# What is random in `SingularValues`, and whether its units saturate.
MATRICES = ('orthogonal', 'Gaussian')
REGIMES = ('linear', 'tanh')


class Flow(NamedTuple):
  """How much error arrives at the states of a model, at one time of training.

  Attributes:
    label: of the model.
    norms: name of a state -> `[seeds, time]`, means over sequences; NaN where
      there is nothing to show.
  """

  label: str
  norms: Mapping[str, np.ndarray]


class Lags(NamedTuple):
  """What is left of the states of a model after k steps, log10.

  Attributes:
    label: of the model.
    norms: name of a state -> `[seeds, lags + 1]`, of ‖∂s_{t+k}/∂s_t‖.
    path: `[seeds, lags + 1]`, of the product of its forget gates; None if it
      has none.
    path_state: the name of the state that `path` is of.
  """

  label: str
  norms: Mapping[str, np.ndarray]
  path: np.ndarray | None = None
  path_state: str = 'c'


class SingularValues(NamedTuple):
  """Simple RNNs by the largest singular value of their recurrent matrix.

  Attributes:
    values: σ, `[values]`.
    norms: log10 ‖∂h_{t+k}/∂h_t‖,
      `[matrices, regimes, values, seeds, lags + 1]`.
    slopes: mean of tanh′ = 1 − h², `[matrices, regimes, values, seeds]`.
    radii: spectral radius of R, `[matrices, values, seeds]`.
    input_scale: standard deviation of what drives the units of 'tanh'.
  """

  values: np.ndarray
  norms: np.ndarray
  slopes: np.ndarray
  radii: np.ndarray
  input_scale: float


class Decay(NamedTuple):
  """How fast a curve of lags falls.

  Attributes:
    rate: factor per step.
    halved: the lag at which it is first at 1/2, in steps; inf: at none of them.
    hundredth: the same for 1/100.
  """

  rate: float
  halved: float
  hundredth: float


class Spread(NamedTuple):
  """Curves over several, log10, each `[lags + 1]`: of sequences or seeds."""

  mean: np.ndarray
  low: np.ndarray
  median: np.ndarray
  high: np.ndarray


def mean_norms(
  norms: npt.ArrayLike, mask: npt.ArrayLike | None = None
) -> np.ndarray:
  """Return the mean over sequences, `[..., time]`.

  Args:
    norms: `[..., time, batch]`.
    mask: None, or boolean `[batch, time]`: which steps of a sequence there are.

  Returns:
    The means; NaN at steps that no sequence has.
  """
  array = np.asarray(norms, float)
  if mask is None:
    return np.mean(array, axis=-1)
  there = np.asarray(mask, bool).T
  count = np.sum(there, axis=-1)
  total = np.sum(np.where(there, array, 0), axis=-1)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def normalise(
  norms: npt.ArrayLike, mask: npt.ArrayLike | None = None
) -> np.ndarray:
  """Return the share of each step in the error that arrives at all of them.

      mean over sequences of ‖∂L/∂s_t‖ / Σ_t of the same

  The curves of models whose losses and scales differ can then be compared: one
  that keeps errors is flat, at 1/T.

  Args:
    norms: `[..., time, batch]`.
    mask: see `mean_norms`.

  Returns:
    `[..., time]`, which adds up to 1; NaN where nothing arrives at any step.

  Reference:
    Krueger et al., ICLR 2017, arXiv:1606.01305, section 4.4, of c.
  """
  means = mean_norms(norms, mask)
  total = np.nansum(means, axis=-1, keepdims=True)
  return np.divide(
    means, total, out=np.full_like(means, np.nan), where=total > 0
  )


def flow(
  label: str,
  seeds: Sequence[Mapping[str, npt.ArrayLike]],
  *,
  layer: int = 0,
  mask: npt.ArrayLike | None = None,
  normalised: bool = False,
) -> Flow:
  """Reduce the norms of all seeds of a model to curves.

  Args:
    label: of the model.
    seeds: of each seed `StateGradients.norms`, name -> `[layer, time, batch]`.
    layer: which one; the error has the longest way to the first, 0.
    mask: see `mean_norms`.
    normalised: by `normalise`, each seed by itself.

  Returns:
    The curves. The last steps at which no seed has any gradient, as always at
    that of c, are NaN.

  Raises:
    ValueError: no seed.
  """
  if not seeds:
    raise ValueError(f'no seeds of {label!r}: give the norms of at least one')
  reduce = normalise if normalised else mean_norms
  curves = {}
  for name in seeds[0]:
    rows = [reduce(np.asarray(seed[name])[layer], mask) for seed in seeds]
    curve = np.stack(rows)
    nothing = np.all(~(np.nan_to_num(curve, nan=1.0) != 0), axis=0)
    trailing = np.logical_and.accumulate(nothing[::-1])[::-1]
    curves[name] = np.where(trailing, np.nan, curve)
  return Flow(label, curves)


def over_sequences(log_norms: npt.ArrayLike, share: float = 0.1) -> Spread:
  """Return the geometric mean and quantiles over sequences.

  Args:
    log_norms: log10, `[lags + 1, batch]`.
    share: of the sequences below `low`, and above `high`.

  Returns:
    Curves, log10. Nothing left (−inf) in one sequence makes a mean −inf; the
    median is that of most.
  """
  array = np.asarray(log_norms, float)
  # Between −inf and −inf, quantiles would interpolate to NaN.
  low, median, high = np.quantile(
    array, (share, 0.5, 1 - share), axis=-1, method='nearest'
  )
  return Spread(np.mean(array, axis=-1), low, median, high)


def lags(
  label: str,
  seeds: Sequence[Mapping[str, npt.ArrayLike]],
  paths: Sequence[npt.ArrayLike] | None = None,
  path_state: str = 'c',
) -> Lags:
  """Reduce the lag norms of all seeds to curves: geometric means of sequences.

  Args:
    label: of the model.
    seeds: of each seed `jacobians.lag_norms`, name -> `[lags + 1, batch]`.
    paths: of each seed a field of `jacobians.CellPath`, or None.
    path_state: the state that they are of.

  Raises:
    ValueError: no seed.
  """
  if not seeds:
    raise ValueError(f'no seeds of {label!r}: give the norms of at least one')
  norms = {
    name: np.stack([over_sequences(seed[name]).mean for seed in seeds])
    for name in seeds[0]
  }
  path = None
  if paths is not None:
    path = np.stack([over_sequences(one).mean for one in paths])
  return Lags(label, norms, path, path_state)


def over_seeds(curves: npt.ArrayLike) -> Spread:
  """Return mean, smallest, median and largest over seeds.

  Args:
    curves: log10, `[seeds, steps]`; NaN and +inf, of diverged runs, are left
      out.

  Returns:
    Curves; NaN where no seed is left.
  """
  array = np.asarray(curves, float)
  array = np.where(array == np.inf, np.nan, array)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', RuntimeWarning)  # of all NaN
    # Medians of an even number that interpolate −inf would be NaN.
    median = np.nanquantile(array, 0.5, axis=0, method='lower')
    upper = np.nanquantile(array, 0.5, axis=0, method='higher')
    between = np.where(np.isfinite(median), (median + upper) / 2, median)
    return Spread(
      np.nanmean(array, axis=0),
      np.nanmin(array, axis=0),
      between,
      np.nanmax(array, axis=0),
    )


def decay(log_norms: npt.ArrayLike) -> Decay:
  """Return how fast a curve falls.

  The rate is 10 to the slope of the least-squares line through the finite
  points after lag 0. A curve may rise before it falls (R that is not normal):
  `halved` is where it is first at 1/2 of the 1 that it begins with, between two
  lags by the straight line in log10.

  Args:
    log_norms: log10, `[lags + 1]`.

  Returns:
    The rate, NaN with fewer than two finite points; and the lags.
  """
  array = np.asarray(log_norms, float)
  k = np.flatnonzero(np.isfinite(array[1:])) + 1
  rate = math.nan
  if len(k) > 1:
    centred = k - k.mean()
    slope = np.sum(centred * array[k]) / np.sum(centred**2)
    rate = float(10**slope)
  return Decay(rate, _reached(array, 0.5), _reached(array, 0.01))


def _reached(log_norms: np.ndarray, share: float) -> float:
  """Return the first lag at which a curve is at `share`."""
  level = math.log10(share)
  below = np.flatnonzero(log_norms <= level)
  if not below.size:
    return math.inf
  last = int(below[0])
  after, before = log_norms[last], log_norms[last - 1] if last else 0.0
  if not last or not np.isfinite(after) or not np.isfinite(before):
    return float(last)
  return float(last - 1 + (before - level) / (before - after))
