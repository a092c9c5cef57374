"""A study's directory: what is refused, gone on with, or begun anew."""

import contextlib
import itertools
import math
import os
import pathlib

import pytest

from lstm_variants.config import fields as fields_lib
from lstm_variants.runs import directory, files, lock, record, results
from lstm_variants.runs.directory import Mode

RESUME, OVERWRITE = Mode.RESUME, Mode.OVERWRITE
RUNS = [{'seed': 0, 'x': 0.5}, {'seed': 1, 'x': math.inf}]


def _snapshot(path: pathlib.Path):
  return {
    str(file.relative_to(path)): file.read_bytes() if file.is_file() else None
    for file in sorted(path.rglob('*'))
  }


def _open(path, runs=None, name='study', mode=Mode.NEW):
  with directory.open_study(str(path), name, {'a': 1}, {}, runs or RUNS, mode):
    pass


def _refusal(
  workdir,
  runs=None,
  mode=Mode.NEW,
  error: type[Exception] = results.WorkdirError,
) -> str:
  with pytest.raises(error) as info:
    directory.check(str(workdir), runs or RUNS, mode)
  with pytest.raises(error):
    _open(workdir, runs, mode=mode)
  assert '\n' not in str(info.value)
  return str(info.value)


def test_an_open_study_grows_and_keeps_what_it_was(tmp_path):
  more = {'search': {'seed': 1}, 'parts': []}
  with directory.open_study(str(tmp_path), 's', {'a': 1}, {}, [], more=more):
    before = results.read_study(str(tmp_path))
    directory.grow(str(tmp_path), RUNS, record.NEW, {'parts': [2]})
  study = results.read_study(str(tmp_path))
  assert study.pop('runs') == [{'seed': 0, 'x': 0.5}, {'seed': 1, 'x': None}]
  assert before.pop('runs') == [] and before['parts'] == []
  assert study.pop('fingerprint') != before.pop('fingerprint')
  assert study == {**before, 'parts': [2]}
  directory.check(str(tmp_path), RUNS, Mode.RESUME)


@pytest.mark.parametrize('name', ['.nfs000000001', '.fuse_hidden00000001'])
def test_what_file_systems_keep_of_a_removed_file_makes_no_directory_full(
  tmp_path, name
):
  (tmp_path / name).touch()
  directory.check(str(tmp_path), RUNS)
  _open(tmp_path)
  assert results.read_study(str(tmp_path))['name'] == 'study'


@pytest.mark.parametrize('place', ['new', 'new/deep/er', '.'])
def test_a_new_or_empty_directory_is_accepted_and_the_check_writes_nothing(
  tmp_path, place
):
  directory.check(str(tmp_path / place), RUNS)
  assert _snapshot(tmp_path) == {}
  _open(tmp_path / place)
  assert (tmp_path / place / 'study.json').is_file()


def test_a_relative_directory_is_accepted(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  directory.check('runs/new', RUNS)
  _open('runs/new')
  directory.check('runs/new', RUNS, Mode.RESUME)
  assert (tmp_path / 'runs/new/study.json').is_file()
  (tmp_path / 'file').write_text('')
  assert 'is a file' in _refusal('file/new')


def test_an_empty_name_is_refused():
  assert _refusal('').startswith("--workdir='': a directory is needed")


@pytest.mark.parametrize('place', ['file', 'file/new', 'file/new/er'])
def test_a_file_or_a_directory_below_a_file_is_refused(tmp_path, place):
  (tmp_path / 'file').write_text('mine')
  before = _snapshot(tmp_path)
  message = _refusal(tmp_path / place)
  assert message.startswith(f'--workdir={tmp_path / place}: ')
  assert f'{tmp_path}/file is a file' in message
  assert message.endswith(f'nearest: {tmp_path}/file_runs')
  assert _snapshot(tmp_path) == before


@pytest.mark.parametrize('place', ['', 'new', 'new/er'])
def test_a_directory_that_is_not_writable_is_refused(
  tmp_path, monkeypatch, place
):
  # Root may write anywhere, so the system is asked through a stand-in.
  asked = []

  def access(path, mode):
    asked.append((pathlib.Path(path), mode))
    return False

  monkeypatch.setattr(directory.os, 'access', access)
  message = _refusal(tmp_path / place, error=files.StorageError)
  assert 'is not writable' in message
  assert set(asked) == {(tmp_path, os.R_OK | os.W_OK | os.X_OK)}
  assert _snapshot(tmp_path) == {}


def test_a_name_that_the_system_refuses_is_refused(tmp_path):
  message = _refusal(tmp_path / ('a' * 300))
  assert 'too long' in message


def test_a_directory_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
  def mkdir(*args, **kwargs):
    raise OSError(30, 'Read-only file system')

  monkeypatch.setattr(pathlib.Path, 'mkdir', mkdir)
  with pytest.raises(files.StorageError, match='Read-only file system'):
    _open(tmp_path / 'new')


def test_a_directory_with_other_files_is_refused(tmp_path):
  (tmp_path / 'thesis.tex').write_text('mine')
  before = _snapshot(tmp_path)
  message = _refusal(tmp_path)
  assert 'not empty and holds no study' in message
  assert f'{tmp_path}/study' in message
  assert _snapshot(tmp_path) == before


def test_a_study_that_is_there_is_refused_and_left_alone(tmp_path):
  _open(tmp_path, name='first')
  before = _snapshot(tmp_path)
  for runs in (RUNS, RUNS[:1]):
    message = _refusal(tmp_path, runs, error=directory.ExistsError)
    assert 'holds a study (first, 2 run(s)); --resume goes on' in message
    assert message.endswith(f'{tmp_path}_2')
  assert _snapshot(tmp_path) == before
  assert directory.ExistsError.exit_status == 5


@pytest.mark.parametrize(
  'runs, difference',
  [
    # Runs at other places are not compared with one another.
    (RUNS[1:], 'same runs; runs: 2 before, 1 now; set them back'),
    (RUNS[::-1], 'seed: 0 before, 1 now; x: 0.5 before, None now'),
    ([{'seed': 0, 'x': 0.4}, RUNS[1]], 'x: 0.5 before, 0.4 now'),
    ([{'seed': 0, 'x': {'y': 1}}, RUNS[1]], 'x.y: None before, 1 now'),
  ],
)
def test_other_runs_are_not_gone_on_with(tmp_path, runs, difference):
  _open(tmp_path)
  before = _snapshot(tmp_path)
  message = _refusal(tmp_path, runs, Mode.RESUME, directory.ResumeError)
  assert difference in message
  assert message.endswith(f'{tmp_path}_2')
  assert _snapshot(tmp_path) == before
  assert directory.ResumeError.exit_status == 4


def test_the_same_study_is_gone_on_with_and_left_alone(tmp_path):
  _open(tmp_path)
  before = _snapshot(tmp_path)
  turned = [dict(reversed(run.items())) for run in RUNS]
  _open(tmp_path, turned, mode=RESUME)
  assert _snapshot(tmp_path) == before


def test_more_updates_and_other_intervals_are_harmless(tmp_path):
  old = {field: 7 for field in fields_lib.CONDUCT_FIELDS}
  runs = [{'seed': 0, 'training': _nest(old)}]
  _open(tmp_path, runs)
  new = runs
  for field in fields_lib.CONDUCT_FIELDS:
    new = [{'seed': 0, 'training': _nest({**old, field: 8})}]
    assert record.NEW.identity(new[0]) == {'seed': 0}
    directory.check(str(tmp_path), new, RESUME)
  _open(tmp_path, new, mode=RESUME)
  assert results.read_study(str(tmp_path))['runs'] == new


def test_a_study_that_is_gone_on_with_keeps_the_size_of_its_populations(
  tmp_path,
):
  def run(size):
    return {'seed': 0, 'study': {'population_size': size}}

  _open(tmp_path, [run(5)])
  assert record.NEW.identity(run(5)) == record.NEW.identity(run(7))
  message = _refusal(tmp_path, [run(0)], Mode.RESUME, directory.ResumeError)
  assert 'study.population_size: 5 before, 0 now; set them back' in message


def _nest(fields):
  return {field.partition('.')[2]: value for field, value in fields.items()}


@pytest.mark.parametrize(
  'left', [(), ('.lock', '.lock.0a1b', 'study.json.tmp')]
)
def test_there_must_be_something_to_go_on_with(tmp_path, left):
  for name in left:
    (tmp_path / name).touch()
  for place in (tmp_path, tmp_path / 'typo'):
    message = _refusal(place, None, RESUME, directory.ResumeError)
    assert message.endswith('leave out --resume to start')
  assert len(list(tmp_path.iterdir())) == len(left)


def test_a_study_that_is_gone_on_with_keeps_the_time_of_its_beginning(tmp_path):
  runs = [{'seed': 0, 'training': {'updates': 5}}]
  _open(tmp_path, runs)
  path = tmp_path / 'study.json'
  before = results.read_study(str(tmp_path))
  files.write_json(path, {**before, 'created': 'long ago'})
  _open(tmp_path, [{'seed': 0, 'training': {'updates': 9}}], mode=RESUME)
  after = results.read_study(str(tmp_path))
  assert after['created'] == 'long ago'
  assert after['runs'][0]['training']['updates'] == 9


def test_a_study_is_removed_where_that_is_asked_for(tmp_path):
  _open(tmp_path, name='first')
  (tmp_path / 'populations/p/checkpoints').mkdir(parents=True)
  (tmp_path / 'figures').mkdir()
  for name in (
    *('populations/p/runs.jsonl', 'compare.csv', 'thesis.tex'),
    *(results.START, results.STAMP),
  ):
    (tmp_path / name).write_text('mine')
  _open(tmp_path, RUNS[:1], 'second', OVERWRITE)
  assert results.read_study(str(tmp_path))['name'] == 'second'
  assert set(_snapshot(tmp_path)) == {
    *('study.json', 'populations', 'thesis.tex'),
  }
  # A new directory is fine; one without a study is not touched.
  _open(tmp_path / 'new', mode=OVERWRITE)
  (tmp_path / 'study.json').unlink()
  before = _snapshot(tmp_path)
  assert 'holds no study' in _refusal(tmp_path, mode=OVERWRITE)
  assert _snapshot(tmp_path) == before


@pytest.mark.parametrize('text', ['', '{', '[]', '3', '{"format": 0}', '\x80'])
def test_a_study_file_that_is_not_ours_is_refused(tmp_path, text):
  (tmp_path / 'study.json').write_bytes(text.encode('latin-1'))
  before = _snapshot(tmp_path)
  assert 'study.json' in _refusal(tmp_path, mode=Mode.RESUME)
  with pytest.raises(results.WorkdirError):
    results.read_runs(str(tmp_path))
  assert _snapshot(tmp_path) == before


def test_a_start_that_was_killed_leaves_a_directory_that_can_be_used(tmp_path):
  (tmp_path / 'populations').mkdir()
  (tmp_path / 'study.json.tmp').write_text('{"for')
  (tmp_path / '.lock').touch()
  _open(tmp_path)
  assert results.read_study(str(tmp_path))['name']


def test_a_study_that_another_process_began_meanwhile_is_left_alone(
  tmp_path, monkeypatch
):
  hold = lock.hold_alone

  @contextlib.contextmanager
  def late(path, notice, refuse):
    monkeypatch.setattr(lock, 'hold_alone', hold)
    _open(tmp_path, name='theirs')
    with hold(path, notice, refuse):
      yield

  monkeypatch.setattr(lock, 'hold_alone', late)
  with pytest.raises(directory.ExistsError):
    _open(tmp_path, name='ours')
  assert results.read_study(str(tmp_path))['name'] == 'theirs'


def test_a_link_beside_a_file_is_not_followed(tmp_path):
  (tmp_path / 'victim').write_text('mine')
  (tmp_path / 'file.tmp').symlink_to(tmp_path / 'victim')
  files.write(tmp_path / 'file', b'new')
  assert (tmp_path / 'victim').read_text() == 'mine'
  assert (tmp_path / 'file').read_bytes() == b'new'


def test_what_is_half_overwritten_does_not_count_as_finished(
  tmp_path, monkeypatch
):
  _open(tmp_path)
  done = tmp_path / 'populations' / 'p'
  done.mkdir()
  (done / 'provenance.json').write_text('{}')
  assert results.is_finished(str(tmp_path), 'p')

  def killed(path):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(directory.shutil, 'rmtree', killed)
    with pytest.raises(KeyboardInterrupt):
      _open(tmp_path, mode=OVERWRITE)
  assert not results.is_finished(str(tmp_path), 'p')
  _open(tmp_path, mode=OVERWRITE)
  assert set(_snapshot(tmp_path)) == {'study.json', 'populations'}


# The number of the call that kills; none has the last of them.
@pytest.mark.parametrize('renamed', [*range(17), 999])
def test_what_shows_a_study_does_not_outlive_it_when_overwriting_is_killed(
  tmp_path, monkeypatch, renamed
):
  _open(tmp_path)
  for folder in ('populations/p', 'figures'):
    (tmp_path / folder).mkdir()
  shows = {'report.html', 'compare.csv'}
  for name in shows:
    (tmp_path / name).write_text('of what is overwritten')
  replace, calls = os.replace, itertools.count()

  def killed(*unused):
    raise KeyboardInterrupt

  monkeypatch.setattr(
    os,
    'replace',
    lambda one, two: killed() if next(calls) == renamed else replace(one, two),
  )
  monkeypatch.setattr(directory.shutil, 'rmtree', killed)
  with pytest.raises(KeyboardInterrupt):
    _open(tmp_path, mode=OVERWRITE)
  there = set(os.listdir(tmp_path))
  if renamed == 0:  # nothing has happened
    assert there >= {*shows, 'figures', 'populations'}
  if renamed == 999:  # all is put aside, and nothing removed
    assert not results.is_finished(str(tmp_path), 'p')
  if not results.is_finished(str(tmp_path), 'p'):
    assert not there & {*shows, 'figures'}


def test_another_tool_s_study_is_not_overwritten(tmp_path):
  (tmp_path / 'study.json').write_text('{"format": "theirs"}')
  (tmp_path / 'figures').mkdir()
  before = _snapshot(tmp_path)
  assert 'not a study' in _refusal(tmp_path, mode=OVERWRITE)
  assert _snapshot(tmp_path) == before
