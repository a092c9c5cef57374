"""From answers to the verdict."""

import pytest

from lstm_variants.claims import claim

ANSWERS = {answer.value[0]: answer for answer in claim.Answer}
Y, N, U = ANSWERS['y'], claim.Answer.NO, ANSWERS['u']
T, B = claim.Answer.NOT_TESTED, ANSWERS['o']


def asked(*findings):
  questions = [lambda study, f=finding: f for finding in findings]
  return claim.Claim(
    *('name', 'says', '1', 'source', 'file.py', 1.0),
    *(claim.Training(10, 'made up'), '', questions, 'nothing'),
  )


@pytest.mark.parametrize(
  'answers, verdict',
  [
    ([Y, Y], claim.Verdict.REPRODUCED),
    ([Y, N], claim.Verdict.PARTLY),
    ([Y, U], claim.Verdict.PARTLY),
    ([B, T, Y], claim.Verdict.PARTLY),
    ([N, N], claim.Verdict.NOT),
    ([N, U, T, B], claim.Verdict.NOT),
    ([B, T, U], claim.Verdict.OUT_OF_BUDGET),
    ([T, U], claim.Verdict.NOT_TESTED),
    ([U], claim.Verdict.NOT_TESTED),
    ([T], claim.Verdict.NOT_TESTED),
  ],
)
def test_the_verdict_follows_from_the_answers(answers, verdict):
  findings = [claim.Finding('ours', answer) for answer in answers]
  judged, said = claim.judge(asked(*findings), [{}])
  assert judged is verdict and said == findings


def test_a_claim_that_needs_several_tests_is_adjusted_for_their_number():
  yes = [claim.Finding('', Y, '', p) for p in (0.01, 0.03, 0.04)]
  # Alone each stands; of three, by hand: 3 * 0.01, 2 * 0.03, 0.06.
  for finding in yes:
    assert claim.judge(asked(finding), [])[1] == [finding]
  verdict, said = claim.judge(asked(*yes), [])
  assert [finding.answer for finding in said] == [Y, U, U]
  assert said[1].why.startswith('p 0.060 after Holm')
  assert verdict is claim.Verdict.PARTLY


def test_answers_without_a_test_do_not_count_among_the_tests():
  tests = [claim.Finding('', Y, '', 0.04), claim.Finding('', Y)]
  assert claim.judge(asked(*tests), [])[1] == tests
  # One that says no counts: it was asked.
  tests[1] = claim.Finding('', N, '', 0.5)
  assert claim.judge(asked(*tests), [])[1][0].answer is U
