"""What a study that is gone on with makes of what is there."""

import errno
import hashlib
import io
import os
import pathlib
import shutil
import sys

import pytest

from lstm_variants import console
from lstm_variants.config import fields as fields_lib
from lstm_variants.config import populations, settings
from lstm_variants.launch import local
from lstm_variants.runs import checkpoint, directory, files, results
from lstm_variants.runs import writer as writer_lib
from lstm_variants.runs.directory import Mode
from lstm_variants.training import resume, states, watching

MODELS = ['vanilla', 'peephole']


@pytest.fixture
def train(make_config, tmp_path):
  """`train({'training.updates': 9}, mode)`: trains a study of two models."""

  def train(changes=None, mode=Mode.NEW, models=MODELS, own=None):
    config = make_config(
      {'training.stop_when_solved': False, **(changes or {})}
    )
    grid = [
      {'config.model.variant': model, **((own or {}).get(model) or {})}
      for model in models
    ]
    runs = local.expand(config, lambda hyper: grid)
    local.train(str(tmp_path / 'study'), 'two', config, runs, mode)
    return tmp_path / 'study'

  return train


def _snapshot(path: pathlib.Path) -> dict[str, bytes]:
  return {
    str(file.relative_to(path)): file.read_bytes()
    for file in sorted(path.rglob('*'))
    if file.is_file() and file.name != '.lock'
  }


MORE = {'training.updates': 40}


def test_what_is_trained_longer_is_evaluated_at_multiples_of_the_interval(
  train,
):
  path = train({'training.updates': 20}, models=MODELS[:1])
  train(MORE, Mode.RESUME, models=MODELS[:1])
  rows = results.read_metrics(str(path))
  assert [row['update'] for row in rows] == [0, 8, 16, 20, 24, 32, 40]


def test_what_a_callback_raises_ends_the_training_which_can_go_on(
  make_config, tmp_path
):
  config = make_config({'training.save_interval': 8})
  runs, seen = [local.check(config)], []

  def callback(evaluation):
    seen.append(evaluation.update)
    if seen == [0, 8, 16]:
      raise ZeroDivisionError('mine')

  def train(mode):
    watch = watching.Watch(callback)
    local.train(str(tmp_path), 'one', config, runs, mode, watch=watch)

  with pytest.raises(ZeroDivisionError, match='mine'):
    train(Mode.NEW)
  train(Mode.RESUME)
  assert seen == [0, 8, 16, 16, 20]
  rows = results.read_metrics(str(tmp_path))
  assert [row['update'] for row in rows] == [0, 8, 16, 20]


def test_the_time_of_earlier_sessions_counts(make_config, tmp_path):
  config, workdir = make_config(), str(tmp_path)
  run = local.check(config)
  local.train(workdir, 'one', config, [run])
  (population,) = populations.split([run])
  place = tmp_path / 'populations' / population.name / resume.CHECKPOINTS
  saved = states.load(place, population)
  assert saved is not None and saved[1].seconds > 0
  with writer_lib.PopulationWriter(workdir, population.name) as writer:
    assert resume.begin(writer, population).seconds == saved[1].seconds


def test_what_another_host_saved_a_moment_ago_is_gone_on_from(
  train, monkeypatch
):
  """NFS lists for up to a minute what there was, unless that changes here."""
  path = train({'training.keep_checkpoints': 1}, models=MODELS[:1])
  (place,) = path.rglob(resume.CHECKPOINTS)
  remembered, utime = {place.stat().st_ino}, os.utime
  newest_first = checkpoint._newest_first

  def changes(folder):
    if folder.is_dir():
      remembered.discard(folder.stat().st_ino)
    utime(folder)

  def lists(folder):
    is_old = folder.stat().st_ino in remembered
    return [folder / '000000016.safetensors'] * is_old or newest_first(folder)

  monkeypatch.setattr(os, 'utime', changes)
  monkeypatch.setattr(checkpoint, '_newest_first', lists)
  train(MORE, Mode.RESUME, models=MODELS[:1])
  assert results.read_metrics(str(path))[-1]['update'] == 40


@pytest.mark.parametrize('damage', ['removed', 'emptied'])
def test_a_finished_study_is_untouched_where_it_cannot_be_trained_longer(
  train, damage
):
  path = train()
  for folder in path.rglob('checkpoints'):
    if damage == 'removed':
      shutil.rmtree(folder)
    else:
      for file in folder.iterdir():
        file.write_bytes(b'')
  before = _snapshot(path)
  with pytest.raises(checkpoint.CheckpointError):
    train(MORE, Mode.RESUME)
  assert _snapshot(path) == before
  train(mode=Mode.RESUME)  # set back, it is finished
  assert len(results.read_runs(str(path))) == 2


def test_fewer_updates_are_refused(train):
  path = train()
  before = _snapshot(path)
  with pytest.raises(directory.ResumeError, match='was trained for 20') as info:
    train({'training.updates': 10}, Mode.RESUME)
  assert str(info.value).endswith('nearest: 20')
  assert _snapshot(path) == before


def test_runs_that_are_grouped_anew_are_refused(train):
  path = train()
  before = _snapshot(path)
  own = {'peephole': {'config.training.updates': 40}}
  with pytest.raises(directory.ResumeError, match='does not make'):
    train(None, Mode.RESUME, own=own)
  assert _snapshot(path) == before


def test_data_that_changed_are_refused(train, series):
  data, change = series
  path = train(data)
  before = _snapshot(path)
  change()
  with pytest.raises(directory.ResumeError, match='is of other data'):
    train({**data, **MORE}, Mode.RESUME)
  assert _snapshot(path) == before


def test_provenance_of_another_type_is_refused(train):
  path = train()
  (file,) = path.rglob('provenance.json')
  file.write_text('{"updates_at_most": "x"}')
  with pytest.raises(directory.ResumeError):
    train(mode=Mode.RESUME)


def test_metrics_are_hashed_up_to_what_a_checkpoint_saw(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  path.write_bytes(b'rows\nmore')
  digest = hashlib.sha256(b'rows\n').hexdigest()
  assert writer_lib.check_metrics(path, 5, digest) == 4
  for size, other in ((4, digest), (6, digest), (50, digest), (5, 'x')):
    with pytest.raises(files.DamagedError):
      writer_lib.check_metrics(path, size, other)
  os.truncate(path, 2**33)  # sparse: only what counts is read
  assert writer_lib.check_metrics(path, 5, digest) == 2**33 - 5
  # It would be cut where it is.
  (tmp_path / 'link').symlink_to(path)
  with pytest.raises(files.DamagedError, match='is a link'):
    writer_lib.check_metrics(tmp_path / 'link', 5, digest)


def test_rows_after_a_checkpoint_are_dropped(tmp_path):
  digest = hashlib.sha256(b'rows\n').hexdigest()
  with writer_lib.PopulationWriter(str(tmp_path), 'p') as writer:
    path = writer.partial / results.METRICS
    path.parent.mkdir(parents=True)
    path.write_bytes(b'rows\ntorn')
    assert writer.resume(5, digest) == 4
    writer.append_metrics([{'run': 'a'}])
    assert path.read_bytes() == b'rows\n{"run": "a"}\n'
    assert writer.metrics_bytes == len(path.read_bytes())


def test_nobody_to_read_does_not_end_a_run(monkeypatch):
  class Full(io.StringIO):
    def write(self, text):
      raise OSError(errno.ENOSPC, 'full')

  monkeypatch.setattr(sys, 'stdout', Full())
  monkeypatch.setattr(sys, 'stderr', Full())
  console.say('once')
  console.say('again')
  console.warn('once')
  for stream in (sys.stdout, sys.stderr):
    assert stream.name == os.devnull
    stream.close()


def test_names_do_not_depend_on_what_is_harmless(make_config):
  names = set()
  for value, field in enumerate(sorted(fields_lib.CONDUCT_FIELDS), 3):
    if field not in ('training.tensorboard', 'training.trackers'):
      number = float(value) if 'minutes' in field else value
      run = settings.from_config(make_config({field: number}))
      names.add(populations.split([run])[0].run_names[0])
  assert len(names) == 1
