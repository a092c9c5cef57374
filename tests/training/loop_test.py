"""The host's side: what a study leaves, when it stops, what it shows."""

import dataclasses
import json
import math
import pathlib
import struct
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants import models
from lstm_variants.config import populations, settings, task_fields
from lstm_variants.launch import local
from lstm_variants.runs import directory, files, results
from lstm_variants.tasks import base
from lstm_variants.training import progress, states, step, watching
from tests.training import scripted

# A real study, small.


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """The directory and the runs of a study of four runs of 20 updates."""
  from tests import conftest

  config = conftest.tiny_config({'model.hidden_features': 4})
  runs = local.expand(
    config,
    lambda hyper: hyper.product(
      [
        hyper.sweep('config.model.variant', ['vanilla', 'janet']),
        hyper.zipit(
          [
            hyper.sweep('config.seed', [0, 3]),
            hyper.sweep('config.optimizer.learning_rate', [1e-2, 1e30]),
          ]
        ),
      ]
    ),
  )
  workdir = tmp_path_factory.mktemp('runs') / 'study'
  local.train(str(workdir), 'tiny', config, runs)
  return workdir, runs


def test_a_study_leaves_the_files_of_its_description(trained):
  workdir, runs = trained
  name = populations.split(runs)[0].name
  assert name.startswith('adding-urnn16-T8_lstm4_')
  assert {str(p.relative_to(workdir)) for p in workdir.rglob('*.*')} == {
    'study.json',
    *(
      f'populations/{name}/{file}'
      for file in (
        'runs.jsonl',
        'metrics.jsonl',
        'params.npz',
        'provenance.json',
        'checkpoints/000000020.safetensors',
      )
    ),
  }
  written = results.read_study(str(workdir))
  assert written['name'] == 'tiny'
  assert [row['seed'] for row in written['runs']] == [0, 3, 0, 3]
  assert written['tasks'].keys() == {'adding-urnn16-T8'}
  assert written['tasks']['adding-urnn16-T8']['baselines']['loss'] == 1 / 6


def test_a_row_tells_a_run(trained):
  workdir, runs = trained
  rows = results.read_runs(str(workdir))
  assert [row['model'] for row in rows] == ['vanilla'] * 2 + ['janet'] * 2
  assert [row['index'] for row in rows] == [0, 1, 2, 3]
  statuses = ['unsolved', 'diverged', 'unsolved', 'diverged']
  assert [row['status'] for row in rows] == statuses
  assert len({row['id'] for row in rows}) == 4
  for row, run in zip(rows, runs, strict=True):
    assert row['id'] == populations.split([run])[0].run_names[0]
    assert row['id'].startswith(f'{run.model}_seed{run.hyperparams.seed}_')
    assert row['population'] == populations.split(runs)[0].name
    assert row['task'] == 'adding-urnn16-T8'
    assert row['config'] == {
      **run.config,
      'optimizer': {**run.config['optimizer'], 'clip_value': None},
    }
    assert row['sequences_to_success'] is None
    assert (row['updates'], row['sequences']) == (20, 80)
    assert row['final'].keys() == {'loss', 'wrong'}
    assert row['params_in_use'] == models.count_params(
      run.settings.architecture, run.hyperparams.toggles
    )
    assert row['seconds_per_update'] > 0


def test_the_number_of_parameters_is_that_of_the_arrays(trained):
  workdir, runs = trained
  arrays = results.read_params(str(workdir), populations.split(runs)[0].name)
  size = sum(array[0].size for array in arrays.values())
  assert {row['params'] for row in results.read_runs(str(workdir))} == {size}
  assert all(len(array) == 4 for array in arrays.values())


def test_metrics_have_a_row_per_run_at_update_0_and_after_every_chunk(trained):
  workdir, runs = trained
  rows = results.read_metrics(str(workdir))
  names = [populations.split([run])[0].run_names[0] for run in runs]
  assert [(row['update'], row['run']) for row in rows] == [
    (update, name) for update in (0, 8, 16, 20) for name in names
  ]
  for row in rows:
    assert row['sequences'] == 4 * row['update']
    assert row.keys() == {'run', 'update', 'sequences', *scripted.METRICS}
    diverges = 'seed3' in row['run']
    assert 0 <= row['wrong'] <= 1
    assert diverges or row['loss'] > 0
    # No update was counted: at first, or because the run is frozen.
    empty = row['update'] == 0 or (diverges and row['update'] > 8)
    assert (row['train_loss'] is None) == empty
  final = {row['run']: row['loss'] for row in rows[-4:]}
  for row in results.read_runs(str(workdir)):
    assert row['final']['loss'] == final[row['id']]


def test_files_are_strict_json(trained):
  workdir, _ = trained

  def refuse(word):
    raise AssertionError(word)

  for file in workdir.rglob('*.json*'):
    lines = file.read_text()
    for text in lines.splitlines() if file.suffix == '.jsonl' else [lines]:
      json.loads(text, parse_constant=refuse)


def test_saved_parameters_give_the_saved_metrics(trained):
  workdir, runs = trained
  arrays = results.read_params(str(workdir), populations.split(runs)[0].name)
  rows = results.read_runs(str(workdir))
  run = runs[0]
  template = step.init_state(run.settings, run.hyperparams)
  names = states.named_leaves(template.params)
  assert names.keys() == arrays.keys()
  assert {'layers/0/recurrent_kernel', 'readout/bias'} <= arrays.keys()
  leaves = [jnp.asarray(arrays[name][0]) for name in names]
  structure = jax.tree.structure(template.params)
  state = template._replace(params=jax.tree.unflatten(structure, leaves))
  _, metrics = step.evaluate(run.settings, run.hyperparams, state)
  for name, value in rows[0]['final'].items():
    np.testing.assert_allclose(metrics[name], value, rtol=1e-5)


def test_provenance_tells_device_and_times(trained):
  workdir, _ = trained
  (found,) = results.read_provenance(str(workdir)).values()
  assert found['platform'] == 'cpu' and found['devices'] == ['cpu'] * 2
  assert found['packages']['jax'] == jax.__version__
  assert 'commit' in found and found['compile_seconds'] > 0
  assert found['train_seconds'] > 0
  assert found['started'] <= found['finished']
  assert found['started'].endswith('+00:00')


# The loop around a stand-in for the compiled population.


@pytest.fixture
def train(make_config, tmp_path):
  """`train({'training.updates': 9}, seeds=2)`: the directory of a study."""

  def train(
    changes=None, seeds=2, mode=directory.Mode.NEW, watch=watching.NOBODY
  ):
    config = make_config(changes)
    runs = local.expand(
      config, lambda hyper: hyper.sweep('config.seed', range(seeds))
    )
    workdir = str(tmp_path / 'study')
    local.train(workdir, 'scripted', config, runs, mode, watch=watch)
    return workdir

  return train


def test_chunks_cover_the_updates_with_a_shorter_last_one(train, monkeypatch):
  script = scripted.Script(monkeypatch, [math.inf, math.inf])
  workdir = train({'training.updates': 20})
  assert script.chunks == [0, 8, 8, 4]
  updates = [row['update'] for row in results.read_metrics(workdir)]
  assert updates == [0, 0, 8, 8, 16, 16, 20, 20]


def test_updates_that_the_interval_divides_have_no_empty_chunk(
  train, monkeypatch
):
  script = scripted.Script(monkeypatch, [math.inf, math.inf])
  train({'training.updates': 16})
  assert script.chunks == [0, 8, 8]


def test_zero_updates_only_evaluate(train, monkeypatch):
  script = scripted.Script(monkeypatch, [math.inf, math.inf])
  workdir = train({'training.updates': 0})
  assert script.chunks == [0]
  rows = results.read_runs(workdir)
  assert [row['updates'] for row in rows] == [0, 0]
  assert all(math.isfinite(row['seconds_per_update']) for row in rows)


def test_training_stops_once_all_runs_are_solved(train, monkeypatch):
  script = scripted.Script(monkeypatch, [3, 11])
  workdir = train({'training.updates': 100})
  assert script.chunks == [0, 8, 8]
  rows = results.read_runs(workdir)
  assert [row['status'] for row in rows] == ['solved', 'solved']
  assert [row['sequences_to_success'] for row in rows] == [12, 44]
  assert [row['sequences'] for row in rows] == [64, 64]


def test_training_goes_on_when_it_is_told_to(train, monkeypatch):
  script = scripted.Script(monkeypatch, [3, 5])
  workdir = train({'training.updates': 20, 'training.stop_when_solved': False})
  assert script.chunks == [0, 8, 8, 4]
  rows = results.read_runs(workdir)
  assert [row['sequences_to_success'] for row in rows] == [12, 20]


def test_a_rule_that_is_but_a_mark_on_the_way_stops_nothing(train, monkeypatch):
  mark = base.HeldOut('loss', 0.1, solves=False)
  task = property(
    lambda self: dataclasses.replace(
      task_fields.make_task(self.task_fields._asdict(), held_out=False),
      success=mark,
    )
  )
  monkeypatch.setattr(settings.Settings, 'task', task)
  script = scripted.Script(monkeypatch, [3, 5])
  workdir = train({'training.updates': 20})
  assert script.chunks == [0, 8, 8, 4]
  # When it was reached is told as before.
  rows = results.read_runs(workdir)
  assert [row['sequences_to_success'] for row in rows] == [12, 20]
  assert str(mark) == 'held-out loss below 0.1 (a mark: training goes on)'


def test_one_unsolved_run_keeps_training_going(train, monkeypatch):
  script = scripted.Script(monkeypatch, [3, math.inf])
  workdir = train({'training.updates': 20})
  assert sum(script.chunks) == 20
  statuses = [row['status'] for row in results.read_runs(workdir)]
  assert statuses == ['solved', 'unsolved']


@pytest.mark.parametrize('stop', [True, False])
def test_training_stops_once_all_runs_have_diverged(
  train, tmp_path, monkeypatch, stop
):
  script = scripted.Script(monkeypatch, [math.inf, 2], diverged=[2, 9])
  changes = {'training.updates': 100, 'training.stop_when_solved': stop}
  if stop:
    train(changes)
  else:
    with pytest.raises(local.DivergedError, match='every run diverged'):
      train(changes)
    with pytest.raises(local.DivergedError, match='every run diverged'):
      train(changes, mode=directory.Mode.RESUME)
  assert script.chunks == ([0, 8] if stop else [0, 8, 8])
  rows = results.read_runs(str(tmp_path / 'study'))
  statuses = ['diverged', 'solved'] if stop else ['diverged', 'diverged']
  assert [row['status'] for row in rows] == statuses
  assert [row['sequences_to_success'] for row in rows] == [None, 8]


def test_a_loss_that_is_not_finite_is_null(train, monkeypatch):
  scripted.Script(monkeypatch, [math.inf] * 2, loss=math.nan)
  workdir = train({'training.updates': 8})
  assert {row['loss'] for row in results.read_metrics(workdir)} == {None}
  assert results.read_runs(workdir)[0]['final']['loss'] is None


def test_padding_is_in_no_file(train, monkeypatch):
  scripted.Script(monkeypatch, [math.inf] * 3)
  workdir = train(seeds=3)
  assert len(results.read_runs(workdir)) == 3
  assert {row['loss'] for row in results.read_metrics(workdir)} == {0.5}
  (name,) = results.read_provenance(workdir)
  assert results.read_params(workdir, name)['w'].shape == (3, 3)


def test_an_error_while_training_leaves_no_final_directory(train, monkeypatch):
  script = scripted.Script(monkeypatch, [math.inf] * 2)
  monkeypatch.setattr(script, '_marks', lambda *unused: 1 / 0)
  with pytest.raises(ZeroDivisionError):
    train()
  monkeypatch.undo()
  scripted.Script(monkeypatch, [math.inf] * 2)
  workdir = train(mode=directory.Mode.RESUME)
  assert len(results.read_runs(workdir)) == 2


# What is shown.


def test_plain_lines_are_printed_where_there_is_no_terminal(
  train, monkeypatch, capsys
):
  scripted.Script(monkeypatch, [3, math.inf], diverged=[math.inf, 9])
  monkeypatch.setattr(progress, '_PAUSE', 0.0)
  monkeypatch.setattr(progress, '_SHARE', 0.0)
  train({'training.updates': 20})
  out = capsys.readouterr().out
  assert '\x1b' not in out
  lines = out.splitlines()
  assert lines[0] == 'scripted: 2 runs in 1 compiled program'
  name = lines[1].partition(':')[0]
  assert lines[1] == f'{name}: 2 runs, compiling'
  assert lines[2] == f'{name}: update 0/20, solved 0/2, loss vanilla 0.5'
  assert lines[3].startswith(
    f'{name}: update 8/20, solved 1/2, loss vanilla 0.5'
  )
  assert 'updates/s' not in lines[3]  # the first has warming up in it
  assert 'updates/s' in lines[4] and lines[4].endswith(', 0:00:00 left')
  assert lines[-1] == (
    f'{name}: solved 1/2, diverged 1, loss vanilla 0.5, 16 updates in 0:00:00'
  )


def test_plain_lines_pause(train, monkeypatch, capsys):
  scripted.Script(monkeypatch, [math.inf] * 2)
  train({'training.updates': 800})
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) < 10
  assert '800 updates in 0:00:0' in lines[-1]


# Who looks on.


def test_a_callback_sees_what_is_written_when_it_is_written(train, monkeypatch):
  scripted.Script(monkeypatch, [math.inf] * 2)
  seen, written = [], []

  def callback(evaluation):
    seen.append(evaluation)
    (file,) = pathlib.Path(workdir).rglob('metrics.jsonl')
    written.append(len(file.read_bytes().splitlines()))

  workdir = train({'training.updates': 0})  # only to know where it is
  changes = {'training.updates': 20}
  train(changes, mode=directory.Mode.OVERWRITE, watch=watching.Watch(callback))
  rows = [json.loads(files.json_line(r)) for e in seen for r in e.rows]
  assert rows == results.read_metrics(workdir)
  assert [(e.update, e.updates) for e in seen] == [
    (update, 20) for update in (0, 8, 16, 20)
  ]
  assert {e.population for e in seen} == results.read_provenance(workdir).keys()
  assert written == [2, 4, 6, 8]


# TensorBoard.


def _scalars(path):
  """Read an event file (TFRecord: length, checksum, data, checksum)."""
  event_pb2: Any = pytest.importorskip('tensorboardX.proto.event_pb2')

  content, found, place = path.read_bytes(), [], 0
  while place < len(content):
    (size,) = struct.unpack_from('<Q', content, place)
    event = event_pb2.Event.FromString(content[place + 12 : place + 12 + size])
    found += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
    place += size + 16
  return found


def test_tensorboard_files_hold_the_metrics(train, monkeypatch):
  pytest.importorskip('tensorboardX')
  script = scripted.Script(monkeypatch, [math.inf] * 2)
  original = script._advance

  def advance(state, updates):
    state, record = original(state, updates)
    return state, {**record, 'train_loss': record['loss'] * math.nan}

  monkeypatch.setattr(script, '_advance', advance)
  workdir = train({'training.updates': 12, 'training.tensorboard': True})
  rows = results.read_metrics(workdir)
  (name,) = results.read_provenance(workdir)
  folder = pathlib.Path(workdir) / 'populations' / name
  for run in {row['run'] for row in rows}:
    (file,) = (folder / 'tensorboard' / run).iterdir()
    expected = {
      (row['sequences'], tag, row[tag])
      for row in rows
      if row['run'] == run
      for tag in ('grad_norm', 'loss', 'wrong')
    }
    # What is not finite is left out.
    assert set(_scalars(file)) == expected


def test_without_the_wish_there_are_no_event_files(train, monkeypatch):
  scripted.Script(monkeypatch, [math.inf] * 2)
  monkeypatch.setitem(sys.modules, 'tensorboardX', None)
  workdir = train()
  assert not list(pathlib.Path(workdir).rglob('tensorboard'))


def test_names_tell_runs_and_populations_apart(make_config):
  def run(changes=None):
    return settings.from_config(make_config(changes))

  names = {
    populations.split([run(changes)])[0].run_names[0]
    for changes in (
      {},
      {'seed': 1},
      {'optimizer.learning_rate': 0.1},
      {'model.variant': 'np'},
    )
  }
  assert len(names) == 4
  assert (
    populations.split([run()])[0].run_names[0]
    == populations.split([run()])[0].run_names[0]
  )
  one, two = run(), run({'seed': 1})
  assert (
    populations.split([one])[0].name != populations.split([one, two])[0].name
  )
  assert populations.split([one])[0].name == populations.split([run()])[0].name
