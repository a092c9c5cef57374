"""A published claim, what is asked of our runs, and the verdict."""

from collections.abc import Callable, Mapping, Sequence
import enum
from typing import Any, NamedTuple

Run = Mapping[str, Any]


class Finding(NamedTuple):
  """What our runs say to one question.

  Attributes:
    ours: the numbers, with their interval.
    holds: whether they are as the claim says.
  """

  ours: str
  holds: bool


# A question: from the finished runs of a claim's study.
Question = Callable[[Sequence[Run]], Finding]


class Verdict(enum.Enum):
  """What our runs make of a claim."""

  REPRODUCED = 'reproduced'
  PARTLY = 'partly'
  NOT = 'not reproduced'
  OUT_OF_BUDGET = 'out of budget'
  NOT_RUN = 'not run'
  FAILED = 'failed'


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
    questions: all must hold for the claim to be reproduced.
    otherwise: where our experiment departs from the paper's.
  """

  name: str
  says: str
  published: str
  source: str
  config: str
  minutes: float
  questions: Sequence[Question]
  otherwise: str

  def flags(self, workdir: str) -> list[str]:
    """Return the flags with which `sweep` trains the claim's study."""
    return [f'--config={self.config}', f'--workdir={workdir}']


def judge(
  claim: Claim, runs: Sequence[Run]
) -> tuple[Verdict, Sequence[Finding]]:
  """Put the questions to the runs of a study that is finished.

  Returns:
    The verdict, and the findings: reproduced if all of it holds, not if
    none of it does, else partly.
  """
  findings = [question(runs) for question in claim.questions]
  held = [finding.holds for finding in findings]
  if all(held):
    return Verdict.REPRODUCED, findings
  return Verdict.PARTLY if any(held) else Verdict.NOT, findings
