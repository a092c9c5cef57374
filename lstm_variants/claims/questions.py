"""The questions that are put to the runs of a claim.

Each function returns a `claim.Question`. A difference counts as one if its p
value is below 0.05; one test is made for each question, not adjusted for the
number of claims.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple

from lstm_variants.analysis import (
  comparison,
  log_rank,
  shares,
  statistics,
  survival,
  tables,
)
from lstm_variants.claims import claim

ALPHA = 0.05


class Arm(NamedTuple):
  """The runs of a study that have some fields in common.

  Attributes:
    words: that name it.
    fields: dotted names of the config, and their values.
  """

  words: str
  fields: Mapping[str, Any]


class ArmError(ValueError):
  """A study has no run of an arm; the message is one line."""


def arm(words: str, **fields: Any) -> Arm:
  """Return an arm; `model__variant` stands for `model.variant`."""
  return Arm(
    words, {name.replace('__', '.'): value for name, value in fields.items()}
  )


def model(variant: str, words: str = '', **fields: Any) -> Arm:
  """Return the arm of a model."""
  return arm(words or variant, model__variant=variant, **fields)


def select(runs: Sequence[claim.Run], wanted: Arm) -> list[claim.Run]:
  """Return the runs of an arm.

  Raises:
    ArmError: there is none.
  """
  found = [run for run in runs if _matches(run, wanted)]
  if not found:
    raise ArmError(f'{wanted.words}: no run has {dict(wanted.fields)}')
  return found


def _matches(run: claim.Run, wanted: Arm) -> bool:
  config = dict(comparison.flatten(run['config']))
  return all(config.get(name) == value for name, value in wanted.fields.items())


def solves(of: Arm, share: float = 1.0) -> claim.Question:
  """Ask whether the task's rule is met as often as was published.

  Holds if the 95 % interval of the share of solved runs (Clopper & Pearson
  1934) reaches `share`; for a share of 1 all runs must be solved.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    solved, count = _solved(select(runs, of))
    bounds = shares.interval(solved, count)
    return claim.Finding(
      f'{of.words}: {_share(solved, count)}', bounds.high >= share
    )

  return ask


def fails(of: Arm) -> claim.Question:
  """Ask whether no run of an arm meets the task's rule."""

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    solved, count = _solved(select(runs, of))
    return claim.Finding(f'{of.words}: {_share(solved, count)}', not solved)

  return ask


def within(of: Arm, sequences: float) -> claim.Question:
  """Ask whether the rule is met after no more sequences than was published.

  Holds if the 95 % interval of our median (Kaplan & Meier 1958, unsolved runs
  censored) begins at or below `sequences`.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    own = select(runs, of)
    median = _median(own)
    ours = f'{of.words}: median {_sequences(median)} sequences to success'
    return claim.Finding(ours, median.low <= sequences)

  return ask


def sooner(of: Arm, than: Arm) -> claim.Question:
  """Ask whether one arm is solved after fewer sequences than another.

  Holds if the log-rank test by permutations has p < 0.05 and more runs of the
  first were solved than if the two were alike.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    text, p_value, lead = _race(runs, of, than)
    return claim.Finding(text, p_value < ALPHA and lead > 0)

  return ask


def no_later(of: Arm, than: Arm) -> claim.Question:
  """Ask whether one arm is not solved after more sequences than another.

  Holds if some of its runs are solved, unless it is later by the test of
  `sooner`: no evidence of a difference is not evidence of none.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    text, p_value, lead = _race(runs, of, than)
    solved, _ = _solved(select(runs, of))
    later = p_value < ALPHA and lead < 0
    return claim.Finding(text, bool(solved) and not later)

  return ask


def _race(
  runs: Sequence[claim.Run], of: Arm, than: Arm
) -> tuple[str, float, float]:
  """Return both medians in words, the p value, and the first arm's lead.

  The lead are its successes beyond those expected if the two were alike.
  """
  arms = [select(runs, each) for each in (of, than)]
  longest = max(run['sequences'] for own in arms for run in own)
  test = log_rank.log_rank(
    [
      (comparison.times_to_success(own, longest), _successes(own))
      for own in arms
    ]
  )
  medians = (
    f'{each.words} {_sequences(_median(own))}'
    for each, own in zip((of, than), arms, strict=True)
  )
  text = (
    f'median sequences to success: {"; ".join(medians)}; '
    f'p {tables.p_value(test.permuted)}'
  )
  return text, test.permuted, float(test.observed[0] - test.expected[0])


def lower(
  of: Arm, than: Arm, metric: str = 'loss', *, apart: bool = True
) -> claim.Question:
  """Ask whether a metric ends lower in one arm than in another.

  Holds if its mean is lower and Welch's t test has p < 0.05; without `apart`
  if it is not significantly higher.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    finals = [_final(select(runs, each), metric) for each in (of, than)]
    p_value = statistics.welch(*finals)
    means = [statistics.mean_interval(values) for values in finals]
    text = '; '.join(
      f'{each.words} {_interval(mean)}'
      for each, mean in zip((of, than), means, strict=True)
    )
    differ = bool(p_value < ALPHA)
    below = means[0].estimate < means[1].estimate
    holds = differ and below if apart else not (differ and not below)
    return claim.Finding(
      f'mean {metric} at the end: {text}; p {tables.p_value(p_value)}', holds
    )

  return ask


def reaches(
  of: Arm, limit: float, metric: str = 'wrong', *, best: bool = False
) -> claim.Question:
  """Ask whether a metric ends at or below a limit.

  Holds if the 95 % interval of the mean over runs begins at or below `limit`;
  with `best` if the best run does, for papers that tell of their best.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    values = _final(select(runs, of), metric)
    mean = statistics.mean_interval(values)
    least = min(values, default=math.nan)
    text = f'{of.words}: mean {metric} {_interval(mean)}'
    if best:
      text += f', best run {tables.number(least)}'
    low = mean.estimate if math.isnan(mean.low) else mean.low
    return claim.Finding(text, (least if best else low) <= limit)

  return ask


def stays_above(of: Arm, limit: float, metric: str = 'loss') -> claim.Question:
  """Ask whether the mean of a metric ends no lower than a limit."""

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    mean = statistics.mean_interval(_final(select(runs, of), metric))
    text = f'{of.words}: mean {metric} {_interval(mean)}'
    limits = f'against {tables.number(limit)} of the claim'
    high = mean.estimate if math.isnan(mean.high) else mean.high
    return claim.Finding(f'{text} {limits}', high >= limit)

  return ask


def _successes(runs: Sequence[claim.Run]) -> list[bool]:
  return [run['sequences_to_success'] is not None for run in runs]


def _solved(runs: Sequence[claim.Run]) -> tuple[int, int]:
  return sum(_successes(runs)), len(runs)


def _median(runs: Sequence[claim.Run]) -> statistics.Interval:
  return survival.median_to_success(
    comparison.times_to_success(runs), _successes(runs)
  )


def _final(runs: Sequence[claim.Run], metric: str) -> list[float]:
  """Return a metric at the end; of a run that diverged there is none."""
  whole = (run['final'] for run in runs if run['status'] != 'diverged')
  values = (final.get(metric) for final in whole)
  return [value for value in values if value is not None]


def _share(solved: int, count: int) -> str:
  bounds = shares.interval(solved, count)
  return (
    f'{solved}/{count} solved [{100 * bounds.low:.0f}, '
    f'{100 * bounds.high:.0f} %]'
  )


def _sequences(median: statistics.Interval) -> str:
  """Return a median; with few runs its interval has no upper end."""
  if math.isinf(median.estimate):
    low = '' if math.isinf(median.low) else f' [{_count(median.low)}, ∞]'
    return f'beyond the budget{low}'
  middle, low, high = map(_count, median)
  return f'{middle} [{low}, {high}]'


def _count(value: float) -> str:
  return '∞' if math.isinf(value) else f'{value:,.0f}'


def _interval(interval: statistics.Interval) -> str:
  middle, low, high = map(tables.number, interval)
  return f'{middle} [{low}, {high}]'
