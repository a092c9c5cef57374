"""Probability of improvement against SciPy, loops and enumeration."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import improvement

Pair = improvement.Pair


_improve = improvement.probability_of_improvement


@pytest.mark.parametrize(('ours', 'theirs'), [(4, 4), (3, 8), (1, 5), (12, 9)])
def test_p_is_mann_whitneys_exact_test_and_u(ours, theirs):
  rng = np.random.default_rng(ours)
  x, y = rng.normal(size=ours), rng.normal(0.6, 1, size=theirs)
  result = _improve(Pair(x, y))
  peer = scipy.stats.mannwhitneyu(y, x, method='exact')
  assert result.probability.estimate == pytest.approx(
    peer.statistic / (ours * theirs)
  )
  assert result.p_value == pytest.approx(peer.pvalue)


def _gehan(x, solved_x, y, solved_y):
  """Return P by two loops over what is known of each pair."""
  total = 0.0
  for a, exact_a in zip(x, solved_x, strict=True):
    for b, exact_b in zip(y, solved_y, strict=True):
      if exact_a and (a < b or (a == b and not exact_b)):
        total += 1
      elif not (exact_b and (b < a or (a == b and not exact_a))):
        total += 0.5
  return total / (len(x) * len(y))


@pytest.mark.parametrize('seed', range(4))
def test_censored_runs_score_as_gehans_and_all_divisions_are_counted(seed):
  rng = np.random.default_rng(seed)
  times, solved = rng.integers(1, 6, size=9), rng.random(9) < 0.6
  result = _improve(Pair(times[:4], times[4:], solved[:4], solved[4:]))
  by_loop = _gehan(times[:4], solved[:4], times[4:], solved[4:])
  assert result.probability.estimate == pytest.approx(by_loop)
  count = 0
  ways = list(itertools.combinations(range(9), 4))
  for way in ways:
    chosen = np.isin(np.arange(9), way)
    other = _gehan(
      times[chosen], solved[chosen], times[~chosen], solved[~chosen]
    )
    count += abs(other - 0.5) >= abs(by_loop - 0.5) - 1e-12
  assert result.p_value == pytest.approx(count / len(ways))


def test_a_success_at_the_others_budget_is_better_and_two_failures_draw():
  better = _improve(Pair([9], [9], [True], [False]))
  assert better.probability.estimate == 1
  draw = _improve(Pair([9], [12], [False], [False]))
  assert draw.probability.estimate == 0.5
  # A success after the other's training ended: nothing is known.
  unknown = _improve(Pair([12], [9], [True], [False]))
  assert unknown.probability.estimate == 0.5


def test_diverged_losses_may_be_infinite():
  result = _improve(Pair([1.0, 2.0, math.inf], [3.0, math.inf]))
  assert result.probability.estimate == pytest.approx((2 + 2 + 0.5) / 6)


def test_more_runs_than_are_divided_are_tested_by_the_approximation():
  rng = np.random.default_rng(0)
  x = np.round(rng.normal(size=120), 1)
  y = np.round(rng.normal(0.2, 1, size=110), 1)
  peer = scipy.stats.mannwhitneyu(
    x, y, method='asymptotic', use_continuity=False
  )
  assert _improve(Pair(x, y)).p_value == pytest.approx(peer.pvalue)
  exact = _improve(Pair(x[:60], y[:60])).p_value
  near = scipy.stats.mannwhitneyu(
    x[:60], y[:60], method='asymptotic', use_continuity=False
  ).pvalue
  assert exact == pytest.approx(near, abs=4e-3)


@pytest.mark.parametrize('runs', [2, 3, 5, 10])
@pytest.mark.parametrize('probability', [0.5, 0.9, 0.97])
def test_bounds_cover_at_least_about_as_often_as_they_say(runs, probability):
  # Percentiles of a bootstrap covered 60 to 70 % with three runs a side.
  rng = np.random.default_rng(0)
  odds = probability / (1 - probability)
  covered = 0
  for x, y in rng.exponential(size=(600, 2, runs)):
    interval = _improve(Pair(x, odds * y)).probability
    covered += interval.low <= probability <= interval.high
  assert covered / 600 > 0.92


@pytest.mark.parametrize(('ours', 'theirs'), [(3, 3), (7, 5)])
def test_bounds_solve_newcombes_equation(ours, theirs):
  rng = np.random.default_rng(1)
  x, y = rng.normal(size=ours), rng.normal(0.5, 1, size=theirs)
  p, *bounds = _improve(Pair(x, y)).probability
  quantile = scipy.stats.t.ppf(0.975, ours + theirs - 2)
  assert bounds[0] < p < bounds[1]
  for t in bounds:
    variance = t * (1 - t) / (ours * theirs)
    shape = (1 - t) / (2 - t) + t / (1 + t)
    variance *= 1 + ((ours + theirs) / 2 - 1) * shape
    assert abs(p - t) == pytest.approx(quantile * math.sqrt(variance))


def test_sides_that_do_not_overlap_leave_doubt():
  interval = _improve(Pair([1, 2, 3], [4, 5, 6])).probability
  assert interval[::2] == (1, 1)
  assert 0.3 < interval.low < 0.6
  mirrored = _improve(Pair([4, 5, 6], [1, 2, 3])).probability
  assert mirrored == pytest.approx((0, 0, 1 - interval.low))
  undecided = _improve(Pair([9] * 3, [9] * 3, [False] * 3, [False] * 3))
  assert undecided.probability.low < 0.3 < 0.7 < undecided.probability.high
  assert undecided.p_value == 1


@pytest.mark.parametrize(
  'runs', [Pair([], [1.0]), Pair([1.0], []), Pair([1.0, math.nan], [1.0])]
)
def test_nothing_is_said_without_runs_or_with_nan(runs):
  result = _improve(runs)
  assert all(map(math.isnan, (*result.probability, result.p_value)))


def test_one_run_leaves_no_bounds():
  result = _improve(Pair([1.0], [2.0, 3.0]))
  assert result.probability == pytest.approx(
    (1, math.nan, math.nan), nan_ok=True
  )
  assert result.p_value == pytest.approx(2 / 3)
  assert _improve(Pair([1.0], [1.0])).p_value == 1


def test_flags_that_do_not_match_the_runs_are_refused():
  with pytest.raises(ValueError, match='1 solved of 2 runs: must be one for'):
    _improve(Pair([1.0, 2.0], [1.0], [True]))
