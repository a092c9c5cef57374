"""Survival curves against SciPy, statsmodels, closed forms and simulation."""

import math
import warnings

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


def test_median_of_a_hand_worked_curve_with_ties_and_censoring():
  interval = survival.median_to_success(TIMES, SOLVED)
  assert interval.estimate == 5
  # Greenwood sums, Σ d / (n (n − d)), and the band S^exp(± 1.96 σ / ln S).
  shares = {1: 9 / 10, 2: 7 / 10, 4: 7 / 12, 5: 7 / 15, 6: 14 / 45, 7: 7 / 45}
  terms = {
    **{1: 1 / 90, 2: 2 / 63, 4: 1 / 30},
    **{5: 1 / 20, 6: 1 / 6, 7: 1 / 2},
  }
  total, low, high = 0.0, math.inf, math.inf
  for t, s in shares.items():
    total += terms[t]
    width = 1.959964 * math.sqrt(total) / abs(math.log(s))
    if s ** math.exp(width) <= 0.5:
      low = min(low, t)
    if s ** math.exp(-width) <= 0.5:
      high = min(high, t)
  assert (interval.low, interval.high) == (low, high) == (1, 7)


def test_upper_bound_is_reached_when_enough_runs_succeed():
  # n = 7 without censoring: at the sixth run S = 1/7, its upper limit is
  # exp(−exp(ln ln 7 − 1.96 √(6/7) / ln 7)) = 0.465; at the fifth it is 0.59.
  interval = survival.median_to_success(range(1, 8), [True] * 7)
  assert interval == (4, 1, 6)


@pytest.mark.parametrize('count', range(1, 6))
def test_upper_bound_of_few_runs_is_not_reached(count):
  interval = survival.median_to_success(range(1, count + 1), [True] * count)
  assert interval == ((count + 1) // 2, 1, math.inf)


def test_the_exact_limit_counts_only_the_runs_still_at_risk():
  # Of five out of five it is 1 - 0.025^(1/5) = 0.52; of six it would be 0.46.
  interval = survival.median_to_success([1, 5, 5, 5, 5, 5], [True] * 6)
  assert interval == (5, 1, math.inf)


@pytest.mark.parametrize(
  ('count', 'high'), [(1, math.inf), (5, math.inf), (6, 320), (20, 320)]
)
def test_ties_are_bounded_by_the_exact_binomial_limit(count, high):
  # All runs at once: the median is above t with probability 2^-n.
  assert (scipy.stats.binom.cdf(0, count, 0.5) < 0.025) == (high == 320)
  interval = survival.median_to_success([320] * count, [True] * count)
  assert interval == (320, 320, high)


def test_median_is_inf_while_less_than_half_of_the_runs_succeed():
  assert survival.median_to_success([9, 9], [False, False]) == ((math.inf,) * 3)
  interval = survival.median_to_success([1, 9, 9], [True, False, False])
  assert interval.estimate == math.inf
  assert interval.low == 1


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


def test_censoring_before_the_first_success_only_shrinks_the_sample():
  interval = survival.median_to_success([1, *range(2, 9)], [False] + [True] * 7)
  assert interval == (5, 2, 7)


def test_median_interval_covers_the_median_about_as_often_as_it_says():
  rng = np.random.default_rng(0)
  trials, covered = 400, 0
  for _ in range(trials):
    times, ends = rng.exponential(size=30), rng.uniform(0.5, 3, size=30)
    interval = survival.median_to_success(
      np.minimum(times, ends), times <= ends
    )
    covered += interval.low <= math.log(2) <= interval.high
  assert 0.91 < covered / trials <= 0.99


def _runs(seed, count=25, grid=2):
  """Return runs with ties and censoring."""
  rng = np.random.default_rng(seed)
  times = np.ceil(rng.exponential(size=count) * 10 / grid) * grid
  ends = np.ceil(rng.uniform(5, 25, size=count) / grid) * grid
  return np.minimum(times, ends), times <= ends


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('confidence', [0.5, 0.95])
def test_curve_and_band_equal_scipys(seed, confidence):
  times, solved = _runs(seed)
  curve = survival.kaplan_meier(times, solved, confidence=confidence)
  peer = scipy.stats.ecdf(
    scipy.stats.CensoredData(times[solved], right=times[~solved])
  ).sf
  with warnings.catch_warnings():
    # The band is undefined at 0 and 1.
    warnings.simplefilter('ignore', RuntimeWarning)
    band = peer.confidence_interval(confidence, method='log-log')
  inside = (curve.survival > 0) & (curve.survival < 1)
  np.testing.assert_array_equal(curve.times, peer.quantiles)
  np.testing.assert_allclose(curve.survival, peer.probabilities, atol=1e-15)
  for ours, theirs in ((curve.low, band.low), (curve.high, band.high)):
    np.testing.assert_allclose(ours[inside], theirs.probabilities[inside])
  np.testing.assert_array_equal(
    curve.at_risk, [np.sum(times >= t) for t in curve.times]
  )
  np.testing.assert_array_equal(
    curve.solved, [np.sum(solved & (times == t)) for t in curve.times]
  )
  assert curve.solved.sum() + curve.censored.sum() == len(times)
  assert np.all((curve.low <= curve.survival) & (curve.survival <= curve.high))


def test_band_is_completed_where_all_or_none_have_succeeded():
  curve = survival.kaplan_meier([1, 2, 2, 2], [False, True, True, True])
  np.testing.assert_array_equal(curve.survival, [1, 0])
  np.testing.assert_array_equal(curve.low, [1, 0])
  np.testing.assert_allclose(curve.high, [1, 1 - 0.025 ** (1 / 3)])
  curve = survival.kaplan_meier([1, 2], [True, True])
  # A single run's limit is above the edge before, which stays.
  assert curve.high[-1] == curve.high[-2] < 0.975


def test_curves_of_no_run_one_run_and_no_success():
  assert [len(part) for part in survival.kaplan_meier([], [])] == [0] * 7
  assert survival.kaplan_meier([5], [True]).survival.tolist() == [0]
  unsolved = survival.kaplan_meier([5, math.inf], [False, False])
  assert unsolved.survival.tolist() == unsolved.low.tolist() == [1, 1]
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


def test_restricted_mean_of_runs_seen_to_the_limit_is_the_usual_mean():
  times, limit = np.array([3.0, 5.0, 5.0, 8.0, 11.0, 40.0, 60.0]), 20.0
  interval = survival.restricted_mean(
    np.minimum(times, 50), times < 50, limit, confidence=0.8
  )
  seen = np.minimum(times, limit)
  bounds = scipy.stats.t.interval(0.8, 6, seen.mean(), scipy.stats.sem(seen))
  assert interval == pytest.approx((seen.mean(), *bounds))


def test_restricted_mean_error_is_greenwoods_with_censoring():
  # Ten runs, worked by hand above, to 7: S falls at 1, 2, 4, 5 and 6.
  steps = [1, 9 / 10, 7 / 10, 7 / 10, 7 / 12, 7 / 15, 14 / 45]
  areas = {t: sum(steps[t:]) for t in (1, 2, 4, 5, 6)}
  terms = {1: 1 / 90, 2: 2 / 63, 4: 1 / 30, 5: 1 / 20, 6: 1 / 6}
  variance = 10 / 9 * sum(areas[t] ** 2 * terms[t] for t in areas)
  interval = survival.restricted_mean(TIMES, SOLVED, 7)
  assert interval.estimate == pytest.approx(sum(steps))
  width = scipy.stats.t.ppf(0.975, 9) * math.sqrt(variance)
  assert interval.low == pytest.approx(interval.estimate - width)
  assert interval.high == pytest.approx(min(7, interval.estimate + width))


@pytest.mark.parametrize(
  ('times', 'solved', 'expected'),
  [
    ([], [], (math.nan,) * 3),
    # The curve is not known to the limit of 10.
    ([3, 9], [True, False], (math.nan,) * 3),
    ([3, 10], [True, False], (6.5, 0, 10)),
    ([3], [True], (3, math.nan, math.nan)),
    ([10, 12], [False, False], (10, 10, 10)),
    ([4, 4], [True, True], (4, 4, 4)),
    ([10, 10], [True, True], (10, 10, 10)),
  ],
)
def test_restricted_means_of_degenerate_runs(times, solved, expected):
  interval = survival.restricted_mean(times, solved, 10)
  assert interval == pytest.approx(expected, nan_ok=True)


def test_restricted_mean_covers_about_as_often_as_it_says():
  rng = np.random.default_rng(0)
  trials, covered = 400, 0
  for _ in range(trials):
    times, ends = rng.exponential(size=12), rng.uniform(1.5, 4, size=12)
    interval = survival.restricted_mean(
      np.minimum(times, ends), times <= ends, 1.5
    )
    covered += interval.low <= 1 - math.exp(-1.5) <= interval.high
  assert 0.91 < covered / trials < 0.98
