"""Asks for the trials of a generation, given what is known of others.

Nothing is kept between two generations: a sampler is made anew from what the
directory has, with a seed derived from the search's and the generation's
number. So the same trials are asked for whoever asks, and however often.

    tpe      Optuna's, multivariate; trials in training count as bad ones, so
             that it keeps away from them (its constant liar)
    cmaes    the package cmaes, in the unit cube, from its middle with σ = 1/4;
             a generation of the search is one of its own
    qmc      the scrambled Sobol' sequence of SciPy
    random   each field on its own

Reference:
  Watanabe, 2023, arXiv:2304.11127 (TPE); Hansen, 2016, arXiv:1604.00772
  (CMA-ES); Owen, J. Complexity 14, 1998 (scrambled Sobol' points).
"""

from collections.abc import Iterator, Sequence
import contextlib
import importlib
from typing import Any, NamedTuple
import warnings

import numpy as np

from lstm_variants.search import space

# Of the unit cube, in which CMA-ES begins.
_SIGMA = 0.25
Params = dict[str, Any]


class Known(NamedTuple):
  """A trial that was asked for before.

  Attributes:
    params: its fields.
    values: of its objectives; None: it is in training.
    rung: updates after which it was retired; None: it was not.
  """

  params: Params
  values: tuple[float, ...] | None
  rung: int | None = None


def ask(
  search: space.Search,
  generation: int,
  before: Sequence[Sequence[Known]],
  count: int,
) -> list[Params]:
  """Return the fields of the trials of a generation.

  Args:
    search: what is searched, and how.
    generation: its number.
    before: the trials of each generation before it; of the last `ahead` of
      these without values, whatever is known of them by now.
    count: of trials.
  """
  seed = _seed(search, generation)
  if search.sampler == 'tpe':
    return _ask_tpe(search, seed, before, count)
  if search.sampler == 'cmaes':
    points = _ask_cmaes(search, seed, before)
  elif search.sampler == 'qmc':
    points = _ask_qmc(search, sum(map(len, before)), count)
  else:
    rng = np.random.default_rng(seed)
    points = rng.random((count, len(search.fields)))
  return [
    {
      name: distribution.at(float(share))
      for (name, distribution), share in zip(
        search.fields.items(), point, strict=True
      )
    }
    for point in points
  ]


def _seed(search: space.Search, generation: int) -> int:
  drawn = np.random.SeedSequence([search.seed, generation]).generate_state(1)
  return int(drawn[0])


def _ask_qmc(search: space.Search, start: int, count: int) -> np.ndarray:
  """Return the next points of one sequence, `[count, fields]`."""
  from scipy.stats import qmc  # noqa: PLC0415  slow to import

  engine = qmc.Sobol(len(search.fields), scramble=True, rng=search.seed)
  if start:
    engine.fast_forward(start)
  with warnings.catch_warnings():
    # That numbers of points other than powers of two are less even.
    warnings.simplefilter('ignore')
    return engine.random(count)


def _ask_cmaes(
  search: space.Search, seed: int, before: Sequence[Sequence[Known]]
) -> np.ndarray:
  """Return the points of a generation of CMA-ES, `[popsize, fields]`.

  Its mean, step size and covariance follow from the points and ranks of all
  generations before: they are passed through again.
  """
  cmaes: Any = importlib.import_module('cmaes')  # an optional extra

  size, dimensions = search.batch, len(search.fields)
  (objective,) = search.objectives
  sign = -1 if objective.maximize else 1
  optimizer = cmaes.CMA(
    mean=np.full(dimensions, 0.5),
    sigma=_SIGMA,
    bounds=np.array([[0.0, 1.0]] * dimensions),
    seed=seed,
    population_size=size,
  )
  for trials in before:
    ranked = [
      (_point(search, one.params), sign * one.values[0])
      for one in trials
      if one.values is not None
    ]
    if len(ranked) == size:
      optimizer.tell(ranked)
  return np.stack([optimizer.ask() for _ in range(size)])


def _point(search: space.Search, params: Params) -> np.ndarray:
  shares = [one.share(params[name]) for name, one in search.fields.items()]
  return np.array(shares, float)


def _ask_tpe(
  search: space.Search,
  seed: int,
  before: Sequence[Sequence[Known]],
  count: int,
) -> list[Params]:
  """Return what Optuna's TPE asks for, one after the other."""
  with quiet() as optuna:
    sampler = optuna.samplers.TPESampler(
      seed=seed, multivariate=True, constant_liar=True
    )
    study = optuna.create_study(directions=directions(search), sampler=sampler)
    study.add_trials(
      [trial_of(search, one) for trials in before for one in trials]
    )
    box = distributions(search)
    return [
      {name: params[name] for name in search.fields}
      for params in (study.ask(box).params for _ in range(count))
    ]


def directions(search: space.Search) -> list[str]:
  """Return the directions of the objectives as Optuna has them."""
  return [
    'maximize' if one.maximize else 'minimize' for one in search.objectives
  ]


def distributions(search: space.Search) -> dict[str, Any]:
  """Return the fields' distributions as Optuna has them."""
  from optuna import distributions as optuna  # noqa: PLC0415  an extra

  box: dict[str, Any] = {}
  for name, one in search.fields.items():
    if isinstance(one, space.Number):
      box[name] = optuna.FloatDistribution(one.low, one.high, log=one.log)
    elif isinstance(one, space.Integer):
      box[name] = optuna.IntDistribution(
        one.low, one.high, log=one.log, step=one.step
      )
    else:
      box[name] = optuna.CategoricalDistribution(one.values)
  return box


def trial_of(search: space.Search, known: Known, **attributes: Any) -> Any:
  """Return a trial as Optuna has it: finished, retired, or in training.

  Args:
    search: what is searched.
    known: the trial.
    **attributes: user attributes of it.
  """
  import optuna  # noqa: PLC0415  an extra

  state, values, rungs = optuna.trial.TrialState.RUNNING, None, {}
  if known.values is not None and known.rung is not None:
    state = optuna.trial.TrialState.PRUNED
    rungs = {known.rung: known.values[0]}
  elif known.values is not None:
    state = optuna.trial.TrialState.COMPLETE
    values = list(known.values)
  return optuna.trial.create_trial(
    state=state,
    params=known.params,
    distributions=distributions(search),
    values=values,
    intermediate_values=rungs,
    user_attrs=attributes,
  )


@contextlib.contextmanager
def quiet() -> Iterator[Any]:
  """Give Optuna, which says nothing while it is used."""
  import optuna  # noqa: PLC0415  an extra

  before = optuna.logging.get_verbosity()
  optuna.logging.set_verbosity(optuna.logging.ERROR)
  try:
    with warnings.catch_warnings():
      # That some of its arguments are experimental.
      warnings.simplefilter('ignore')
      yield optuna
  finally:
    optuna.logging.set_verbosity(before)
