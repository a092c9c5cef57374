"""Power against Monte Carlo, statsmodels and published tables."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats import power as peer

from lstm_variants.statistics import power


@pytest.mark.parametrize('seeds', [2, 3, 5, 12])
@pytest.mark.parametrize('deviation', [0.0, 1.0, 3.0])
@pytest.mark.parametrize('difference', [0.0, 2.0])
def test_power_is_the_share_of_rejections_of_scipys_test(
  seeds, deviation, difference
):
  rng = np.random.default_rng(0)
  x = rng.normal(difference, 1, (40_000, seeds))
  # Not quite constant, of which the test would warn.
  y = rng.normal(0, max(deviation, 1e-6), (40_000, seeds))
  p = np.asarray(scipy.stats.ttest_ind(x, y, axis=1, equal_var=False)[1])
  expected = power.welch(difference, 1.0, seeds, baseline_deviation=deviation)
  assert expected == pytest.approx(np.mean(p < 0.05), abs=0.0085)


def test_power_is_the_usual_formulas_for_many_seeds():
  for seeds, difference in ((40, 0.5), (400, 0.2), (10**6, 0.003)):
    expected = peer.tt_ind_solve_power(difference / 3, seeds, 0.01)
    ours = power.welch(difference, 3.0, seeds, alpha=0.01)
    assert ours == pytest.approx(expected, abs=2e-3)


def test_power_does_not_depend_on_units_order_or_sign():
  expected = power.welch(2.0, 1.0, 6, baseline_deviation=3.0)
  for scale in (1e-200, 1e12):
    scaled = power.welch(-2.0 * scale, 3.0 * scale, 6, baseline_deviation=scale)
    assert scaled == pytest.approx(expected)


@pytest.mark.parametrize(
  ('effect', 'seeds'), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)]
)
def test_seeds_needed_are_cohens(effect, seeds):
  # "A power primer", Psychological Bulletin 112(1), 1992, table 2: 393, 64, 26;
  # the first by exact computation is 394.
  assert power.seeds_needed(effect * 7, 7.0) == seeds


@pytest.mark.parametrize('target', [0.06, 0.5, 0.99])
@pytest.mark.parametrize('other', [0.0, 1.0, 5.0])
def test_seeds_needed_are_the_first_that_have_the_power(target, other):
  seeds = power.seeds_needed(1.2, 1.0, target, baseline_deviation=other)
  reached = [
    power.welch(1.2, 1.0, int(seeds) - less, baseline_deviation=other)
    for less in (0, 1)
  ]
  assert reached[0] >= target
  assert reached[1] < target or seeds == 2


def test_extremes_need_no_more_than_a_line():
  assert power.seeds_needed(1e9, 1.0) == 2
  assert power.seeds_needed(1e-9, 1.0) == math.inf
  assert power.seeds_needed(0.0, 1.0) == math.inf
  assert power.welch(1e9, 1.0, 2) == pytest.approx(1)


@pytest.mark.parametrize(
  'numbers',
  [(1.0, 1.0, 1), (1.0, 0.0, 5), (math.nan, 1.0, 5), (1.0, math.inf, 5)],
)
def test_power_is_nan_where_nothing_can_be_said(numbers):
  assert math.isnan(power.welch(*numbers))
  if numbers[2] > 1:
    assert math.isnan(power.seeds_needed(*numbers[:2]))


def test_impossible_numbers_are_refused():
  with pytest.raises(ValueError, match=r'deviation=-1\.0: must be at least 0'):
    power.welch(1.0, -1.0, 5)
  with pytest.raises(ValueError, match=r'alpha=0: must be between 0 and 1'):
    power.welch(1.0, 1.0, 5, alpha=0)
  with pytest.raises(ValueError, match=r'power=1\.5: must be between'):
    power.seeds_needed(1.0, 5, 1.5)
