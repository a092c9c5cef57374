"""Whether intervals and tests hold what they say, for few runs.

    python -m benchmarks.statistics

writes docs/statistics.md. Everything that a table or a verdict prints is
computed as it is there, on numbers drawn from known distributions. Seeds are
fixed: the same libraries give the same page.
"""

from collections.abc import Callable, Iterable, Sequence
import math
import pathlib
from typing import Any, NamedTuple

from absl import app
import numpy as np
import scipy.special
import scipy.stats

from benchmarks import pages
from lstm_variants.evidence.lengths import measure as lengths
from lstm_variants.statistics import (
  best_trials,
  improvement,
  intervals,
  power,
  ratios,
  shares,
  speed,
  survival,
)

PAGE = pathlib.Path('docs/statistics.md')
RUNS = (2, 3, 5, 10, 20)
REPETITIONS, FEW = 2000, 20
# Divisions drawn by a permutation test; tables draw 9,999. Either is exact.
_DIVISIONS = 199
_PLANS = 500
CONFIDENCE, ALPHA = intervals.CONFIDENCE, 0.05
# Normal values vary by a fifth, log-normal ones have σ = 1.
_SPREAD = 0.2
NORMAL, LOG_NORMAL, EXPONENTIAL = 'normal', 'log-normal', 'exponential'
_OPEN = math.inf

Interval = intervals.Interval
Times = tuple[np.ndarray, np.ndarray]


def repetitions() -> int:
  """Return how often each is simulated; few in the smoke version."""
  return FEW if pages.QUICK.value else REPETITIONS


def draw(name: str, shape: Sequence[int], seed: int = 0) -> np.ndarray:
  """Return values of a distribution, above 0."""
  rng = np.random.default_rng(seed)
  if name == NORMAL:
    return np.abs(rng.normal(1, _SPREAD, shape))
  if name == EXPONENTIAL:
    return rng.exponential(size=shape)
  return rng.lognormal(size=shape)


def quantile(name: str, share: float | np.ndarray) -> Any:
  """Return the quantile of a distribution of `draw`."""
  z = scipy.special.ndtri(share)
  if name == NORMAL:
    return 1 + _SPREAD * z
  return -np.log1p(-np.asarray(share)) if name == EXPONENTIAL else np.exp(z)


def average(name: str, of: Callable[[np.ndarray], np.ndarray]) -> float:
  """Return the mean of a function of a value of a distribution."""
  levels = (np.arange(10**6) + 0.5) / 10**6
  return float(np.mean(of(np.abs(quantile(name, levels)))))


def correlated(
  runs: int, correlation: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """Return two sides of standard normal values, paired run by run."""
  rng = np.random.default_rng(seed)
  common, *own = rng.normal(size=(3, repetitions(), runs))
  shared, alone = math.sqrt(correlation), math.sqrt(1 - correlation)
  ours, theirs = (shared * common + alone * each for each in own)
  return ours, theirs


class Tally(NamedTuple):
  """How often intervals hold a value, and how often they are there.

  Attributes:
    covered: share of those that are printed.
    bounded: share of all that end on both sides.
  """

  covered: float
  bounded: float


def tally(found: Iterable[Interval], value: float) -> Tally:
  """Count the intervals that hold a value."""
  low, high = np.array([each[1:] for each in found]).T
  printed = ~np.isnan(low)
  inside = (low <= value) & (value <= high)
  return Tally(
    float(np.mean(inside[printed])) if printed.any() else math.nan,
    float(np.mean(printed & (low > 0) & (high < math.inf))),
  )


def percent(share: float) -> str:
  """Return a share in percent, a dash where there is none."""
  return '—' if math.isnan(share) else f'{100 * share:.1f}'


def row(
  heading: Sequence[str], of: Callable[[int], float], runs: Sequence[int] = RUNS
) -> tuple[str, ...]:
  """Return a line of a table: what, and a share for each number of runs."""
  pages.progress(' · '.join(heading))
  return (*heading, *(percent(of(count)) for count in runs))


# Means --------------------------------------------------------------------


def means() -> list[tuple[str, ...]]:
  """Return coverage of intervals of a mean of values."""
  half = 0.25, 0.75
  rows = []
  for name in (NORMAL, LOG_NORMAL):
    middle = (np.arange(10**5) + 0.5) / 10**5 * (half[1] - half[0]) + half[0]
    kinds = {
      'mean (Student; of losses not printed)': (
        intervals.mean_interval,
        average(name, lambda x: x),
      ),
      'geometric mean': (
        intervals.geometric_interval,
        math.exp(average(name, np.log)),
      ),
      'interquartile mean of logarithms (Yuen)': (
        intervals.interquartile_interval,
        math.exp(float(np.mean(np.log(quantile(name, middle))))),
      ),
    }
    for kind, (interval, value) in kinds.items():

      def covered(runs, interval=interval, value=value, name=name):
        samples = draw(name, (repetitions(), runs))
        return tally(map(interval, samples), value).covered

      rows.append(row((kind, name), covered))
  return [*rows, *metric_shares()]


def metric_shares() -> list[tuple[str, ...]]:
  """Return coverage of intervals of a share that each run has."""
  levels = (np.arange(10**5) + 0.5) / 10**5
  rows = []
  for a, b in ((2.0, 2.0), (2.0, 38.0), (0.5, 9.5)):
    shares_ = scipy.stats.beta.ppf(levels, a, b)
    angle = float(np.mean(np.arcsin(np.sqrt(shares_))))
    kinds = {
      'mean of shares (Student, not printed)': (
        intervals.mean_interval,
        float(np.mean(shares_)),
      ),
      'typical share (angles)': (
        intervals.share_interval,
        math.sin(angle) ** 2,
      ),
    }
    for kind, (interval, value) in kinds.items():

      def covered(runs, interval=interval, value=value, a=a, b=b):
        samples = np.random.default_rng(0).beta(a, b, (repetitions(), runs))
        return tally(map(interval, samples), value).covered

      rows.append(row((kind, f'beta, {a:g} and {b:g}'), covered))
  return rows


def loss_ratios() -> list[tuple[str, ...]]:
  """Return coverage of intervals of a ratio of two models' losses."""
  rows = []

  def welch(runs: int, deviation: float, others: int | None = None) -> float:
    logs = np.random.default_rng(1).normal(size=(repetitions(), runs))
    base = draw(LOG_NORMAL, (repetitions(), others or runs), 2)
    sides = zip(3 * np.exp(deviation * logs), base, strict=True)
    return tally((ratios.welch(*side).ratio for side in sides), 3).covered

  def pairs(runs: int, correlation: float) -> float:
    ours, theirs = correlated(runs, correlation)
    sides = zip(3 * np.exp(ours), np.exp(theirs), strict=True)
    return tally((ratios.paired(*side).ratio for side in sides), 3).covered

  def normal(runs: int) -> float:
    sides = zip(*draw(NORMAL, (2, repetitions(), runs)), strict=True)
    return tally((ratios.welch(*side).ratio for side in sides), 1).covered

  what = 'ratio of losses, Welch'
  rows.append(row((what, NORMAL), normal))
  rows.append(row((what, LOG_NORMAL), lambda n: welch(n, 1.0)))
  rows.append(row((what, 'log-normal, σ 3 and 1'), lambda n: welch(n, 3.0)))
  rows.append(
    row((what, 'log-normal, beside 20 runs'), lambda n: welch(n, 1.0, 20))
  )
  what = 'ratio of losses, paired'
  for correlation in (0.0, 0.6):
    heading = what, f'log-normal, correlation {correlation:g}'
    rows.append(row(heading, lambda n, c=correlation: pairs(n, c)))
  return rows


# Times to success ---------------------------------------------------------


def censored(name: str, budget: str, runs: int) -> Iterable[Times]:
  """Yield times to success, and which are; all, to a budget, at random."""
  times = draw(name, (repetitions(), runs))
  if budget == _BUDGETS[0]:
    ends = np.full(times.shape, _OPEN)
  elif budget == _BUDGETS[1]:
    ends = np.full(times.shape, float(quantile(name, 0.7)))
  else:
    ends = np.random.default_rng(9).uniform(0.3, 3, times.shape)
  return zip(np.minimum(times, ends), times <= ends, strict=True)


_BUDGETS = ('all solved', '30 % unsolved', 'ends at random')


def medians() -> list[tuple[str, ...]]:
  """Return coverage of intervals of the median."""
  rows = []
  for name in (EXPONENTIAL, LOG_NORMAL):
    value = float(quantile(name, 0.5))
    for budget in _BUDGETS:

      def covered(runs, name=name, budget=budget, value=value):
        found = (
          survival.median_to_success(*each)
          for each in censored(name, budget, runs)
        )
        return tally(found, value).covered

      rows.append(row(('median to success', f'{name}, {budget}'), covered))
  return rows


def restricted_means() -> list[tuple[str, ...]]:
  """Return coverage of intervals of the mean time up to a budget."""
  rows = []
  for name in (EXPONENTIAL, LOG_NORMAL):
    for share in (0.5, 0.8, 0.99):
      limit = float(quantile(name, share))
      value = average(name, lambda times, end=limit: np.minimum(times, end))

      def covered(runs, name=name, limit=limit, value=value):
        times = draw(name, (repetitions(), runs))
        found = (
          survival.restricted_mean(each, each <= limit, limit)
          for each in np.minimum(times, limit)
        )
        return tally(found, value).covered

      heading = 'mean sequences', f'{name}, {100 - 100 * share:.0f} % unsolved'
      rows.append(row(heading, covered))
  return rows


def bands() -> list[tuple[str, ...]]:
  """Return the least coverage of the band of a survival curve, at any time."""
  levels = np.linspace(0.05, 0.95, 19)
  points = quantile(EXPONENTIAL, 1 - levels)

  def covered(runs: int, budget: str) -> float:
    inside = np.zeros(levels.size)
    for times, solved in censored(EXPONENTIAL, budget, runs):
      curve = survival.kaplan_meier(times, solved)
      at = np.searchsorted(curve.times, points, side='right')
      low = np.concatenate(([curve.first_low], curve.low))[at]
      high = np.concatenate(([1.0], curve.high))[at]
      inside += (low <= levels) & (levels <= high)
    return float(inside.min() / repetitions())

  return [
    row(
      ('band of a curve, its worst point', f'exponential, {budget}'),
      lambda n, b=budget: covered(n, b),
    )
    for budget in _BUDGETS
  ]


def _side(times: np.ndarray, budget: float, first: int = 0) -> speed.Times:
  return {
    seed: (float(min(time, budget)), bool(time <= budget))
    for seed, time in enumerate(times, first)
  }


def races(
  runs: int, ratio: float, budget: float, correlation: float | None
) -> list[speed.Speed]:
  """Return comparisons of sides whose times are a factor apart.

  Args:
    runs: of each side.
    ratio: the factor.
    budget: of both sides, in medians of the geometric mean of both.
    correlation: of the logarithms of paired runs; None: no pairs.
  """
  ours, theirs = correlated(runs, correlation or 0.0)
  budget *= math.sqrt(ratio)
  first = 0 if correlation is not None else 1000
  return [
    speed.compare(
      _side(ratio * np.exp(x), budget),
      _side(np.exp(y), budget, first),
      resamples=_DIVISIONS,
      seed=seed,
    )
    for seed, (x, y) in enumerate(zip(ours, theirs, strict=True))
  ]


_RACES = (
  ('all solved', _OPEN, None),
  ('30 % unsolved', 1.7, None),
  ('all solved, pairs, correlation 0.6', _OPEN, 0.6),
  ('30 % unsolved, pairs, correlation 0.6', 1.7, 0.6),
)


def time_ratios() -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
  """Return coverage of the interval of a ratio of times, and what is bounded.

  A comparison where nothing can be told prints none.
  """
  covered, bounded = [], []
  for what, budget, correlation in _RACES:
    tallies = {
      runs: tally(
        (each.ratio for each in races(runs, 3.0, budget, correlation)), 3.0
      )
      for runs in RUNS
    }
    heading = 'ratio of times', what
    covered.append(row(heading, lambda n, of=tallies: of[n].covered))
    bounded.append(row(heading, lambda n, of=tallies: of[n].bounded))
  return covered, bounded


# Shares -------------------------------------------------------------------


def solved_shares() -> list[tuple[str, ...]]:
  """Return the least coverage of intervals of shares, exactly."""
  grid = np.linspace(0.02, 0.98, 49)

  def of_one(runs: int) -> float:
    counts = np.arange(runs + 1)
    found = [shares.interval(solved, runs)[1:] for solved in range(runs + 1)]
    low, high = np.array(found).T
    inside = (low[:, None] <= grid) & (grid <= high[:, None])
    weight = scipy.stats.binom.pmf(counts[:, None], runs, grid)
    return float(np.sum(inside * weight, axis=0).min())

  def of_two(runs: int, others: int) -> float:
    found = np.array(
      [
        [shares.difference(k, runs, m, others)[1:] for m in range(others + 1)]
        for k in range(runs + 1)
      ]
    )
    few = grid[::4]
    ours = scipy.stats.binom.pmf(np.arange(runs + 1)[:, None], runs, few)
    theirs = scipy.stats.binom.pmf(np.arange(others + 1)[:, None], others, few)
    covered = [
      ours[:, i] @ ((low <= d) & (d <= high)) @ theirs[:, j]
      for low, high in [np.moveaxis(found, 2, 0)]
      for i, p in enumerate(few)
      for j, q in enumerate(few)
      for d in [p - q]
    ]
    return float(min(covered))

  return [
    row(('share solved, its worst value', 'binomial'), of_one),
    row(
      ('difference of shares, its worst values', 'equal runs'),
      lambda n: of_two(n, n),
    ),
    row(
      ('difference of shares, its worst values', 'beside 10 runs'),
      lambda n: of_two(n, 10),
    ),
  ]


def improvements() -> list[tuple[str, ...]]:
  """Return coverage of the interval of a probability of improvement."""
  rows = []
  for probability in (0.5, 0.7, 0.9, 0.97):
    for budget in (_OPEN, 1.0):
      odds = probability / (1 - probability)
      value = probability
      if budget < _OPEN:
        # P(X < Y and X solved) and half of both unsolved, rates odds and 1.
        both = math.exp(-(1 + odds) * budget)
        value = probability * (1 - both) + both / 2

      def covered(runs, odds=odds, budget=budget, value=value):
        times = draw(EXPONENTIAL, (2, repetitions(), runs))
        found = []
        for x, y in zip(times[0] / odds, times[1], strict=True):
          pair = improvement.Pair(
            *(np.minimum(side, budget) for side in (x, y)),
            *(side <= budget for side in (x, y)),
          )
          found.append(improvement.probability_of_improvement(pair))
        return tally((each.probability for each in found), value).covered

      of = 'all solved' if budget == _OPEN else 'some unsolved'
      rows.append(
        row(
          ('probability to be sooner', f'exponential, {probability:g}, {of}'),
          covered,
        )
      )
  return rows


def of_lengths() -> list[tuple[str, ...]]:
  """Return coverage of metrics at a length, over sequences of one model."""
  sequences, steps = 128, 20
  rng = np.random.default_rng(0)
  rows: list[tuple[str, ...]] = []
  for wrong in (0.02, 0.1, 0.5):
    # A sequence is harder or easier as a whole: its steps are not independent.
    hard = rng.beta(2 * wrong, 2 * (1 - wrong), (repetitions(), sequences))
    counts = rng.binomial(steps, hard).astype(float)
    curve = lengths.interval(counts, np.full(counts.shape, float(steps)))
    inside = (curve.low <= wrong) & (wrong <= curve.high)
    rows.append((f'share of wrong steps, {wrong:g}', percent(inside.mean())))
  losses = rng.lognormal(size=(repetitions(), sequences)) * steps
  curve = lengths.interval(losses, np.full(losses.shape, float(steps)))
  value = math.exp(0.5)
  inside = (curve.low <= value) & (value <= curve.high)
  rows.append(('loss, log-normal', percent(inside.mean())))
  return rows


# Tests --------------------------------------------------------------------


def rejected(p_values: Iterable[float]) -> float:
  """Return the share of p values at most α; NaN rejects nothing."""
  return float(np.mean(np.array(list(p_values)) <= ALPHA))


def loss_tests(ratio: float) -> list[tuple[str, ...]]:
  """Return how often tests of final losses reject, for sides a factor apart."""

  def sides(runs: int, correlation: float) -> Iterable[Sequence[np.ndarray]]:
    ours, theirs = correlated(runs, correlation)
    return zip(ratio * np.exp(ours), np.exp(theirs), strict=True)

  def raw(runs: int) -> float:
    pairs = np.array(list(sides(runs, 0.0)))
    test: Any = scipy.stats.ttest_ind(
      pairs[:, 0], pairs[:, 1], axis=1, equal_var=False
    )
    return rejected(test.pvalue)

  tests: dict[tuple[str, str], Callable[[int], float]] = {
    ('Welch on losses (not printed)', LOG_NORMAL): raw,
    ('Welch on logarithms', LOG_NORMAL): lambda n: rejected(
      ratios.welch(x, y).p_value for x, y in sides(n, 0.0)
    ),
  }
  for c in (0.0, 0.6):
    tests['paired t on logarithms', f'log-normal, correlation {c:g}'] = (
      lambda n, c=c: rejected(
        ratios.paired(x, y).p_value for x, y in sides(n, c)
      )
    )
  return [row(name, of) for name, of in tests.items()]


def time_tests(ratio: float) -> list[tuple[str, ...]]:
  """Return how often tests of times to success reject."""
  rows = [
    row(
      ('log-rank, permuted', what),
      lambda n, b=budget, c=correlation: rejected(
        each.p_value for each in races(n, ratio, b, c)
      ),
    )
    for what, budget, correlation in _RACES
  ]

  def sooner(runs: int) -> float:
    ours, theirs = correlated(runs, 0.0)
    return rejected(
      improvement.probability_of_improvement(
        improvement.Pair(ratio * np.exp(x), np.exp(y))
      ).p_value
      for x, y in zip(ours, theirs, strict=True)
    )

  return [*rows, row(('Mann-Whitney, exact', 'all solved'), sooner)]


def planned_seeds() -> list[tuple[str, ...]]:
  """Return what is planned from a few runs a ratio of 5 apart, σ = 1."""
  rows: list[tuple[str, ...]] = []
  for runs in RUNS[1:]:
    pages.progress(f'seeds for a power of 0.8 · n = {runs}')
    ours, theirs = correlated(runs, 0.0)
    needed = [
      power.seeds_needed(
        math.log(5) + x.mean() - y.mean(),
        x.std(ddof=1),
        baseline_deviation=y.std(ddof=1),
      )
      for x, y in zip(ours[:_PLANS], theirs[:_PLANS], strict=True)
    ]
    rows.append(
      (str(runs), *(f'{q:,.0f}' for q in np.quantile(needed, (0.1, 0.5, 0.9))))
    )
  return rows


def equivalence_tests() -> list[tuple[str, ...]]:
  """Return how often two sides are called equal within a factor of 1.25."""
  rows = []
  for ratio in (1.25, 1.0):
    for deviation in (0.05, 0.2):

      def equal(runs, ratio=ratio, deviation=deviation):
        ours, theirs = correlated(runs, 0.0)
        found = (
          ratios.welch(
            ratio * np.exp(deviation * x),
            np.exp(deviation * y),
            confidence=intervals.TOST,
          )
          for x, y in zip(ours, theirs, strict=True)
        )
        return float(
          np.mean([intervals.equivalent(each.ratio, 1.25) for each in found])
        )

      what = f'ratio {ratio:g}, log-normal, σ {deviation:g}'
      rows.append(row(('equal within 1.25, at 0.05', what), equal))
  return rows


def search_tests() -> list[tuple[str, ...]]:
  """Return how often the best trials of two models are told apart."""
  rng = np.random.default_rng(0)
  shape = (2, repetitions(), 20)
  # Most trials learn nothing, some much, some diverge.
  learnt = np.where(
    rng.random(shape) < 0.6, math.log(0.167), rng.uniform(-14, 0, shape)
  )
  learnt = np.where(rng.random(shape) < 0.1, math.inf, learnt)
  kinds = {'log-normal, σ 2': rng.normal(0, 2, shape), 'a search': learnt}
  rows: list[tuple[str, ...]] = []
  for ratio in (1.0, 10.0):
    for name, (ours, theirs) in kinds.items():
      pages.progress(f'best trials · {name}, ratio {ratio:g}')
      ours = ours + math.log(ratio)
      best = [np.sort(side, axis=1)[:, :5] for side in (ours, theirs)]
      welch: Any = scipy.stats.ttest_ind(*best, axis=1, equal_var=False)
      known = (
        best_trials.test(
          np.exp(x).tolist(),
          np.exp(y).tolist(),
          resamples=_DIVISIONS,
          seed=seed,
        ).p_value
        for seed, (x, y) in enumerate(zip(ours, theirs, strict=True))
      )
      shares_ = rejected(known), rejected(welch.pvalue)
      rows.append((name, f'{ratio:g}', *map(percent, shares_)))
  return rows


# The page -----------------------------------------------------------------

_HEADER = ('what', 'values', *(f'n = {count}' for count in RUNS))
# Below this an interval of 95 % does not cover what it says.
_LEAST = 93.0


def short(rows: Iterable[Sequence[str]]) -> list[str]:
  """Return what covers less than it says by more than two points."""
  lines = []
  for name, values, *covered in rows:
    low = [
      f'{share} % with {count}'
      for count, share in zip(RUNS, covered, strict=True)
      if share != '—' and float(share) < _LEAST
    ]
    if low:
      lines.append(f'- {name}, {values}: {", ".join(low)}')
  return lines


def coverage() -> list[str]:
  """Return the part of the page on intervals."""
  of_times, bounded = time_ratios()
  rows = [
    *means(),
    *loss_ratios(),
    *medians(),
    *restricted_means(),
    *bands(),
    *of_times,
    *improvements(),
    *solved_shares(),
  ]
  return [
    *COVERAGE,
    *pages.table(_HEADER, rows),
    'Below 93 %:',
    '',
    *(short(rows) or ['- none']),
    '',
    *BOUNDED,
    *pages.table(_HEADER, bounded),
    *LENGTHS,
    *pages.table(('metric', 'coverage'), of_lengths()),
  ]


def errors() -> list[str]:
  """Return the part of the page on tests."""
  null = [
    *loss_tests(1.0),
    *time_tests(1.0),
  ]
  apart = [
    *loss_tests(5.0),
    *time_tests(5.0),
  ]
  seeds = planned_seeds()
  needed = power.seeds_needed(math.log(5), 1.0)
  return [
    *NULL,
    *pages.table(_HEADER, null),
    *POWER,
    *pages.table(_HEADER, apart),
    *(line.format(needed=needed) for line in SEEDS),
    *pages.table(
      ('n', 'one in ten below', 'median', 'one in ten above'), seeds
    ),
    *EQUAL,
    *pages.table(_HEADER, equivalence_tests()),
    *BEST,
    *pages.table(
      ('losses', 'ratio', 'choice repeated', "Welch's (not printed)"),
      search_tests(),
    ),
  ]


TITLE = (
  '# What intervals and tests hold',
  '',
  'Made by `python -m benchmarks.statistics`: everything that a table or a',
  'verdict prints, computed by the functions that print it, on numbers',
  'drawn from known distributions; {count:,} repetitions, so that a share',
  'of 95 % has a standard error of half a point. n is the number of runs of',
  'each side. Normal values vary by a fifth, log-normal ones have σ = 1:',
  'one run in six is above 2.7 times the median. Shares are in percent.',
  '',
)
TRUST = (
  '## What to trust',
  '',
  '- **Final losses** are compared by the ratio of geometric means, with its',
  '  interval: from two runs a side it covers what it says. With three runs',
  '  a side a ratio of 5 is seen in one study of four, with five in six of',
  '  ten. Plan for five seeds or more, the same on both sides: where equal',
  '  seeds help (correlation 0.6), five see it in 85 % of studies.',
  "- **Means** have Student's interval only where a loss may be below zero: it",
  '  holds for values that are about normal, not for those orders of',
  '  magnitude apart.',
  '- **Shares of wrong answers** of several runs cover 91 % or more: a little',
  '  less than they say where most runs are near 0.',
  '- **Medians to success** have an interval between two of the runs, which',
  '  covers more often than it says: 97 % of six runs. Of five it has no upper',
  '  end, of four or fewer there is none.',
  '- **How soon** is compared by the permuted log-rank test, whose errors are',
  '  at most what it says, and by the ratio of times. With three runs a side',
  '  nothing can be shown (the smallest p is 0.1) and the interval has no',
  '  ends; with five and all solved it has both, with some unsolved seldom.',
  '- **Mean sequences**, the **band** of a survival curve, **shares solved**',
  '  and the **probability to be sooner** are cautious: mean sequences cover',
  '  99 %. A **difference of shares** covers 92 % or more wherever they lie.',
  '- **Equality** is shown by an interval within a margin, never by a large p.',
  '- **Best trials** are compared by a test that repeats the choice.',
  '- p values of a family are adjusted by Holm, whatever the tests.',
  '- **Seeds to plan** from three runs are a guess.',
  '- No p of any of these says anything where models were trained on unequally',
  '  many sequences, or were judged by other rules.',
  '',
)
COVERAGE = (
  '## Coverage of intervals of 95 %',
  '',
  'Of those that are printed; —: none is. More than 95 is caution: runs are',
  'whole, and an interval that ends at runs cannot cover exactly 95 %.',
)
BOUNDED = (
  'How often the ratio of times has two ends (in truth it is 3). Where one',
  'side is hardly solved within what both were trained on, the other end is',
  '0 or ∞:',
)
LENGTHS = (
  'Metrics at a length are averaged over 128 sequences of one model, of 20',
  'steps that are wrong together (`evidence/lengths`). The interval says',
  'how far another set of sequences would lie, not how far another seed',
  'would:',
)
NULL = (
  '## Errors: how often equal sides are told apart at 0.05',
  '',
  'At most 5 is asked. Much less is what few runs cost: a permutation test',
  'of three runs a side rejects never.',
)
POWER = (
  '## Power: how often sides a ratio of 5 apart are told apart at 0.05',
  '',
  'The larger the better. Ratios of losses are of log-normal values with σ',
  '= 1; of times likewise. Paired seeds that have nothing in common',
  '(correlation 0) cost a little, those that have gain much.',
)
SEEDS = (
  'Seeds for a power of 0.8, estimated from n runs a side a ratio of 5 apart',
  '(in truth {needed:.0f}): a plan from three runs is a guess.',
)
EQUAL = (
  '## Equality within a margin',
  '',
  'Called equal at a ratio of 1.25, the margin, is an error: 5 at most. At',
  'a ratio of 1 it is the power: the runs must lie close together.',
)
BEST = (
  '## Best of many trials',
  '',
  'Best five of 20 trials a side: rejected at 0.05, for equal models (ratio',
  '1) and for those whose trials all are 10 times worse. Of a search, six',
  'trials in ten learn nothing, one diverges.',
)


def page() -> list[str]:
  """Return the lines of the page."""
  title = [line.format(count=repetitions()) for line in TITLE]
  return [*title, *TRUST, *coverage(), *errors()]


def main(argv: Sequence[str]) -> None:
  """Simulate, then write; in the smoke version print."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected argument {argv[1]!r}')
  text = '\n'.join(pages.without_double_blanks(page())).strip() + '\n'
  if pages.QUICK.value:
    print(text)
    return
  PAGE.write_text(text)
  print(f'wrote {PAGE}')


if __name__ == '__main__':
  app.run(main)
