"""The best trials, and their comparison, against SciPy and by hand."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats import multitest

from lstm_variants.statistics import best_trials


def _rows(model, losses, params=100, task='adding'):
  return [
    {
      'task': task,
      'model': model,
      'final': {'loss': loss},
      'status': 'diverged' if loss is None else 'unsolved',
      'sequences': 50 if loss is None else 3200,
      'params_in_use': params + n,
    }
    for n, loss in enumerate(losses)
  ]


@pytest.fixture(scope='module')
def losses():
  rng = np.random.default_rng(0)
  return {
    'other': rng.uniform(0.1, 1, 60).tolist(),
    'v': rng.uniform(0, 1, 60).tolist(),
    'bad': rng.uniform(0.5, 1, 60).tolist(),
  }


@pytest.fixture(scope='module')
def bests(losses):
  rows = [row for model, of in losses.items() for row in _rows(model, of)]
  return _of_one_task(rows)


def _of_one_task(rows, baseline='v', **settings):
  (bests,) = best_trials.best_trials(rows, baseline, **settings).values()
  return bests


def test_a_tenth_of_the_trials_is_taken_the_baseline_first(bests, losses):
  assert [best.model for best in bests] == ['v', 'other', 'bad']
  for best in bests:
    np.testing.assert_array_equal(best.losses, sorted(losses[best.model])[:6])
    order = np.argsort(losses[best.model])[:6]
    assert best.params == pytest.approx(100 + order.mean())
    assert (best.trials, best.diverged) == (60, 0)


def _difference(sample, baseline, chosen):
  """Return the difference of mean logs of the best of two lists."""
  sides = (np.sort(side)[:chosen] for side in (sample, baseline))
  ours, theirs = (np.log(side).mean() for side in sides)
  return ours - theirs


@pytest.mark.parametrize('seed', range(4))
def test_p_is_that_of_all_divisions_with_the_best_of_each_chosen(seed):
  rng = np.random.default_rng(seed)
  losses = rng.lognormal(size=9)
  observed = _difference(losses[:4], losses[4:], 2)
  drawn = []
  for chosen in itertools.combinations(range(9), 4):
    mine = np.isin(np.arange(9), chosen)
    drawn.append(_difference(losses[mine], losses[~mine], 2))
  tails = np.mean(drawn >= observed - 1e-9), np.mean(drawn <= observed + 1e-9)
  test = best_trials.test(losses[:4].tolist(), losses[4:].tolist(), least=2)
  assert test.p_value == pytest.approx(min(1, 2 * min(tails)), abs=0.02)
  assert test.above == (tails[0] < tails[1])


def _alike(rng, kind):
  if kind == 'log-normal':
    return rng.lognormal(0, 2, (2, 20))
  # Trials of a search: most learn nothing, some much, some diverge.
  losses = np.where(
    rng.random((2, 20)) < 0.6, 0.167, 10 ** rng.uniform(-6, 0, (2, 20))
  )
  return np.where(rng.random((2, 20)) < 0.1, math.inf, losses)


@pytest.mark.parametrize('kind', ['log-normal', 'search'])
def test_models_alike_are_told_apart_in_a_twentieth_at_most(kind):
  # S3 of the review: Welch's test of the best five of twenty, in 12 to 15 %.
  rng = np.random.default_rng(0)
  rejected = 0
  for sample, baseline in (_alike(rng, kind) for _ in range(1000)):
    test = best_trials.test(sample.tolist(), baseline.tolist(), resamples=399)
    rejected += test.p_value <= 0.05
  assert 0.02 < rejected / 1000 < 0.065


def test_welch_of_chosen_trials_does_tell_models_alike_apart():
  # What the test above guards against, so that it would show.
  rng = np.random.default_rng(0)
  best = np.sort(rng.normal(0, 2, (1000, 2, 20)))[..., :5]
  peer: Any = scipy.stats.ttest_ind(
    best[:, 0], best[:, 1], axis=1, equal_var=False
  )
  assert 0.1 < np.mean(peer.pvalue < 0.05) < 0.2


def test_p_values_are_adjusted_by_holm_for_all_models_of_all_tasks(losses):
  rows = [row for model, of in losses.items() for row in _rows(model, of)]
  one = _of_one_task(rows)
  more = [{**row, 'task': 'copy'} for row in rows]
  both = best_trials.best_trials([*rows, *more], 'v')
  assert list(both) == ['adding', 'copy']
  for bests in both.values():
    assert [b.p_value for b in bests[1:]] == [b.p_value for b in one[1:]]
  flat = [best for bests in both.values() for best in bests[1:]]
  peer: Any = multitest.multipletests([b.p_value for b in flat], method='holm')
  np.testing.assert_allclose([b.holm for b in flat], peer[1])
  assert one[2].holm < both['adding'][2].holm


def test_p_can_be_small_enough_for_the_odysseys_24_comparisons():
  losses = np.linspace(0.1, 0.2, 20)
  test = best_trials.test((10 * losses).tolist(), losses.tolist())
  assert test.p_value < 0.05 / 24 and test.above


def test_losses_orders_of_magnitude_lower_are_better():
  # The mean of losses would not tell: V's worst trial decides it.
  v = [1e-4, 2e-4, 1e-3, 5e-4, 2e-2]
  better = [1e-7, 3e-7, 8e-6, 1e-6, 2e-7]
  rows = [*_rows('v', v), *_rows('w', better)]
  assert _of_one_task(rows)[1].verdict == best_trials.BETTER


def test_verdicts_tell_the_direction(bests):
  v, other, bad = bests
  assert v.verdict == best_trials.BASELINE
  assert np.isnan(v.p_value)
  assert bad.verdict == best_trials.WORSE
  assert other.verdict == best_trials.WORSE
  v = [3, 3.1, 3.2, 3.3, 3.4]
  for w, verdict in (
    ([1, 1.1, 1.2, 1.3, 1.4], best_trials.BETTER),
    ([9, 9.1, 9.2, 9.3, 9.4], best_trials.WORSE),
    ([3.05, 3.15, 3.25, 3.35, 3.3], best_trials.EQUAL),
  ):
    rows = [*_rows('v', v), *_rows('w', w)]
    assert _of_one_task(rows)[1].verdict == verdict


@pytest.mark.parametrize(
  ('trials', 'chosen'),
  [(3, 3), (20, 5), (30, 5), (51, 6), (60, 6), (70, 7), (200, 20)],
)
def test_of_few_trials_five_are_taken(trials, chosen):
  rows = _rows('v', np.linspace(0, 1, trials).tolist())
  assert len(_of_one_task(rows)[0].losses) == chosen


def test_a_share_that_is_a_whole_number_is_not_rounded_up():
  # 0.07 * 100 is 7.000000000000001.
  rows = _rows('v', np.linspace(0, 1, 100).tolist())
  (best,) = _of_one_task(rows, share=0.07)
  assert len(best.losses) == 7


def test_trials_that_diverged_count_but_are_not_chosen():
  rows = _rows('v', [None, 0.3, float('inf'), 0.1, float('nan')])
  rows[0]['final'] = {'loss': 1e-9}
  (best,) = _of_one_task(rows)
  np.testing.assert_array_equal(best.losses, [0.1, 0.3])
  assert (best.trials, best.diverged) == (5, 3)


def test_without_anything_to_compare_with_nothing_is_told():
  rows = [*_rows('v', [0.1, 0.2]), *_rows('w', [None, None])]
  w = _of_one_task(rows)[1]
  assert (w.verdict, len(w.losses)) == (best_trials.UNKNOWN, 0)
  assert np.isnan(w.params)
  (v, w) = _of_one_task(rows, 'absent')
  assert {v.verdict, w.verdict} == {best_trials.UNKNOWN}
  assert best_trials.best_trials([], 'v') == {}


def test_trials_that_were_trained_unequally_are_not_tested():
  """As the populations of a search that stop when they are solved."""
  rows = [
    *_rows('v', np.linspace(1, 2, 20).tolist()),
    *_rows('w', np.linspace(5, 9, 20).tolist()),
    *_rows('x', np.linspace(5, 9, 20).tolist()),
  ]
  rows[21]['sequences'] = 1600
  v, w, x = _of_one_task(rows)
  assert (w.verdict, len(w.losses)) == (best_trials.UNEQUAL, 5)
  assert math.isnan(w.p_value) and math.isnan(w.holm)
  # It is no member of the family.
  assert x.verdict == best_trials.WORSE and x.holm == x.p_value
  assert v.verdict == best_trials.BASELINE
