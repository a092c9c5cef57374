"""Paired comparison against SciPy and brute force."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import intervals, paired


def _sides(count, seed=0):
  rng = np.random.default_rng(seed)
  common = rng.normal(size=count)
  return (
    common + rng.normal(0.4, 0.3, size=count),
    common + 0.3 * rng.normal(size=count),
  )


@pytest.mark.parametrize('count', [2, 5, 10, 16])
def test_sign_flip_counts_all_ways_as_scipy_does(count):
  x, y = _sides(count, count)
  expected = scipy.stats.permutation_test(
    (x - y,),
    lambda d, axis: np.abs(np.sum(d, axis=axis)),
    permutation_type='samples',
    n_resamples=2**10 if count < 11 else 9999,
    alternative='greater',
    vectorized=True,
    rng=np.random.default_rng(0),
  ).pvalue
  ours = paired.sign_flip(x - y)
  assert ours == pytest.approx(expected, abs=1e-12 if count < 11 else 0.01)


def test_sign_flip_of_equal_sums_counts_them_whatever_their_rounding():
  # 0.1 + 0.2 - 0.3 and 0.3 - 0.2 - 0.1 are not exactly zero.
  values = [0.1, 0.2, -0.3, 0.1, 0.1]
  sums = [
    abs(np.dot(signs, [1, 2, -3, 1, 1]))
    for signs in itertools.product((1, -1), repeat=5)
  ]
  expected = np.mean(np.array(sums) >= 2)
  assert paired.sign_flip(values) == pytest.approx(expected)


def test_many_differences_are_flipped_at_random_with_one_added():
  p = paired.sign_flip(np.full(40, 2.0), resamples=999)
  assert p == 1 / 1000
  x, y = _sides(25)
  # Close to the test of the mean, which is nearly normal.
  expected = scipy.stats.ttest_rel(x[:20], y[:20])[1]
  assert paired.sign_flip((x - y)[:20]) == pytest.approx(expected, abs=0.01)


def test_type_1_error_is_at_most_the_level_for_a_skewed_spread():
  rng = np.random.default_rng(0)
  values = rng.normal(size=(1000, 7)) * rng.lognormal(sigma=2, size=(1000, 7))
  errors = np.mean([paired.sign_flip(row) <= 0.05 for row in values])
  assert 0.025 < errors <= 0.055


def test_the_difference_is_the_mean_of_the_pairs():
  x, y = _sides(20)
  result = paired.paired(x, y, resamples=99)
  assert result.pairs == 20
  assert result.difference == intervals.mean_interval(x - y)
  assert result.difference.estimate == pytest.approx(x.mean() - y.mean())


def test_pairs_that_are_not_finite_are_left_out():
  x, y = _sides(8)
  bad = np.append(x, [math.nan, 3.0, math.inf])
  worse = np.append(y, [1.0, math.nan, math.inf])
  assert paired.paired(bad, worse) == paired.paired(x, y)


@pytest.mark.parametrize(
  ('x', 'y', 'expected'),
  [
    ([], [], (0, *[math.nan] * 4)),
    ([3.0], [1.0], (1, 2.0, *[math.nan] * 3)),
    ([3.0, 3.0], [1.0, 1.0], (2, 2.0, math.nan, math.nan, 0.5)),
    # Pairs explain all: no seed but the first says anything new.
    ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], (3, 1, math.nan, math.nan, 0.25)),
  ],
)
def test_degenerate_pairs(x, y, expected):
  result = paired.paired(x, y)
  flat = (result.pairs, *result.difference, result.sign_flip)
  assert flat == pytest.approx(expected, nan_ok=True)


def test_sign_flip_of_values_that_are_not_finite_is_nan():
  assert math.isnan(paired.sign_flip([1.0, math.inf, 2.0]))


def test_sides_of_unequal_length_are_refused():
  with pytest.raises(ValueError, match='sample of 2 runs, baseline of 1: must'):
    paired.paired([1.0, 2.0], [1.0])
