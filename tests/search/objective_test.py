"""What a trial came to, by rows that are made up."""

import math

import pytest

from lstm_variants.search import objective, space

LOSS, SCORE = space.minimize('loss'), space.maximize('score')
SUCCESS = space.minimize(objective.SUCCESS)
SIZE = space.minimize(objective.SIZE)


def _row(**changes):
  return {
    'status': 'unsolved',
    'sequences_to_success': None,
    'sequences': 100,
    'final': {'loss': 0.5, 'score': 0.25},
    'params_in_use': 7,
    **changes,
  }


def _value(one, *rows):
  (value,) = objective.values([one], rows)
  return value


def test_the_median_of_its_runs_counts():
  rows = [_row(final={'loss': loss}) for loss in (9.0, 0.1, 0.2)]
  assert _value(LOSS, *rows) == 0.2
  # One of three that diverged is no reason to give a trial up.
  assert _value(LOSS, _row(status='diverged'), *rows[1:]) == 0.2
  assert objective.values([LOSS, SIZE], [_row()]) == (0.5, 7.0)


@pytest.mark.parametrize(
  'changes',
  [
    {'status': 'diverged'},
    {'final': {}},
    {'final': {'loss': None, 'score': None}},
    {'final': {'loss': math.nan, 'score': math.nan}},
  ],
)
def test_a_run_without_a_number_has_the_worst_but_for_its_size(changes):
  assert _value(LOSS, _row(**changes)) == math.inf
  assert _value(SCORE, _row(**changes)) == -math.inf
  assert _value(SUCCESS, _row(**changes)) == math.inf
  assert _value(SIZE, _row(**changes)) == 7


def test_what_was_not_solved_is_behind_what_was_the_lower_loss_first():
  def unsolved(loss, sequences=100):
    return _value(SUCCESS, _row(final={'loss': loss}, sequences=sequences))

  solved = _value(SUCCESS, _row(status='solved', sequences_to_success=100))
  assert solved == 100
  assert solved < unsolved(1e-3) < unsolved(1.0) < unsolved(1e3) < 200
  assert unsolved(1.0) == 150 and unsolved(1.0, 200) == 300


def test_the_best_are_the_first_of_equals_in_either_direction():
  known = {4: 1.0, 2: 0.5, 7: 1.0, 0: 2.0, 3: math.inf}
  assert objective.best(LOSS, known, 2) == [2, 4]
  assert objective.best(LOSS, known, 4) == [0, 2, 4, 7]
  assert objective.best(SCORE, {**known, 3: -math.inf}, 2) == [0, 4]
  assert objective.best(SCORE, {1: -math.inf, 0: -1.0}, 1) == [0]
