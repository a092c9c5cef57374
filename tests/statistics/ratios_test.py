"""Ratios of losses against SciPy and simulation."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import intervals, ratios

NAN = math.nan
# adding of Tallec and Ollivier (S1 of the review), in the order of the seeds.
RATIO = 5.0


def _sides(seed, ours=6, theirs=6):
  rng = np.random.default_rng(seed)
  return rng.lognormal(0.5, 1, ours), rng.lognormal(0, 2, theirs)


@pytest.mark.parametrize(('ours', 'theirs'), [(5, 5), (2, 2), (4, 9), (12, 7)])
def test_welch_is_scipys_on_logarithms(ours, theirs):
  x, y = _sides(ours, ours, theirs)
  result = ratios.welch(x, y, confidence=0.8)
  peer: Any = scipy.stats.ttest_ind(np.log(x), np.log(y), equal_var=False)
  bounds = peer.confidence_interval(0.8)
  assert result.p_value == pytest.approx(peer.pvalue)
  expected = (
    scipy.stats.gmean(x) / scipy.stats.gmean(y),
    *np.exp([bounds.low, bounds.high]),
  )
  assert result.ratio == pytest.approx(expected)
  assert result.pairs == 0


def test_paired_is_scipys_on_logarithms():
  x, y = _sides(0)
  result = ratios.paired(x, y)
  peer = scipy.stats.ttest_rel(np.log(x), np.log(y))
  bounds = np.exp(peer.confidence_interval(0.95))
  assert result.p_value == pytest.approx(peer.pvalue)
  assert result.ratio[1:] == pytest.approx(tuple(bounds))
  assert result.pairs == 6


def test_equal_seeds_are_paired_and_others_are_not():
  x, y = _sides(1, 5, 5)
  ours = dict(enumerate(x))
  theirs = dict(reversed([*enumerate(y)]))
  assert ratios.compare(ours, theirs) == ratios.paired(x, y)
  theirs = dict(enumerate(y, 1))
  assert ratios.compare(ours, theirs) == ratios.welch(x, y)


def test_a_pair_with_a_run_that_diverged_is_left_out():
  x, y = _sides(2, 5, 5)
  ours, theirs = dict(enumerate(x)), dict(enumerate(y))
  ours |= {8: NAN, 9: 1.0}
  theirs |= {8: 1.0, 9: math.inf}
  assert ratios.compare(ours, theirs) == ratios.paired(x, y)
  del theirs[8]
  beside = ratios.welch([*x, 1.0], y)
  assert ratios.compare(ours, theirs) == beside


@pytest.mark.parametrize('compare', [ratios.paired, ratios.welch])
@pytest.mark.parametrize('seed', range(5))
def test_p_is_below_a_level_just_where_the_interval_leaves_one_out(
  compare, seed
):
  x, y = _sides(seed)
  for level in (0.01, 0.05, 0.2, 0.5):
    result = compare(x, y, confidence=1 - level)
    outside = not result.ratio.low <= 1 <= result.ratio.high
    assert (result.p_value < level) == outside


@pytest.mark.parametrize('compare', [ratios.paired, ratios.welch])
@pytest.mark.parametrize('loss', [1.0, 1e-3])
def test_rounding_errors_are_no_spread(compare, loss):
  # Of 1 they are as large as its logarithm is.
  result = compare([loss, loss * (1 + 1e-15), loss], [loss] * 3)
  assert result.ratio.estimate == pytest.approx(1)
  assert math.isnan(result.p_value) and math.isnan(result.ratio.low)


@pytest.mark.parametrize(
  ('ours', 'theirs', 'deviation'),
  [(2, 20, 1), (3, 20, 1), (2, 5, 3), (3, 5, 3), (4, 20, 1), (2, 2, 1)],
)
def test_welch_rejects_equal_sides_in_a_twentieth_at_most(
  ours, theirs, deviation
):
  # SciPy's rejects in 12 and 8 % of two and three runs beside twenty.
  rng = np.random.default_rng(0)
  samples = zip(
    rng.lognormal(0, deviation, (3000, ours)),
    rng.lognormal(0, 1, (3000, theirs)),
    strict=True,
  )
  p_values = [ratios.welch(x, y).p_value for x, y in samples]
  assert np.mean(np.array(p_values) < 0.05) < 0.07


def test_a_ratio_of_five_is_seen_twice_as_often_on_logarithms():
  # S1 of the review: with five runs a side 47 % of studies, and 85 %.
  rng = np.random.default_rng(0)
  raw, logs = [], []
  for x, y in rng.lognormal(0, 0.7, (500, 2, 5)):
    test: Any = scipy.stats.ttest_ind(x, RATIO * y, equal_var=False)
    raw.append(test.pvalue)
    logs.append(ratios.welch(x, RATIO * y).p_value)
  seen = np.mean(np.array([raw, logs]) < 0.05, axis=1)
  assert seen[0] < 0.6 and seen[1] > 0.8


@pytest.mark.parametrize(
  ('x', 'y', 'expected'),
  [
    ([], [], (NAN, NAN, NAN, NAN)),
    ([3.0], [1.0], (3.0, NAN, NAN, NAN)),
    ([3.0, 3.0], [1.0, 1.0], (3.0, NAN, NAN, NAN)),
    # One factor explains all pairs but for rounding.
    ([0.3, 0.6], [0.1, 0.2], (3.0, NAN, NAN, NAN)),
    ([-1.0, 2.0], [1.0, 1.0], (NAN, NAN, NAN, NAN)),
    ([NAN, 2.0], [1.0, math.inf], (NAN, NAN, NAN, NAN)),
  ],
)
def test_pairs_that_tell_nothing(x, y, expected):
  result = ratios.paired(x, y)
  flat = (*result.ratio, result.p_value)
  assert flat == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
  ('x', 'y', 'expected'),
  [
    ([], [1.0], (NAN, NAN, NAN, NAN)),
    ([4.0], [1.0, 2.0], (4 / math.sqrt(2), NAN, NAN, NAN)),
    ([4.0, 4.0], [2.0, 2.0], (2.0, NAN, NAN, NAN)),
    ([-1.0, 2.0], [1.0, 2.0], (NAN, NAN, NAN, NAN)),
  ],
)
def test_sides_that_tell_nothing(x, y, expected):
  result = ratios.welch(x, y)
  flat = (*result.ratio, result.p_value)
  assert flat == pytest.approx(expected, nan_ok=True)


def test_one_side_without_spread_is_the_one_sample_test_of_the_other():
  x = [0.1, 0.4, 0.3]
  peer = scipy.stats.ttest_1samp(np.log(x), np.log(0.6))
  for result in (ratios.welch(x, [0.6] * 3), ratios.welch([0.6] * 3, x)):
    assert result.p_value == pytest.approx(np.asarray(peer[1]))


def test_zeros_are_tested_as_the_smallest_loss_and_have_no_ratio():
  solved, unsolved = [0.0] * 4 + [1e-38], [0.3, 0.1, 0.4, 0.2, 0.3]
  for compare in (ratios.welch, ratios.paired):
    result = compare(solved, unsolved)
    assert result.p_value < 1e-6
    assert all(map(math.isnan, result.ratio))


def test_sides_of_unequal_length_are_no_pairs():
  with pytest.raises(ValueError, match='sample of 2 runs, baseline of 1: must'):
    ratios.paired([1.0, 2.0], [1.0])


def test_the_ratio_of_the_baseline_is_its_inverse():
  x, y = _sides(3)
  there, back = ratios.welch(x, y).ratio, ratios.welch(y, x).ratio
  assert there == pytest.approx((1 / back[0], 1 / back[2], 1 / back[1]))
  assert intervals.equivalent(there, 1e6) == intervals.equivalent(back, 1e6)
