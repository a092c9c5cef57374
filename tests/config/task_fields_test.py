"""What `config.task` stands for: lengths, options, and what is too large."""

import os
import re
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base as base_config
from lstm_variants import tasks
from lstm_variants.config import populations, rules, settings
from lstm_variants.launch import local
from lstm_variants.training import memory

SERIES = {
  'name': 'forecasting',
  'path': 'tests/data/series.csv',
  'length': 5,
}
DRAWN = [
  (name, dialect)
  for name, dialects in tasks.DIALECTS.items()
  for dialect, found in dialects.items()
  if found.drawn
]


def run_of(task: dict[str, Any], **others: Any) -> settings.Run:
  config: Any = base_config.get_config()
  config.task.update(task)
  for key, value in others.items():
    section, _, field = key.partition('__')
    config[section][field] = value
  return local.check(config)


def refusal(task: dict[str, Any], **others: Any) -> str:
  with pytest.raises(rules.InputError) as info:
    run_of(task, **others)
  return str(info.value)


def steps_of(task) -> set[int]:
  """Return the last steps with an input or an answer, of many sequences."""

  def used(key):
    batch = task.sample(key, 4)
    return (batch.mask > 0) | jnp.any(batch.inputs != 0, axis=-1)

  draw = jax.jit(
    lambda keys: jax.lax.map(used, keys),
    compiler_options={'xla_backend_optimization_level': 0},
  )
  masks = np.asarray(draw(jax.vmap(jax.random.key)(np.arange(60))))
  time = np.arange(task.num_steps)
  return set(np.max(np.where(masks, time, 0), axis=-1).ravel().tolist())


@pytest.mark.parametrize('length', [12, 13])
@pytest.mark.parametrize(('name', 'dialect'), DRAWN)
def test_unseen_lengths_are_unseen(name, dialect, length):
  task = {'name': name, 'dialect': dialect, 'length': length}
  task |= {'shortest_length': length - 4, 'evaluation_length': length + 4}
  run = run_of(task)
  trained = steps_of(run.settings.task)
  judged = steps_of(run.settings.held_out_task)
  assert max(trained) < min(judged)
  # Nor is a length left out that would be unseen.
  last = run.config['task']['evaluation_shortest_length'] - 1
  assert steps_of(tasks.make_task(name, dialect, last, shortest=last)) == {
    max(trained)
  }


@pytest.mark.parametrize(
  'task, judged',
  [
    ({'name': 'parity', 'evaluation_length': 40}, (1, 40)),
    ({'name': 'parity', 'evaluation_length': 30}, (1, 30)),
    ({'name': 'parity', 'evaluation_length': 41}, (41, 41)),
    ({'name': 'parity', 'evaluation_length': 50}, (41, 50)),
    ({'name': 'anbn', 'evaluation_length': 10}, (1, 10)),
    ({'name': 'adding', 'evaluation_length': 50}, (50, 50)),
    ({'name': 'adding', 'evaluation_length': 150}, (150, 150)),
    (
      {'name': 'adding', 'shortest_length': 60, 'evaluation_length': 50},
      (50, 50),
    ),
    (
      {'name': 'adding', 'shortest_length': 30, 'evaluation_length': 50},
      (30, 50),
    ),
    (
      {
        'name': 'bucket_sort',
        'dialect': 'xlstm24',
        'evaluation_length': 41,
      },
      (41, 41),
    ),
  ],
)
def test_what_is_judged_by_default(task, judged):
  found = run_of(task).settings.task_fields
  assert (found.evaluation_shortest_length, found.evaluation_length) == judged


@pytest.mark.parametrize(
  'one, two',
  [
    ({'name': 'parity'}, {'evaluation_length': 40}),
    ({'name': 'anbn'}, {'evaluation_length': 10}),
    ({'name': 'spike_delays', 'dialect': 'nmsd'}, {'period': 10}),
    ({'name': 'forecasting'}, {'period': 11}),
    (SERIES, {'period': 1}),
    (SERIES, {'column': '2'}),
    (SERIES, {'column': ' level'}),
    ({**SERIES, 'column': '1'}, {'column': 'time'}),
  ],
)
def test_one_choice_has_one_record(one, two):
  first, second = run_of(one), run_of({**one, **two})
  assert first.settings == second.settings
  assert first.config == second.config
  assert (
    populations.split([first])[0].name == populations.split([second])[0].name
  )


def test_what_the_paper_leaves_open_is_not_in_the_label():
  for task, end in (
    ({'name': 'spike_delays', 'dialect': 'nmsd'}, '-nmsd-T11'),
    ({'name': 'forecasting'}, '-T100-f67889b1'),
    ({'name': 'forecasting', 'period': 5}, '-T100-f67889b1-period5'),
    ({**SERIES, 'column': '1'}, '-column1'),
  ):
    assert run_of(task).settings.task_label.endswith(end)


def test_the_period_of_training_is_that_of_the_held_out_set():
  for length in (11, 21):
    run = run_of(
      {'name': 'spike_delays', 'dialect': 'nmsd', 'evaluation_length': length}
    )
    assert run.config['task']['period'] == 10
    assert run.settings.task.num_steps == 11
    assert run.settings.held_out_task.num_steps == 11


@pytest.mark.parametrize(
  'header, column, named',
  [
    ('a,b,c', '', 'c'),
    ('a,b,c', '2', 'b'),
    ('x,2,1', '2', '2'),
    ('x,2,1', '3', '1'),
    ('a,a,1', '2', '2'),
    ('a,a,', '', '3'),
    ('4,b,b,b', '', ''),
  ],
)
def test_a_column_has_one_name(tmp_path, header, column, named):
  file = tmp_path / 'series.csv'
  columns = header.count(',') + 1
  rows = [
    ','.join(str((row * (n + 2)) % 7) for n in range(columns))
    for row in range(30)
  ]
  file.write_text('\n'.join([header, *rows]))
  run = run_of({**SERIES, 'path': str(file), 'column': column})
  assert run.config['task']['column'] == named
  again = run_of({**SERIES, 'path': str(file), 'column': named})
  assert again.settings == run.settings
  assert again.settings.task_label == run.settings.task_label
  label = tasks.make_task(
    'forecasting', None, 5, path=str(file), column=column
  ).label
  assert run.settings.task_label == label


@pytest.mark.parametrize(
  'task',
  [
    {'name': 'periodic_function', 'shortest_length': 9, 'period': 1024},
    {'name': 'periodic_function', 'shortest_length': 11, 'period': 12},
    {'name': 'periodic_function', 'period': 1024},
    {'name': 'spike_delays', 'shortest_length': 11, 'period': 1024},
    {'name': 'timed_spikes', 'shortest_length': 11, 'period': 1024},
  ],
)
def test_who_follows_the_nearest_arrives(task):
  chosen = {'length': 12, **task}
  for _ in range(4):
    try:
      run_of(chosen)
      return
    except rules.InputError as error:
      found = re.match(
        r'--config\.task\.(\w+)=(\d+): .*nearest: (\d+)$', str(error)
      )
    assert found is not None
    field, value, nearest = found.groups()
    assert value != nearest
    chosen[field] = int(nearest)
  pytest.fail(str(chosen))


def test_a_period_above_the_length_is_refused_by_its_own_name():
  task = {'name': 'periodic_function', 'length': 12, 'period': 1024}
  assert refusal(task) == (
    '--config.task.period=1024: above length=12; nearest: 12'
  )
  assert refusal({**task, 'shortest_length': 10}).endswith('nearest: 10')


@pytest.fixture
def machine(monkeypatch):
  """`machine(size)`: from now on the memory has so many bytes."""

  def set_size(size: int) -> None:
    sizes = {'SC_PAGE_SIZE': 1, 'SC_PHYS_PAGES': size}
    monkeypatch.setattr(os, 'sysconf', sizes.__getitem__)

  return set_size


@pytest.mark.parametrize('field', ['length', 'evaluation_length'])
@pytest.mark.parametrize(
  'name, dialect',
  [
    ('adding', 'hs97'),
    ('denoise', ''),
    ('selective_copying', ''),
    ('two_sequence', ''),
    ('warping', 'uniform_pad'),
    ('associative_recall', ''),
    ('spike_delays', 'nmsd'),
  ],
)
def test_too_long_a_t_is_refused_by_its_own_name(machine, field, name, dialect):
  machine(2**33)
  task = {'name': name, 'dialect': dialect, field: 4 * 10**6}
  if field == 'evaluation_length' and dialect == 'nmsd':
    run_of(task)  # its F, and so its steps, are those of training
    return
  message = refusal(task)
  assert message.startswith(f'--config.task.{field}=4000000: ')
  nearest = int(message.rpartition('nearest: ')[2])
  run_of({**task, field: nearest})
  assert refusal({**task, field: nearest + 1}).startswith(
    f'--config.task.{field}='
  )


def test_of_narrow_models_the_length_is_named(machine):
  machine(2**33)
  sizes = {'training__batch_size': 1, 'model__hidden_features': 1}
  task = {'name': 'associative_recall', 'length': 10**7}
  message = refusal(task, **sizes)
  assert message.startswith('--config.task.length=10000000: ')
  run_of({**task, 'length': int(message.rpartition(': ')[2])}, **sizes)


def test_where_no_one_size_is_enough_the_nearest_is_smaller(machine):
  run = run_of({'length': 1000})
  machine(2**16)
  for size, width in ((32, 32), (1, 32), (1, 1)):
    message = refusal(
      {'length': 10**6},
      training__batch_size=size,
      model__hidden_features=width,
    )
    value, nearest = re.findall(r'=(\d+): .*nearest: (\d+)$', message)[0]
    assert int(nearest) < int(value)
  with pytest.raises(rules.InputError, match='nearest'):
    memory.check_memory([run.settings] * 100)


def test_a_run_is_of_the_data_that_are_there(tmp_path):
  file = tmp_path / 'series.csv'
  shutil.copy(SERIES['path'], file)
  task = {**SERIES, 'path': str(file)}
  before = run_of(task).settings.task_label
  file.write_text('\n'.join(file.read_text().splitlines()[:-1]))
  assert run_of(task).settings.task_label != before
