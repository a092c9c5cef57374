"""Studies: from a grid to runs, populations and finished directories."""

import copy
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from configs import base
from configs.studies import quickstart
from lstm_variants.config import fields, populations, rules, settings
from lstm_variants.launch import local
from lstm_variants.runs import directory, partial, results
from lstm_variants.runs import writer as writer_lib
from lstm_variants.training import loop, memory
from tests.report import study_fixture as fixture

REPOSITORY = pathlib.Path(__file__).parents[2]


def _grid(*settings_list):
  return lambda hyper: list(settings_list)


def _refusal(get_hyper) -> str:
  with pytest.raises((local.GridError, rules.InputError)) as info:
    local.expand(base.get_config(), get_hyper)
  assert '\n' not in str(info.value)
  return str(info.value)


def test_expand_gives_a_run_per_setting_in_order():
  def get_hyper(hyper):
    return hyper.product(
      [
        hyper.sweep('config.model.variant', ['vanilla', 'simple_rnn']),
        hyper.sweep('config.seed', range(3)),
        hyper.fixed('config.optimizer.learning_rate', 1),
      ]
    )

  config = base.get_config()
  runs = local.expand(config, get_hyper)
  assert [(run.model, run.hyperparams.seed) for run in runs] == [
    (model, seed) for model in ('vanilla', 'simple_rnn') for seed in range(3)
  ]
  assert {run.hyperparams.learning_rate for run in runs} == {1.0}
  # The base config is not changed.
  assert config.to_dict() == base.get_config().to_dict()


def test_a_large_grid_is_expanded_without_work_that_its_runs_share(
  monkeypatch,
):
  # Guards what took 3 of 3.7 ms a run: copies of the config, and the memory.
  copies, looks = [], []
  deepcopy, check_memory = copy.deepcopy, memory.check_memory

  def copied(value, *more):
    copies.extend([value] * (not more))
    return deepcopy(value, *more)

  def looked(settings_of_runs):
    looks.append(settings_of_runs)
    check_memory(settings_of_runs)

  monkeypatch.setattr(copy, 'deepcopy', copied)
  monkeypatch.setattr(memory, 'check_memory', looked)
  local._check_room.cache_clear()
  traced = memory._layer_weights.cache_info().misses

  def get_hyper(hyper):
    return hyper.product(
      [
        hyper.sweep('config.training.batch_size', [8, 16]),
        hyper.sweep('config.model.variant', ['gru', 'vanilla', 'peephole']),
        hyper.sweep('config.optimizer.learning_rate', [0.1, 0.01, 0.001]),
        hyper.sweep('config.seed', range(20)),
      ]
    )

  runs = local.expand(base.get_config(), get_hyper)
  assert len(runs) == 2 * 3 * 3 * 20
  assert len(copies) < 5
  assert len(looks) == len({run.settings for run in runs}) == 2 * 2
  assert memory._layer_weights.cache_info().misses <= traced + 1


def test_a_setting_is_taken_as_if_it_alone_had_changed_the_config():
  # One copy of the config stands for all settings: nothing of one may stay.
  config = base.get_config()
  config.unlock()
  settings_list: list[dict[str, Any]] = [
    {'config.optimizer.learning_rate': 1},
    {'config.model.toggles.peephole_i': True},
    {},
    {'config.optimizer.learning_rate': np.float64(0.5)},
    {'config.model.toggles.coupling_shift': 2, 'config.seed': 7},
    {'config.model.toggles.peephole_i': None, 'config.seed': 1},
  ]
  changed = local._Changed(config)
  for setting in settings_list:
    alone = copy.deepcopy(config)
    for field, value in setting.items():
      alone.update_from_flattened_dict({field.removeprefix('config.'): value})
    ours = changed.by(setting)
    expected = dict(fields.flatten(alone.to_dict()))
    assert ours == expected
    assert [*map(type, ours.values())] == [*map(type, expected.values())]


def test_toggles_can_be_swept():
  runs = local.expand(
    base.get_config(),
    lambda hyper: hyper.sweep('config.model.toggles.peephole_i', [True, False]),
  )
  assert [run.model for run in runs] == ['vanilla+peephole_i', 'vanilla']


def test_an_empty_grid_is_refused():
  assert 'the grid is empty' in _refusal(_grid())


@pytest.mark.parametrize('grid', [3, None, [3], ['config.seed'], [None]])
def test_what_is_no_grid_is_refused(grid):
  assert _refusal(lambda hyper: grid).startswith('get_hyper: ')


@pytest.mark.parametrize(
  'grid, given',
  [(None, 'None'), (3, 'a int'), ('seed', 'a str'), ({'seed': [1]}, 'a dict')],
)
def test_a_get_hyper_that_returns_no_list_is_told_what_to_return(grid, given):
  message = _refusal(lambda hyper: grid)
  assert message.startswith(f'get_hyper: returns {given}, must return a list')
  assert 'nearest: return hyper.sweep(' in message


@pytest.mark.parametrize('get_hyper', [lambda: [{}], lambda hyper, other: [{}]])
def test_a_get_hyper_of_other_arguments_is_told_which_it_is_given(get_hyper):
  message = _refusal(get_hyper)
  assert message.startswith('get_hyper: takes other arguments than hyper')
  assert message.endswith('nearest: def get_hyper(hyper):')


@pytest.mark.parametrize(
  'error', [ValueError, TypeError, AttributeError, KeyError, ZeroDivisionError]
)
def test_an_error_inside_get_hyper_is_one_line(error):
  def get_hyper(hyper):
    raise error('first line\nsecond line')

  message = _refusal(get_hyper)
  assert message.startswith('get_hyper: ')
  assert 'first line' in message


def test_an_unknown_field_is_refused_with_the_nearest():
  message = _refusal(_grid({'config.model.varient': 'vanilla'}))
  assert message.startswith('get_hyper: config.model.varient=')
  assert "nearest: 'model.variant'" in message
  assert ', model.cell.…, ' in message and 'model.cell.heads' not in message
  assert len(message) < 1000


@pytest.mark.parametrize('field', ['seed', 'conf.seed', 'config', 'config.', 3])
def test_a_field_that_does_not_start_with_config_is_refused(field):
  message = _refusal(_grid({field: 1}))
  assert 'does not start with "config."' in message
  assert 'nearest: ' in message


@pytest.mark.parametrize(
  'field, value',
  [
    ('config.seed', 'x'),
    ('config.seed', 1.5),
    ('config.seed', [1]),
    ('config.optimizer.learning_rate', '0.1'),
    ('config.model.variant', 3),
    ('config.model', 3),
    ('config.model.toggles', None),
    ('config.model.toggles.peephole_i', 1),
    ('config.training.stop_when_solved', 'no'),
    ('config.training.stop_when_solved', None),
    ('config.seed.deeper', 3),
  ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_field(field, value):
  message = _refusal(_grid({field: value}))
  assert field.removeprefix('config.') in message
  assert repr(value) in message


def test_a_value_out_of_range_is_refused_as_in_a_config():
  message = _refusal(_grid({'config.seed': 1}, {'config.task.length': 1}))
  assert message.startswith('--config.task.length=1: ')


def test_equal_runs_are_refused():
  message = _refusal(
    _grid({'config.seed': 1}, {'config.seed': 2}, {'config.seed': 1})
  )
  assert 'settings 0 and 2 are the same run' in message
  # Also when they are spelt differently.
  message = _refusal(_grid({'config.seed': 0}, {}))
  assert 'settings 0 and 1 are the same run' in message


def test_runs_are_split_by_what_is_static():
  grid = [
    {'config.model.variant': 'vanilla'},
    {'config.model.hidden_features': 8},
    {'config.model.variant': 'fgr', 'config.seed': 1},
    {'config.model.variant': 'simple_rnn'},
    {'config.optimizer.learning_rate': 0.1, 'config.model.hidden_features': 8},
    {'config.task.length': 9},
    {'config.optimizer.clip_norm': 0.1},
    {'config.model.dtype': 'bfloat16'},
  ]
  runs = local.expand(base.get_config(), lambda hyper: grid)
  places = [
    [runs.index(run) for run in group.runs] for group in populations.split(runs)
  ]
  assert places == [[0, 2, 6], [1, 4], [3], [5], [7]]


def test_populations_are_no_larger_than_is_wanted_and_their_runs_the_same():
  grid = [
    *({'config.seed': seed} for seed in range(5)),
    {'config.model.hidden_features': 8},
  ]

  def split(size):
    config = base.get_config()
    config.study.population_size = size
    return populations.split(local.expand(config, lambda hyper: grid))

  whole, capped = split(0), split(2)
  assert [group.places for group in capped] == [(0, 1), (2, 3), (4,), (5,)]
  assert [group.places for group in split(5)] == [g.places for g in whole]
  names = [name for group in whole for name in group.run_names]
  assert [name for group in capped for name in group.run_names] == names
  assert [group.name for group in split(5)] == [g.name for g in whole]
  assert len({group.name for group in [*whole, *capped]}) == 5


def test_a_capped_study_that_is_gone_on_with_has_the_same_populations():
  """Also where its first one would be the same if toggles were apart."""
  config = base.get_config()
  config.study.population_size = 2
  grid = [
    {'config.model.variant': variant, 'config.seed': seed}
    for variant in ('vanilla', 'peephole')
    for seed in range(3)
  ]
  runs = local.expand(config, lambda hyper: grid)
  names = [group.name for group in populations.split(runs)]
  assert len(names) == 3
  for name in names:
    again = populations.split(runs, existing=[name])
    assert [group.name for group in again] == names


def test_the_quickstart_has_five_seeds_of_four_models_on_two_tasks():
  runs = local.expand(quickstart.get_config(), quickstart.get_hyper)
  kinds = {
    (run.settings.task.name, run.model, run.hyperparams.seed) for run in runs
  }
  models = ('vanilla', 'peephole', 'coupled', 'simple_rnn')
  assert kinds == {
    (task, model, seed)
    for task in ('adding', 'copy')
    for model in models
    for seed in range(5)
  }
  # The LSTMs of a task in one program, the simple RNN in another.
  assert sorted(len(group.runs) for group in populations.split(runs)) == [
    5,
    5,
    15,
    15,
  ]


def test_a_population_beyond_the_memory_is_refused_before_writing(
  tmp_path, monkeypatch
):
  runs = local.expand(
    base.get_config(), lambda hyper: hyper.sweep('config.seed', range(10))
  )
  nearly = memory.estimate_bytes(runs[0].settings, 9)
  pages = {'SC_PAGE_SIZE': 1, 'SC_PHYS_PAGES': nearly}
  monkeypatch.setattr(os, 'sysconf', pages.__getitem__)
  workdir = tmp_path / 'study'
  with pytest.raises(rules.InputError, match='10 run'):
    local.train(str(workdir), 'name', base.get_config(), runs)
  assert not workdir.exists()


def _snapshot(path: pathlib.Path):
  return {
    str(file.relative_to(path)): (file.stat().st_mtime_ns, file.read_bytes())
    for file in sorted(path.rglob('*'))
    if file.is_file() and file.name != '.lock'
  }


def _two_populations(make_config):
  config = make_config({'training.updates': 8})
  runs = local.expand(
    config, lambda hyper: hyper.sweep('config.model.hidden_features', [2, 3])
  )
  return config, runs


def _fake_training(workdir, population, *unused):
  """Stand in for the training of a population."""
  del unused
  name = population.name
  with writer_lib.PopulationWriter(workdir, name) as writer:
    writer.adopt()
    writer.start()
    row = {**fixture.run('adding-urnn16-T8', 'vanilla', 0, None, 0.1)}
    row |= {'id': 'x', 'population': name}
    writer.finish([row], {}, {'updates_at_most': 8})
  return False


def test_a_study_fails_only_where_every_population_diverged(
  make_config, tmp_path, monkeypatch
):
  config, runs = _two_populations(make_config)
  diverged: dict[str, bool] = {}

  def training(workdir, population, *unused):
    _fake_training(workdir, population)
    return diverged.setdefault(population.name, not diverged)

  monkeypatch.setattr(loop, 'train_population', training)
  local.train(str(tmp_path), 'two', config, runs)
  assert sorted(diverged.values()) == [False, True]


def test_the_parts_of_a_study_that_grows_are_populations_of_their_own(
  make_config,
):
  runs = local.expand(
    make_config({}), lambda hyper: hyper.sweep('config.seed', range(5))
  )
  first, *_ = populations.split(runs[:2], parts=[2])
  grown = populations.split(runs, parts=[2, 0, 3])
  assert [population.places for population in grown] == [(0, 1), (2, 3, 4)]
  assert grown[0].name == first.name
  assert grown[0].run_names == first.run_names


def test_a_finished_population_is_not_trained_again(
  make_config, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(loop, 'train_population', _fake_training)
  config, runs = _two_populations(make_config)
  local.train(str(tmp_path), 'two', config, runs)
  assert '2 runs in 2 compiled programs' in capsys.readouterr().out
  before = _snapshot(tmp_path)
  assert len(before) == 1 + 2 * 4  # study.json, two populations
  with pytest.raises(directory.ExistsError):
    local.train(str(tmp_path), 'two', config, runs)
  local.train(str(tmp_path), 'two', config, runs, directory.Mode.RESUME)
  assert _snapshot(tmp_path) == before
  assert capsys.readouterr().out.count('already finished') == 2


def test_an_interrupted_population_is_trained_again_from_its_start(
  make_config, tmp_path, monkeypatch
):
  config, runs = _two_populations(make_config)
  names = [populations.split([run])[0].name for run in runs]

  def interrupted(workdir, population, *unused):
    if population.name == names[0]:
      return _fake_training(workdir, population)
    with writer_lib.PopulationWriter(workdir, names[1]) as writer:
      writer.start()
      writer.append_metrics([{'run': 'half'}])
      raise KeyboardInterrupt

  monkeypatch.setattr(loop, 'train_population', interrupted)
  with pytest.raises(KeyboardInterrupt):
    local.train(str(tmp_path), 'two', config, runs)
  folder = tmp_path / 'populations'
  assert [*partial.begun(tmp_path)] == [names[1]]
  assert partial.finished(tmp_path) == {names[0]}
  assert len(results.read_runs(str(tmp_path))) == 1
  first = _snapshot(folder / names[0])
  monkeypatch.setattr(loop, 'train_population', _fake_training)
  local.train(str(tmp_path), 'two', config, runs, directory.Mode.RESUME)
  assert {p.name for p in folder.iterdir()} == set(names)
  assert _snapshot(folder / names[0]) == first
  assert results.read_metrics(str(tmp_path)) == []


def test_another_grid_in_the_same_directory_is_refused(
  make_config, tmp_path, monkeypatch
):
  monkeypatch.setattr(loop, 'train_population', _fake_training)
  config, runs = _two_populations(make_config)
  local.train(str(tmp_path), 'two', config, runs)
  before = _snapshot(tmp_path)
  resume = directory.Mode.RESUME
  with pytest.raises(directory.ResumeError, match='2 before, 1 now'):
    local.train(str(tmp_path), 'two', config, runs[:1], resume)
  assert _snapshot(tmp_path) == before


@pytest.mark.parametrize('kill', [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path, kill):
  workdir = tmp_path / 'run'
  command = [
    *(sys.executable, '-m', 'experiments.train', f'--workdir={workdir}'),
    '--config=configs/adding.py',
    '--config.task.length=4',
    '--config.model.hidden_features=2',
    '--config.model.recurrent_init=uniform',
    '--config.training.evaluation_interval=1',
    '--config.training.updates=1000000000',
  ]
  process = subprocess.Popen(
    command,
    cwd=REPOSITORY,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )
  try:
    deadline = time.monotonic() + 90
    while not any(
      file.stat().st_size for file in workdir.rglob('metrics.jsonl')
    ):
      assert process.poll() is None and time.monotonic() < deadline
      time.sleep(0.1)
    os.kill(process.pid, kill)
    _, stderr = process.communicate(timeout=30)
  finally:
    process.kill()
  if kill == signal.SIGINT:
    assert process.returncode == 130
    assert stderr.splitlines()[-1].startswith('error: SIGINT: saved; ')
  (left,) = (workdir / 'populations').iterdir()
  assert left.name.endswith('.partial')
  assert not results.is_finished(str(workdir), partial.population(left))
  with pytest.raises(results.WorkdirError, match='no finished runs'):
    results.read_runs(str(workdir))


def test_a_task_is_described_as_plain_data(make_config):
  run = settings.from_config(
    make_config({'task.dialect': 'hs97', 'task.length': 100})
  )
  described = local.describe_task(run.settings)
  assert described['baselines'] == dict(run.settings.task.baselines)
  assert [row['value'] for row in described['published']] == [74e3]
  assert 'last 2,000 training sequences' in described['success']
  short = settings.from_config(
    make_config({'task.dialect': 'hs97', 'task.length': 50})
  )
  assert local.describe_task(short.settings)['published'] == []
