"""Which hyper-parameter of a random search mattered: functional ANOVA.

A forest of regression trees learns to predict the final loss of a trial from
its hyper-parameters. Its variance over the searched box is split into what each
hyper-parameter explains alone, averaged over all others, and the rest: what
only several of them together explain, and what the trees made of chance.

    f(x) = f_0 + Σ_j f_j(x_j) + …,   share of j = Var f_j / Var f

Needs Optuna and scikit-learn: pip install 'lstm-variants[importance]'.

Reference:
  Hutter, Hoos & Leyton-Brown, ICML 2014: An Efficient Approach for Assessing
  Hyperparameter Importance. PED-ANOVA: Watanabe, Bansal & Hutter, IJCAI 2023,
  arXiv:2304.10255. On LSTMs: Greff et al., IEEE TNNLS 28(10), 2017,
  arXiv:1503.04069.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
from typing import Any, NamedTuple
import warnings

import numpy as np

from lstm_variants import errors
from lstm_variants.evidence.importance import search_space

# Fewer trials than this tell next to nothing of four hyper-parameters.
LEAST_TRIALS = 20
# The time of Optuna's fANOVA grows with the square of the trials: of more a
# random part is taken.
MOST_TRIALS = 600
# Of the forests; and of those that learn shuffled losses.
TREES, FEW_TREES, SHUFFLES = 32, 8, 3
# PED-ANOVA asks what trials of the best tenth have in common.
BEST_SHARE, LEAST_BEST = 0.1, 5
GRID = 40
_MISSING = "importance needs an extra: pip install 'lstm-variants[importance]'"


class ImportanceError(errors.Error, ValueError):
  """Importance cannot be computed; the message is one line."""


class Trials(NamedTuple):
  """Trials as points of a box.

  Attributes:
    axes: the hyper-parameters.
    points: coordinates, `[trials, axes]`.
    losses: final ones, `[trials]`; of one that diverged, or whose loss is not
      finite, the worst finite loss.
    diverged: how many of them did.
  """

  axes: Sequence[search_space.Axis]
  points: np.ndarray
  losses: np.ndarray
  diverged: int


class Shares(NamedTuple):
  """Shares of the variance of log10 of the final loss.

  Attributes:
    labels: of the hyper-parameters.
    alone: what each explains alone, `[axes]`.
    rest: what none does: interactions, and chance that the trees learned.
    floor: what a hyper-parameter without any influence is given: the mean of
      `alone` where the losses are shuffled.
    second: PED-ANOVA's opinion, `[axes]`, with sum 1: what tells trials of the
      best tenth from others.
    fit: R² of the forest on trials its trees did not see; near or below 0 the
      shares describe chance.
    trials: that were looked at.
    diverged: of them.
  """

  labels: Sequence[str]
  alone: np.ndarray
  rest: float
  floor: float
  second: np.ndarray
  fit: float
  trials: int
  diverged: int


class Marginal(NamedTuple):
  """The expected loss against one hyper-parameter.

  Attributes:
    axis: the hyper-parameter.
    values: in its unit, `[grid]`.
    loss: 10 to the mean of the predicted log10 loss, over trees and over the
      other hyper-parameters as they were drawn, `[grid]`.
    low: 10 to this mean less the standard deviation over the trees.
    high: likewise, more.
  """

  axis: search_space.Axis
  values: np.ndarray
  loss: np.ndarray
  low: np.ndarray
  high: np.ndarray


def gather(
  rows: Sequence[Mapping[str, Any]], axes: Sequence[search_space.Axis]
) -> Trials:
  """Return runs of one task as points of a box.

  A run that diverged counts as the worst finite loss of these runs: to leave it
  out would hide that its hyper-parameters fail.

  Args:
    rows: of `results.read_runs`.
    axes: of `search_space.axes`.

  Raises:
    ImportanceError: too few trials, or none with a finite loss.
  """
  if len(rows) < LEAST_TRIALS:
    raise ImportanceError(
      f'{len(rows)} trials, at least {LEAST_TRIALS} are needed to tell which '
      'hyper-parameter mattered'
    )
  finals = [row['final'].get('loss') for row in rows]
  losses = np.array(
    [np.nan if loss is None else loss for loss in finals], float
  )
  diverged = np.array([row['status'] == 'diverged' for row in rows])
  bad = diverged | ~np.isfinite(losses)
  if bad.all():
    raise ImportanceError(
      f'none of {len(rows)} trials has a finite loss: nothing to explain'
    )
  losses[bad] = losses[~bad].max()
  points = np.array([[axis.coordinate(row) for axis in axes] for row in rows])
  return Trials(list(axes), points, losses, int(bad.sum()))


def shares(trials: Trials, seed: int = 0) -> Shares:
  """Split the variance of log10 of the loss by functional ANOVA.

  Each axis is given to Optuna in the coordinate in which it was drawn evenly:
  fANOVA weighs the box evenly, and Optuna's evaluator does so in the plain
  numbers, in which a decade of small rates would count nothing.

  Args:
    trials: of `gather`.
    seed: of the forest; equal trials and seeds give equal shares.

  Raises:
    ImportanceError: all losses are equal, or Optuna is not installed.
  """
  trials = _thin(trials, seed)
  targets = _targets(trials.losses)
  forest = _forest(trials.points, targets, seed)
  with _quiet() as importance:
    evaluator = importance.FanovaImportanceEvaluator
    alone = _evaluate(trials, targets, evaluator(n_trees=TREES, seed=seed))
    rng = np.random.default_rng(seed)
    few = evaluator(n_trees=FEW_TREES, seed=seed)
    chance = [
      _evaluate(trials, rng.permutation(targets), few) for _ in range(SHUFFLES)
    ]
    best = min(0.5, max(BEST_SHARE, LEAST_BEST / len(targets)))
    second = _evaluate(
      trials,
      targets,
      importance.PedAnovaImportanceEvaluator(target_quantile=best),
    )
  return Shares(
    labels=[axis.label for axis in trials.axes],
    alone=alone,
    rest=max(0.0, 1 - float(alone.sum())),
    floor=float(np.mean(chance)),
    second=second / second.sum() if second.any() else second,
    fit=float(forest.oob_score_),
    trials=len(targets),
    diverged=trials.diverged,
  )


def marginals(trials: Trials, seed: int = 0) -> list[Marginal]:
  """Predict the loss against each hyper-parameter, averaged over the others.

  The forest is scikit-learn's, as Optuna's has no public predictions; the
  others are averaged over as drawn.

  Args:
    trials: of `gather`.
    seed: of the forest.

  Raises:
    ImportanceError: all losses are equal, or scikit-learn is not installed.
  """
  trials = _thin(trials, seed)
  forest = _forest(trials.points, _targets(trials.losses), seed)
  curves_of = []
  for place, axis in enumerate(trials.axes):
    grid = axis.grid(GRID)
    points = np.repeat(trials.points[None], len(grid), axis=0)
    points[:, :, place] = grid[:, None]
    flat = points.reshape(-1, len(trials.axes))
    curves = np.stack(
      [
        tree.predict(flat).reshape(len(grid), -1).mean(axis=1)
        for tree in forest.estimators_
      ]
    )
    mean, spread = curves.mean(axis=0), curves.std(axis=0)
    curves_of.append(
      Marginal(
        axis,
        axis.values(grid),
        *(10**curve for curve in (mean, mean - spread, mean + spread)),
      )
    )
  return curves_of


def _thin(trials: Trials, seed: int) -> Trials:
  """Return at most so many trials, drawn at random."""
  count = len(trials.losses)
  if count <= MOST_TRIALS:
    return trials
  kept = np.random.default_rng(seed).choice(count, MOST_TRIALS, replace=False)
  kept.sort()
  return trials._replace(points=trials.points[kept], losses=trials.losses[kept])


def _targets(losses: np.ndarray) -> np.ndarray:
  """Return log10 of the losses; 0 counts as the smallest one above it."""
  above = losses[losses > 0]
  if not above.size or np.ptp(losses) == 0:
    raise ImportanceError(
      f'all {len(losses)} trials ended with the same loss: nothing to explain'
    )
  return np.log10(np.maximum(losses, above.min()))


def _forest(points: np.ndarray, targets: np.ndarray, seed: int) -> Any:
  """Fit trees to bootstrap samples of the trials."""
  try:
    # Heavy, and an extra.
    from sklearn import ensemble  # noqa: PLC0415
  except ImportError as error:
    raise ImportanceError(_MISSING) from error
  forest = ensemble.RandomForestRegressor(
    n_estimators=2 * TREES, oob_score=True, random_state=seed
  )
  return forest.fit(points, targets)


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
  """Give Optuna's importance, which says nothing while it is used."""
  try:
    import optuna  # noqa: PLC0415
  except ImportError as error:
    raise ImportanceError(_MISSING) from error
  before = optuna.logging.get_verbosity()
  optuna.logging.set_verbosity(optuna.logging.ERROR)
  try:
    with warnings.catch_warnings():
      # That shares which are not normalised are an experimental feature.
      warnings.simplefilter('ignore')
      yield optuna.importance
  finally:
    optuna.logging.set_verbosity(before)


def _evaluate(
  trials: Trials, targets: np.ndarray, evaluator: Any
) -> np.ndarray:
  """Return what an evaluator of Optuna gives each axis."""
  import optuna  # noqa: PLC0415

  names = [f'x{place}' for place in range(len(trials.axes))]
  box: dict[str, optuna.distributions.BaseDistribution] = {
    name: optuna.distributions.FloatDistribution(axis.low, axis.high)
    for name, axis in zip(names, trials.axes, strict=True)
  }
  study = optuna.create_study(direction='minimize')
  study.add_trials(
    [
      optuna.trial.create_trial(
        params=dict(zip(names, point, strict=True)),
        distributions=box,
        value=value,
      )
      for point, value in zip(
        trials.points.tolist(), targets.tolist(), strict=True
      )
    ]
  )
  importances = optuna.importance.get_param_importances(
    study, evaluator=evaluator, normalize=False
  )
  return np.array([float(importances[name]) for name in names])
