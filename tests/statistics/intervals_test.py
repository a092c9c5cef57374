"""Statistics against closed forms, hand-worked examples and simulation."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from lstm_variants.statistics import intervals


def test_mean_interval_equals_scipys_own_bootstrap():
  values = [0.3, 1.2, 0.7, 2.9, 0.1, 0.8]
  interval = intervals.mean_interval(values, resamples=2000, seed=3)
  # The rule written out: percentiles moved by bias z0 and acceleration a.
  rng = np.random.default_rng(3)
  draws = np.mean(rng.choice(values, (2000, 6)), axis=1)
  mean = np.mean(values)
  z0 = scipy.special.ndtri(np.mean(draws < mean) + np.mean(draws == mean) / 2)
  rest = np.array([np.mean(np.delete(values, i)) for i in range(6)])
  gap = rest.mean() - rest
  a = np.sum(gap**3) / (6 * np.sum(gap**2) ** 1.5)
  z = z0 + scipy.special.ndtri([0.025, 0.975])
  levels = scipy.special.ndtr(z0 + z / (1 - a * z))
  low, high = np.percentile(draws, 100 * levels)
  assert interval.estimate == pytest.approx(mean)
  # The draws differ: the rule is the same up to their noise.
  assert interval.low == pytest.approx(low, abs=0.06)
  assert interval.high == pytest.approx(high, abs=0.12)


def test_mean_interval_covers_the_mean_about_as_often_as_it_says():
  rng = np.random.default_rng(0)
  trials = 300
  covered = 0
  for sample in rng.normal(size=(trials, 30)):
    interval = intervals.mean_interval(sample, resamples=400)
    covered += interval.low <= 0 <= interval.high
  assert 0.89 < covered / trials < 0.98


def test_mean_interval_is_wider_at_higher_confidence():
  values = np.random.default_rng(1).normal(size=20)
  narrow = intervals.mean_interval(values, confidence=0.5)
  wide = intervals.mean_interval(values, confidence=0.99)
  assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_mean_interval_is_equal_for_equal_inputs():
  values = [1.0, 4.0, 2.0]
  assert intervals.mean_interval(values) == intervals.mean_interval(values)


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    ([], (math.nan, math.nan, math.nan)),
    ([2.5], (2.5, math.nan, math.nan)),
    ([2.5, 2.5, 2.5], (2.5, 2.5, 2.5)),
    ([0.0, 0.0], (0.0, 0.0, 0.0)),
    ([0.1 + 0.2, 0.3, 0.3], (0.3, 0.3, 0.3)),
  ],
)
def test_mean_interval_of_degenerate_samples(values, expected):
  interval = intervals.mean_interval(values)
  assert interval == pytest.approx(expected, nan_ok=True)


def test_mean_interval_stays_within_the_sample_whatever_its_scale():
  rng = np.random.default_rng(2)
  for size in (2, 3, 5):
    for scale in (1e-9, 1.0, 1e12):
      sample = scale * rng.lognormal(sigma=4, size=size)
      interval = intervals.mean_interval(sample, resamples=999)
      assert sample.min() <= interval.low * (1 + 1e-9)
      assert interval.low <= interval.estimate <= interval.high
      assert interval.high * (1 - 1e-9) <= sample.max()


def test_welch_equals_its_formula():
  a, b = [27.5, 21.0, 19.0, 23.6, 17.0], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5]
  va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
  t = (np.mean(a) - np.mean(b)) / math.sqrt(va + vb)
  freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
  expected = 2 * scipy.stats.t.sf(abs(t), freedom)
  assert intervals.welch(a, b) == pytest.approx(expected, rel=1e-12)


def test_welch_equals_scipys_test_on_samples():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=9), rng.normal(1, 3, size=4)
  expected = scipy.stats.ttest_ind(a, b, equal_var=False)[1]
  assert intervals.welch(a, b) == pytest.approx(expected, rel=1e-12)


def test_welch_accepts_one_side_without_spread():
  # Then it is the one-sample test of the other side.
  a = [0.1, 0.4, 0.3]
  expected = scipy.stats.ttest_1samp(a, 0.6)[1]
  assert intervals.welch(a, [0.6] * 5) == pytest.approx(expected)
  assert intervals.welch([0.6] * 5, a) == pytest.approx(expected)


@pytest.mark.parametrize(
  ('a', 'b'),
  [([1.0], [1.0, 2.0]), ([1.0, 2.0], []), ([0.1] * 3, [0.7] * 3)],
)
def test_welch_is_nan_where_nothing_can_be_tested(a, b):
  assert math.isnan(intervals.welch(a, b))


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


def test_bootstrap_interval_of_another_statistic_equals_scipys():
  values = np.random.default_rng(3).lognormal(size=15)
  interval = intervals.bootstrap_interval(
    values, np.std, resamples=500, seed=7, confidence=0.9
  )
  expected = scipy.stats.bootstrap(
    (values,),
    np.std,
    n_resamples=500,
    confidence_level=0.9,
    rng=np.random.default_rng(7),
  ).confidence_interval
  assert interval == pytest.approx((np.std(values), *expected))


def test_bootstrap_interval_falls_back_on_percentiles():
  # All values left out but one leave the largest as it is: no acceleration.
  interval = intervals.bootstrap_interval([1.0, 2.0, 5.0, 5.0], np.max)
  assert interval == (5, 2, 5)


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_values_that_are_not_finite_leave_no_bounds(bad):
  interval = intervals.mean_interval([1.0, bad, 2.0])
  assert interval == pytest.approx((bad, math.nan, math.nan), nan_ok=True)
  assert math.isnan(intervals.mean_interval([math.inf, -math.inf]).estimate)
  assert math.isnan(intervals.welch([1.0, bad, 2.0], [1.0, 2.0]))
  assert math.isnan(intervals.hedges_g([1.0, bad, 2.0], [1.0, 2.0]))


@pytest.mark.parametrize('count', range(1, 14))
def test_interquartile_mean_equals_scipys_trimmed_mean(count):
  values = np.random.default_rng(count).normal(size=(3, count))
  np.testing.assert_allclose(
    intervals.interquartile_mean(values),
    scipy.stats.trim_mean(values, 0.25, axis=1),
  )
  np.testing.assert_allclose(
    intervals.interquartile_mean(values.T, axis=0),
    scipy.stats.trim_mean(values.T, 0.25, axis=0),
  )


def test_interquartile_mean_forgives_a_quarter_of_infinite_runs():
  assert intervals.interquartile_mean([1, math.inf, 3, 2]) == 2.5
  assert intervals.interquartile_mean([1, math.inf, math.inf, 2]) == math.inf
  assert math.isnan(intervals.interquartile_mean([1, math.nan, 3, 2]))
  assert math.isnan(intervals.interquartile_mean([]))


def test_interquartile_interval_of_one_task_equals_percentiles_of_draws():
  values = np.arange(8.0) ** 2
  interval = intervals.interquartile_interval([values], resamples=20_000)
  rng = np.random.default_rng(99)
  draws = [
    scipy.stats.trim_mean(rng.choice(values, 8), 0.25) for _ in range(4000)
  ]
  assert interval.estimate == np.mean(values[2:6])
  low, high = np.percentile(draws, [2.5, 97.5])
  assert interval.low == pytest.approx(low, abs=0.8)
  assert interval.high == pytest.approx(high, abs=1.6)


def test_interquartile_interval_draws_each_task_from_its_own_runs():
  # Two tasks of equal runs: drawn from the pool the mean would vary.
  interval = intervals.interquartile_interval([[0.0] * 4, [1.0] * 4])
  assert interval == (0.5, 0.5, 0.5)


def test_interquartile_interval_covers_about_as_often_as_it_says():
  rng = np.random.default_rng(0)
  trials, covered = 300, 0
  for tasks in rng.normal(size=(trials, 3, 10)):
    interval = intervals.interquartile_interval(list(tasks), resamples=400)
    covered += interval.low <= 0 <= interval.high
  assert 0.89 < covered / trials < 0.98


@pytest.mark.parametrize(
  ('tasks', 'expected'),
  [
    ([], (math.nan,) * 3),
    ([[1.0], []], (math.nan,) * 3),
    ([[1.0, math.nan]], (math.nan,) * 3),
    ([[1.0], [1.0, 2.0]], (4 / 3, math.nan, math.nan)),
    ([[2.0, 2.0]], (2, 2, 2)),
    ([[1.0, math.inf]], (math.inf, 1, math.inf)),
  ],
)
def test_interquartile_interval_of_degenerate_tasks(tasks, expected):
  interval = intervals.interquartile_interval(tasks)
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
