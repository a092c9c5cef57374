"""The log-rank test against SciPy, statsmodels, loops and simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.duration import survfunc

from lstm_variants.statistics import log_rank


def _group(rng, count, scale=1.0, end=15.0):
  """Return runs with ties, one budget."""
  times = np.ceil(rng.exponential(size=count) * 5 * scale)
  return np.minimum(times, end), times <= end


@pytest.mark.parametrize('seed', range(5))
def test_two_groups_are_scipys_test(seed):
  rng = np.random.default_rng(seed)
  groups = [_group(rng, 9), _group(rng, 14, 2.0)]
  ours = log_rank.log_rank(groups, resamples=9)
  first, second = (
    scipy.stats.CensoredData(t[s], right=t[~s]) for t, s in groups
  )
  peer = scipy.stats.logrank(first, second)
  assert ours.degrees == 1
  assert ours.chi_square == pytest.approx(peer.statistic**2)
  assert ours.p_value == pytest.approx(peer.pvalue)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_several_groups_are_statsmodels_test(count):
  rng = np.random.default_rng(count)
  groups = [_group(rng, 5 + k, 1 + k / 3) for k in range(count)]
  ours = log_rank.log_rank(groups, resamples=9)
  member = np.repeat(np.arange(count), [len(t) for t, _ in groups])
  times, solved = (np.concatenate(part) for part in zip(*groups, strict=True))
  chi_square, p_value = survfunc.survdiff(times, solved.astype(int), member)
  assert ours.degrees == count - 1
  assert ours.chi_square == pytest.approx(chi_square)
  assert ours.p_value == pytest.approx(p_value)
  assert ours.observed.tolist() == [solved.sum() for _, solved in groups]
  assert ours.expected.sum() == pytest.approx(ours.observed.sum())


@pytest.mark.parametrize(
  'groups',
  [
    [([1, 2, 2, 9], [1, 1, 1, 0]), ([3, 4, 9, 9], [1, 1, 0, 0])],
    [([1, 1, 1], [1, 1, 1]), ([1, 2, 2, 2, 2, 9], [1, 1, 1, 0, 1, 0])],
  ],
)
def test_permuted_p_is_that_of_all_divisions_of_the_runs(groups):
  times, solved = (np.concatenate(part) for part in zip(*groups, strict=True))
  count, runs = len(groups[0][0]), len(times)
  observed = log_rank.log_rank(groups, resamples=40_000)

  def distance(chosen):
    rest = [k for k in range(runs) if k not in chosen]
    sides = [(times[list(k)], solved[list(k)]) for k in (chosen, rest)]
    test = log_rank.log_rank(sides, resamples=1)
    return abs(test.observed[0] - test.expected[0])

  least = distance(range(count)) - 1e-9
  ways = itertools.combinations(range(runs), count)
  expected = np.mean([distance(way) >= least for way in ways])
  assert observed.permuted == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(('count', 'runs'), [(2, 6), (6, 5)])
def test_type_1_errors_are_what_the_docstring_says(count, runs):
  rng = np.random.default_rng(0)
  trials, chi_square, permuted = 1000, 0, 0
  for _ in range(trials):
    groups = [_group(rng, runs, end=7.0) for _ in range(count)]
    test = log_rank.log_rank(groups, resamples=199)
    chi_square += test.p_value <= 0.05
    permuted += test.permuted <= 0.05
  assert 0.02 < permuted / trials < 0.065
  assert permuted < chi_square
  assert 0.045 < chi_square / trials < 0.13


def test_type_1_error_of_many_runs_is_the_level():
  rng = np.random.default_rng(1)
  tests = [
    log_rank.log_rank([_group(rng, 40), _group(rng, 40)], resamples=1)
    for _ in range(3000)
  ]
  errors = np.mean([test.p_value <= 0.05 for test in tests])
  assert errors == pytest.approx(0.05, abs=0.012)


def test_nothing_is_tested_without_success_or_without_two_groups():
  none, some = ([5, 5], [False, False]), ([3, 5], [True, False])
  for groups in ([], [some], [none, none], [some, ([], [])]):
    test = log_rank.log_rank(groups)
    assert math.isnan(test.p_value)
    assert math.isnan(test.permuted)
    assert len(test.observed) == len(test.expected) == len(groups)


def test_a_group_without_runs_is_not_counted():
  rng = np.random.default_rng(2)
  two = [_group(rng, 6), _group(rng, 6, 3.0)]
  test = log_rank.log_rank([two[0], ([], []), two[1]])
  assert test.degrees == 1
  assert test[:4] == pytest.approx(log_rank.log_rank(two)[:4])


def test_one_unsolved_and_one_solved_group_are_far_apart():
  test = log_rank.log_rank([([4] * 8, [True] * 8), ([9] * 8, [False] * 8)])
  assert test.p_value < 1e-3
  # Of the 12,870 ways two are this far apart.
  assert test.permuted < 1e-3
