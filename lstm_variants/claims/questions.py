"""The questions that are put to the runs of a claim.

Each function returns a `claim.Question`. A difference counts as one if its p
value is below 0.05; one test is made for each question, not adjusted for the
number of claims.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple

from lstm_variants import errors
from lstm_variants.claims import claim
from lstm_variants.config import fields
from lstm_variants.report import tables
from lstm_variants.runs import grouping
from lstm_variants.statistics import intervals, log_rank, shares, survival

ALPHA = 0.05


class Arm(NamedTuple):
  """The runs of a study that have some fields in common.

  Attributes:
    label: names it in what is printed.
    fields: dotted names of the config, and their values.
  """

  label: str
  fields: Mapping[str, Any]


class ArmError(errors.Error, ValueError):
  """A study has no run of an arm; the message is one line."""


def arm(label: str, **fields: Any) -> Arm:
  """Return an arm; `model__variant` stands for `model.variant`."""
  return Arm(
    label, {name.replace('__', '.'): value for name, value in fields.items()}
  )


def model(variant: str, label: str = '', **fields: Any) -> Arm:
  """Return the arm of a model."""
  return arm(label or variant, model__variant=variant, **fields)


def select(runs: Sequence[claim.Run], wanted: Arm) -> list[claim.Run]:
  """Return the runs of an arm.

  Raises:
    ArmError: there is none.
  """
  chosen = [run for run in runs if _matches(run, wanted)]
  if not chosen:
    raise ArmError(f'{wanted.label}: no run has {dict(wanted.fields)}')
  return chosen


def _matches(run: claim.Run, wanted: Arm) -> bool:
  config = dict(fields.flatten(run['config']))
  return all(
    _plain(config.get(name)) == _plain(value)
    for name, value in wanted.fields.items()
  )


def _plain(value: Any) -> Any:
  """Return a value as it is in a run's file, where inf is null."""
  return None if value == math.inf else value


def solves(of: Arm) -> claim.Question:
  """Ask whether every run meets the task's rule."""

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    solved, count = _solved(select(runs, of))
    return claim.Finding(
      f'{of.label}: {_share(solved, count)}', solved == count
    )

  return ask


def as_often(of: Arm, successes: int, trials: int) -> claim.Question:
  """Ask whether the task's rule is met as often as was published.

  Holds if some run is solved and the share is not significantly below the
  published one: not lower, or not told apart by Fisher's exact test.

  Args:
    of: our runs.
    successes: that were published.
    trials: of the paper.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    solved, count = _solved(select(runs, of))
    p_value = shares.fisher(solved, count, successes, trials)
    fewer = solved * trials < successes * count and p_value < ALPHA
    text = (
      f'{of.label}: {_share(solved, count)} against {successes}/{trials}; '
      f'p {tables.p_value(p_value)}'
    )
    return claim.Finding(text, solved > 0 and not fewer)

  return ask


def fails(of: Arm) -> claim.Question:
  """Ask whether no run of an arm meets the task's rule."""

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    solved, count = _solved(select(runs, of))
    return claim.Finding(f'{of.label}: {_share(solved, count)}', not solved)

  return ask


def within(of: Arm, sequences: float) -> claim.Question:
  """Ask whether the rule is met after no more sequences than was published.

  Holds if our median (Kaplan & Meier 1958, unsolved runs censored) is at most
  `sequences`. The papers have means, which are larger where a few runs take
  long: our means would be, too.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    own = select(runs, of)
    median = _median(own)
    ours = f'{of.label}: median {_sequences(median)} sequences to success'
    return claim.Finding(ours, median.estimate <= sequences)

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
  """Return both medians as text, the p value, and the first arm's lead.

  The lead are its successes beyond those expected if the two were alike.
  """
  arms = [select(runs, each) for each in (of, than)]
  longest = max(run['sequences'] for own in arms for run in own)
  test = log_rank.log_rank(
    [(grouping.times_to_success(own, longest), _successes(own)) for own in arms]
  )
  medians = (
    f'{each.label} {_sequences(_median(own))}'
    for each, own in zip((of, than), arms, strict=True)
  )
  text = (
    f'median sequences to success: {"; ".join(medians)}; '
    f'p {tables.p_value(test.permuted)}'
  )
  return text, test.permuted, float(test.observed[0] - test.expected[0])


def lower(of: Arm, than: Arm, metric: str = 'loss') -> claim.Question:
  """Ask whether a metric ends lower in one arm than in another.

  Holds if no run of the first diverged, its mean is lower, and Welch's t test
  has p < 0.05.
  """

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    ends = [_end(select(runs, each), metric) for each in (of, than)]
    p_value = intervals.welch(*(end.values for end in ends))
    text = '; '.join(
      f'{each.label} {end.text}'
      for each, end in zip((of, than), ends, strict=True)
    )
    below = ends[0].mean.estimate < ends[1].mean.estimate
    return claim.Finding(
      f'mean {metric} at the end: {text}; p {tables.p_value(p_value)}',
      bool(p_value < ALPHA and below and not ends[0].diverged),
    )

  return ask


def reaches(of: Arm, limit: float, metric: str = 'wrong') -> claim.Question:
  """Ask whether no run diverged and a metric's mean ends at most at a limit."""

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    end = _end(select(runs, of), metric)
    holds = not end.diverged and end.mean.estimate <= limit
    return claim.Finding(_against(of, metric, end, 'at most', limit), holds)

  return ask


def stays_above(of: Arm, limit: float, metric: str = 'loss') -> claim.Question:
  """Ask whether the mean of a metric ends no lower than a limit."""

  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    end = _end(select(runs, of), metric)
    holds = end.mean.estimate >= limit
    return claim.Finding(_against(of, metric, end, 'at least', limit), holds)

  return ask


class _End(NamedTuple):
  """A metric at the end of an arm's runs; of those that diverged there is none.

  Attributes:
    values: of the runs that did not diverge.
    mean: of `values`, with Student's interval.
    diverged: runs that did.
    text: mean, interval, and how many diverged.
  """

  values: Sequence[float]
  mean: intervals.Interval
  diverged: int
  text: str


def _end(runs: Sequence[claim.Run], metric: str) -> _End:
  whole = [run['final'] for run in runs if run['status'] != 'diverged']
  known = (final.get(metric) for final in whole)
  values = [value for value in known if value is not None]
  mean = intervals.mean_interval(values)
  middle, low, high = map(tables.number, mean)
  diverged = len(runs) - len(whole)
  text = f'{middle} [{low}, {high}]'
  if diverged:
    text += f', {diverged} of {len(runs)} diverged'
  return _End(values, mean, diverged, text)


def _against(of: Arm, metric: str, end: _End, sense: str, limit: float) -> str:
  asked = f'asked: {sense} {tables.number(limit)}'
  return f'{of.label}: mean {metric} at the end {end.text}; {asked}'


def _successes(runs: Sequence[claim.Run]) -> list[bool]:
  return [run['sequences_to_success'] is not None for run in runs]


def _solved(runs: Sequence[claim.Run]) -> tuple[int, int]:
  return sum(_successes(runs)), len(runs)


def _median(runs: Sequence[claim.Run]) -> intervals.Interval:
  return survival.median_to_success(
    grouping.times_to_success(runs), _successes(runs)
  )


def _share(solved: int, count: int) -> str:
  bounds = shares.interval(solved, count)
  return (
    f'{solved}/{count} solved [{100 * bounds.low:.0f}, '
    f'{100 * bounds.high:.0f} %]'
  )


def _sequences(median: intervals.Interval) -> str:
  """Return a median; of few runs its interval has no upper end, or is none."""
  if math.isinf(median.estimate):
    low = f' [{_count(median.low)}, ∞]' if math.isfinite(median.low) else ''
    return f'beyond the budget{low}'
  if math.isnan(median.low):
    return _count(median.estimate)
  middle, low, high = map(_count, median)
  return f'{middle} [{low}, {high}]'


def _count(value: float) -> str:
  return '∞' if math.isinf(value) else f'{value:,.0f}'
