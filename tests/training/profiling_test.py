"""A profile: a few chunks, in the files that TensorBoard and Perfetto open."""

import collections
import gzip
import json

import jax
import pytest

from lstm_variants.launch import local
from lstm_variants.runs import files
from lstm_variants.training import profiling, watching


def test_a_trace_of_a_training_is_in_files_that_can_be_opened(
  make_config, tmp_path, capsys
):
  config = make_config({'training.evaluation_interval': 2})
  profile = profiling.Profile(str(tmp_path / 'deep' / 'profile'), chunks=2)
  watch = watching.Watch(profile=profile)
  workdir = str(tmp_path / 'study')
  local.train(workdir, 'one', config, [local.check(config)], watch=watch)
  (folder,) = (tmp_path / 'deep' / 'profile' / 'plugins' / 'profile').iterdir()
  (planes,) = folder.glob('*.xplane.pb')
  data = jax.profiler.ProfileData.from_file(str(planes))
  assert '/host:CPU' in [plane.name for plane in data.planes]
  with gzip.open(folder / 'perfetto_trace.json.gz') as file:
    trace = json.load(file)
  counts = collections.Counter(e.get('name') for e in trace['traceEvents'])
  # What is computed in every step: 2 chunks of 2 updates of 8 steps.
  assert 2 * 2 * 8 in counts.values(), counts
  out = capsys.readouterr().out
  assert f'profile: {folder}/perfetto_trace.json.gz, for ui.perf' in out
  assert f'profile: tensorboard --logdir={tmp_path}/deep/profile' in out


@pytest.fixture
def calls(monkeypatch):
  made = []
  monkeypatch.setattr(
    jax.profiler, 'start_trace', lambda place, **_: made.append('start')
  )

  def stop():
    made.append('stop')

  monkeypatch.setattr(jax.profiler, 'stop_trace', stop)
  return made


def test_only_the_first_chunks_with_updates_are_traced(tmp_path, calls):
  (tmp_path / profiling.TRACE).touch()
  profile = profiling.Profile(str(tmp_path), chunks=2)
  advance = profile.around(lambda state, updates: calls.append(updates))
  for updates in (0, 8, 8, 8, 4):
    advance(None, updates)
  profile.stop()
  profile.around(lambda state, updates: calls.append(updates))(None, 3)
  assert calls == [0, 'start', 8, 8, 'stop', 8, 4, 3]


def test_where_nothing_was_left_to_train_it_says_so(tmp_path, calls, capsys):
  (tmp_path / profiling.TRACE).touch()
  profile = profiling.Profile(str(tmp_path), chunks=1)
  profile.tell()
  assert 'nothing was left to train' in capsys.readouterr().out
  profile.around(lambda state, updates: None)(None, 8)
  profile.stop()
  capsys.readouterr()
  profile.tell()
  assert capsys.readouterr().out == '' and calls == ['start', 'stop']


def test_a_short_training_ends_its_trace(tmp_path, calls):
  (tmp_path / profiling.TRACE).touch()
  profile = profiling.Profile(str(tmp_path), chunks=2)
  profile.around(lambda state, updates: None)(None, 8)
  profile.stop()
  assert calls == ['start', 'stop']


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(files.StorageError, match='file'):
    profiling.Profile(str(tmp_path / 'file' / 'profile'))
