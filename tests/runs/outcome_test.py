"""A study that came to nothing ends with a warning, a good one without."""

import json
from typing import Any

import pytest

from lstm_variants.runs import outcome, results
from tests.report import study_fixture as fixture

ADDING, _ = fixture.TASKS


def _warning(tmp_path, loss, first=0.5, chance: Any = ..., good=0.001, **rest):
  """Return what is said of a study of two runs, and the name of the second.

  Whose losses are given: `first` is that before the first update, `chance` that
  without memory; `good` is that of the other run at its end.
  """
  other = fixture.run(ADDING, 'vanilla', 0, 1600, good)
  bad = fixture.run(ADDING, 'peephole', 1, None, loss, **rest)
  described = dict(fixture.TASKS[ADDING])
  if chance is not ...:
    described['baselines'] = {} if chance is None else {'loss': chance}
  workdir = str(tmp_path / 'study')
  fixture.write(workdir, [other, bad], {ADDING: described})
  (name,) = (
    run['id']
    for run in results.read_runs(workdir)
    if run['model'] == 'peephole'
  )
  path = next((tmp_path / 'study' / 'populations').glob('*/metrics.jsonl'))
  row = {'run': name, 'update': 0, 'sequences': 0, 'loss': first}
  path.write_text(json.dumps(row) + '\n')
  return outcome.read(workdir), name


def test_a_loss_far_above_the_first_one_has_diverged(tmp_path):
  come_to, name = _warning(tmp_path, 6.8e6)
  assert come_to.note is None
  assert come_to.warning == (
    f'warning: diverged: {name}: held-out loss 6.8e+06, without memory it is '
    '0.167; try a smaller --config.optimizer.learning_rate'
  )


def test_it_has_also_where_the_loss_without_memory_is_unknown(tmp_path):
  line = _warning(tmp_path, 6.8e6, chance=None)[0].warning
  assert line and 'diverged' in line and 'without memory' not in line


@pytest.mark.parametrize('updates, warned', [(499, False), (500, True)])
def test_one_that_trained_for_long_and_is_worse_than_a_guess_learnt_nothing(
  tmp_path, updates, warned
):
  come_to, _ = _warning(tmp_path, 0.4, good=0.5, updates=updates)
  line = come_to.warning or ''
  assert bool(line) == warned and come_to.note is None
  assert not line or 'learnt nothing' in line


def test_where_others_learnt_that_is_a_result_and_no_warning(tmp_path):
  come_to, _ = _warning(tmp_path, 0.4, updates=500)
  assert come_to.warning is None
  assert come_to.note == (
    f'{ADDING}: 1 run of peephole ended no better than a guess without memory; '
    'vanilla learnt the task'
  )


def test_where_no_guess_is_known_none_learnt_nothing(tmp_path):
  come_to, _ = _warning(tmp_path, 0.4, good=0.5, chance=None, updates=500)
  assert come_to == (None, None)


@pytest.mark.parametrize(
  'loss, first, rest',
  [
    (0.01, 0.5, {}),  # it learnt
    (0.17, 0.5, {}),  # as good as a guess
    (0.01, 0.001, {}),  # above the first one, and below a guess
    (0.6, 0.5, {'updates': 3}),  # it hardly began
    (1e9, 0.5, {'status': 'diverged'}),  # it says so itself
  ],
)
def test_others_are_not_warned_of(tmp_path, loss, first, rest):
  assert _warning(tmp_path, loss, first, **rest)[0] == (None, None)
