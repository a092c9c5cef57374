"""The registry of tasks: names, defaults, refusals, each task's contract."""

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import tasks


def draw(name: str):
  task = lv.TASKS[name]
  sample = jax.jit(task.sample, static_argnums=1)
  return task, sample(jax.random.key(0), 50)


NAMES = {
  'adding',
  'adding_urnn16',
  'adding_hs97',
  'copy',
  'copy_urnn16',
  'copy_variable',
}


def test_every_task_and_every_dialect_has_a_name():
  assert set(lv.TASKS) >= NAMES
  for name, dialects in tasks.DIALECTS.items():
    default = next(iter(dialects))
    assert lv.TASKS[name].dialect == default
    for dialect in dialects:
      task = lv.TASKS[f'{name}_{dialect}']
      assert (task.name, task.dialect, task.length) == (name, dialect, 100)
      assert task.label == f'{name}-{dialect}-T100'


def test_the_default_dialects_are_those_of_arjovsky_et_al():
  assert lv.TASKS['adding'].dialect == lv.TASKS['copy'].dialect == 'urnn16'
  assert lv.make_task('copy', length=30).dialect == 'urnn16'
  assert lv.make_task('copy').length == 100


@pytest.mark.parametrize('name', sorted(lv.TASKS))
def test_a_tasks_batches_have_the_shapes_it_states(name):
  task, batch = draw(name)
  assert batch.inputs.shape == (50, task.num_steps, task.in_features)
  assert batch.mask.shape == (50, task.num_steps)
  outputs = np.zeros((50, task.num_steps, task.out_features), np.float32)
  means = jax.jit(task.measure)(outputs, batch)
  assert np.isfinite(jax.jit(task.loss)(outputs, batch))
  assert set(task.baselines) <= set(means)
  errors = jax.jit(task.sequence_errors)(outputs, batch)
  assert errors.shape == (50,)
  assert task.reference and task.summary and str(task.success)


@pytest.mark.parametrize('name', sorted(lv.TASKS))
def test_padding_comes_last(name):
  task, batch = draw(name)
  mask = np.asarray(batch.mask)
  ends = task.num_steps - np.argmax(mask[:, ::-1] > 0, axis=1)
  for inputs, end in zip(np.asarray(batch.inputs), ends, strict=True):
    assert not inputs[end:].any()


@pytest.mark.parametrize(
  ('name', 'dialect', 'message'),
  [
    ('addition', None, "'addition' is not one of adding, copy"),
    ('adding', 'tcn18', "'tcn18' of adding is not one of urnn16, hs97"),
    ('copy', 'hs97', "'hs97' of copy is not one of urnn16, variable"),
  ],
)
def test_unknown_names_are_refused_with_the_known_ones(name, dialect, message):
  with pytest.raises(ValueError, match=message):
    lv.make_task(name, dialect)


def test_published_results_carry_their_source():
  published = lv.make_task('adding', 'hs97', 100).published
  by_length = {result.length: result.value for result in published}
  assert by_length == {100: 74_000, 500: 209_000, 1000: 853_000}
  assert all('1997' in result.source for result in published)


@pytest.mark.parametrize(
  'name, dialect, length',
  [
    ('adding', 'urnn16', 40),
    ('adding', 'hs97', 40),
    ('copy', 'urnn16', 12),
    ('copy', 'variable', 12),
  ],
)
def test_a_batch_is_a_pure_function_of_its_key(name, dialect, length):
  task = lv.make_task(name, dialect, length)
  keys = jax.random.split(jax.random.key(5), 3)
  sample = jax.jit(task.sample, static_argnums=1)
  jitted = [sample(key, 4) for key in keys]
  mapped = jax.jit(jax.vmap(lambda key: task.sample(key, 4)))(keys)
  for one, two in zip(sample(keys[0], 4), jitted[0], strict=True):
    np.testing.assert_array_equal(one, two)
  for n in range(3):
    for one, lanes in zip(jitted[n], mapped, strict=True):
      np.testing.assert_array_equal(one, lanes[n])
  assert np.any(jitted[0].inputs != jitted[1].inputs)
  if name == 'adding':  # every value is drawn anew
    values = [batch.inputs[:, 1:9, 0] for batch in jitted]
    assert np.all(values[0] != values[1])
