"""Times to success against SciPy, enumeration, loops and simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from lstm_variants.statistics import intervals, speed

NAN = math.nan


def _runs(times, end=math.inf, first=0):
  """Return runs by seed that are given up at `end`."""
  return {
    seed: (min(time, end), bool(time <= end))
    for seed, time in enumerate(np.asarray(times, float), first)
  }


def _sides(seed, ours=4, theirs=5, end=8.0):
  """Return two sides with ties and censoring, without a seed in common."""
  rng = np.random.default_rng(seed)
  sides = (np.ceil(5 * rng.exponential(size=size)) for size in (ours, theirs))
  return tuple(_runs(times, end, 100 * k) for k, times in enumerate(sides))


def _lead(ours, theirs):
  """Return successes less those expected, by a loop over times."""
  runs = [*ours, *theirs]
  lead = 0.0
  for point in {time for time, solved in runs if solved}:
    died = sum(solved and time == point for time, solved in runs)
    at_risk = [sum(time >= point for time, _ in side) for side in (ours, runs)]
    lead += sum(solved and time == point for time, solved in ours)
    lead -= died * at_risk[0] / at_risk[1]
  return lead


def _enumerated(ours, theirs):
  """Return the share of divisions whose lead is as far from 0."""
  runs, count = [*ours, *theirs], len(ours)
  least = abs(_lead(ours, theirs)) - 1e-9
  far = []
  for chosen in itertools.combinations(range(len(runs)), count):
    rest = [runs[k] for k in range(len(runs)) if k not in chosen]
    far.append(abs(_lead([runs[k] for k in chosen], rest)) >= least)
  return np.mean(far)


@pytest.mark.parametrize('seed', range(6))
def test_p_is_that_of_all_divisions_of_the_runs(seed):
  ours, theirs = _sides(seed)
  result = speed.compare(ours, theirs)
  sides = [*ours.values()], [*theirs.values()]
  assert result.lead == pytest.approx(_lead(*sides))
  assert result.p_value == pytest.approx(_enumerated(*sides))
  assert result.pairs == 0


@pytest.mark.parametrize('seed', range(3))
def test_drawn_divisions_and_the_normal_approximation_are_near_scipys_p(seed):
  for runs, near in ((40, 0.03), (150, 0.01)):
    ours, theirs = _sides(seed, runs, runs + 10, 15.0)
    data = [
      scipy.stats.CensoredData(
        [t for t, solved in side.values() if solved],
        right=[t for t, solved in side.values() if not solved],
      )
      for side in (ours, theirs)
    ]
    peer = scipy.stats.logrank(data[0], data[1])
    result = speed.compare(ours, theirs)
    assert result.p_value == pytest.approx(peer.pvalue, abs=near)
    assert np.sign(result.lead) == np.sign(peer.statistic)


@pytest.mark.parametrize('count', [8, 20])
def test_pairs_are_swapped_where_both_sides_have_the_same_seeds(count):
  rng = np.random.default_rng(count)
  common = rng.lognormal(size=count)
  ours = _runs(common * rng.lognormal(0.1, 0.3, count), 2.0)
  theirs = _runs(common, 2.0)
  backwards = dict(reversed(theirs.items()))
  result = speed.compare(ours, backwards)
  assert result == speed.compare(ours, theirs)
  assert result.pairs == count
  apart = speed.compare(ours, {k + 100: run for k, run in theirs.items()})
  assert apart.lead == pytest.approx(result.lead)
  assert apart.p_value > result.p_value
  # Each run's score in a sum over successes; then SciPy's sign flips.
  runs = [*ours.values(), *theirs.values()]
  scores = [
    solved
    - sum(
      done / sum(t >= time for t, _ in runs)
      for time, done in runs
      if time <= end
    )
    for end, solved in runs
  ]
  peer = scipy.stats.permutation_test(
    (np.subtract(scores[:count], scores[count:]),),
    lambda d, axis: np.abs(np.sum(d, axis=axis)),
    permutation_type='samples',
    n_resamples=2**count if count < 10 else 9999,
    alternative='greater',
    vectorized=True,
    rng=np.random.default_rng(0),
  )
  near = 1e-9 if count < 10 else 0.01
  assert result.p_value == pytest.approx(peer.pvalue, abs=near)


def test_seven_pairs_are_divided_as_if_they_were_none():
  rng = np.random.default_rng(0)
  ours, theirs = _runs(rng.lognormal(size=7)), _runs(rng.lognormal(size=7))
  apart = {seed + 100: run for seed, run in theirs.items()}
  assert speed.compare(ours, theirs) == speed.compare(ours, apart)


def test_few_runs_leave_the_smallest_p_that_they_can():
  for count, ways in ((3, 20), (4, 70), (5, 252)):
    sides = (
      _runs([1.0 + k for k in range(count)]),
      _runs([9.0 + k for k in range(count)]),
    )
    result = speed.compare(*sides)
    assert result.p_value == pytest.approx(2 / ways)
    bounded = 2 / ways <= 0.05
    assert (result.ratio.low > 0) == (result.ratio.high < math.inf) == bounded


@pytest.mark.parametrize('seed', range(4))
def test_bounds_are_where_p_crosses_the_level(seed):
  ours, theirs = _sides(seed, 5, 5, 12.0)
  result = speed.compare(ours, theirs, confidence=0.9)

  def p_value(ratio):
    budgets = [
      min([time for time, solved in side.values() if not solved] or [math.inf])
      for side in (ours, theirs)
    ]
    end = min(budgets[0] / ratio, budgets[1])
    scaled = [
      [
        (min(time / scale, end), solved and time / scale <= end)
        for time, solved in side.values()
      ]
      for side, scale in ((ours, ratio), (theirs, 1.0))
    ]
    return _enumerated(*scaled)

  low, high = result.ratio[1:]
  grid = np.exp(np.linspace(math.log(0.05), math.log(20), 16)) * 1.0001
  for ratio in grid:
    if not low < ratio < high:
      assert p_value(ratio) <= 0.1
  if low > 0:
    assert p_value(low * 1.0001) > 0.1
  if high < math.inf:
    assert p_value(high / 1.0001) > 0.1


@pytest.mark.parametrize('seed', range(6))
def test_p_is_below_a_level_just_where_the_interval_leaves_one_out(seed):
  ours, theirs = _sides(seed, 6, 5, 30.0)
  theirs = {k: (3 * time, solved) for k, (time, solved) in theirs.items()}
  for level in (0.02, 0.05, 0.2, 0.5):
    result = speed.compare(ours, theirs, confidence=1 - level)
    outside = not result.ratio.low <= 1 <= result.ratio.high
    assert (result.p_value <= level) == outside


@pytest.mark.parametrize('seed', range(8))
def test_a_bound_may_be_one_but_one_is_never_between_where_p_is_small(seed):
  """Success that is seldom looked for is tied; beside 1 all ties are broken."""
  rng = np.random.default_rng(seed)
  ours = _runs(np.ceil(2.5 * rng.exponential(size=5)))
  theirs = _runs(np.ceil(rng.exponential(size=6)), first=100)
  p_value = speed.compare(ours, theirs).p_value
  for confidence in (1 - p_value - 1e-6, 1 - p_value + 1e-6):
    ratio = speed.compare(ours, theirs, confidence=confidence).ratio
    rejects = p_value <= 1 - confidence
    assert not (rejects and ratio.low < 1 < ratio.high)
    # Where 1 alone is inside there are no bounds.
    alone = math.isnan(ratio.low) and ratio.estimate == 1
    assert rejects or alone or ratio.low <= 1 <= ratio.high


@pytest.mark.parametrize('seed', range(4))
def test_with_seven_runs_a_side_either_may_be_the_baseline(seed):
  ours, theirs = _sides(seed, 7, 7, 12.0)
  one, two = speed.compare(ours, theirs), speed.compare(theirs, ours)
  assert one.p_value == pytest.approx(two.p_value)
  with np.errstate(divide='ignore'):
    turned = 1 / np.array([two.ratio.high, two.ratio.low])
  assert one.ratio[1:] == pytest.approx(turned, rel=1e-6)


@pytest.mark.parametrize(('count', 'paired'), [(8, False), (20, True)])
def test_drawn_ways_of_the_interval_do_not_contradict_the_test(count, paired):
  """Levels lie beside p, where 1,999 ways and all of them may disagree."""
  rng = np.random.default_rng(count)
  for _ in range(3):
    ours = _runs(rng.lognormal(0.8, size=count), 6.0)
    theirs = _runs(rng.lognormal(size=count), 6.0, 0 if paired else 100)
    p_value = speed.compare(ours, theirs).p_value
    for level in p_value * np.array([0.9, 0.99, 1.0, 1.01, 1.1]):
      ratio = speed.compare(ours, theirs, confidence=1 - level).ratio
      outside = not ratio.low <= 1 <= ratio.high
      assert (p_value <= 1 - (1 - level)) == outside


@pytest.mark.parametrize(('count', 'end'), [(8, 3.0), (20, 3.0), (50, 9.0)])
def test_a_row_of_a_table_asks_for_less_than_600_000_leads(
  count, end, monkeypatch
):
  leads = []
  permuted = speed._permuted

  def counted(race, ways, moved, lead):
    leads.append(len(ways) * len(moved))
    return permuted(race, ways, moved, lead)

  monkeypatch.setattr(speed, '_permuted', counted)
  rng = np.random.default_rng(0)
  ours, theirs = rng.lognormal(size=(2, count))
  result = speed.compare(_runs(3 * ours, end), _runs(theirs, end, 100))
  assert 0 < result.ratio.low < result.ratio.high
  assert sum(leads) < 600_000


@pytest.mark.parametrize(('count', 'end'), [(5, math.inf), (5, 2.0), (8, 2.0)])
def test_errors_are_at_most_the_level_and_coverage_at_least_the_confidence(
  count, end
):
  rng = np.random.default_rng(0)
  rejected, covered = 0, 0
  for times in rng.lognormal(size=(200, 2, count)):
    sides = [_runs(side, end) for side in times]
    rejected += speed.compare(*sides, resamples=199).p_value <= 0.05
    sides[0] = {k: (3 * time, solved) for k, (time, solved) in sides[0].items()}
    interval = speed.compare(*sides, resamples=199).ratio
    covered += interval.low <= 3 <= interval.high
  assert rejected / 200 < 0.09
  assert covered / 200 > 0.91


def test_ratio_is_that_of_the_times_where_nothing_else_differs():
  times = np.arange(10.0, 20.0)
  ratio = speed.compare(_runs(7.5 * times), _runs(times, first=90)).ratio
  assert ratio.low < ratio.estimate < ratio.high
  assert ratio.estimate == pytest.approx(7.5, rel=0.1)
  near = speed.compare(_runs(1.01 * times), _runs(times, first=90)).ratio
  assert intervals.equivalent(near, 1.5)
  # Pairs that agree to the last digit tell nothing of how far the next may lie.
  same = speed.compare(_runs(7.5 * times), _runs(times)).ratio
  assert same == pytest.approx((7.5, NAN, NAN), nan_ok=True)


def test_many_runs_are_compared_on_fewer_ratios_with_nearly_equal_bounds():
  rng = np.random.default_rng(0)
  times = rng.lognormal(size=(2, 800))
  result = speed.compare(_runs(2 * times[0]), _runs(times[1], first=9000))
  # The standard error of the log-rank's ratio is about that of the mean log.
  near = 3 * math.sqrt(2 / 800)
  assert math.log(result.ratio.estimate / 2) == pytest.approx(0, abs=near)
  assert 0.4 < math.log(result.ratio.low) < math.log(2)
  assert math.log(2) < math.log(result.ratio.high) < 1


def test_both_are_compared_up_to_the_shorter_budget():
  ours = _runs([1, 2, 3, 90, 95], 100.0)
  theirs = _runs([2, 3, 4, 200, 201], 20.0, first=10)
  short = _runs([1, 2, 3, 90, 95], 20.0)
  assert speed.compare(ours | {99: (100.0, False)}, theirs).p_value == (
    pytest.approx(speed.compare(short | {99: (20.0, False)}, theirs).p_value)
  )


def test_without_success_or_runs_nothing_is_known():
  none, some = _runs([9, 9], 5.0), _runs([3, 9], 5.0, first=10)
  for sides in (({}, some), (some, {}), (none, none), (none, _runs([7], 5.0))):
    result = speed.compare(*sides)
    flat = (*result.ratio, result.lead, result.p_value)
    assert flat == pytest.approx((NAN,) * 5, nan_ok=True)
  # All that are at risk succeed at once.
  together = speed.compare(_runs([4, 4]), _runs([4, 4], first=10))
  assert math.isnan(together.p_value)


def test_a_side_without_success_is_bounded_on_one_side():
  result = speed.compare(
    _runs([9] * 6, 5.0), _runs([1, 1, 2, 2, 2, 3], first=9)
  )
  assert math.isnan(result.ratio.estimate)
  assert 1 < result.ratio.low and result.ratio.high == math.inf
  assert result.p_value < 0.01 and result.lead < 0


def test_runs_that_make_no_sense_are_refused():
  with pytest.raises(ValueError, match='sequences=nan: must be a number'):
    speed.compare({0: (NAN, True)}, {1: (1.0, True)})
