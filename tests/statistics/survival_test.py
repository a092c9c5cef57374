"""Survival curves against SciPy, statsmodels, closed forms and simulation."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from lstm_variants.statistics import survival

# Ten runs with ties and censoring, worked by hand ('+' is censored):
#   1, 2, 2, 3+, 4, 5, 5+, 6, 7, 8+
# t   at risk  succeed  S(t)
# 1   10       1        9/10
# 2    9       2        9/10 · 7/9        = 7/10
# 4    6       1        7/10 · 5/6        = 7/12
# 5    5       1        7/12 · 4/5        = 7/15    <- at most 1/2: the median
# 6    3       1        7/15 · 2/3        = 14/45
# 7    2       1        14/45 · 1/2       = 7/45
TIMES = [1, 2, 2, 3, 4, 5, 5, 6, 7, 8]
SOLVED = [True, True, True, False, True, True, False, True, True, False]


def _beta_product(factors, level):
  """Return a quantile of the Beta with the moments of a product of Betas."""
  betas: list[Any] = [scipy.stats.beta(a, b) for a, b in factors]
  mean = math.prod(float(beta.mean()) for beta in betas)
  square = math.prod(float(beta.moment(2)) for beta in betas)
  size = (mean - square) / (square - mean**2)
  return scipy.stats.beta.ppf(level, mean * size, (1 - mean) * size)


def test_band_and_median_of_a_hand_worked_curve_with_ties_and_censoring():
  # time: those at risk, those that succeed, those at risk afterwards.
  steps = {
    **{1: (10, 1, 9), 2: (9, 2, 7), 4: (6, 1, 5)},
    **{5: (5, 1, 3), 6: (3, 1, 2), 7: (2, 1, 1)},
  }
  curve = survival.kaplan_meier(TIMES, SOLVED)
  factors, low, high = [], math.inf, math.inf
  for t, (at_risk, died, after) in steps.items():
    factors.append((at_risk - died + 1, died))
    edges = (
      _beta_product([*factors, (after, 1)], 0.025),
      _beta_product(factors, 0.975),
    )
    index = list(curve.times).index(t)
    assert (curve.low[index], curve.high[index]) == pytest.approx(edges)
    low = min(low, t if edges[0] <= 0.5 else low)
    high = min(high, t if edges[1] <= 0.5 else high)
  interval = survival.median_to_success(TIMES, SOLVED)
  assert interval == (5, low, high) == (5, 2, math.inf)


@pytest.mark.parametrize('count', [6, 7, 10, 20, 33])
def test_median_of_runs_all_solved_has_the_sign_tests_interval(count):
  # Between the k-th and the k-th last, with P(Bin(n, 1/2) < k) at most 2.5 %.
  k = int(scipy.stats.binom.ppf(0.025, count, 0.5))
  k += scipy.stats.binom.cdf(k, count, 0.5) <= 0.025
  interval = survival.median_to_success(range(1, count + 1), [True] * count)
  assert interval == ((count + 1) // 2, k, count + 1 - k)


def test_five_runs_bound_the_median_below_alone_and_four_not_at_all():
  interval = survival.median_to_success([2, 3, 5, 7, 9], [True] * 5)
  assert interval == (5, 2, math.inf)
  for count in range(1, 5):
    interval = survival.median_to_success([2] * count, [True] * count)
    assert interval == pytest.approx((2, math.nan, math.nan), nan_ok=True)


@pytest.mark.parametrize(
  ('count', 'high'), [(5, math.inf), (6, 320), (20, 320)]
)
def test_ties_are_bounded_by_the_exact_binomial_limit(count, high):
  # All runs at once: the median is above t with probability 2^-n.
  assert (scipy.stats.binom.cdf(0, count, 0.5) < 0.025) == (high == 320)
  interval = survival.median_to_success([320] * count, [True] * count)
  assert interval == (320, 320, high)


def test_median_is_inf_while_less_than_half_of_the_runs_succeed():
  none = survival.median_to_success([9] * 6, [False] * 6)
  # Six runs that were all given up at 9 do not rule out a median just above.
  assert none == (math.inf, 9, math.inf)
  interval = survival.median_to_success([1] + [9] * 5, [True] + [False] * 5)
  assert interval == (math.inf, 1, math.inf)


def test_median_is_exact_where_the_curve_touches_one_half():
  # The product of (n − 1)/n … is 1/2 but for rounding; of 24 runs above it.
  for half in range(1, 30):
    times = [*range(1, half + 1), *[99] * half]
    interval = survival.median_to_success(times, [time < 99 for time in times])
    assert interval.estimate == half


def test_median_ignores_the_order_of_runs():
  order = np.random.default_rng(0).permutation(len(TIMES))
  shuffled = survival.median_to_success(
    np.array(TIMES)[order], np.array(SOLVED)[order]
  )
  assert shuffled == survival.median_to_success(TIMES, SOLVED)


@pytest.mark.parametrize('count', [5, 6, 10, 20])
def test_median_intervals_cover_at_least_as_often_as_they_say(count):
  # The interval before covered 87 % with three runs and 94 % with four.
  rng = np.random.default_rng(0)
  for ends in (np.full(count, np.inf), np.full(count, 0.9), None):
    covered = 0
    for times in rng.exponential(size=(500, count)):
      end = rng.uniform(0.3, 3, count) if ends is None else ends
      interval = survival.median_to_success(
        np.minimum(times, end), times <= end
      )
      covered += interval.low <= math.log(2) <= interval.high
    assert covered / 500 > 0.93


@pytest.mark.parametrize('count', [3, 5, 20])
def test_bands_cover_the_curve_at_any_time(count):
  rng = np.random.default_rng(1)
  shares = np.array([0.97, 0.8, 0.5, 0.2, 0.05])
  points, covered = -np.log(shares), np.zeros(5)
  for times in rng.exponential(size=(500, count)):
    curve = survival.kaplan_meier(times, [True] * count)
    low, high = (
      np.concatenate(([first], edge))
      for first, edge in ((curve.first_low, curve.low), (1, curve.high))
    )
    at = np.searchsorted(curve.times, points, side='right')
    covered += (low[at] <= shares) & (shares <= high[at])
  assert np.min(covered) / 500 > 0.93


def _runs(seed, count=25, grid=2):
  """Return runs with ties and censoring."""
  rng = np.random.default_rng(seed)
  times = np.ceil(rng.exponential(size=count) * 10 / grid) * grid
  ends = np.ceil(rng.uniform(5, 25, size=count) / grid) * grid
  return np.minimum(times, ends), times <= ends


@pytest.mark.parametrize('censored', [True, False])
@pytest.mark.parametrize('seed', range(5))
def test_curve_equals_scipys(seed, censored):
  times, solved = _runs(seed)
  solved |= not censored
  curve = survival.kaplan_meier(times, solved)
  peer = scipy.stats.ecdf(
    scipy.stats.CensoredData(times[solved], right=times[~solved])
  ).sf
  np.testing.assert_array_equal(curve.times, peer.quantiles)
  np.testing.assert_array_equal(curve.survival, peer.probabilities)
  np.testing.assert_array_equal(
    curve.at_risk, [np.sum(times >= t) for t in curve.times]
  )
  np.testing.assert_array_equal(
    curve.solved, [np.sum(solved & (times == t)) for t in curve.times]
  )
  assert curve.solved.sum() + curve.censored.sum() == len(times)
  assert np.all((curve.low <= curve.survival) & (curve.survival <= curve.high))


@pytest.mark.parametrize('confidence', [0.5, 0.95])
def test_band_without_censoring_is_clopper_and_pearsons(confidence):
  times, count = np.ceil(np.random.default_rng(0).exponential(5, 30)), 30
  curve = survival.kaplan_meier(times, [True] * 30, confidence=confidence)
  for number, *edges in zip(
    [count, *(np.sum(times > t) for t in curve.times)],
    [curve.first_low, *curve.low],
    [1.0, *curve.high],
    strict=True,
  ):
    bounds = scipy.stats.binomtest(int(number), count).proportion_ci(confidence)
    assert edges == pytest.approx([bounds.low, bounds.high])


def test_curves_of_no_run_one_run_and_no_success():
  empty = survival.kaplan_meier([], [])
  assert empty.first_low == 0
  assert not any(np.size(part) for part in empty if part is not empty.first_low)
  assert survival.kaplan_meier([5], [True]).survival.tolist() == [0]
  unsolved = survival.kaplan_meier([5, math.inf], [False, False])
  assert unsolved.survival.tolist() == unsolved.high.tolist() == [1, 1]
  assert all(map(math.isnan, survival.median_to_success([], [])))


def test_runs_that_make_no_sense_are_refused():
  with pytest.raises(ValueError, match='2 solved of 1 runs: must be one for'):
    survival.kaplan_meier([1], [True, False])
  with pytest.raises(ValueError, match='sequences=nan: must be a number'):
    survival.median_to_success([1, math.nan], [True, False])
  with pytest.raises(ValueError, match='limit=0: must be above 0 and finite'):
    survival.restricted_mean([1], [True], 0)


@pytest.mark.parametrize('seed', range(4))
def test_restricted_mean_is_the_area_below_the_curve(seed):
  times, solved = _runs(seed)
  curve = survival.kaplan_meier(times, solved)
  for limit in (3.0, 9.0, times.max()):
    grid = np.linspace(0, limit, 40_001)
    at = np.searchsorted(curve.times, grid, side='right')
    heights = np.concatenate(([1.0], curve.survival))[at]
    area = scipy.integrate.trapezoid(heights, grid)
    mean = survival.restricted_mean(times, solved, limit)
    assert mean.estimate == pytest.approx(area, abs=1e-2)


def test_bounds_of_a_restricted_mean_are_areas_below_clopper_and_pearsons():
  # Of three runs 3, 2 and 1 are unsolved in 0 to 2, to 5 and to 6.
  edges = [
    scipy.stats.binomtest(unsolved, 3).proportion_ci() for unsolved in (3, 2, 1)
  ]
  interval = survival.restricted_mean([2, 5, 8], [True, True, False], 6)
  assert interval.estimate == pytest.approx(2 + 3 * 2 / 3 + 1 / 3)
  for bound, name in ((interval.low, 'low'), (interval.high, 'high')):
    heights = [getattr(edge, name) for edge in edges]
    assert bound == pytest.approx(np.dot([2, 3, 1], heights))


@pytest.mark.parametrize(
  ('times', 'solved', 'expected'),
  [
    ([], [], (math.nan,) * 3),
    # The curve is not known to the limit of 10.
    ([3, 9], [True, False], (math.nan,) * 3),
    ([3, 10], [True, False], (6.5, 0.5623, 9.9119)),
    ([3], [True], (3, math.nan, math.nan)),
    ([10, 12], [False, False], (10, 1.5811, 10)),
    ([4, 4], [True, True], (4, 0.6325, 9.0513)),
    ([10, 10], [True, True], (10, 1.5811, 10)),
  ],
)
def test_restricted_means_of_degenerate_runs(times, solved, expected):
  interval = survival.restricted_mean(times, solved, 10)
  assert interval == pytest.approx(expected, nan_ok=True, abs=1e-4)


@pytest.mark.parametrize('count', [2, 3, 5, 20])
@pytest.mark.parametrize('limit', [1.0, 20.0])
def test_restricted_means_cover_at_least_as_often_as_they_say(count, limit):
  # Student's bounds before: 71, 80 and 89 % with two, three and five runs.
  rng = np.random.default_rng(0)
  ndtr = scipy.stats.norm.cdf
  middle = math.exp(0.5) * ndtr(math.log(limit) - 1)
  expected = middle + limit * ndtr(-math.log(limit))
  covered = 0
  for times in rng.lognormal(size=(500, count)):
    interval = survival.restricted_mean(
      np.minimum(times, limit), times <= limit, limit
    )
    covered += interval.low <= expected <= interval.high
  assert covered / 500 > 0.95
