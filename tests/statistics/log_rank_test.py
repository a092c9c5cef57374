"""The log-rank test against SciPy, loops and simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import log_rank


def _group(rng, count, scale=1.0, end=15.0):
  """Return runs with ties, one budget."""
  times = np.ceil(rng.exponential(size=count) * 5 * scale)
  return np.minimum(times, end), times <= end


@pytest.mark.parametrize('seed', range(5))
def test_two_groups_of_many_runs_have_nearly_scipys_p(seed):
  rng = np.random.default_rng(seed)
  groups = [_group(rng, 60), _group(rng, 70, 1.3)]
  first, second = (
    scipy.stats.CensoredData(t[s], right=t[~s]) for t, s in groups
  )
  peer = scipy.stats.logrank(first, second)
  ours = log_rank.log_rank(groups)
  assert ours.permuted == pytest.approx(peer.pvalue, abs=0.02)
  # SciPy's statistic is below 0 where the first group succeeds later.
  lead = ours.observed[0] - ours.expected[0]
  assert np.sign(lead) == np.sign(peer.statistic)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_successes_are_expected_as_in_a_loop_over_times(count):
  rng = np.random.default_rng(count)
  groups = [_group(rng, 5 + k, 1 + k / 3) for k in range(count)]
  ours = log_rank.log_rank(groups, resamples=9)
  times, solved = (np.concatenate(part) for part in zip(*groups, strict=True))
  expected = np.zeros(count)
  for point in set(times[solved].tolist()):
    died = np.sum(solved & (times == point))
    at_risk = np.array([np.sum(t >= point) for t, _ in groups])
    expected += died * at_risk / at_risk.sum()
  np.testing.assert_allclose(ours.expected, expected)
  assert ours.observed.tolist() == [s.sum() for _, s in groups]


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
def test_type_1_errors_of_few_runs_are_at_most_the_level(count, runs):
  rng = np.random.default_rng(0)
  errors = [
    log_rank.log_rank(
      [_group(rng, runs, end=7.0) for _ in range(count)], resamples=199
    ).permuted
    <= 0.05
    for _ in range(1000)
  ]
  assert 0.02 < np.mean(errors) < 0.065


def test_nothing_is_tested_without_success_or_without_two_groups():
  none, some = ([5, 5], [False, False]), ([3, 5], [True, False])
  together = ([4, 4], [True, True])
  for groups in (
    [],
    [some],
    [none, none],
    [some, ([], [])],
    # All at risk succeed at once, or nobody else is at risk.
    [together, together],
    [([1, 1], [False, False]), ([3, 5], [True, False])],
  ):
    test = log_rank.log_rank(groups)
    assert math.isnan(test.permuted)
    assert len(test.observed) == len(test.expected) == len(groups)


def test_a_group_without_runs_is_not_counted():
  rng = np.random.default_rng(2)
  two = [_group(rng, 6), _group(rng, 6, 3.0)]
  test = log_rank.log_rank([two[0], ([], []), two[1]])
  assert test.permuted == log_rank.log_rank(two).permuted
  assert test.expected[1] == 0


def test_one_unsolved_and_one_solved_group_are_far_apart():
  test = log_rank.log_rank([([4] * 8, [True] * 8), ([9] * 8, [False] * 8)])
  # Of the 12,870 ways two are this far apart.
  assert test.permuted < 1e-3
