"""Statistics against closed forms, hand-worked examples and simulation."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from lstm_variants.analysis import statistics


def test_mean_interval_equals_scipys_own_bootstrap():
  values = [0.3, 1.2, 0.7, 2.9, 0.1, 0.8]
  interval = statistics.mean_interval(values, resamples=2000, seed=3)
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
    interval = statistics.mean_interval(sample, resamples=400)
    covered += interval.low <= 0 <= interval.high
  assert 0.89 < covered / trials < 0.98


def test_mean_interval_is_wider_at_higher_confidence():
  values = np.random.default_rng(1).normal(size=20)
  narrow = statistics.mean_interval(values, confidence=0.5)
  wide = statistics.mean_interval(values, confidence=0.99)
  assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_mean_interval_is_equal_for_equal_inputs():
  values = [1.0, 4.0, 2.0]
  assert statistics.mean_interval(values) == statistics.mean_interval(values)


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
  interval = statistics.mean_interval(values)
  assert interval == pytest.approx(expected, nan_ok=True)


def test_mean_interval_stays_within_the_sample_whatever_its_scale():
  rng = np.random.default_rng(2)
  for size in (2, 3, 5):
    for scale in (1e-9, 1.0, 1e12):
      sample = scale * rng.lognormal(sigma=4, size=size)
      interval = statistics.mean_interval(sample, resamples=999)
      assert sample.min() <= interval.low * (1 + 1e-9)
      assert interval.low <= interval.estimate <= interval.high
      assert interval.high * (1 - 1e-9) <= sample.max()


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
  interval = statistics.median_to_success(TIMES, SOLVED)
  assert interval.estimate == 5
  # Greenwood sums, Σ d / (n (n − d)), and the band S^exp(± 1.96 σ / ln S).
  survival = {1: 9 / 10, 2: 7 / 10, 4: 7 / 12, 5: 7 / 15, 6: 14 / 45, 7: 7 / 45}
  terms = {
    **{1: 1 / 90, 2: 2 / 63, 4: 1 / 30},
    **{5: 1 / 20, 6: 1 / 6, 7: 1 / 2},
  }
  total, low, high = 0.0, math.inf, math.inf
  for t, s in survival.items():
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
  interval = statistics.median_to_success(range(1, 8), [True] * 7)
  assert interval == (4, 1, 6)


@pytest.mark.parametrize('count', range(1, 6))
def test_upper_bound_of_few_runs_is_not_reached(count):
  interval = statistics.median_to_success(range(1, count + 1), [True] * count)
  assert interval == ((count + 1) // 2, 1, math.inf)


def test_the_exact_limit_counts_only_the_runs_still_at_risk():
  # Of five out of five it is 1 - 0.025^(1/5) = 0.52; of six it would be 0.46.
  interval = statistics.median_to_success([1, 5, 5, 5, 5, 5], [True] * 6)
  assert interval == (5, 1, math.inf)


@pytest.mark.parametrize(
  ('count', 'high'), [(1, math.inf), (5, math.inf), (6, 320), (20, 320)]
)
def test_ties_are_bounded_by_the_exact_binomial_limit(count, high):
  # All runs at once: the median is above t with probability 2^-n.
  assert (scipy.stats.binom.cdf(0, count, 0.5) < 0.025) == (high == 320)
  interval = statistics.median_to_success([320] * count, [True] * count)
  assert interval == (320, 320, high)


def test_median_is_inf_while_less_than_half_of_the_runs_succeed():
  assert statistics.median_to_success([9, 9], [False, False]) == (
    (math.inf,) * 3
  )
  interval = statistics.median_to_success([1, 9, 9], [True, False, False])
  assert interval.estimate == math.inf
  assert interval.low == 1


def test_median_is_exact_where_the_curve_touches_one_half():
  # The product of (n − 1)/n … is 1/2 but for rounding; of 24 runs above it.
  for half in range(1, 30):
    times = [*range(1, half + 1), *[99] * half]
    interval = statistics.median_to_success(
      times, [time < 99 for time in times]
    )
    assert interval.estimate == half


def test_median_ignores_the_order_of_runs():
  order = np.random.default_rng(0).permutation(len(TIMES))
  shuffled = statistics.median_to_success(
    np.array(TIMES)[order], np.array(SOLVED)[order]
  )
  assert shuffled == statistics.median_to_success(TIMES, SOLVED)


def test_censoring_before_the_first_success_only_shrinks_the_sample():
  interval = statistics.median_to_success(
    [1, *range(2, 9)], [False] + [True] * 7
  )
  assert interval == (5, 2, 7)


def test_median_interval_covers_the_median_about_as_often_as_it_says():
  rng = np.random.default_rng(0)
  trials, covered = 400, 0
  for _ in range(trials):
    times, ends = rng.exponential(size=30), rng.uniform(0.5, 3, size=30)
    interval = statistics.median_to_success(
      np.minimum(times, ends), times <= ends
    )
    covered += interval.low <= math.log(2) <= interval.high
  assert 0.91 < covered / trials <= 0.99


def test_welch_equals_its_formula():
  a, b = [27.5, 21.0, 19.0, 23.6, 17.0], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5]
  va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
  t = (np.mean(a) - np.mean(b)) / math.sqrt(va + vb)
  freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
  expected = 2 * scipy.stats.t.sf(abs(t), freedom)
  assert statistics.welch(a, b) == pytest.approx(expected, rel=1e-12)


def test_welch_equals_scipys_test_on_samples():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=9), rng.normal(1, 3, size=4)
  expected = scipy.stats.ttest_ind(a, b, equal_var=False)[1]
  assert statistics.welch(a, b) == pytest.approx(expected, rel=1e-12)


def test_welch_accepts_one_side_without_spread():
  # Then it is the one-sample test of the other side.
  a = [0.1, 0.4, 0.3]
  expected = scipy.stats.ttest_1samp(a, 0.6)[1]
  assert statistics.welch(a, [0.6] * 5) == pytest.approx(expected)
  assert statistics.welch([0.6] * 5, a) == pytest.approx(expected)


@pytest.mark.parametrize(
  ('a', 'b'),
  [([1.0], [1.0, 2.0]), ([1.0, 2.0], []), ([0.1] * 3, [0.7] * 3)],
)
def test_welch_is_nan_where_nothing_can_be_tested(a, b):
  assert math.isnan(statistics.welch(a, b))


def test_holm_of_a_worked_example():
  # 0.005 · 4, 0.01 · 3, 0.03 · 2 and 0.04, which is raised to 0.06.
  adjusted = statistics.holm([0.01, 0.04, 0.03, 0.005])
  assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_capped_at_one_and_skips_nan():
  adjusted = statistics.holm([math.nan, 0.6, 0.7, math.nan, 0.01])
  assert adjusted == pytest.approx(
    [math.nan, 1.0, 1.0, math.nan, 0.03], nan_ok=True
  )


@pytest.mark.parametrize('p_values', [[], [math.nan], [0.2]])
def test_holm_leaves_families_of_at_most_one_alone(p_values):
  assert statistics.holm(p_values) == pytest.approx(p_values, nan_ok=True)
