"""What wandb, Trackio and MLflow are called with, by stand-ins of theirs.

That the real ones keep every row once is tried by `make trackers`.
"""

import math
import os
import sys
import types
from typing import Any

import pytest

from lstm_variants import trackers

ROW = {'update': 1, 'loss': 0.5, 'train_loss': math.nan}
FINITE = {'update': 1, 'loss': 0.5}
END = {
  'status': 'solved',
  'sequences_to_success': 8,
  'sequences': 16,
  'params_in_use': 5,
  'final': {'loss': 0.5},
}


@pytest.fixture
def member(tmp_path):
  return trackers.Member(
    id='0123456789abcdef',
    name='vanilla_seed0_7bfac14f',
    study='tiny',
    population='adding_lstm5',
    config={'seed': 0, 'optimizer.clip_norm': 'inf'},
    workdir=tmp_path,
    place=tmp_path / 'populations' / 'adding_lstm5.partial',
  )


@pytest.fixture(autouse=True)
def environment(monkeypatch):
  for name in os.environ:
    if name.startswith(('WANDB_', 'MLFLOW_', 'TRACKIO_')):
      monkeypatch.delenv(name)


class Run:
  """Records what a run is told."""

  def __init__(self, name='', resumed=False, starting_step=0):
    self.name, self.resumed, self.starting_step = name, resumed, starting_step
    self.rows, self.summary, self.ended = [], {}, False

  def log(self, metrics, step):
    self.rows.append((step, metrics))

  def finish(self):
    self.ended = True

  def delete(self):
    self.ended = True


# Weights & Biases.


@pytest.fixture
def wandb(monkeypatch):
  module: Any = types.ModuleType('wandb')
  module.run, module.asked = Run(), []

  def init(**asked):
    module.asked.append(asked)
    return module.run

  module.init, module.Settings = init, dict
  monkeypatch.setitem(sys.modules, 'wandb', module)
  return module


def test_wandb_has_a_run_offline_for_a_member(wandb, member):
  tracker = trackers.WandB()
  assert tracker.start(member) is None
  tracker.log(32, ROW)
  tracker.finish(END)
  (asked,) = wandb.asked
  assert asked['mode'] == 'offline' and asked['dir'] == str(member.workdir)
  assert (asked['id'], asked['name']) == (member.id, member.name)
  assert (asked['project'], asked['group']) == ('tiny', 'adding_lstm5')
  assert asked['config'] == member.config
  assert asked['reinit'] == 'create_new'  # others are open beside it
  assert wandb.run.rows == [(32, FINITE)] and wandb.run.ended
  assert wandb.run.summary['status'] == 'solved'
  assert wandb.run.summary['sequences_to_success'] == 8


def test_wandb_offline_writes_a_run_anew_and_no_other(wandb, member):
  folder = member.workdir / 'wandb'
  for name in ('offline-run-1-' + member.id, 'offline-run-1-another'):
    (folder / name).mkdir(parents=True)
  assert trackers.WandB().start(member._replace(after=32)) is None
  assert [path.name for path in folder.iterdir()] == ['offline-run-1-another']


def test_wandb_online_goes_on_behind_what_the_server_has(
  wandb, member, monkeypatch
):
  monkeypatch.setenv('WANDB_MODE', 'online')
  monkeypatch.setenv('WANDB_PROJECT', 'mine')
  kept = member.workdir / 'wandb' / f'offline-run-1-{member.id}'
  kept.mkdir(parents=True)
  wandb.run = Run(resumed=True, starting_step=65)
  assert trackers.WandB().start(member._replace(after=32)) == 64
  assert kept.exists()
  (asked,) = wandb.asked
  assert (asked['mode'], asked['resume']) == ('online', 'allow')
  assert asked['project'] == 'mine'


# Trackio.


@pytest.fixture
def trackio(monkeypatch):
  module: Any = types.ModuleType('trackio')
  module.run, module.asked, module.kept = Run(), [], None

  def init(**asked):
    print('* Trackio project initialized')
    module.asked.append(asked)
    return module.run

  class Api:
    def runs(self, project):
      if module.kept is None:
        raise ValueError(f'Project {project!r} does not exist')
      return module.kept

  module.init, module.Api = init, Api
  monkeypatch.setitem(sys.modules, 'trackio', module)
  return module


def test_trackio_has_a_run_for_a_member_and_prints_nothing(
  trackio, member, capsys
):
  tracker = trackers.Trackio()
  assert tracker.start(member) is None
  tracker.log(32, ROW)
  tracker.finish(END)
  (asked,) = trackio.asked
  assert asked['name'] == 'vanilla_seed0_7bfac14f-01234567'
  assert (asked['project'], asked['group']) == ('tiny', 'adding_lstm5')
  assert asked['resume'] == 'never' and asked['config'] == member.config
  assert trackio.run.rows == [(32, FINITE)] and trackio.run.ended
  assert capsys.readouterr().out == ''


def test_trackio_writes_a_local_run_anew_and_no_other(trackio, member):
  ours, other = Run('vanilla_seed0_7bfac14f-01234567'), Run('other-01234567')
  trackio.kept = [ours, other]
  assert trackers.Trackio().start(member._replace(after=32)) is None
  assert ours.ended and not other.ended


def test_trackio_goes_on_with_a_run_on_a_space(trackio, member, monkeypatch):
  monkeypatch.setenv('TRACKIO_SPACE_ID', 'me/space')
  ours = Run('vanilla_seed0_7bfac14f-01234567')
  trackio.kept = [ours]
  assert trackers.Trackio().start(member._replace(after=32)) == 32
  assert not ours.ended and trackio.asked[0]['resume'] == 'allow'


# MLflow.


class Store:
  """As much of an MLflow client as is asked for."""

  def __init__(self):
    self.uri, self.experiments, self.runs = '', {}, {}

  def get_experiment_by_name(self, name):
    if name in self.experiments:
      return types.SimpleNamespace(experiment_id=self.experiments[name][0])
    return None

  def create_experiment(self, name, place):
    self.experiments[name] = (f'of {name}', place)
    return f'of {name}'

  def create_run(self, experiment, run_name, tags):
    run_id = f'run{len(self.runs)}'
    info = types.SimpleNamespace(run_id=run_id)
    self.runs[run_id] = types.SimpleNamespace(
      info=info, name=run_name, tags=tags, metrics=[], params=[], status='new'
    )
    return self.runs[run_id]

  def log_batch(self, run_id, metrics=(), params=()):
    self.runs[run_id].metrics += metrics
    self.runs[run_id].params += params

  def search_runs(self, experiments, query):
    return [
      run
      for run in self.runs.values()
      if run.status != 'deleted' and run.tags['lstm_variants.id'] in query
    ]

  def get_metric_history(self, run_id, name):
    return [m for m in self.runs[run_id].metrics if m.key == name]

  def set_tag(self, run_id, name, value):
    self.runs[run_id].tags[name] = value

  def update_run(self, run_id, status):
    self.runs[run_id].status = status

  def set_terminated(self, run_id, status):
    self.runs[run_id].status = status

  def delete_run(self, run_id):
    self.runs[run_id].status = 'deleted'


@pytest.fixture
def store(monkeypatch):
  kept = Store()
  module: Any = types.ModuleType('mlflow')
  entities: Any = types.ModuleType('mlflow.entities')

  def client(tracking_uri):
    kept.uri = tracking_uri
    return kept

  def metric(key, value, timestamp, step):
    return types.SimpleNamespace(key=key, value=value, step=step)

  module.MlflowClient = client
  entities.Metric, entities.Param = metric, lambda key, value: (key, value)
  monkeypatch.setitem(sys.modules, 'mlflow', module)
  monkeypatch.setitem(sys.modules, 'mlflow.entities', entities)
  return kept


def _curve(run):
  return [(m.key, m.step, m.value) for m in run.metrics]


def test_mlflow_has_a_run_for_a_member(store, member):
  tracker = trackers.MLflow()
  assert tracker.start(member) is None
  tracker.log(32, ROW)
  tracker.finish(END)
  assert store.uri == f'sqlite:///{member.workdir}/mlflow.db'
  assert store.experiments.keys() == {'tiny'}
  (run,) = store.runs.values()
  assert (run.name, run.status) == (member.name, 'FINISHED')
  assert run.params == [('seed', '0'), ('optimizer.clip_norm', 'inf')]
  assert _curve(run) == [('update', 32, 1.0), ('loss', 32, 0.5)]
  assert run.tags['status'] == 'solved'


def test_mlflow_goes_on_with_the_run_it_has(store, member):
  tracker = trackers.MLflow()
  tracker.start(member)
  tracker.log(32, ROW)
  tracker.finish(None)
  (run,) = store.runs.values()
  assert run.status == 'KILLED'
  tracker = trackers.MLflow()
  assert tracker.start(member._replace(after=64)) == 32
  tracker.log(64, ROW)
  tracker.finish(END)
  assert list(store.runs.values()) == [run] and run.status == 'FINISHED'
  assert [step for key, step, _ in _curve(run) if key == 'loss'] == [32, 64]


def test_mlflow_throws_a_run_away_that_is_beyond_the_checkpoint(store, member):
  tracker = trackers.MLflow()
  tracker.start(member)
  tracker.log(32, ROW)
  tracker.finish(None)
  assert trackers.MLflow().start(member._replace(after=16)) is None
  first, second = store.runs.values()
  assert (first.status, second.metrics) == ('deleted', [])


def test_mlflow_collects_rows_and_sends_them_in_time(
  store, member, monkeypatch
):
  tracker = trackers.MLflow()
  tracker.start(member)
  (run,) = store.runs.values()
  tracker.log(32, ROW)
  assert run.metrics == []
  for step in range(300):  # a request has a limit
    tracker.log(64 + step, ROW)
  assert len(run.metrics) >= 500
  monkeypatch.setattr('lstm_variants.trackers.mlflow._PAUSE', 0.0)
  tracker.log(1000, ROW)
  assert _curve(run)[-1] == ('loss', 1000, 0.5)


def test_mlflow_takes_the_store_that_is_named(store, member, monkeypatch):
  monkeypatch.setenv('MLFLOW_TRACKING_URI', 'http://host:5000')
  trackers.MLflow().start(member)
  assert store.uri == 'http://host:5000'
  assert store.experiments['tiny'][1] is None  # its artifacts are its own


def test_a_diverged_run_is_a_failed_one(store, member):
  tracker = trackers.MLflow()
  tracker.start(member)
  tracker.finish({**END, 'status': 'diverged'})
  (run,) = store.runs.values()
  assert (run.status, run.tags['status']) == ('FAILED', 'diverged')
