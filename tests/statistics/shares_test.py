"""Shares of solved runs against SciPy, statsmodels and brute force."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats import proportion

from lstm_variants.statistics import shares


@pytest.mark.parametrize(('solved', 'runs'), [(0, 5), (3, 7), (7, 7), (1, 40)])
def test_interval_is_clopper_and_pearsons(solved, runs):
  interval = shares.interval(solved, runs, confidence=0.9)
  bounds = proportion.proportion_confint(solved, runs, 0.1, method='beta')
  assert interval == pytest.approx((solved / runs, *bounds))


def test_interval_of_all_runs_is_the_closed_form():
  assert shares.interval(6, 6) == pytest.approx((1, 0.025 ** (1 / 6), 1))


def test_no_runs_say_nothing():
  assert all(map(math.isnan, shares.interval(0, 0)))


@pytest.mark.parametrize(('solved', 'runs'), [(-1, 3), (4, 3)])
def test_impossible_numbers_are_refused(solved, runs):
  with pytest.raises(ValueError, match=rf'solved={solved}: must be 0 to runs'):
    shares.interval(solved, runs)


def test_the_difference_of_shares_is_newcombes_of_exact_limits():
  for ours, theirs in (((5, 56), (0, 29)), ((9, 10), (30, 30))):
    (a, n), (b, m) = ours, theirs
    limits: list[Any] = [
      proportion.proportion_confint(*side, method='beta')
      for side in (ours, theirs)
    ]
    own, base = limits
    p, q = a / n, b / m
    expected = (
      p - q,
      p - q - math.dist((p, q), (own[0], base[1])),
      p - q + math.dist((p, q), (own[1], base[0])),
    )
    assert shares.difference(*ours, *theirs) == pytest.approx(expected)
  assert shares.difference(0, 10, 10, 10)[:2] == (-1, -1)
  assert all(map(math.isnan, shares.difference(0, 0, 1, 1)))
  with pytest.raises(ValueError, match='solved=2: must be 0 to runs=1'):
    shares.difference(2, 1, 0, 1)


@pytest.mark.parametrize('runs, baseline', [(3, 3), (5, 10), (10, 18)])
def test_the_difference_covers_as_often_as_it_says_at_any_shares(
  runs, baseline
):
  """All outcomes, enumerated. With score limits it is 83 % of three runs."""
  counts = [range(runs + 1), range(baseline + 1)]
  bounds = np.array(
    [
      [shares.difference(a, runs, b, baseline)[1:] for b in counts[1]]
      for a in counts[0]
    ]
  )
  covered = []
  for p, q in itertools.product(np.linspace(0.02, 0.98, 25), repeat=2):
    ours = scipy.stats.binom.pmf(counts[0], runs, p)
    theirs = scipy.stats.binom.pmf(counts[1], baseline, q)
    holds = (bounds[..., 0] <= p - q) & (p - q <= bounds[..., 1])
    covered.append(ours @ holds @ theirs)
  assert min(covered) > 0.92
