"""Conclusions of a random search: shown, shown to be otherwise, or neither."""

import itertools

import numpy as np
import pytest

from lstm_variants.claims import claim, odyssey

TRAINING = claim.Training(1000, 'made up')
TASKS = 'adding', 'copy'


def trials(shifts, *, sequences=1000, count=20, status='unsolved'):
  """Return a search of variants whose log losses lie apart by `shifts`."""
  rng = np.random.default_rng(0)
  rows = []
  for task, model in itertools.product(TASKS, shifts):
    for loss in np.exp(rng.normal(shifts[model], 1.0, count)):
      rows.append(
        {
          'id': str(len(rows)),
          'task': task,
          'model': model,
          'config': {'seed': len(rows)},
          'status': status,
          'sequences_to_success': None,
          'sequences': sequences,
          'params_in_use': 10,
          'final': {'loss': float(loss)},
        }
      )
  return rows


def ask(question, rows):
  return question(claim.Study(rows, TRAINING))


ALIKE = {odyssey.V: 0.0, 'np': 0.0, 'nfg': 0.0}
APART = {odyssey.V: 0.0, 'np': -5.0, 'nfg': 5.0}


def test_what_is_shown_is_yes_or_no():
  rows = trials(APART)
  for question, answer in (
    (odyssey.never('better'), claim.Answer.NO),
    (odyssey.never('worse', 'np'), claim.Answer.YES),
    (odyssey.always('worse', 'nfg'), claim.Answer.YES),
    (odyssey.always('worse', 'np'), claim.Answer.NO),
  ):
    assert ask(question, rows).answer is answer, ask(question, rows)
  finding = ask(odyssey.never('better'), rows)
  assert finding.ours == (
    'any variant better than V: np on adding, np on copy (2/4)'
  )


@pytest.mark.parametrize(
  'question',
  [
    odyssey.never('better'),
    odyssey.never('worse', 'np'),
    odyssey.always('worse', 'nfg'),
  ],
)
def test_what_is_not_told_apart_shows_nothing(question):
  """S4 of the review: "not told apart" was a yes, also without any trial."""
  finding = ask(question, trials(ALIKE))
  assert finding.answer is claim.Answer.UNDECIDED
  assert finding.why == 'not told apart'
  for rows, why in (
    ([], 'no runs'),
    (trials(APART, sequences=0), 'no training'),
    (trials(APART, status='diverged'), 'runs diverged'),
    (trials({odyssey.V: 0.0}), 'too few trials'),
    (trials({'np': 0.0, 'nfg': 9.0}), 'too few trials'),
  ):
    finding = ask(question, rows)
    assert finding.answer is claim.Answer.NOT_TESTED and why in finding.why
  finding = ask(question, trials(APART, sequences=499))
  assert finding.answer is claim.Answer.OUT_OF_BUDGET
