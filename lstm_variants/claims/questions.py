"""The questions that are put to the runs of a claim.

Each function returns a `claim.Question`. What is met needs no budget: a run
that is solved, one that is so sooner, a limit that is reached. For all else
runs that are not solved need `claim.SHARE` of the paper's training, or the
answer is out of budget. Where a question is about solved runs, runs that
another rule judged do not answer it. A run that diverged was not solved; an arm
all of whose runs did says nothing.

That two numbers are alike is never concluded from a test that does not tell
them apart, but from an interval that lies within a stated margin: `LATER`,
`NEAR`, `SHARES`. Where it lies beyond the margin the answer is no, else it is
undecided. A difference is one if p is below 0.05, after Holm where a claim
needs several (`claim.judge`), but not adjusted for the number of claims.
Intervals are two-sided, of 95 %.
"""

from collections.abc import Callable, Mapping, Sequence
import math
from typing import Any, NamedTuple

from lstm_variants.claims import claim
from lstm_variants.config import fields
from lstm_variants.report import tables
from lstm_variants.runs import equal_training, success_times
from lstm_variants.statistics import (
  intervals,
  ratios,
  shares,
  speed,
  survival,
)

# Sequences to success of two arms are alike within this ratio; the margin of
# bioequivalence.
LATER = 1.25
# A published number of sequences and ours agree within this ratio: as far as
# the trials of a paper lie from their mean, which a median is compared with.
NEAR = 2.0
_ALIKE = f'alike within a ratio of {LATER:g}'
# Shares of solved runs agree within this difference, a third: what an interval
# of ten runs against ten can show at best is 31 points.
SHARES = 1 / 3
# What the page says of them.
MARGINS = (
  'A published number is met if the interval of our median (Kaplan-Meier; '
  f'mostly beside their mean) lies within a factor of {NEAR:g} of it, and not '
  'if it lies beyond, on either side: what is much faster has not that number. '
  'A published share of solved runs is met if the interval of the difference '
  f'(Newcombe) lies within {100 * SHARES:.0f} points. Two arms are alike if '
  f'the interval of their ratio lies within {LATER:g}; one is sooner, or ends '
  f'lower, if p < {claim.ALPHA:g} (log-rank by permutations; t test of '
  'logarithms, paired where seeds are), after Holm where a claim needs several '
  'tests, but not for the number of claims. An interval that lies on neither '
  'side leaves the question undecided. '
  f'All are two-sided, of {100 * intervals.CONFIDENCE:.0f} %. What is not met '
  f'by runs with less than {100 * claim.SHARE:.0f} % of the training of the '
  'paper is out of budget, also a failure that the claim is about. An arm with '
  f'fewer than {claim.LEAST_RUNS} runs, without training, all diverged, or '
  'judged by another rule of success than the claim asks for is not tested, '
  'nor is a success that comes before any training.'
)

_YES, _NO = claim.Answer.YES, claim.Answer.NO
_UNDECIDED = claim.Answer.UNDECIDED
_BOTH = 'our runs allow both'
_HALF_LOST = 'half of the runs or more ended with no finite number'


class Arm(NamedTuple):
  """The runs of a study that have some fields in common.

  Attributes:
    label: names it in what is printed.
    fields: dotted names of the config, and their values.
  """

  label: str
  fields: Mapping[str, Any]


def arm(label: str, **fields: Any) -> Arm:
  """Return an arm; `model__variant` stands for `model.variant`."""
  return Arm(
    label, {name.replace('__', '.'): value for name, value in fields.items()}
  )


def model(variant: str, label: str = '', **fields: Any) -> Arm:
  """Return the arm of a model."""
  return arm(label or variant, model__variant=variant, **fields)


def select(runs: Sequence[claim.Run], wanted: Arm) -> list[claim.Run]:
  """Return the runs of an arm, none where the study has none."""
  return [run for run in runs if _matches(run, wanted)]


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

  def answer(
    training: claim.Training, own: Sequence[claim.Run]
  ) -> claim.Finding:
    solved, count = _solved(own)
    ours = f'{of.label}: {_share(solved, count)}'
    if solved == count:
      return claim.Finding(ours, _YES)
    return unless_short(claim.Finding(ours, _NO), training, own)

  return _question(answer, [of], solved=True)


def as_often(of: Arm, successes: int, trials: int) -> claim.Question:
  """Ask whether the task's rule is met as often as was published.

  Yes if the interval of the difference of both shares (Newcombe) lies within
  `SHARES`, no if it lies beyond, on either side.

  Args:
    of: our runs.
    successes: that were published.
    trials: of the paper.
  """

  def answer(
    training: claim.Training, own: Sequence[claim.Run]
  ) -> claim.Finding:
    solved, count = _solved(own)
    apart = shares.difference(solved, count, successes, trials)
    ours = (
      f'{of.label}: {_share(solved, count)} against {successes}/{trials}; '
      f'difference {_points(apart)} points'
    )
    margin = f'asked: within {100 * SHARES:.0f}'
    if -SHARES <= apart.low and apart.high <= SHARES:
      return claim.Finding(f'{ours}; {margin}', _YES)
    if apart.low > SHARES:
      return claim.Finding(f'{ours}; {margin}', _NO, 'more often')
    seldom = apart.high < -SHARES
    finding = claim.Finding(
      f'{ours}; {margin}',
      _NO if seldom else _UNDECIDED,
      'less often' if seldom else _BOTH,
    )
    return unless_short(finding, training, own)

  return _question(answer, [of], solved=True)


def fails(of: Arm) -> claim.Question:
  """Ask whether no run of an arm meets the task's rule.

  Runs that diverged were not given the chance: most of them must not have.
  """

  def answer(
    training: claim.Training, own: Sequence[claim.Run]
  ) -> claim.Finding:
    solved, count = _solved(own)
    ours = f'{of.label}: {_share(solved, count)}'
    if solved:
      return claim.Finding(ours, _NO)
    lost = _diverged(own)
    if 2 * lost >= count:
      return claim.Finding(
        ours, claim.Answer.NOT_TESTED, f'{lost} of {count} diverged'
      )
    return unless_short(claim.Finding(ours, _YES), training, own)

  return _question(answer, [of], solved=True)


def not_tested(question: claim.Question, why: str) -> claim.Question:
  """Show the numbers of a question that our runs do not test, and say why.

  Args:
    question: as it would be put.
    why: they do not, as 'judged by another rule: …'.
  """

  def ask(study: claim.Study) -> claim.Finding:
    finding = question(study)
    if finding.answer is claim.Answer.NOT_TESTED:
      return finding
    return claim.Finding(finding.ours, claim.Answer.NOT_TESTED, why)

  return ask


def takes(of: Arm, sequences: float) -> claim.Question:
  """Ask whether the rule is met after as many sequences as was published.

  Ours is the median (Kaplan & Meier 1958, unsolved runs censored), the papers
  have means, which are larger where a few runs take long. Yes if the median's
  interval lies within a factor `NEAR` of the published number, no if it lies
  beyond, on either side: what is much faster does not have that number either.
  """

  def answer(
    training: claim.Training, own: Sequence[claim.Run]
  ) -> claim.Finding:
    median = _median(own)
    ours = (
      f'{of.label}: median sequences to success {_sequences(median)} against '
      f'{sequences:,.0f}; asked: within a factor {NEAR:g}'
    )
    if sequences / NEAR <= median.low and median.high <= NEAR * sequences:
      return claim.Finding(ours, _YES)
    if median.high < sequences / NEAR:
      return claim.Finding(ours, _NO, 'faster than published')
    if median.low > NEAR * sequences:
      return claim.Finding(ours, _NO, 'slower than published')
    return unless_short(claim.Finding(ours, _UNDECIDED, _BOTH), training, own)

  return _question(answer, [of], solved=True)


def sooner(of: Arm, than: Arm) -> claim.Question:
  """Ask whether one arm is solved after fewer sequences than another.

  Yes if the log-rank test by permutations tells them apart and the first is
  ahead; no if it is behind, or if both are alike within `LATER`. A second arm
  all of whose runs diverged is one that is never solved.
  """

  def answer(
    training: claim.Training,
    own: Sequence[claim.Run],
    others: Sequence[claim.Run],
  ) -> claim.Finding:
    race = _race((of, than), (own, others))
    if race.p_value is None:
      nobody = claim.Finding(race.ours, _UNDECIDED, _untold((*own, *others)))
      return unless_short(nobody, training, (*own, *others))
    if race.p_value < claim.ALPHA:
      ahead = race.lead > 0
      return claim.Finding(
        race.ours,
        _YES if ahead else _NO,
        '' if ahead else 'later',
        race.p_value,
      )
    alike = intervals.equivalent(race.ratio, LATER)
    finding = claim.Finding(
      race.ours,
      _NO if alike else _UNDECIDED,
      _ALIKE if alike else _BOTH,
      race.p_value,
    )
    return unless_short(finding, training, (*own, *others))

  return _question(answer, [of, than], solved=True, may_diverge=than)


def no_later(of: Arm, than: Arm) -> claim.Question:
  """Ask whether one arm is not solved after more sequences than another.

  Yes if the interval of the ratio of their times ends below `LATER`, no if it
  begins above.
  """

  def answer(
    training: claim.Training,
    own: Sequence[claim.Run],
    others: Sequence[claim.Run],
  ) -> claim.Finding:
    race = _race((of, than), (own, others))
    ours = f'{race.ours}; asked: a ratio of {LATER:g} at most'
    if race.p_value is None:
      nobody = claim.Finding(ours, _UNDECIDED, _untold((*own, *others)))
      return unless_short(nobody, training, (*own, *others))
    if race.ratio.high <= LATER:
      return claim.Finding(ours, _YES)
    if race.ratio.low > LATER:
      return claim.Finding(ours, _NO, 'later')
    finding = claim.Finding(ours, _UNDECIDED, _BOTH)
    return unless_short(finding, training, (*own, *others))

  return _question(answer, [of, than], solved=True)


def _untold(runs: Sequence[claim.Run]) -> str:
  """Return why the times of runs tell nothing of who is sooner."""
  solved = any(_successes(runs))
  return 'solved at the same time' if solved else 'no run is solved'


class _Race(NamedTuple):
  """Two arms on their way to success.

  Attributes:
    ours: both medians, the ratio and p, in words.
    p_value: of the log-rank test; None where there is nothing to test.
    lead: successes of the first beyond those expected if both were alike.
    ratio: of the first's time to the second's.
  """

  ours: str
  p_value: float | None
  lead: float
  ratio: intervals.Interval


def _race(arms: Sequence[Arm], runs: Sequence[Sequence[claim.Run]]) -> _Race:
  longest = max(run['sequences'] for own in runs for run in own)
  sample, baseline = equal_training.times_by_seed(runs, longest)
  test = speed.compare(sample, baseline)
  medians = (
    f'{each.label} {_sequences(_median(own))}'
    for each, own in zip(arms, runs, strict=True)
  )
  return _Race(
    f'median sequences to success: {"; ".join(medians)}; ratio '
    f'{_ratio(test.ratio)}, p {tables.p_value(test.p_value)}',
    None if math.isnan(test.p_value) else test.p_value,
    test.lead,
    test.ratio,
  )


def lower(of: Arm, than: Arm, metric: str = 'loss') -> claim.Question:
  """Ask whether a metric ends lower in one arm than in another.

  Yes if no run of the first diverged and a test of logarithms, paired where
  both arms have the same seeds, tells them apart; no if it ends higher. Runs
  that were not trained equally long do not answer.
  """

  def answer(
    training: claim.Training,
    own: Sequence[claim.Run],
    others: Sequence[claim.Run],
  ) -> claim.Finding:
    ends = [_end(each, metric) for each in (own, others)]
    trained = _trained((*own, *others))
    if len(trained) > 1:
      text = f'{trained[0]:,} to {trained[-1]:,} sequences'
      why = f'trained unequally: {text}'
      return claim.Finding('', claim.Answer.NOT_TESTED, why)
    text = '; '.join(
      f'{each.label} {end.text}'
      for each, end in zip((of, than), ends, strict=True)
    )
    sample, baseline = (
      equal_training.by_seed(runs, _finals(runs, metric))
      for runs in (own, others)
    )
    test = ratios.compare(_above_zero(sample), _above_zero(baseline))
    p_value = None if math.isnan(test.p_value) else test.p_value
    kind = 'paired' if test.pairs else 'Welch'
    ours = (
      f'{metric} at the end: {text}; ratio {_ratio(test.ratio)}, {kind}, '
      f'p {tables.p_value(test.p_value)}'
    )
    if ends[0].lost:
      return unless_short(
        claim.Finding(ours, _NO), training, own, solved_ended=False
      )
    if p_value is not None and p_value < claim.ALPHA:
      below = test.ratio.estimate < 1
      finding = claim.Finding(ours, _YES if below else _NO, '', p_value)
    elif intervals.equivalent(test.ratio, LATER):
      finding = claim.Finding(ours, _NO, _ALIKE, p_value)
    else:
      finding = claim.Finding(ours, _UNDECIDED, _BOTH, p_value)
    return unless_short(finding, training, (*own, *others), solved_ended=False)

  return _question(answer, [of, than], metric=metric)


def reaches(of: Arm, limit: float, metric: str = 'wrong') -> claim.Question:
  """Ask whether no run diverged and a metric ends at most at a limit.

  Yes if its whole interval does (`_mean`), no if it ends above.
  """

  def answer(
    training: claim.Training, own: Sequence[claim.Run]
  ) -> claim.Finding:
    end = _end(own, metric)
    ours = _against(of, metric, end, 'at most', limit)
    if end.lost or end.mean.low > limit:
      finding = claim.Finding(ours, _NO)
    elif end.mean.high <= limit:
      return claim.Finding(ours, _YES)
    else:
      finding = claim.Finding(ours, _UNDECIDED, _BOTH)
    return unless_short(finding, training, own, solved_ended=False)

  return _question(answer, [of], metric=metric)


def stays_above(of: Arm, limit: float, metric: str = 'loss') -> claim.Question:
  """Ask whether a metric ends no lower than a limit.

  Yes if its whole interval does (`_mean`), no if it ends below. Of runs most of
  which diverged those that are left do not say that none gets there.
  """

  def answer(
    training: claim.Training, own: Sequence[claim.Run]
  ) -> claim.Finding:
    end = _end(own, metric)
    ours = _against(of, metric, end, 'at least', limit)
    if end.mean.high < limit:
      return claim.Finding(ours, _NO)
    stays = end.mean.low >= limit
    if stays and 2 * end.lost >= len(own):
      return claim.Finding(ours, claim.Answer.NOT_TESTED, _HALF_LOST)
    if stays:
      finding = claim.Finding(ours, _YES)
    else:
      finding = claim.Finding(ours, _UNDECIDED, _BOTH)
    return unless_short(finding, training, own, solved_ended=False)

  return _question(answer, [of], metric=metric)


def _question(
  answer: Callable[..., claim.Finding],
  arms: Sequence[Arm],
  solved: bool = False,
  may_diverge: Arm | None = None,
  metric: str = '',
) -> claim.Question:
  """Return a question that is put only to runs that can answer it.

  Args:
    answer: takes the paper's training and the runs of each arm.
    arms: that are asked.
    solved: whether it is about solved runs: which rule judged them matters.
    may_diverge: the arm that answers also where all of its runs diverged.
    metric: that a run of each arm must have.
  """

  def ask(study: claim.Study) -> claim.Finding:
    chosen = [select(study.runs, each) for each in arms]
    for each, own in zip(arms, chosen, strict=True):
      why = silence(own, each is may_diverge)
      if not why and solved:
        why = _other_rule(own, study) or _untaught(own)
      if (
        not why and metric and not any(map(math.isfinite, _finals(own, metric)))
      ):
        why = f'no run has a finite {metric}'
      if why:
        return claim.Finding(
          '', claim.Answer.NOT_TESTED, f'{each.label}: {why}'
        )
    return answer(study.training, *chosen)

  return ask


def silence(runs: Sequence[claim.Run], may_diverge: bool = False) -> str:
  """Return why runs answer nothing; '' if they answer."""
  if not runs:
    return 'no runs'
  if len(runs) < claim.LEAST_RUNS:
    return f'{len(runs)} run(s), at least {claim.LEAST_RUNS} are needed'
  if not any(run['sequences'] for run in runs):
    return 'no training'
  if _diverged(runs) == len(runs) and not may_diverge:
    return f'all {len(runs)} runs diverged'
  return ''


def _other_rule(runs: Sequence[claim.Run], study: claim.Study) -> str:
  """Return which other rule judged runs; '' if it is that of the claim."""
  if study.rules is None:
    return ''
  rules = {study.rules.get(run['task'], '') for run in runs} - {study.rule}
  if not rules:
    return ''
  return (
    f'judged by another rule: {" / ".join(sorted(rules)) or "none"}; asked: '
    f'{study.rule}'
  )


def _untaught(runs: Sequence[claim.Run]) -> str:
  """Return that runs met the rule before any training; '' if none did.

  Such a rule tells nothing of learning, nor is there a time that it took.
  """
  first = sum(run['sequences_to_success'] == 0 for run in runs)
  if not first:
    return ''
  return f'{first} of {len(runs)} runs meet the rule before any training'


def unless_short(
  finding: claim.Finding,
  training: claim.Training,
  runs: Sequence[claim.Run],
  solved_ended: bool = True,
) -> claim.Finding:
  """Return a finding, or that runs had too little training for it.

  Args:
    finding: that rests on what runs did not do.
    training: of the paper.
    runs: that did not do it; those that diverged do not count.
    solved_ended: whether a solved run has nothing left to be trained for; not
      where a metric is asked for that training would still change.
  """
  trained = min(
    (
      run['sequences']
      for run in runs
      if run['status'] != 'diverged'
      and not (solved_ended and run['sequences_to_success'] is not None)
    ),
    default=math.inf,
  )
  if trained >= training.enough:
    return finding
  why = f'{trained:,} sequences of the {training.sequences:,} of the paper'
  return finding._replace(answer=claim.Answer.OUT_OF_BUDGET, why=why)


class _End(NamedTuple):
  """A metric at the end of an arm's runs; of those that diverged there is none.

  Attributes:
    mean: of the runs that did not diverge, with its interval.
    lost: runs that did, or whose metric is not finite.
    text: mean, interval, and how many diverged.
  """

  mean: intervals.Interval
  lost: int
  text: str


def _end(runs: Sequence[claim.Run], metric: str) -> _End:
  values = [value for value in _finals(runs, metric) if math.isfinite(value)]
  mean = _mean(values, metric)
  middle, low, high = map(tables.number, mean)
  lost = len(runs) - len(values)
  text = f'{middle} [{low}, {high}]'
  if lost:
    lack = 'diverged' if lost == _diverged(runs) else 'not finite'
    text += f', {lost} of {len(runs)} {lack}'
  return _End(mean, lost, text)


def _trained(runs: Sequence[claim.Run]) -> list[int]:
  """Return to how many sequences runs were trained, each number once."""
  whole = (run for run in runs if run['status'] != 'diverged')
  return sorted({run['sequences'] for run in whole})


def _finals(runs: Sequence[claim.Run], metric: str) -> list[float]:
  """Return a metric at the end of each run; NaN of a run that diverged."""
  known = (
    None if run['status'] == 'diverged' else run['final'].get(metric)
    for run in runs
  )
  return [math.nan if value is None else float(value) for value in known]


def _above_zero(values: Mapping[Any, float]) -> dict[Any, float]:
  """Return values of which a ratio exists: none is told from `ratios.FLOOR`."""
  return {
    key: ratios.FLOOR if value == 0 else value for key, value in values.items()
  }


def _mean(values: Sequence[float], metric: str) -> intervals.Interval:
  """Return the typical one of shares, the geometric mean of losses.

  Values that are all equal leave no interval of what others would be; here they
  stand for themselves, but one value does not.
  """
  if len(values) > 1 and min(values) == max(values):
    return intervals.Interval(values[0], values[0], values[0])
  if metric == 'loss':
    return intervals.geometric_interval(values)
  return intervals.share_interval(values)


def _against(of: Arm, metric: str, end: _End, sense: str, limit: float) -> str:
  asked = f'asked: {sense} {tables.number(limit)}'
  return f'{of.label}: {metric} at the end {end.text}; {asked}'


def _successes(runs: Sequence[claim.Run]) -> list[bool]:
  return [run['sequences_to_success'] is not None for run in runs]


def _diverged(runs: Sequence[claim.Run]) -> int:
  return sum(run['status'] == 'diverged' for run in runs)


def _solved(runs: Sequence[claim.Run]) -> tuple[int, int]:
  return sum(_successes(runs)), len(runs)


def _median(runs: Sequence[claim.Run]) -> intervals.Interval:
  return survival.median_to_success(
    success_times.times_to_success(runs), _successes(runs)
  )


def _share(solved: int, count: int) -> str:
  bounds = shares.interval(solved, count)
  return (
    f'{solved}/{count} solved [{100 * bounds.low:.0f}, '
    f'{100 * bounds.high:.0f} %]'
  )


def _points(apart: intervals.Interval) -> str:
  middle, low, high = (f'{100 * value:+.0f}' for value in apart)
  return f'{middle} [{low}, {high}]'


def _ratio(ratio: intervals.Interval) -> str:
  """Return a ratio; where a bound is infinite there are bounds alone."""
  if all(map(math.isnan, ratio)):
    return 'unknown'
  middle, low, high = map(tables.number, ratio)
  estimate = 'in' if math.isnan(ratio.estimate) else middle
  return f'{estimate} [{low}, {high}]'.replace('inf', '∞')


def _sequences(median: intervals.Interval) -> str:
  """Return a median; of few runs its interval has no upper end, or is none."""
  if math.isinf(median.estimate):
    low = f' [{_count(median.low)}, ∞]' if math.isfinite(median.low) else ''
    return f'beyond the training{low}'
  if math.isnan(median.low):
    return _count(median.estimate)
  middle, low, high = map(_count, median)
  return f'{middle} [{low}, {high}]'


def _count(value: float) -> str:
  return '∞' if math.isinf(value) else f'{value:,.0f}'
