"""A published claim, what is asked of our runs, and the verdict."""

from collections.abc import Callable, Mapping, Sequence
import enum
from typing import Any, NamedTuple

from lstm_variants.statistics import intervals

Run = Mapping[str, Any]

ALPHA = 0.05
# Of the paper's training: who was given less has not failed.
SHARE = 0.5
# Runs of an arm; fewer say nothing.
LEAST_RUNS = 3

RULE = (
  'A claim is *reproduced* if all of its questions are answered yes, *partly* '
  'if some are, *not reproduced* if none is and one is answered no. Where '
  'nothing is answered yes or no it is *out of budget* if a question is, else '
  '*not tested*; "not tested (undecided)" where runs were asked and allow '
  'both. Undecided is not shown: it never makes a claim reproduced, and alone '
  'it does not make it not reproduced.'
)


class Answer(enum.Enum):
  """What our runs say to a question.

  UNDECIDED: they allow both yes and no. NOT_TESTED: the question was not put to
  them, as there are no runs, none was trained, all diverged, or another rule
  judged them. OUT_OF_BUDGET: no, or undecided, of runs with less than `SHARE`
  of the paper's training.
  """

  YES = 'yes'
  NO = 'no'
  UNDECIDED = 'undecided'
  NOT_TESTED = 'not tested'
  OUT_OF_BUDGET = 'out of budget'


class Finding(NamedTuple):
  """What our runs say to one question.

  Attributes:
    ours: the numbers, with their interval; '' where there are none.
    answer: whether they are as the claim says.
    why: the answer, in words.
    p_value: of the test that a yes rests on; None where it rests on none.
  """

  ours: str
  answer: Answer
  why: str = ''
  p_value: float | None = None

  @property
  def text(self) -> str:
    """The answer, the numbers and the reason, as one line."""
    said = '; '.join(part for part in (self.ours, self.why) if part)
    return f'{self.answer.value}: {said}'


class Training(NamedTuple):
  """How long the paper trained.

  Attributes:
    sequences: of a run.
    source: where it says so; or that it does not, and what stands in for it.
  """

  sequences: int
  source: str

  @property
  def enough(self) -> float:
    """Sequences without which a run has not failed."""
    return SHARE * self.sequences


class Study(NamedTuple):
  """The finished runs of a claim, and what they are judged by.

  Attributes:
    runs: rows of `results.read_runs`.
    training: of the paper.
    rule: that tells the runs that solved the task, in words.
    rules: label of a task -> the rule that did judge its runs; None: that.
  """

  runs: Sequence[Run]
  training: Training
  rule: str = ''
  rules: Mapping[str, str] | None = None


Question = Callable[[Study], Finding]


class Verdict(enum.Enum):
  """What our runs make of a claim."""

  REPRODUCED = 'reproduced'
  PARTLY = 'partly'
  NOT = 'not reproduced'
  NOT_TESTED = 'not tested'
  OUT_OF_BUDGET = 'out of budget'


class Claim(NamedTuple):
  """A published claim.

  Attributes:
    name: the paper's dialect and the experiment, as 'hs97_adding'.
    says: the claim, a sentence without its full stop.
    published: the number.
    source: author, year, table.
    config: the study that tests it, a NAME of the house or a FILE, or
      NAME:ARGUMENT.
    minutes: that it takes on two cores, about.
    training: of the paper.
    rule: that tells when a run is solved, as `base.Task.success` says it; '':
      no question is about it.
    questions: all must hold for the claim to be reproduced.
    otherwise: where our experiment departs from the paper's.
  """

  name: str
  says: str
  published: str
  source: str
  config: str
  minutes: float
  training: Training
  rule: str
  questions: Sequence[Question]
  otherwise: str

  def flags(self, workdir: str) -> list[str]:
    """Return the flags with which `sweep` trains the claim's study."""
    return [f'--config={self.config}', f'--workdir={workdir}']


def judge(
  claim: Claim,
  runs: Sequence[Run],
  rules: Mapping[str, str] | None = None,
) -> tuple[Verdict, Sequence[Finding]]:
  """Put the questions to the runs of a study that is finished.

  Where several answers rest on tests their p values are adjusted for their
  number (Holm): a yes that does not stand that is undecided.

  Args:
    claim: what is asked.
    runs: rows of `results.read_runs`, also none.
    rules: label of a task -> the rule of success that judged its runs; None:
      the claim's.

  Returns:
    The verdict, as `RULE` says, and the findings.
  """
  study = Study(runs, claim.training, claim.rule, rules)
  findings = _adjust([question(study) for question in claim.questions])
  return verdict_of([finding.answer for finding in findings]), findings


def verdict_of(answers: Sequence[Answer]) -> Verdict:
  """Return the verdict that follows from the answers, as `RULE` says."""
  if Answer.YES in answers:
    others = any(answer is not Answer.YES for answer in answers)
    return Verdict.PARTLY if others else Verdict.REPRODUCED
  if Answer.NO in answers:
    return Verdict.NOT
  if Answer.OUT_OF_BUDGET in answers:
    return Verdict.OUT_OF_BUDGET
  return Verdict.NOT_TESTED


def _adjust(findings: Sequence[Finding]) -> list[Finding]:
  """Have each yes stand the number of the tests that the claim needs."""
  tests = [finding for finding in findings if finding.p_value is not None]
  if len(tests) < 2:
    return list(findings)
  adjusted = iter(intervals.holm([test.p_value or 0.0 for test in tests]))
  return [
    finding if finding.p_value is None else _stand(finding, next(adjusted))
    for finding in findings
  ]


def _stand(finding: Finding, adjusted: float) -> Finding:
  if finding.answer is not Answer.YES or adjusted < ALPHA:
    return finding
  why = f'p {adjusted:.3f} after Holm, for the tests of the claim'
  return finding._replace(answer=Answer.UNDECIDED, why=why)
