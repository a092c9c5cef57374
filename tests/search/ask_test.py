"""What samplers ask for, given what is known; nothing is trained."""

import math

import numpy as np
import pytest
from scipy import stats

from lstm_variants.search import ask, space

FIELDS = {
  'config.rate': space.log_uniform(1e-4, 1e-1),
  'config.bias': space.uniform(-2, 4),
  'config.width': space.integer(4, 64, log=True),
}


def _loss(params) -> float:
  """A bowl, with a wall where trials diverge."""
  if params['bias'] > 3.5:
    return math.inf
  return (
    (math.log10(params['rate']) + 2) ** 2
    + (params['bias'] - 1) ** 2 / 4
    + (math.log2(params['width']) - 4) ** 2 / 4
  )


def _run(search, judge=lambda params: (_loss(params),)):
  """Return the trials of each generation of a search."""
  known: list[list[ask.Known]] = []
  for number in range(search.generations()):
    asked = ask.ask(search, number, known, search.batch)
    known.append([ask.Known(params, judge(params)) for params in asked])
  return known


def _medians(known, sign=1):
  return [
    np.median([sign * one.values[0] for one in trials]) for trials in known
  ]


@pytest.mark.parametrize('sampler', space.SAMPLERS)
def test_a_generation_depends_on_the_seed_and_on_what_is_known_alone(sampler):
  if sampler == 'cmaes':
    pytest.importorskip('cmaes')
  search = space.space(FIELDS, sampler=sampler, trials=24, batch=8)
  known = _run(search)
  assert _run(search) == known
  others = _run(search._replace(seed=1))
  assert [one.params for one in others[0]] != [one.params for one in known[0]]
  assert [one.params for one in known[1]] != [one.params for one in known[0]]
  # Later trials do not hang on a state that is kept from one to the next.
  again = ask.ask(search, 2, known[:2], 8)
  assert again == [one.params for one in known[2]]
  names = [list(one.params) for trials in known for one in trials]
  assert names == [['rate', 'bias', 'width']] * 24
  for one in (one for trials in known for one in trials):
    kinds = [type(value) for value in one.params.values()]
    assert kinds == [float, float, int]
    assert 1e-4 <= one.params['rate'] <= 1e-1
    assert -2 <= one.params['bias'] <= 4 and 4 <= one.params['width'] <= 64


@pytest.mark.parametrize('sampler', ['tpe', 'cmaes'])
def test_what_learns_remembers_every_generation(sampler):
  if sampler == 'cmaes':
    pytest.importorskip('cmaes')
  search = space.space(FIELDS, sampler=sampler, trials=36, batch=12)
  first, second, third = _run(search)
  other = [one._replace(values=(-one.params['bias'],)) for one in first]
  asked = ask.ask(search, 2, [other, second], 12)
  assert asked != [one.params for one in third]


def test_cmaes_draws_within_the_ends_and_does_not_pile_up_at_them():
  pytest.importorskip('cmaes')
  search = space.space(FIELDS, sampler='cmaes', trials=96, batch=12)
  known = _run(search, lambda params: (-params['bias'],))
  biases = [one.params['bias'] for trials in known for one in trials]
  assert max(biases) > 3.9 and 4.0 not in biases


@pytest.mark.parametrize('sampler', ['tpe', 'cmaes'])
@pytest.mark.parametrize('maximize', [False, True])
def test_what_learns_gets_better_in_either_direction(sampler, maximize):
  if sampler == 'cmaes':
    pytest.importorskip('cmaes')
  one = space.Objective('loss', maximize)
  sign = -1 if maximize else 1
  search = space.space(
    FIELDS, objective=one, sampler=sampler, trials=80, batch=16
  )
  medians = _medians(_run(search, lambda p: (sign * _loss(p),)), sign)
  drawn = _medians(_run(search._replace(sampler='random', trials=16)))
  assert medians[-1] < 0.5 * drawn[0]


def test_points_of_qmc_are_more_even_than_random_ones():
  def unevenness(sampler):
    search = space.space(FIELDS, sampler=sampler, trials=64, batch=16)
    points = [
      [one.share(known.params[name]) for name, one in search.fields.items()]
      for trials in _run(search)
      for known in trials
    ]
    return stats.qmc.discrepancy(np.clip(points, 0, 1))

  assert unevenness('qmc') < 0.5 * unevenness('random')


def test_tpe_keeps_away_from_trials_in_training():
  search = space.space({'config.x': space.uniform(0, 1)}, batch=16)
  known = [
    ask.Known({'x': float(x)}, ((x - 0.5) ** 2,)) for x in np.linspace(0, 1, 16)
  ]
  busy = [ask.Known({'x': 0.5 + 0.001 * k}, None) for k in range(16)]

  def near(before):
    asked = ask.ask(search, 2, before, 16)
    return sum(abs(one['x'] - 0.5) < 0.05 for one in asked)

  assert near([known, busy]) < near([known])


def test_tpe_weighs_several_objectives_and_trials_that_are_retired():
  fields = {'config.x': space.uniform(0, 1), 'config.y': space.uniform(0, 1)}
  search = space.space(
    fields, objective=['loss', space.maximize('score')], trials=96, batch=16
  )

  def judge(params):
    if params['x'] > 0.9:
      return (math.inf, -math.inf)  # diverged
    return (params['x'] ** 2 + params['y'], -(params['y'] ** 2))

  known = _run(search, judge)
  assert np.mean([one.params['y'] for one in known[-1]]) < np.mean(
    [one.params['y'] for one in known[0]]
  )
  halved = space.space(fields, halving=space.halving(8), trials=64, batch=32)
  first = ask.ask(halved, 0, [], 32)
  # The worse half was retired early, with losses that look better.
  retired = [
    ask.Known(params, (params['x'] - 1,), 8)
    if params['x'] > 0.5
    else ask.Known(params, (params['x'],))
    for params in first
  ]
  asked = ask.ask(halved, 1, [retired], 32)
  assert np.mean([one['x'] for one in asked]) < 0.45
