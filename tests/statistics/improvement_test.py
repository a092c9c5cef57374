"""Probability of improvement against SciPy, loops and enumeration."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import improvement

Pair = improvement.Pair


def _improve(*pairs, resamples=200, **settings):
  return improvement.probability_of_improvement(
    pairs, resamples=resamples, **settings
  )


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
  exact = _improve(Pair(x[:100], y[:100])).p_value
  near = scipy.stats.mannwhitneyu(
    x[:100], y[:100], method='asymptotic', use_continuity=False
  ).pvalue
  assert exact == pytest.approx(near, abs=2e-3)


def test_tasks_count_equally_and_are_tested_together():
  pairs = [Pair([1, 2, 3], [4, 5, 6]), Pair([1.0, 4.0], [2.0, 3.0, 0.0, 5.0])]
  result = _improve(*pairs)
  assert result.probability.estimate == pytest.approx((1 + 0.5) / 2)
  # (1 − ½)² over the sum of 3 · 3 · 7 / 12 / 81 and 2 · 4 · 7 / 12 / 64.
  z = 0.5 / math.sqrt(7 / 108 + 7 / 96)
  assert result.p_value == pytest.approx(2 * scipy.stats.norm.sf(z))


def test_bounds_are_percentiles_of_runs_drawn_side_by_side():
  rng = np.random.default_rng(1)
  x, y = rng.normal(size=7), rng.normal(0.5, 1, size=5)
  interval = _improve(Pair(x, y), resamples=20_000).probability
  draws = []
  for _ in range(4000):
    a, b = rng.choice(x, 7), rng.choice(y, 5)
    draws.append(np.mean(a[:, np.newaxis] < b))
    draws[-1] += np.mean(a[:, np.newaxis] == b) / 2
  low, high = np.percentile(draws, [2.5, 97.5])
  assert interval.low == pytest.approx(low, abs=0.03)
  assert interval.high == pytest.approx(high, abs=0.03)


def test_bounds_cover_about_as_often_as_they_say():
  rng = np.random.default_rng(0)
  trials, covered = 400, 0
  for _ in range(trials):
    x, y = rng.normal(size=10), rng.normal(math.sqrt(2) * 0.5244, 1, size=10)
    interval = _improve(Pair(x, y)).probability
    covered += interval.low <= 0.7 <= interval.high
  assert 0.89 < covered / trials < 0.98


def test_sides_that_do_not_overlap_leave_newcombes_doubt():
  interval = _improve(Pair([1, 2, 3], [4, 5, 6])).probability
  assert interval[::2] == (1, 1)
  # Its own equation, 1 - θ = z √V(θ), at the bound.
  t, z = interval.low, scipy.stats.norm.ppf(0.975)
  variance = t * (1 - t) / 9 * (1 + 2 * ((1 - t) / (2 - t) + t / (1 + t)))
  assert 1 - t == pytest.approx(z * math.sqrt(variance))
  assert 0.4 < t < 0.7
  mirrored = _improve(Pair([4, 5, 6], [1, 2, 3])).probability
  assert mirrored == pytest.approx((0, 0, 1 - t))
  twice = _improve(*[Pair([1, 2, 3], [4, 5, 6])] * 2).probability
  assert twice == pytest.approx(interval)
  undecided = _improve(Pair([9] * 3, [9] * 3, [False] * 3, [False] * 3))
  assert undecided.probability.low < 0.3 < 0.7 < undecided.probability.high
  assert undecided.p_value == 1


@pytest.mark.parametrize(
  'pairs',
  [[], [Pair([], [1.0])], [Pair([1.0], [])], [Pair([1.0, math.nan], [1.0])]],
)
def test_nothing_is_said_without_runs_or_with_nan(pairs):
  result = _improve(*pairs)
  assert all(map(math.isnan, (*result.probability, result.p_value)))


def test_one_run_leaves_no_bounds():
  result = _improve(Pair([1.0], [2.0, 3.0]))
  assert result.probability == pytest.approx(
    (1, math.nan, math.nan), nan_ok=True
  )
  assert result.p_value == pytest.approx(2 / 3)
  assert _improve(*[Pair([1.0], [1.0])] * 2).p_value == 1


def test_flags_that_do_not_match_the_runs_are_refused():
  with pytest.raises(ValueError, match='1 solved of 2 runs: must be one for'):
    _improve(Pair([1.0, 2.0], [1.0], [True]))
