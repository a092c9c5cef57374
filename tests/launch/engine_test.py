"""What all engines have in common: options, logs, and staying to the end."""

import errno
import os
import pathlib
import signal

import pytest

from lstm_variants.launch import engine
from lstm_variants.runs import files
from lstm_variants.training import interrupt


def _job(workdir='runs', *options: str, **more) -> engine.Job:
  return engine.Job(['sweep', '--share'], str(workdir), 3, options, **more)


def test_who_stays_ends_when_all_is_trained_whatever_became_of_the_workers():
  trained: list[str] = []

  def look() -> bool:
    trained.append('the last one, which ends right now')
    return False

  engine.stay(_job(is_trained=lambda: bool(trained)), look)


def test_who_stays_asks_the_server_for_what_workers_did_last(
  tmp_path, monkeypatch
):
  asked: list[pathlib.Path] = []
  monkeypatch.setattr(os, 'utime', asked.append)
  job = _job(tmp_path, is_trained=lambda: bool(asked))
  engine.stay(job, lambda: False)
  assert asked == [tmp_path / 'populations']


def test_workers_that_ended_too_soon_are_an_error_that_tells_where_to_look():
  looks = iter([True, True, False])
  with pytest.raises(engine.UntrainedError) as error:
    engine.stay(_job(), lambda: next(looks))
  assert error.value.exit_status == 1
  assert str(pathlib.Path.cwd() / 'runs' / 'workers') in str(error.value)


@pytest.mark.parametrize(
  ('last', 'told'),
  [
    ('1/3 x: 4 runs\nerror: no room\n\n', '/b.log: no room; the same'),
    ('error: no room\nsrun: error: exited', '/b.log: no room; the same'),
    ('error: no room\na\nb\nc', '/workers tells why; the same'),
    ('1/3 x: 4 runs', '/workers tells why; the same'),
    ('', '/workers tells why; the same'),
  ],
)
def test_the_line_by_which_the_last_worker_was_refused_tells_why(
  tmp_path, last, told
):
  job = _job(tmp_path)
  (tmp_path / 'workers').mkdir()
  for name, text, age in (('a', 'error: of before', 9), ('b', last, 0)):
    log = job.logs / f'{name}.log'
    log.write_text(text)
    when = log.stat().st_mtime - age
    os.utime(log, (when, when))
  assert told in str(engine.UntrainedError(job))


def test_no_worker_of_an_earlier_launch_tells_why(tmp_path):
  engine.make_logs(_job(tmp_path))
  old = tmp_path / 'workers' / 'ray-0.log'
  old.write_text('error: of last week\n')
  job = engine.make_logs(_job(tmp_path))
  assert '/workers tells why; ' in str(engine.UntrainedError(job))
  with open(old, 'a') as log:
    log.write('begun\n')
  assert '/workers tells why; ' in str(engine.UntrainedError(job))
  with open(old, 'a') as log:
    log.write('error: of today\n')
  assert '/ray-0.log: of today; ' in str(engine.UntrainedError(job))


def test_a_signal_waits_for_the_next_look_and_ends_who_stays(monkeypatch):
  monkeypatch.setattr(interrupt._State, 'requested', None)
  looks: list[bool] = []

  def look() -> bool:
    looks.append(interrupt._State.deferred)
    assert len(looks) < 3
    if len(looks) == 2:
      interrupt._State.requested = signal.SIGTERM
    return True

  with pytest.raises(engine.StoppedError) as error:
    engine.stay(_job(), look)
  assert error.value.exit_status == 143
  assert looks == [True, True] and not interrupt._State.deferred


def test_logs_are_in_the_run_directory_wherever_a_worker_starts(
  tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  job = _job('runs')
  engine.make_logs(job)
  engine.make_logs(job)  # that of the same command, once more
  assert (tmp_path / 'runs' / 'workers').is_dir()
  assert job.logs == tmp_path / 'runs' / 'workers'


def test_a_worker_whose_log_cannot_be_written_is_not_started(tmp_path):
  with pytest.raises(files.StorageError, match='nowhere'):
    engine.start(['sweep'], tmp_path / 'nowhere' / 'log', {})


def test_no_log_is_written_through_a_link(tmp_path):
  victim = tmp_path / 'victim'
  victim.write_text('mine')
  (tmp_path / 'log').symlink_to(victim)
  with pytest.raises(files.StorageError, match='log: cannot be written'):
    engine.start(['--version'], tmp_path / 'log', {})
  assert victim.read_text() == 'mine'
  (tmp_path / 'elsewhere').mkdir()
  (tmp_path / 'workers').symlink_to(tmp_path / 'elsewhere')
  with pytest.raises(files.StorageError, match='is a link to .*elsewhere'):
    engine.make_logs(_job(tmp_path))


def test_more_workers_than_the_system_starts_are_told_in_a_line(
  tmp_path, monkeypatch
):
  def refuse(*unused):
    raise OSError(errno.EMFILE, 'Too many open files')

  monkeypatch.setattr(engine.children, 'start', refuse)
  line = '^one-30: cannot be started: Too many open files; nearest: fewer'
  with pytest.raises(engine.EngineError, match=line):
    engine.start(['sweep'], tmp_path / 'one-30.log', {})


@pytest.mark.parametrize(
  ('options', 'given'),
  [
    (('time=1:00:00', '--exclusive'), {'time': '1:00:00', 'exclusive': ''}),
    (('--export=A=1,B=2',), {'export': 'A=1,B=2'}),
  ],
)
def test_options_have_a_value_or_none_and_dashes_or_none(options, given):
  assert engine.options(_job('runs', *options)) == given


@pytest.mark.parametrize('option', ['a$(x)=1', 'Time=1', '=1', 'a=1\nb', ''])
def test_an_option_that_a_script_would_read_otherwise_is_refused(option):
  with pytest.raises(engine.EngineError, match='is no NAME=VALUE'):
    engine.options(_job('runs', option))
