"""The registry of tasks: names, defaults, refusals, each task's contract."""

import functools
from typing import Any

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import tasks
from lstm_variants.plots import samples
from lstm_variants.tasks import base, data

# Needs files of the user's.
WITHOUT_DATA = {'sequential_digits_mnist', 'permuted_digits_mnist'}
KEYS = [
  f'{name}_{dialect}'
  for name, dialects in tasks.DIALECTS.items()
  for dialect in dialects
  if f'{name}_{dialect}' not in WITHOUT_DATA
]
COUNT = 12
# Most of the time of these tests is compiling.
FAST = {'xla_backend_optimization_level': 0}


@functools.cache
def build(key: str, drawn: bool = False) -> base.Task:
  """Build a task small, its T drawn from a few or not."""
  name, dialect = lv.TASKS.choice(key)
  found = tasks.find_dialect(name, dialect)
  shortest = max(found.shortest, min(found.usual, 20))
  length = max(shortest, min(found.usual, 28))
  if found.drawn:
    shortest = found.shortest
  return tasks.make_task(
    name, dialect, length, shortest=shortest if drawn else length
  )


@functools.cache
def draw(key: str, seed: int = 0, drawn: bool = False) -> base.Batch:
  return jax.tree.map(np.asarray, _sampler(key, drawn)(jax.random.key(seed)))


@functools.cache
def _sampler(key: str, drawn: bool):
  task = build(key, drawn)
  return jax.jit(lambda one: task.sample(one, COUNT), compiler_options=FAST)


def _can_be_drawn(key: str) -> bool:
  return tasks.find_dialect(*lv.TASKS.choice(key)).drawn


def test_every_task_and_every_dialect_has_a_name():
  assert set(lv.TASKS) == {*tasks.DIALECTS, *KEYS}
  assert WITHOUT_DATA.isdisjoint(lv.TASKS)
  assert len(lv.TASKS) == len(list(lv.TASKS))
  assert 'addition' not in lv.TASKS
  for name, dialects in tasks.DIALECTS.items():
    assert lv.TASKS.choice(name) == (name, next(iter(dialects)))
  for key in KEYS:
    task = build(key)
    assert f'{task.name}_{task.dialect}' == key


def test_the_default_dialects_are_those_of_arjovsky_et_al():
  assert lv.TASKS['adding'].dialect == lv.TASKS['copy'].dialect == 'urnn16'
  assert lv.make_task('copy', length=30).dialect == 'urnn16'
  assert lv.make_task('copy').length == 100
  assert lv.TASKS['copy'] is lv.make_task('copy', 'urnn16', 100)


@pytest.mark.parametrize('key', KEYS)
def test_a_task_keeps_the_contract(key):
  for drawn in {False, _can_be_drawn(key)}:
    _check_batch(build(key, drawn), draw(key, drawn=drawn))
  _check_measures(build(key), draw(key))


def _check_batch(task: base.Task, batch: base.Batch) -> None:
  """Shapes as stated, one-hot symbols, classes in range, something asked."""
  assert batch.inputs.shape == (COUNT, task.num_steps, task.in_features)
  assert batch.mask.shape == (COUNT, task.num_steps)
  assert batch.targets.shape[:2] == batch.mask.shape
  assert batch.inputs.dtype == batch.mask.dtype == np.float32
  assert np.all(batch.mask >= 0) and np.all(batch.mask.sum(axis=1) > 0)
  if task.inputs.one_hot:
    assert set(np.unique(batch.inputs)) <= {0.0, 1.0}
    assert np.all(batch.inputs.sum(axis=-1) <= 1)
  if batch.targets.ndim == 2:
    assert task.outputs.one_hot
    assert np.all((batch.targets >= 0) & (batch.targets < task.out_features))
  else:
    assert batch.targets.shape[-1] == task.out_features


def _check_measures(task: base.Task, batch: base.Batch) -> None:
  """Metrics have baselines; what follows the last answer does not count."""
  outputs = np.random.default_rng(0).normal(
    size=(COUNT, task.num_steps, task.out_features)
  )
  outputs = outputs.astype(np.float32)

  # In one program: operation by operation, each would be compiled by itself.
  def measure(outputs):
    errors = task.sequence_errors(outputs, batch)
    return task.loss(outputs, batch), task.measure(outputs, batch), errors

  measure = jax.jit(measure, compiler_options=FAST)
  loss, means, errors = measure(outputs)
  assert np.isfinite(loss)
  assert 'loss' in task.baselines
  assert set(task.baselines) <= set(means)
  assert errors.shape == (COUNT,) and np.all(np.asarray(errors) >= 0)
  assert task.reference and task.summary and str(task.success)
  if isinstance(task.success, base.HeldOut):
    assert {name for name, _ in task.success.limits} <= set(means)
  last = task.num_steps - 1 - np.argmax(batch.mask[:, ::-1] > 0, axis=1)
  after = np.arange(task.num_steps) > last[:, None]
  changed = np.where(after[..., None], np.float32(99), outputs)
  assert float(measure(changed)[0]) == float(loss)


@pytest.mark.parametrize('key', KEYS)
def test_a_batch_is_a_pure_function_of_its_key(key):
  drawn = _can_be_drawn(key)
  task, sample = build(key, drawn), _sampler(key, drawn)
  keys = jax.vmap(jax.random.key)(np.arange(3))
  mapped = jax.jit(
    jax.vmap(lambda one: task.sample(one, COUNT)), compiler_options=FAST
  )(keys)
  mapped = jax.tree.map(np.asarray, mapped)
  batches = [draw(key, seed, drawn) for seed in range(3)]
  for n, batch in enumerate(batches):
    for one, lanes in zip(batch, mapped, strict=True):
      np.testing.assert_array_equal(one, lanes[n])
  again = sample(jax.random.key(0))
  for one, two in zip(batches[0], again, strict=True):
    np.testing.assert_array_equal(one, two)
  differs = any(
    np.any(batches[0].inputs != other.inputs)
    or np.any(batches[0].targets != other.targets)
    for other in batches[1:]
  )
  # Of a periodic function there is one sequence.
  assert differs == (task.name != 'periodic_function')


@pytest.mark.parametrize('key', KEYS)
def test_a_task_can_be_drawn_by_hand(key):
  task, batch = build(key), draw(key)
  axes = samples.Axis(*task.inputs), samples.Axis(*task.outputs)
  inputs, targets, mask = (np.asarray(part[0]) for part in batch)
  text = samples.as_text(samples.Sample(inputs, targets, mask, *axes))
  assert 'target' in text and len(text.splitlines()) >= 2
  assert max(map(len, text.splitlines())) <= 90


@pytest.mark.parametrize(
  ('name', 'dialect', 'message'),
  [
    ('addition', None, "'addition' is not one of adding, copy"),
    ('adding', 'tcn81', "'tcn81' of adding is not one of urnn16, hs97"),
    ('copy', 'hs97', "'hs97' of copy is not one of urnn16, variable"),
  ],
)
def test_unknown_names_are_refused_with_the_known_ones(name, dialect, message):
  with pytest.raises(ValueError, match=message):
    lv.make_task(name, dialect)


@pytest.mark.parametrize(
  ('choices', 'field', 'message'),
  [
    ({'shortest': 101}, 'shortest', 'above length=100; nearest: 100'),
    ({'shortest': 1}, 'shortest', 'needs at least 2 steps'),
    ({'items': 2}, 'items', 'has no such option'),
    ({'itms': 2}, 'itms', 'unknown; nearest: items'),
    ({'shortest': 10.5}, 'shortest', 'not an integer; nearest: 100'),
  ],
)
def test_a_choice_that_cannot_be_is_refused(choices, field, message):
  with pytest.raises(base.SpecError, match=message) as info:
    lv.make_task('adding', 'urnn16', 100, **choices)
  assert info.value.field == field


@pytest.mark.parametrize(
  ('name', 'choices', 'message'),
  [
    ('copy', {'symbols': '8'}, "symbols '8': not an integer; nearest: 8"),
    ('copy', {'symbols': 8.5}, 'symbols 8.5: not an integer; nearest: 8'),
    ('copy', {'symbols': True}, 'symbols True: not an integer'),
    ('copy', {'length': 10.5}, 'length 10.5: not an integer; nearest: 100'),
    ('copy', {'length': '10'}, "length '10': not an integer"),
    ('words', {'path': 5}, "path 5: not text; nearest: '5'"),
    ('words', {'path': b'x'}, 'path .*: not text'),
  ],
)
def test_a_choice_of_another_type_is_refused(name, choices, message):
  with pytest.raises(base.SpecError, match=message):
    lv.make_task(name, **choices)


def test_a_dialect_without_a_name_is_the_first():
  assert lv.make_task('copy', '') is lv.make_task('copy')
  nine: Any = np.int64(9)
  assert lv.make_task('copy', length=nine) is lv.make_task('copy', length=9)


def test_a_task_that_needs_files_is_known_but_not_listed():
  for key in WITHOUT_DATA:
    assert key not in lv.TASKS and key not in repr(lv.TASKS)
    assert lv.TASKS.get(key) is None
    assert f'{"_".join(lv.TASKS.choice(key))}' == key
    with pytest.raises(KeyError):
      lv.TASKS[key]
  with pytest.raises(KeyError):
    lv.TASKS.choice('addition')
  assert all(key in lv.TASKS for key in lv.TASKS)


def test_a_file_that_changed_is_read_again(tmp_path):
  file = tmp_path / 'text.txt'
  labels = set()
  for text in ('a b ' * 99, 'b c d ' * 99, 'a b ' * 99):
    file.write_text(text)
    task = lv.make_task('characters', length=3, path=file)
    assert task is lv.make_task('characters', length=3, path=str(file))
    labels.add((task.label, text))
  assert len(labels) == len({label for label, _ in labels}) == 2


def test_a_directory_whose_files_changed_is_another(tmp_path):
  file = tmp_path / 'images'
  seen = [data.identity(tmp_path), data.identity(file)]
  for content in (b'1', b'22'):
    file.write_bytes(content)
    seen += [data.identity(tmp_path), data.identity(file)]
  assert len(set(seen)) == len(seen)
  assert data.identity(tmp_path) == data.identity(tmp_path)
  assert data.identity('\0') == ()


def test_published_results_carry_their_source():
  for key in KEYS:
    for result in build(key).published:
      assert result.unit and any(char.isdigit() for char in result.source), key


def test_a_criterion_of_a_paper_says_where_it_is():
  with_one = {key for key in KEYS if build(key).criterion}
  for key in with_one:
    said = build(key).criterion
    assert any(w in said for w in ('(section', 'section ', '(app', 'quoted'))
  assert {key for key in KEYS if '_hs97' in key} <= with_one
  # Of a rule that is the paper's, the numbers are.
  for key, numbers in {
    'adding_hs97': ('2,000', '0.04', '0.01'),
    'multiplication_hs97': ('2,000', '0.04'),
    'temporal_order_hs97_6b': ('2,000', '0.3', '0.1'),
    'long_lag_hs97_2a': ('10,000', '0.25'),
    'long_lag_hs97_2c': ('10,000', '0.2'),
  }.items():
    task = build(key)
    assert all(n in task.criterion and n in str(task.success) for n in numbers)


def test_what_is_unusual_is_in_the_label():
  def label(*args, **choices):
    return lv.make_task(*args, **choices).label

  assert label('adding', 'urnn16', 30) == 'adding-urnn16-T30'
  assert label('adding', 'urnn16', 30, shortest=20) == (
    'adding-urnn16-T30-from20'
  )
  assert label('parity', 'deletang23', 40) == 'parity-deletang23-T40'
  assert label('parity', 'deletang23', 400, shortest=41) == (
    'parity-deletang23-T400-from41'
  )
  assert label('copy', 'urnn16', 30, symbols=4) == 'copy-urnn16-T30-symbols4'


# The dialects whose later inputs tell the answer.
CAUSAL = {
  *('embedded_reber_hs97', 'continual_reber_gers00', 'long_lag_hs97_2a'),
  *('long_lag_hs97_2b', 'timed_spikes_gers02', 'anbn_gers01', 'anbncn_gers01'),
  *('characters_next', 'words_next'),
  *('forecasting_one_step', 'forecasting_multi_step'),
}


def test_who_may_not_look_ahead():
  assert CAUSAL == {
    f'{name}_{dialect}'
    for name, dialects in tasks.DIALECTS.items()
    for dialect, found in dialects.items()
    if found.causal
  }


@pytest.mark.parametrize('key', KEYS)
def test_the_next_input_is_the_answer_only_of_causal_tasks(key):
  task, batch = build(key), draw(key)
  if not task.inputs.one_hot:
    pytest.skip('numbers: see the tests of forecasting and timed spikes')
  steps = batch.mask[:, :-1] > 0
  following = np.argmax(batch.inputs[:, 1:], axis=-1)
  known = [
    list(task.outputs.names).index(name) if name in task.outputs.names else -1
    for name in task.inputs.names
  ]
  following = np.asarray(known)[following]
  if batch.targets.ndim == 2:
    told = following == batch.targets[:, :-1]
  else:
    told = np.take_along_axis(
      np.asarray(batch.targets)[:, :-1],
      np.maximum(following, 0)[..., None],
      axis=-1,
    )[..., 0]
    # After the last symbol of a sequence may come padding.
    steps &= (following >= 0) & batch.inputs[:, 1:].any(axis=-1)
    told = (told > 0) & (following >= 0)
  always = bool(steps.any() and np.all(told[steps]))
  assert always == (key in CAUSAL)
