"""How much sooner one side is solved than another: ratio, interval and test.

A run without success is right-censored: its time is above that to which it was
trained. Plain NumPy on numbers; knows nothing of studies.

The test. At each time at which d of the n runs at risk succeed, a side with k
of them is expected to have d k / n of the successes. Its lead O - E, summed
over times, is the sum over its runs of the scores success - Σ d/n (up to the
run's end). If both sides are alike, all ways to divide the runs between them
are equally likely, and p is the share of them whose lead is as far from 0. All
are counted up to 20,000 of them, else B drawn and 1 added to both numbers;
above 200 runs the normal approximation with their variance is taken. With three
runs a side the smallest p is 0.1, with four 0.029, with five 0.008.

Where both sides have the same seeds, `LEAST_PAIRS` or more, the ways are to
swap the runs of each pair instead. Fewer pairs have too few ways to be swapped,
and are divided as if they were none: then what a pair has in common makes the
test cautious, never bold.

The interval. If the sample's times are the baseline's times θ, then dividing
them by θ makes both sides alike, and the test knows nothing of θ but in its
p(θ). The interval are the θ with p(θ) above 1 - confidence, so that 1 is not
between its bounds where the test of the same level rejects (of tied times it
may be one of them), and never beyond them where it does not. It covers at least
as often as it says, as runs are whole. The ratio is the θ of the largest p(θ)
(Hodges & Lehmann). p(θ) is asked for a hundred θ: where ways are many of 1,999
drawn ones, and of all those of the test where these leave a doubt.

Budgets. Both sides are compared up to the shorter of their budgets (over θ for
the sample), beyond which every run counts as unsolved; a side's budget is that
of its unsolved run that was trained least. So one that was stopped early costs
much of what can be seen. A run that diverged was as good as trained to the end:
give it the end. Success that is looked for every k sequences only is late by up
to k, which is no factor: give it half a k earlier, as
`success_times.middle_times` does.

Reference:
  Mantel, Cancer Chemotherapy Reports 50(3), 1966; Peto & Peto, Journal of the
  Royal Statistical Society A 135(2), 1972; the interval: Wei & Gail, JASA
  78(382), 1983; the 1: Phipson & Smyth, Statistical Applications in Genetics
  and Molecular Biology 9(1), 2010, arXiv:1603.05766.
"""

from collections.abc import Mapping
import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import scipy.special

from lstm_variants.statistics import intervals, survival

# Fewer swapped pairs see less than all divisions do, even where seeds agree; of
# five pairs no p is below 2 / 2^5.
LEAST_PAIRS = 8
# Up to so many ways to divide the runs all of them are counted.
_COUNTED = 20_000
RESAMPLES = 9999
_OF_INTERVAL = 1999
_ERRORS = 4  # standard errors of their p, within which all ways are asked
# Of more runs the ways are normally distributed, for all that is printed.
_DIVIDED = 200
_RATIOS = 400  # that are tried at most, of those at which the order changes
_STEPS = 50  # of them, before those beside the bounds
_DIGITS = 9  # of a logarithm: times that differ by less are equal
_BLOCK = 2**22  # numbers at once
_SCORES = 2**18  # likewise, where a dozen arrays of them are kept
_TIMES = 1000  # different ones of a side, of which all ratios are made
# seed -> sequences to success, or trained on, and whether it is solved
Times = Mapping[Any, tuple[float, bool]]


class Speed(NamedTuple):
  """The times to success of a sample beside a baseline's.

  Attributes:
    ratio: the factor by which the sample's times are longer, below 1 where it
      is solved sooner, with its interval.
    lead: the sample's successes beyond those expected if both were alike, above
      0 where it is solved sooner.
    p_value: of the log-rank test by permutations, two-sided.
    pairs: number of pairs whose runs were swapped; 0: all runs were.
  """

  ratio: intervals.Interval
  lead: float
  p_value: float
  pairs: int


UNKNOWN = Speed(intervals.UNKNOWN, math.nan, math.nan, 0)


def compare(
  sample: Times,
  baseline: Times,
  *,
  confidence: float = intervals.CONFIDENCE,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Speed:
  """Compare times to success: test, ratio, and interval of the ratio.

  What each of them is the module says.

  Args:
    sample: seed -> sequences to success of a solved run, trained on of another,
      and whether it is solved. Any keys for runs that have no seed in common.
    baseline: the same of the runs to compare with.
    confidence: of the interval, two-sided; 0.9 for `intervals.equivalent`.
    resamples: B, of the test.
    seed: of the random ways; equal inputs give equal results.

  Returns:
    The comparison. A bound that no ratio exceeds is 0 or inf, both where runs
    are too few, with three runs a side at 95 %. The ratio is NaN where one of
    them is; bounds are NaN where all pairs agree to the last digit. Without a
    run on a side, or a success that tells anything: all NaN.

  Raises:
    ValueError: a time is NaN.
  """
  if not sample or not baseline:
    return UNKNOWN
  paired = sample.keys() == baseline.keys() and len(sample) >= LEAST_PAIRS
  race = _race(sample, baseline, paired, resamples, seed)
  (lead,), (p_value,) = _test(race, np.ones(1))
  if math.isnan(p_value):
    return UNKNOWN
  level = 1 - confidence
  ratio = _interval(race, _with_fewer_ways(race, seed), level)
  return Speed(ratio, float(lead), float(p_value), race.pairs)


class _Race(NamedTuple):
  """The runs of both sides, and the ways to divide them.

  Attributes:
    times: sequences, `[runs]`, the sample's first.
    success: which are to success.
    first: number of runs of the sample.
    pairs: 0, or the runs of either side, in one order.
    ways: `[ways, runs]`, 1 for the runs that are the sample's; of pairs
      `[ways, pairs]`, -1 for those that are swapped. None: too many.
    drawn: whether the ways are random ones.
  """

  times: np.ndarray
  success: np.ndarray
  first: int
  pairs: int
  ways: np.ndarray | None
  drawn: bool


def _race(
  sample: Times, baseline: Times, paired: bool, resamples: int, seed: int
) -> _Race:
  names = sample if paired else baseline
  runs = [*sample.values(), *(baseline[name] for name in names)]
  times, success = survival.checked(
    [time for time, _ in runs], [solved for _, solved in runs]
  )
  count, others = len(sample), len(baseline)
  pairs = count if paired else 0
  ways, drawn = None, False
  if count + others <= _DIVIDED:
    number = 2**pairs if paired else math.comb(count + others, count)
    drawn = number > _COUNTED
    if drawn:
      ways = _drawn(count, others, paired, resamples, seed)
    else:
      ways = _swaps(pairs) if paired else _divisions(count, others)
  return _Race(times, success, count, pairs, ways, drawn)


def _with_fewer_ways(race: _Race, seed: int) -> _Race:
  """Return a race of which p can be asked for many ratios."""
  if race.ways is None or len(race.ways) <= _OF_INTERVAL:
    return race
  count, others = race.first, race.times.size - race.first
  ways = _drawn(count, others, race.pairs > 0, _OF_INTERVAL, seed)
  return race._replace(ways=ways, drawn=True)


@functools.lru_cache(maxsize=16)
def _divisions(count: int, others: int) -> np.ndarray:
  """Return all ways to choose the sample's runs, the actual one first."""
  chosen = [*itertools.combinations(range(count + others), count)]
  ways = np.zeros((len(chosen), count + others))
  np.put_along_axis(ways, np.array(chosen), 1, axis=1)
  return ways


@functools.lru_cache(maxsize=16)
def _swaps(pairs: int) -> np.ndarray:
  """Return all ways to swap pairs, the actual one first."""
  return np.array([*itertools.product((1.0, -1.0), repeat=pairs)])


@functools.lru_cache(maxsize=8)
def _drawn(
  count: int, others: int, paired: bool, resamples: int, seed: int
) -> np.ndarray:
  rng = np.random.default_rng(seed)
  if paired:
    return rng.choice((1.0, -1.0), (resamples, count))
  way = np.repeat((1.0, 0.0), (count, others))
  return rng.permuted(np.tile(way, (resamples, 1)), axis=1)


def _test(race: _Race, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Return lead and p value for each ratio, p NaN where all scores are 0."""
  scores = _scores(race, ratios)
  lead = scores[:, : race.first].sum(axis=1)
  moved = scores
  if race.pairs:
    # Scores add up to 0: this is what is added to the lead.
    moved = (scores[:, : race.first] - scores[:, race.first :]) / 2
  if race.ways is None:
    p_value = _normal(race, moved, lead)
  else:
    p_value = _permuted(race, race.ways, moved, lead)
  told = np.max(np.abs(scores), axis=1) > intervals.ROUNDING
  return lead, np.where(told, p_value, math.nan)


def _permuted(
  race: _Race, ways: np.ndarray, moved: np.ndarray, lead: np.ndarray
) -> np.ndarray:
  # Leads that differ by rounding count as equal.
  least = np.abs(lead) - intervals.ROUNDING * moved.shape[1]
  rows = max(1, _BLOCK // len(ways))
  count = [
    np.sum(np.abs(some @ ways.T) >= least[start : start + rows, None], axis=1)
    for start in range(0, len(moved), rows)
    for some in [moved[start : start + rows]]
  ]
  added = int(race.drawn)
  return (added + np.concatenate(count)) / (added + len(ways))


def _normal(race: _Race, moved: np.ndarray, lead: np.ndarray) -> np.ndarray:
  variance = np.sum(moved**2, axis=1)
  runs = moved.shape[1]
  if not race.pairs:
    variance *= race.first * (runs - race.first) / (runs * (runs - 1))
  error = np.sqrt(np.where(variance > 0, variance, 1))
  return 2 * scipy.special.ndtr(-np.abs(lead) / error)


def _scores(race: _Race, ratios: np.ndarray) -> np.ndarray:
  """Return log-rank scores, the sample's times divided, `[ratios, runs]`."""
  scale = np.ones((ratios.size, race.times.size))
  scale[:, : race.first] = ratios[:, np.newaxis]
  with np.errstate(divide='ignore'):
    # Rounded, as s / (s / b) is not quite b.
    times = np.round(np.log(race.times / scale), _DIGITS)
  ends = np.where(race.success, math.inf, times)
  budget = np.min(ends, axis=1, keepdims=True)
  success = race.success & (times <= budget)
  times = np.minimum(times, budget)
  order = np.argsort(times, axis=1)
  ordered = np.take_along_axis(times, order, axis=1)
  place = np.arange(race.times.size)
  # Of runs of equal times the places of the first and of the last.
  change = ordered[:, 1:] != ordered[:, :-1]
  edge = np.ones((ratios.size, 1), bool)
  starts, ends = np.hstack((edge, change)), np.hstack((change, edge))
  first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
  last = np.where(ends, place, place.size)[:, ::-1]
  last = np.minimum.accumulate(last, axis=1)[:, ::-1]
  solved = np.take_along_axis(success, order, axis=1)
  hazard = np.cumsum(solved / (place.size - first), axis=1)
  scores = np.empty_like(times)
  np.put_along_axis(
    scores, order, solved - np.take_along_axis(hazard, last, axis=1), axis=1
  )
  return scores


def _interval(race: _Race, fewer: _Race, level: float) -> intervals.Interval:
  """Return the ratios whose p value is above the level, and the likeliest."""
  changes = _changes(race)
  if not changes.size:
    return intervals.Interval(math.nan, 0.0, math.inf)
  # Between two of them nothing changes: one ratio each, and the ends.
  middles = np.sqrt(changes[1:] * changes[:-1])
  ratios = np.empty(2 * changes.size + 1)
  ratios[1::2], ratios[2:-1:2] = changes, middles
  ratios[0], ratios[-1] = changes[0] / 2, 2 * changes[-1]
  p_value = _p_values(race, fewer, ratios, level)
  # Where the order does not change up to the next, that is where it ends.
  lows = np.concatenate(([0.0], np.repeat(changes, 2)))
  highs = np.concatenate((np.repeat(changes, 2), [math.inf]))
  inside = np.flatnonzero(p_value > level)
  best = np.flatnonzero(p_value >= p_value.max() - intervals.ROUNDING)
  with np.errstate(invalid='ignore'):
    estimate = float(np.sqrt(lows[best[0]] * highs[best[-1]]))
  if not 0 < estimate < math.inf:
    estimate = math.nan
  bounds = math.nan, math.nan
  if inside.size and lows[inside[0]] < highs[inside[-1]]:
    bounds = float(lows[inside[0]]), float(highs[inside[-1]])
  return intervals.Interval(estimate, *bounds)


def _p_values(
  race: _Race, fewer: _Race, ratios: np.ndarray, level: float
) -> np.ndarray:
  """Return p for each ratio, 1 where nothing is told, 0 where it is not needed.

  Of many ratios some are tried, then all between two of which one alone is
  above the level, and beside the likeliest.

  Args:
    race: with all ways, asked where p is near the level or the largest.
    fewer: the same with fewer ways, asked first.
    ratios: ascending.
    level: what bounds separate.
  """
  doubt = _ERRORS * math.sqrt(level * (1 - level) / _OF_INTERVAL)

  def at(places: np.ndarray) -> np.ndarray:
    p_value = _known(fewer, ratios[places])
    if fewer is not race and places.size:
      from_best = p_value.max() - p_value
      near = np.minimum(np.abs(p_value - level), from_best) <= doubt
      p_value[near] = _known(race, ratios[places[near]])
    return p_value

  p_value = np.zeros(ratios.size)
  some = np.unique(np.linspace(0, ratios.size - 1, _STEPS).astype(int))
  p_value[some] = at(some)
  inside, best = p_value[some] > level, np.argmax(p_value[some])
  gaps = np.flatnonzero(inside[1:] != inside[:-1]).tolist()
  gaps += [gap for gap in (best - 1, best) if 0 <= gap < some.size - 1]
  between = [np.arange(some[gap] + 1, some[gap + 1]) for gap in gaps]
  rest = np.unique(np.concatenate(between)).astype(int)
  p_value[rest] = at(rest)
  return p_value


def _known(race: _Race, ratios: np.ndarray) -> np.ndarray:
  """Return p for each ratio, 1 where nothing is told."""
  # A block at a time: of each ratio there is a row of all runs.
  rows = max(1, _SCORES // race.times.size)
  p_value = [
    _test(race, ratios[start : start + rows])[1]
    for start in range(0, ratios.size, rows)
  ]
  joined = np.concatenate([*p_value, np.empty(0)])
  return np.where(np.isnan(joined), 1, joined)


def _changes(race: _Race) -> np.ndarray:
  """Return the ratios at which the order of the times changes, and 1."""
  # Of equal times one stands for all: of thousands of runs they are few.
  ours, theirs = (
    _some(np.unique(side))
    for side in (race.times[: race.first], race.times[race.first :])
  )
  with np.errstate(divide='ignore', invalid='ignore'):
    ratios = np.unique(np.log(np.divide.outer(ours, theirs)).round(_DIGITS))
  ratios = ratios[np.isfinite(ratios)]
  if ratios.size > _RATIOS:
    ratios = np.quantile(ratios, np.linspace(0, 1, _RATIOS), method='lower')
  return np.exp(np.unique(np.append(ratios, 0.0)))


def _some(values: np.ndarray) -> np.ndarray:
  """Return sorted values, or so many of them that their ratios fit memory."""
  if values.size <= _TIMES:
    return values
  places = np.linspace(0, values.size - 1, _TIMES).round().astype(int)
  return values[places]
