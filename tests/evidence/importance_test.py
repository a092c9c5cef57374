"""Importance: against variances known in closed form, and plain arithmetic."""

import sys

import numpy as np
import pytest

from lstm_variants.evidence.importance import measure, search_space


def _trials(count, loss, axes=2, seed=0):
  """Trials in the unit box whose log10 loss is `loss(*columns)`."""
  points = np.random.default_rng(seed).uniform(size=(count, axes))
  box = [
    search_space.Axis(f'x{n}', f'x{n}', 'linear', 0.0, 1.0) for n in range(axes)
  ]
  return measure.Trials(box, points, 10 ** loss(*points.T), 0)


def _row(loss, status='unsolved', **fields):
  config = {'seed': 0, 'optimizer': {'learning_rate': 0.1, **fields}}
  final = {'loss': loss}
  return {'model': 'm', 'config': config, 'final': final, 'status': status}


@pytest.fixture(scope='module')
def additive():
  """Of y = 3 a + b, a has 9/10 of the variance and b 1/10; c has none."""
  trials = _trials(200, lambda a, b, c: 3 * a + b, axes=3)
  return trials, measure.shares(trials)


def test_an_additive_function_has_the_shares_of_its_variances(additive):
  _, found = additive
  np.testing.assert_allclose(found.alone, [0.9, 0.1, 0], atol=0.04)
  assert found.rest < 0.04
  # Shuffled losses hang together with nothing.
  assert 0 < found.floor < 0.2
  assert found.fit > 0.9
  assert (found.trials, found.labels) == (200, ['x0', 'x1', 'x2'])


def test_ped_anova_orders_them_likewise(additive):
  _, found = additive
  assert found.second[0] > 0.8
  assert found.second.sum() == pytest.approx(1)


def test_ped_anova_asks_for_the_best_trials():
  # The lowest losses are told by a, the highest by b.
  trials = _trials(100, lambda a, b: np.where(a < 0.15, a, 1 + b))
  low, high = measure.shares(trials).second
  assert low > 2 * high


def test_what_only_both_explain_is_the_rest():
  # Of (2a - 1)(2b - 1) neither explains anything alone.
  found = measure.shares(_trials(200, lambda a, b: (2 * a - 1) * (2 * b - 1)))
  assert found.alone.max() < 0.12
  assert found.rest > 0.8


def test_main_effects_and_interaction_have_their_known_shares():
  # ab: Var = 7/144, alone a and b 3/144 each, together 1/144.
  found = measure.shares(_trials(250, lambda a, b: a * b))
  np.testing.assert_allclose(found.alone, [3 / 7, 3 / 7], atol=0.06)
  np.testing.assert_allclose(found.rest, 1 / 7, atol=0.06)


def test_losses_of_chance_leave_a_share_as_large_as_the_floor():
  noise = np.random.default_rng(5).normal(size=60)
  found = measure.shares(_trials(60, lambda a, b: noise))
  assert found.fit < 0.1
  assert found.floor > 0.05
  assert found.alone.mean() < 2.5 * found.floor


def test_equal_trials_and_seeds_give_equal_shares(additive):
  trials, _ = additive
  few = trials._replace(points=trials.points[:40], losses=trials.losses[:40])
  first, again, other = (measure.shares(few, seed) for seed in (1, 1, 2))
  np.testing.assert_array_equal(first.alone, again.alone)
  assert first.floor == again.floor
  assert not np.array_equal(first.alone, other.alone)


def test_of_very_many_trials_a_part_is_taken(monkeypatch):
  monkeypatch.setattr(measure, 'MOST_TRIALS', 100)
  found = measure.shares(_trials(500, lambda a, b: 3 * a + b))
  assert found.trials == 100
  np.testing.assert_allclose(found.alone, [0.9, 0.1], atol=0.08)


def test_marginals_are_the_means_over_the_others():
  trials = _trials(400, lambda a, b: 2 * a + b)
  first, second = measure.marginals(trials)
  inner = slice(4, -4)
  for marginal, slope, mean_of_other in (
    (first, 2, trials.points[:, 1].mean()),
    (second, 1, 2 * trials.points[:, 0].mean()),
  ):
    expected = slope * marginal.values + mean_of_other
    found = np.log10(marginal.loss)
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.15)
    assert (marginal.low <= marginal.loss).all()
    assert (marginal.high >= marginal.loss).all()


def test_a_trial_that_diverged_counts_as_the_worst_finite_loss():
  rows = [_row(0.1 * (n + 1)) for n in range(20)]
  rows[3] = _row(None, 'diverged')
  rows[4] = _row(float('inf'))
  # What it had before does not count.
  rows[5] = _row(1e-9, 'diverged')
  axis = search_space.Axis(search_space.RATE, 'rate', 'log', -2.0, 0.0)
  trials = measure.gather(rows, [axis])
  np.testing.assert_allclose(trials.losses[3:6], 2.0)
  np.testing.assert_allclose(trials.losses[:3], [0.1, 0.2, 0.3])
  np.testing.assert_allclose(trials.points, -1)
  assert trials.diverged == 3


def test_a_loss_of_zero_counts_as_the_smallest_above_it():
  trials = _trials(40, lambda a, b: a)
  losses = trials.losses.copy()
  losses[0] = 0
  assert measure.shares(trials._replace(losses=losses)).fit > 0


def _refusal(call):
  with pytest.raises(measure.ImportanceError) as info:
    call()
  assert '\n' not in str(info.value)
  return str(info.value)


def test_what_cannot_be_explained_is_refused_in_a_line():
  rows = [_row(0.1)] * 19
  assert '19 trials, at least 20' in _refusal(lambda: measure.gather(rows, []))
  rows = [_row(None, 'diverged')] * 20
  assert 'none of 20 trials has a finite loss' in _refusal(
    lambda: measure.gather(rows, [])
  )
  equal = _trials(20, lambda a, b: 0 * a)
  assert 'the same loss' in _refusal(lambda: measure.shares(equal))
  assert 'the same loss' in _refusal(lambda: measure.marginals(equal))


@pytest.mark.parametrize('library', ['optuna', 'sklearn'])
def test_a_missing_library_is_refused_with_the_command(monkeypatch, library):
  monkeypatch.setitem(sys.modules, library, None)
  message = _refusal(lambda: measure.shares(_trials(20, lambda a, b: a)))
  assert "pip install 'lstm-variants[importance]'" in message
