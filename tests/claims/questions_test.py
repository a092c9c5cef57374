"""Questions to runs written by hand: what holds, what does not, and why."""

import math

import pytest

from lstm_variants.claims import claim, questions


def run(variant, success, seed=0, *, budget=1000, loss=0.1, status='finished'):
  """Return a row of runs.jsonl, as far as the questions read it."""
  return {
    'config': {'seed': seed, 'model': {'variant': variant}},
    'status': status,
    'sequences_to_success': success,
    'sequences': success or budget,
    'final': {'loss': loss, 'wrong': loss},
  }


def runs(variant, successes, losses=None):
  losses = losses or [0.1] * len(successes)
  return [
    run(variant, success, seed, loss=loss)
    for seed, (success, loss) in enumerate(zip(successes, losses, strict=True))
  ]


LSTM, RNN = questions.model('vanilla'), questions.model('simple_rnn', 'RNN')
FAST, SLOW = [100, 120, 140, 160, 180, 200], [700, 720, 740, 760, 780, None]


def test_every_run_is_to_be_solved():
  assert questions.solves(LSTM)(runs('vanilla', [1] * 5)).holds
  found = questions.solves(LSTM)(runs('vanilla', [1] * 4 + [None]))
  # 4 of 5, exactly: 1 - betainv gives 28.4 % to 99.5 %.
  assert not found.holds and found.ours == 'vanilla: 4/5 solved [28, 99 %]'


def test_a_published_share_is_compared_by_fishers_exact_test():
  nine = runs('vanilla', [1] * 9 + [None])
  found = questions.as_often(LSTM, 10, 10)(nine)
  # One failure of twenty falls on our ten with probability 1/2, either way: 1.
  assert found.holds and found.ours.endswith('against 10/10; p 1.000')
  five = runs('vanilla', [1] * 5 + [None] * 5)
  # Two-sided: 2 C(10, 5) C(10, 10) / C(20, 15) = 0.0325.
  found = questions.as_often(LSTM, 10, 10)(five)
  assert not found.holds and found.ours.endswith('p 0.033')
  assert questions.as_often(LSTM, 18, 100)(five).holds  # more often


def test_no_success_is_as_often_as_nothing():
  found = questions.as_often(LSTM, 18, 100)(runs('vanilla', [None] * 10))
  assert not found.holds and '0/10' in found.ours


def test_none_may_be_solved_where_the_claim_is_failure():
  assert questions.fails(RNN)(runs('simple_rnn', [None] * 3)).holds
  assert not questions.fails(RNN)(runs('simple_rnn', [None, None, 5])).holds


def test_the_median_is_compared_with_the_published_number():
  found = runs('vanilla', FAST)
  assert questions.within(LSTM, 140)(found).holds
  assert not questions.within(LSTM, 139)(found).holds
  assert '140 [100, 200] sequences' in questions.within(LSTM, 1)(found).ours


def test_a_few_fast_runs_are_not_enough():
  found = runs('vanilla', [900, 900] + [None] * 8)
  assert not questions.within(LSTM, 1000)(found).holds
  assert 'budget [900, ∞]' in questions.within(LSTM, 1000)(found).ours


def test_runs_that_are_never_solved_are_beyond_the_budget():
  found = questions.within(LSTM, 10**9)(runs('vanilla', [None] * 6))
  assert not found.holds and 'beyond the budget' in found.ours


def test_sooner_has_a_direction_and_needs_evidence():
  both = runs('vanilla', FAST) + runs('simple_rnn', SLOW)
  assert questions.sooner(LSTM, RNN)(both).holds
  assert not questions.sooner(RNN, LSTM)(both).holds
  few = runs('vanilla', FAST[:2]) + runs('simple_rnn', SLOW[:2])
  assert not questions.sooner(LSTM, RNN)(few).holds


def test_no_later_holds_unless_it_is_significantly_later():
  both = runs('vanilla', FAST) + runs('simple_rnn', SLOW)
  assert questions.no_later(LSTM, RNN)(both).holds
  assert not questions.no_later(RNN, LSTM)(both).holds
  few = runs('vanilla', FAST[:2]) + runs('simple_rnn', SLOW[:2])
  assert questions.no_later(RNN, LSTM)(few).holds
  never = runs('vanilla', [None] * 2) + runs('simple_rnn', [None] * 2)
  assert not questions.no_later(RNN, LSTM)(never).holds


def test_lower_has_a_direction_and_needs_evidence():
  lows, highs = [0.1, 0.11, 0.12, 0.1], [0.2, 0.22, 0.25, 0.21]
  both = runs('vanilla', FAST[:4], lows) + runs('simple_rnn', FAST[:4], highs)
  assert questions.lower(LSTM, RNN)(both).holds
  assert not questions.lower(RNN, LSTM)(both).holds
  same = runs('vanilla', FAST[:4], lows) + runs('simple_rnn', FAST[:4], lows)
  assert not questions.lower(LSTM, RNN)(same).holds


def test_a_limit_is_compared_with_the_mean():
  found = runs('vanilla', FAST[:4], [0.01, 0.03, 0.02, 0.02])
  assert questions.reaches(LSTM, 0.021)(found).holds
  assert not questions.reaches(LSTM, 0.019)(found).holds
  assert questions.stays_above(LSTM, 0.019, 'wrong')(found).holds
  assert not questions.stays_above(LSTM, 0.021, 'wrong')(found).holds
  assert 'asked: at most 0.021' in questions.reaches(LSTM, 0.021)(found).ours


def test_diverged_runs_are_told_and_never_good():
  lows, highs = [0.1, 0.11, 0.12, 0.1], [0.2, 0.22, 0.25, 0.21]
  good = runs('vanilla', FAST[:4], lows)
  worse = runs('simple_rnn', FAST[:4], highs)
  lost = [run('vanilla', None, 9, loss=1e9, status='diverged')]
  assert questions.reaches(LSTM, 0.2)(good).holds
  found = questions.reaches(LSTM, 0.2)(good + lost)
  assert not found.holds and '1 of 5 diverged' in found.ours
  assert not questions.reaches(LSTM, 0.2)(lost).holds
  assert not questions.stays_above(LSTM, 0.0)(lost).holds
  assert questions.lower(LSTM, RNN)(good + worse).holds
  assert not questions.lower(LSTM, RNN)(good + lost + worse).holds


def test_an_arm_is_its_fields():
  arm = questions.model('vanilla', 'the LSTM', seed=1)
  assert arm.label == 'the LSTM'
  assert len(questions.select(runs('vanilla', FAST), arm)) == 1
  nested = questions.arm('x', model__variant='vanilla')
  assert nested.fields == {'model.variant': 'vanilla'}
  # Without a limit the norm is inf, which a file has as null.
  row = run('vanilla', 1)
  row['config']['clip'] = None
  assert questions.select([row], questions.arm('x', clip=math.inf))
  with pytest.raises(questions.ArmError, match='gru: no run has'):
    questions.select(runs('vanilla', FAST), questions.model('gru'))


@pytest.mark.parametrize(
  'held, verdict',
  [
    ([True, True], claim.Verdict.REPRODUCED),
    ([True, False], claim.Verdict.PARTLY),
    ([False, False], claim.Verdict.NOT),
  ],
)
def test_the_verdict_is_that_of_all_questions(held, verdict):
  def question(holds):
    return lambda runs: claim.Finding(f'{len(runs)} runs', holds)

  asked = claim.Claim(
    *('name', 'says', '1', 'source', 'file.py', 1.0),
    [question(holds) for holds in held],
    'nothing',
  )
  found, findings = claim.judge(asked, runs('vanilla', FAST))
  assert found is verdict
  assert [finding.holds for finding in findings] == held
