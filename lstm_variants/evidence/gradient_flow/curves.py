"""From norms of sequences to curves of models: what the figures are drawn from.

NumPy alone; the norms come from `gradients` and `jacobians`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
import warnings

import numpy as np
import numpy.typing as npt


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


class Spread(NamedTuple):
  """Curves over seeds, log10, each `[steps]`."""

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
    name: np.stack(
      [np.mean(np.asarray(seed[name], float), axis=-1) for seed in seeds]
    )
    for name in seeds[0]
  }
  path = None
  if paths is not None:
    path = np.stack([np.mean(np.asarray(one, float), axis=-1) for one in paths])
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
