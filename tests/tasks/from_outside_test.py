"""Tasks that are registered from outside: the least that is owed, refusals."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import tasks
from lstm_variants.config import rules
from lstm_variants.config import settings as settings_lib
from lstm_variants.registry import RegistryError
from lstm_variants.tasks import base, from_outside


@pytest.fixture(autouse=True)
def forget_what_is_registered(monkeypatch):
  """Give each test the registry of the house alone, and give it back."""
  for part in ('_entries', '_modules'):
    monkeypatch.setattr(
      tasks.DIALECTS, part, dict(getattr(tasks.DIALECTS, part))
    )
  monkeypatch.setattr(tasks, '_given', {})
  yield
  tasks._build.cache_clear()


def echo(length: int) -> lv.Task:
  """Return the input of each step.

  What follows the first line is not shown.
  """

  def sample(key, batch_size, length=length):
    inside = (jnp.arange(num_steps) < length).astype(float)
    mask = jnp.tile(inside, (batch_size, 1))
    numbers = jax.random.normal(key, (batch_size, num_steps, 1))
    inputs = numbers * mask[..., None]
    return lv.Batch(inputs, inputs, mask)

  num_steps = length
  return lv.Task(
    sample=sample,
    measure=squares,
    num_steps=length,
    inputs=lv.channels('number'),
    outputs=lv.channels(1),
  )


def squares(outputs, batch):
  return jnp.mean((outputs - batch.targets) ** 2)


def changed(length=None, **changes):
  """Return a function that builds `echo` with changes."""
  return lambda T: dataclasses.replace(echo(length or T), **changes)


def test_the_registry_completes_what_is_left_out():
  lv.register_task('echo', echo)
  task = lv.make_task('echo', length=5)
  assert task.label == 'echo-own-T5'
  assert task.summary == 'Return the input of each step'
  assert (task.reference, task.baselines, task.published) == ('', {}, ())
  assert task.inputs == lv.channels('number')
  assert task.outputs == base.Features(('0',), one_hot=False)
  assert str(task.success) == 'no rule'
  assert tasks.DIALECTS.module_of('echo') == __name__


def test_registries_are_live():
  assert 'echo' not in lv.TASKS and 'echo' not in tasks.DIALECTS
  before = list(lv.TASKS)
  lv.register_task('echo', {'one': base.Dialect(_build), 'two': _dialect()})
  assert list(lv.TASKS) == [*before, 'echo', 'echo_one', 'echo_two']
  assert len(lv.TASKS) == len(before) + 3
  assert lv.TASKS['echo'].label == 'echo-one-T100'
  assert lv.TASKS['echo_two'].label == 'echo-two-T9'
  assert lv.TASKS.choice('echo') == ('echo', 'one')


def _build(spec: base.Spec) -> lv.Task:
  return echo(spec.length)


def _dialect() -> base.Dialect:
  return base.Dialect(_build, usual=9)


def test_a_task_is_replaced_by_the_module_that_registered_it_alone(monkeypatch):
  lv.register_task('echo', echo)
  lv.register_task('echo', echo)
  assert lv.make_task('echo').baselines == {}
  lv.register_task('echo', changed(baselines={'loss': 1.0}))
  assert lv.make_task('echo').baselines == {'loss': 1.0}
  monkeypatch.setitem(tasks.DIALECTS._modules, 'echo', 'another')
  with pytest.raises(RegistryError, match='taken .by another.'):
    lv.register_task('echo', changed())
  with pytest.raises(RegistryError, match='taken .by lstm_variants.'):
    lv.register_task('adding', echo)
  with pytest.raises(RegistryError, match='dialect of adding; nearest: my_add'):
    lv.register_task('adding_urnn16', echo)


def test_lengths_are_drawn_where_the_sampler_takes_one():
  lv.register_task('echo', echo)
  task = lv.make_task('echo', length=9, shortest=4)
  assert task.label == 'echo-own-T9-from4' and task.num_steps == 9
  keys = jax.vmap(jax.random.key)(jnp.arange(60))
  batch = jax.jit(jax.vmap(lambda key: task.sample(key, 2)))(keys)
  lengths = np.sum(np.asarray(batch.mask), axis=-1)
  assert set(lengths.ravel()) == {4, 5, 6, 7, 8, 9}
  assert np.all(lengths[:, 0] == lengths[:, 1])
  chosen = task.sample(jax.random.key(0), 2, length=6)
  assert np.all(np.sum(chosen.mask, axis=-1) == 6)


def test_lengths_that_no_sampler_takes_are_refused():
  task = echo(9)
  fixed = lambda key, batch_size: task.sample(key, batch_size)  # noqa: E731
  lv.register_task('echo', changed(9, sample=fixed))
  assert not lv.make_task('echo', length=9).takes_length
  with pytest.raises(base.SpecError, match='takes no length.*nearest: 9'):
    lv.make_task('echo', length=9, shortest=4)


def test_scalars_are_means_of_their_batch():
  task = echo(5)
  batch = task.sample(jax.random.key(0), 4)
  outputs = jnp.ones_like(batch.inputs)
  loss = squares(outputs, batch)

  def both(outputs, batch):
    total = 3 * squares(outputs, batch)
    return {'loss': base.Mean(total, jnp.asarray(3.0)), 'same': total / 3}

  for name, measure in {'one': squares, 'many': both}.items():
    lv.register_task(name, changed(5, measure=measure))
    built = lv.make_task(name, length=5)
    np.testing.assert_allclose(built.loss(outputs, batch), loss, rtol=1e-6)
    means = built.measure(outputs, batch)
    np.testing.assert_allclose(
      [mean.total / mean.weight for mean in means.values()],
      [loss] * len(means),
      rtol=1e-6,
    )


def test_a_config_names_it_and_its_lengths(make_config):
  lv.register_task('echo', echo)
  fields = {
    'task.name': 'echo',
    'task.length': 6,
    'task.shortest_length': 3,
    'task.evaluation_length': 12,
  }
  run = settings_lib.from_config(make_config(fields))
  assert run.settings.task_label == (
    'echo-own-T6-from3-evaluated-T12-from7-spread'
  )
  assert run.settings.architecture.in_features == 1
  assert run.settings.held_out_task.num_steps == 12


def test_a_length_at_which_it_fails_is_refused_in_a_line(make_config):
  def small(length):
    if length % 2:
      raise ValueError('the length must be even\nand more')
    return dataclasses.replace(echo(min(length, 200)), num_steps=length)

  lv.register_task('small', small)
  refused = {7: 'the length must be even$', 300: r'\[7, 200, 1\]'}
  for length, rule in refused.items():
    with pytest.raises(rules.InputError, match=rule) as refusal:
      settings_lib.from_config(
        make_config({'task.name': 'small', 'task.length': length})
      )
    assert str(refusal.value).startswith(f'--config.task.length={length}: ')
    assert '\n' not in str(refusal.value)


def _batch(**changes):
  """Return a sampler of `echo` whose batches are changed."""
  good = echo(100).sample
  return lambda key, count: good(key, count)._replace(
    **{part: change(count) for part, change in changes.items()}
  )


def _raise(*arguments):
  raise TypeError('of a user\nwith more')


REFUSED = {
  'no task': (lambda T: 3, 'returns int, not an lv.Task'),
  'no function': (5, '5 builds no task; nearest: a function'),
  'nothing': ({}, 'builds no task'),
  'no dialect': ({'one': echo}, "dialect 'one' is function, not an lv.Dialect"),
  'odd dialect': ({'a-b': base.Dialect(_build)}, "dialect 'a-b': a name is"),
  'no builder': (_raise, 'bad cannot be built: TypeError: of a user$'),
  'option': (
    base.Dialect(_build, options={'width': base.Option(1, 1, 2, 'w')}),
    "its option 'width' is none of symbols, items",
  ),
  'features': (changed(inputs=3), 'its inputs are 3; nearest: lv.channels'),
  'steps': (changed(num_steps=0), 'its num_steps is 0'),
  'sampler': (
    changed(sample=_raise),
    'its sample fails: TypeError: of a user$',
  ),
  'batch': (changed(sample=lambda key, count: 3), 'than an lv.Batch'),
  'time axis': (changed(num_steps=99), r'\[7, 100, 1\].*must be \[7, 99, 1\]'),
  'mask': (
    changed(sample=_batch(mask=lambda n: jnp.ones((n, 1)))),
    r'its mask is \[7, 1\] of a batch of 7, must be \[7, 100\]',
  ),
  'whole inputs': (
    changed(sample=_batch(inputs=lambda n: jnp.ones((n, 100, 1), int))),
    'its inputs are of dtype int32; nearest: inputs.astype',
  ),
  'targets': (
    changed(sample=_batch(targets=lambda n: jnp.ones((n, 100, 2)))),
    r'its targets are \[7, 100, 2\]',
  ),
  'classes': (
    changed(sample=_batch(targets=lambda n: jnp.ones((n, 100)))),
    'not class indices; nearest: targets',
  ),
  'loss': (changed(measure=lambda o, b: o), r'its loss is \[7, 100, 1\]'),
  'whole loss': (changed(measure=lambda o, b: 3), 'has no gradient'),
  'no loss': (changed(measure=lambda o, b: {'x': 1.0}), "returns x, no 'loss'"),
  'measure': (changed(measure=_raise), 'its measure fails: TypeError: of a'),
  'success': (
    changed(success=lv.HeldOut('wrong', 0.1)),
    "'wrong' of its success or baselines is not measured; it measures loss",
  ),
  'baseline': (changed(baselines={'x': 1.0}), "'x' of its success or base"),
  'errors': (
    changed(success=base.LastSequences(10, 0.1)),
    'give sequence_errors, or nearest',
  ),
  'shape of errors': (
    changed(
      success=base.LastSequences(10, 0.1), sequence_errors=lambda o, b: o
    ),
    r'its sequence_errors are \[7, 100, 1\]',
  ),
}


@pytest.mark.parametrize(('entry', 'message'), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_is_refused_in_a_line(entry, message):
  with pytest.raises(RegistryError, match=message) as refusal:
    lv.register_task('bad', entry)
  assert str(refusal.value).startswith("task 'bad': ")
  assert '\n' not in str(refusal.value)
  assert 'bad' not in tasks.DIALECTS and 'bad' not in lv.TASKS


def test_a_task_that_needs_files_is_built_when_they_are_named():
  option = base.Option('', 0, 0, 'a file')
  dialect = base.Dialect(
    lambda spec: echo(len(spec.path)),
    options={'path': option},
    needs_files=True,
    usual=3,
  )
  lv.register_task('file', dialect)
  assert 'file' not in lv.TASKS
  assert lv.make_task('file', length=3, path='a.b').num_steps == 3
  assert from_outside.OWN in tasks.DIALECTS['file']
