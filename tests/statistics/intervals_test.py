"""Statistics against closed forms, hand-worked examples and simulation."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import intervals


def _lognormal(runs, count=4000, seed=0):
  """Return samples of log-normal values with σ = 1, whose median is 1."""
  return np.random.default_rng(seed).lognormal(size=(count, runs))


def _normal(runs, count=4000, seed=1):
  """Return samples of normal values about 1 that vary by a fifth."""
  return np.random.default_rng(seed).normal(1, 0.2, (count, runs))


def _coverage(interval, samples, value):
  bounds = [interval(sample) for sample in samples]
  return np.mean([low <= value <= high for _, low, high in bounds])


@pytest.mark.parametrize('confidence', [0.5, 0.95])
def test_mean_interval_is_scipys_student_t(confidence):
  values = [0.3, 1.2, 0.7, 2.9, 0.1, 0.8]
  low, high = scipy.stats.t.interval(
    confidence, 5, np.mean(values), scipy.stats.sem(values)
  )
  interval = intervals.mean_interval(values, confidence=confidence)
  assert interval == pytest.approx((np.mean(values), low, high))


@pytest.mark.parametrize('runs', [2, 3, 5, 20])
def test_mean_intervals_of_normal_values_cover_as_often_as_they_say(runs):
  # The bootstrap before covered 50, 73 and 85 % with two, three and five.
  covered = _coverage(intervals.mean_interval, _normal(runs), 1)
  assert covered == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
  'interval', [intervals.geometric_interval, intervals.interquartile_interval]
)
@pytest.mark.parametrize('runs', [2, 3, 5, 20])
def test_intervals_of_lognormal_values_cover_as_often_as_they_say(
  interval, runs
):
  # The bootstrap of the mean before: 43, 61 and 75 % with two, three and five.
  covered = _coverage(interval, _lognormal(runs), 1)
  assert covered == pytest.approx(0.95, abs=0.02)


def test_geometric_interval_is_students_on_logarithms():
  values = _lognormal(7, count=1)[0]
  logs = np.log(values)
  bounds = scipy.stats.t.interval(0.95, 6, logs.mean(), scipy.stats.sem(logs))
  expected = (scipy.stats.gmean(values), *np.exp(bounds))
  assert intervals.geometric_interval(values) == pytest.approx(expected)


@pytest.mark.parametrize('runs', [3, 5, 20])
def test_intervals_of_skewed_shares_cover_better_than_students(runs):
  samples = np.random.default_rng(3).beta(0.5, 9.5, (4000, runs))
  levels = (np.arange(10**5) + 0.5) / 10**5
  shares = scipy.stats.beta.ppf(levels, 0.5, 9.5)
  value = np.sin(np.mean(np.arcsin(np.sqrt(shares)))) ** 2
  covered = _coverage(intervals.share_interval, samples, value)
  student = _coverage(intervals.mean_interval, samples, shares.mean())
  assert covered > 0.91 > student


def test_share_interval_is_students_on_angles_within_0_to_1():
  values = [0.0, 0.0, 0.1, 0.02]
  angles = np.arcsin(np.sqrt(values))
  bounds = scipy.stats.t.interval(
    0.95, 3, angles.mean(), scipy.stats.sem(angles)
  )
  expected = (np.sin(angles.mean()) ** 2, 0, np.sin(bounds[1]) ** 2)
  assert intervals.share_interval(values) == pytest.approx(expected)
  mirrored = intervals.share_interval(1 - np.array(values))
  assert mirrored == pytest.approx((1 - expected[0], 1 - expected[2], 1))
  for bad in ([], [0.5, 1.1], [-0.1, 0.5], [NAN, 0.5]):
    assert all(map(math.isnan, intervals.share_interval(bad)))
  same = intervals.share_interval([0.25, 0.25])
  assert same == pytest.approx((0.25, NAN, NAN), nan_ok=True)


def test_geometric_interval_scales_with_the_unit():
  values = _lognormal(4, count=1)[0]
  interval = np.array(intervals.geometric_interval(values))
  scaled = intervals.geometric_interval(1e-30 * values)
  assert scaled == pytest.approx(tuple(1e-30 * interval), rel=1e-9, abs=0)


def test_mean_interval_is_wider_at_higher_confidence():
  values = np.random.default_rng(1).normal(size=20)
  narrow = intervals.mean_interval(values, confidence=0.5)
  wide = intervals.mean_interval(values, confidence=0.99)
  assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


NAN = math.nan


@pytest.mark.parametrize(
  ('values', 'mean', 'geometric'),
  [
    ([], NAN, NAN),
    ([2.5], 2.5, 2.5),
    # Equal values tell nothing of how far the next may lie.
    ([2.5, 2.5, 2.5], 2.5, 2.5),
    ([0.1 + 0.2, 0.3, 0.3], 0.3, 0.3),
    ([0.0, 0.0], 0.0, 0.0),
    ([1.0, NAN], NAN, NAN),
    ([1.0, math.inf, 2.0], math.inf, math.inf),
    ([0.0, math.inf], math.inf, NAN),
  ],
)
def test_values_without_a_spread_leave_no_bounds(values, mean, geometric):
  for interval, expected in (
    (intervals.mean_interval(values), mean),
    (intervals.geometric_interval(values), geometric),
  ):
    assert interval == pytest.approx((expected, NAN, NAN), nan_ok=True)


def test_a_zero_makes_a_geometric_mean_zero_and_leaves_no_bounds():
  interval = intervals.geometric_interval([1e-3, 0.0, 2e-3])
  assert interval == pytest.approx((0, NAN, NAN), nan_ok=True)
  smallest = float(np.finfo(np.float32).tiny)
  assert intervals.geometric_interval([smallest, 1.0]).low > 0
  below = intervals.geometric_interval([-1e-9, 1.0])
  assert all(map(math.isnan, below))


def test_equal_means_within_the_margin_and_known_on_both_sides():
  inside = intervals.Interval(1.0, 0.81, 1.24)
  assert intervals.equivalent(inside, 1.25)
  for low, high in ((0.79, 1.1), (0.9, 1.26), (NAN, NAN), (0.9, math.inf)):
    assert not intervals.equivalent(intervals.Interval(1.0, low, high), 1.25)
  with pytest.raises(ValueError, match='margin=1: must be above 1'):
    intervals.equivalent(inside, 1)


def test_sides_a_margin_apart_are_called_equal_in_a_twentieth_at_most():
  rng = np.random.default_rng(2)
  equal = []
  for logs in rng.normal(math.log(1.25), 0.1, (4000, 6)):
    interval = intervals.geometric_interval(
      np.exp(logs), confidence=intervals.TOST
    )
    equal.append(intervals.equivalent(interval, 1.25))
  assert 0.03 < np.mean(equal) < 0.07


def test_welch_equals_its_formula():
  a, b = [27.5, 21.0, 19.0, 23.6, 17.0], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5]
  va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
  t = (np.mean(a) - np.mean(b)) / math.sqrt(va + vb)
  freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
  expected = 2 * scipy.stats.t.sf(abs(t), freedom)
  assert intervals.welch(a, b).p_value == pytest.approx(expected, rel=1e-12)


def test_welch_equals_scipys_test_on_samples():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=9), rng.normal(1, 3, size=4)
  expected = scipy.stats.ttest_ind(a, b, equal_var=False)[1]
  assert intervals.welch(a, b).p_value == pytest.approx(expected, rel=1e-12)


def test_welch_accepts_one_side_without_spread():
  # Then it is the one-sample test of the other side.
  a = [0.1, 0.4, 0.3]
  expected = scipy.stats.ttest_1samp(a, 0.6)[1]
  assert intervals.welch(a, [0.6] * 5).p_value == pytest.approx(expected)
  assert intervals.welch([0.6] * 5, a).p_value == pytest.approx(expected)


@pytest.mark.parametrize(
  ('a', 'b'),
  [([1.0], [1.0, 2.0]), ([1.0, 2.0], []), ([0.1] * 3, [0.7] * 3)],
)
def test_welch_is_nan_where_nothing_can_be_tested(a, b):
  assert math.isnan(intervals.welch(a, b).p_value)


def test_holm_of_a_worked_example():
  # 0.005 · 4, 0.01 · 3, 0.03 · 2 and 0.04, which is raised to 0.06.
  adjusted = intervals.holm([0.01, 0.04, 0.03, 0.005])
  assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_capped_at_one_and_skips_nan():
  adjusted = intervals.holm([math.nan, 0.6, 0.7, math.nan, 0.01])
  assert adjusted == pytest.approx(
    [math.nan, 1.0, 1.0, math.nan, 0.03], nan_ok=True
  )


@pytest.mark.parametrize('p_values', [[], [math.nan], [0.2]])
def test_holm_leaves_families_of_at_most_one_alone(p_values):
  assert intervals.holm(p_values) == pytest.approx(p_values, nan_ok=True)


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_tests_of_values_that_are_not_finite_are_nan(bad):
  assert math.isnan(intervals.welch([1.0, bad, 2.0], [1.0, 2.0]).p_value)
  assert math.isnan(intervals.hedges_g([1.0, bad, 2.0], [1.0, 2.0]))


@pytest.mark.parametrize('count', range(2, 14))
def test_interquartile_interval_is_yuens(count):
  values = _lognormal(count, count=1)[0]
  interval = intervals.interquartile_interval(values)
  logs = np.log(values)
  middle = scipy.stats.trim_mean(logs, 0.25)
  assert interval.estimate == pytest.approx(math.exp(middle))
  ttest_ind: Any = scipy.stats.ttest_ind
  # At either bound Yuen's test against (nearly) a constant has p = 0.05.
  near = np.tile([1e-6, -1e-6], 50)
  for bound in interval[1:]:
    test: Any = ttest_ind(
      logs, math.log(bound) + near, equal_var=False, trim=0.25
    )
    assert test.pvalue == pytest.approx(0.05, abs=1e-6)


def test_interquartile_interval_forgives_a_quarter_of_the_runs():
  usual = intervals.interquartile_interval([1, 2, 3, 4, 5, 6, 7, 8])
  wild = intervals.interquartile_interval([0, 0, 3, 4, 5, 6, math.inf, 1e9])
  assert wild == pytest.approx(usual)


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    ([], (NAN, NAN, NAN)),
    ([1.0, NAN], (NAN, NAN, NAN)),
    ([-1.0, 1.0], (NAN, NAN, NAN)),
    ([3.0], (3, NAN, NAN)),
    ([2.0, 2.0], (2, NAN, NAN)),
    ([1.0, math.inf], (math.inf, NAN, NAN)),
    ([0.0, 0.0, 1.0, 1.0], (0, NAN, NAN)),
  ],
)
def test_interquartile_interval_of_degenerate_values(values, expected):
  interval = intervals.interquartile_interval(values)
  assert interval == pytest.approx(expected, nan_ok=True)


def test_hedges_g_is_unbiased_and_cohens_d_is_not():
  rng = np.random.default_rng(0)
  x, y = rng.normal(1, 2, (4000, 4)), rng.normal(0, 2, (4000, 3))
  g = np.mean([intervals.hedges_g(a, b) for a, b in zip(x, y, strict=True)])
  assert g == pytest.approx(0.5, abs=0.03)
  pooled = (3 * np.var(x, axis=1, ddof=1) + 2 * np.var(y, axis=1, ddof=1)) / 5
  d = (x.mean(axis=1) - y.mean(axis=1)) / np.sqrt(pooled)
  # J(5), as tabulated by Hedges: 0.841.
  assert intervals.hedges_g(x[0], y[0]) / d[0] == pytest.approx(0.841, abs=1e-3)
  assert d.mean() > 0.56


def test_hedges_g_of_degenerate_samples_is_nan():
  assert math.isnan(intervals.hedges_g([1.0], [1.0, 2.0]))
  assert math.isnan(intervals.hedges_g([1.0, 1.0], [2.0, 2.0]))
  assert math.isnan(intervals.hedges_g([], []))
  assert intervals.hedges_g([2.0, 1.0], [2.0, 2.0]) < 0
