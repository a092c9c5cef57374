"""The best trials, and their comparison, against SciPy and by hand."""

from typing import Any

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import best_trials


def _rows(model, losses, params=100):
  return [
    {
      'model': model,
      'final': {'loss': loss},
      'status': 'diverged' if loss is None else 'unsolved',
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
def found(losses):
  rows = [row for model, of in losses.items() for row in _rows(model, of)]
  return best_trials.best_trials(rows, 'v')


def test_a_tenth_of_the_trials_is_taken_the_baseline_first(found, losses):
  assert [best.model for best in found] == ['v', 'other', 'bad']
  for best in found:
    np.testing.assert_array_equal(best.losses, sorted(losses[best.model])[:6])
    order = np.argsort(losses[best.model])[:6]
    assert best.params == pytest.approx(100 + order.mean())
    assert (best.trials, best.diverged) == (60, 0)


def test_p_values_are_those_of_scipy_adjusted_by_hand(found):
  v, *others = found
  tests: list[Any] = [
    scipy.stats.ttest_ind(
      np.log(best.losses), np.log(v.losses), equal_var=False
    )
    for best in others
  ]
  p = [test.pvalue for test in tests]
  np.testing.assert_allclose([best.welch for best in others], p)
  small, large = sorted(p)
  expected = {small: 2 * small, large: max(2 * small, large)}
  np.testing.assert_allclose(
    [best.holm for best in others], [expected[value] for value in p]
  )


def test_losses_orders_of_magnitude_lower_are_better():
  # The mean of losses would not tell: V's worst trial decides it.
  v = [1e-4, 2e-4, 1e-3, 5e-4, 2e-2]
  better = [1e-7, 3e-7, 8e-6, 1e-6, 2e-7]
  found = best_trials.best_trials([*_rows('v', v), *_rows('w', better)], 'v')
  assert found[1].verdict == best_trials.BETTER


def test_verdicts_tell_the_direction(found):
  v, other, bad = found
  assert v.verdict == best_trials.BASELINE
  assert np.isnan(v.welch)
  assert bad.verdict == best_trials.WORSE
  assert other.verdict == best_trials.WORSE
  rows = [*_rows('v', [3, 3.1, 3.2]), *_rows('w', [1, 1.1, 1.2])]
  assert best_trials.best_trials(rows, 'v')[1].verdict == best_trials.BETTER
  rows = [*_rows('v', [3, 3.1, 3.2]), *_rows('w', [3.1, 3.2, 3])]
  assert best_trials.best_trials(rows, 'v')[1].verdict == best_trials.EQUAL


@pytest.mark.parametrize(
  ('trials', 'chosen'),
  [(3, 3), (20, 5), (30, 5), (51, 6), (60, 6), (70, 7), (200, 20)],
)
def test_of_few_trials_five_are_taken(trials, chosen):
  rows = _rows('v', np.linspace(0, 1, trials).tolist())
  assert len(best_trials.best_trials(rows, 'v')[0].losses) == chosen


def test_a_share_that_is_a_whole_number_is_not_rounded_up():
  # 0.07 * 100 is 7.000000000000001.
  rows = _rows('v', np.linspace(0, 1, 100).tolist())
  (best,) = best_trials.best_trials(rows, 'v', share=0.07)
  assert len(best.losses) == 7


def test_trials_that_diverged_count_but_are_not_chosen():
  rows = _rows('v', [None, 0.3, float('inf'), 0.1, float('nan')])
  rows[0]['final'] = {'loss': 1e-9}
  (best,) = best_trials.best_trials(rows, 'v')
  np.testing.assert_array_equal(best.losses, [0.1, 0.3])
  assert (best.trials, best.diverged) == (5, 3)


def test_without_anything_to_compare_with_nothing_is_told():
  rows = [*_rows('v', [0.1, 0.2]), *_rows('w', [None, None])]
  w = best_trials.best_trials(rows, 'v')[1]
  assert (w.verdict, len(w.losses)) == (best_trials.UNKNOWN, 0)
  assert np.isnan(w.params)
  (v, w) = best_trials.best_trials(rows, 'absent')
  assert {v.verdict, w.verdict} == {best_trials.UNKNOWN}
