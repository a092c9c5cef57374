"""The run directory: what is refused, what is written, and how."""

import json
import math
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from lstm_variants import provenance, results

RUNS = [{'seed': 0, 'x': 0.5}, {'seed': 1, 'x': math.inf}]


def _snapshot(path: pathlib.Path):
  return {
    str(file.relative_to(path)): file.read_bytes() if file.is_file() else None
    for file in sorted(path.rglob('*'))
  }


def _open(path, runs=None, name='study'):
  results.open_study(str(path), name, {'a': 1}, {}, runs or RUNS)


def _refusal(workdir, runs=None) -> str:
  with pytest.raises(results.WorkdirError) as info:
    results.check_workdir(str(workdir), runs or RUNS)
  with pytest.raises(results.WorkdirError):
    results.open_study(str(workdir), 'study', {}, {}, runs or RUNS)
  assert '\n' not in str(info.value)
  return str(info.value)


@pytest.mark.parametrize('place', ['new', 'new/deep/er', '.'])
def test_a_new_or_empty_directory_is_accepted_and_the_check_writes_nothing(
  tmp_path, place
):
  results.check_workdir(str(tmp_path / place), RUNS)
  assert _snapshot(tmp_path) == {}
  _open(tmp_path / place)
  assert (tmp_path / place / 'study.json').is_file()


def test_a_relative_directory_is_accepted(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  results.check_workdir('runs/new', RUNS)
  _open('runs/new')
  results.check_workdir('runs/new', RUNS)
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

  monkeypatch.setattr(results.os, 'access', access)
  assert 'is not writable' in _refusal(tmp_path / place)
  assert set(asked) == {(tmp_path, os.W_OK | os.X_OK)}
  assert _snapshot(tmp_path) == {}


def test_a_name_that_the_system_refuses_is_refused(tmp_path):
  message = _refusal(tmp_path / ('a' * 300))
  assert 'too long' in message


def test_a_directory_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
  def mkdir(*args, **kwargs):
    raise OSError(30, 'Read-only file system')

  monkeypatch.setattr(pathlib.Path, 'mkdir', mkdir)
  with pytest.raises(results.WorkdirError, match='Read-only file system'):
    _open(tmp_path / 'new')


def test_a_directory_with_other_files_is_refused(tmp_path):
  (tmp_path / 'thesis.tex').write_text('mine')
  before = _snapshot(tmp_path)
  message = _refusal(tmp_path)
  assert 'not empty and holds no study' in message
  assert f'{tmp_path}/study' in message
  assert _snapshot(tmp_path) == before


def test_another_study_is_refused_and_left_alone(tmp_path):
  _open(tmp_path, name='first')
  before = _snapshot(tmp_path)
  for other in (RUNS[:1], RUNS[::-1], [{'seed': 0, 'x': 0.4}, RUNS[1]]):
    message = _refusal(tmp_path, other)
    assert 'holds another study (first, 2 runs' in message
    assert message.endswith(f'{tmp_path}_2')
  assert _snapshot(tmp_path) == before


def test_the_same_study_is_accepted_and_left_alone(tmp_path):
  _open(tmp_path)
  before = _snapshot(tmp_path)
  _open(tmp_path, [dict(reversed(run.items())) for run in RUNS])
  assert _snapshot(tmp_path) == before


@pytest.mark.parametrize('text', ['', '{', '[]', '3', '{"format": 0}', '\x80'])
def test_a_study_file_that_is_not_ours_is_refused(tmp_path, text):
  (tmp_path / 'study.json').write_bytes(text.encode('latin-1'))
  before = _snapshot(tmp_path)
  assert 'study.json' in _refusal(tmp_path)
  with pytest.raises(results.WorkdirError):
    results.read_runs(str(tmp_path))
  assert _snapshot(tmp_path) == before


def test_fingerprints_tell_runs_and_their_order_apart():
  prints = {
    results.fingerprint(runs)
    for runs in (RUNS, RUNS[::-1], RUNS[:1], [], [{'seed': 0, 'x': 0.25}])
  }
  assert len(prints) == 5
  assert results.fingerprint([{'b': 1, 'a': 2}]) == results.fingerprint(
    [{'a': 2, 'b': 1}]
  )


def test_nothing_has_the_final_name_before_the_end(tmp_path):
  _open(tmp_path)
  final = tmp_path / 'populations' / 'p'
  with results.PopulationWriter(str(tmp_path), 'p') as writer:
    assert not final.exists()
    writer.append_metrics([{'run': 'a', 'loss': 0.5}])
    # Flushed, so that it can be followed.
    text = (tmp_path / 'populations/p.partial/metrics.jsonl').read_text()
    assert json.loads(text) == {'run': 'a', 'loss': 0.5}
    assert not results.is_finished(str(tmp_path), 'p')
    assert results.read_metrics(str(tmp_path)) == []
    writer.finish([{'id': 'a'}], {'w': np.ones(2)}, {'by': 'me'})
    assert results.is_finished(str(tmp_path), 'p')
  assert {p.name for p in final.iterdir()} == {
    'runs.jsonl',
    'metrics.jsonl',
    'params.npz',
    'provenance.json',
  }
  assert not (tmp_path / 'populations/p.partial').exists()
  assert results.read_metrics(str(tmp_path)) == [{'run': 'a', 'loss': 0.5}]
  assert results.read_runs(str(tmp_path)) == [{'id': 'a'}]
  assert results.read_provenance(str(tmp_path)) == {'p': {'by': 'me'}}


@pytest.mark.parametrize('broken', ['runs', 'params', 'provenance'])
def test_an_error_while_finishing_leaves_no_final_directory(tmp_path, broken):
  _open(tmp_path)

  def rows():
    yield {'id': 'a'}
    if broken == 'runs':
      raise RuntimeError

  params: Any = {'w': object() if broken == 'params' else np.ones(1)}
  provenance = {'x': object() if broken == 'provenance' else 1}
  with pytest.raises((RuntimeError, ValueError, TypeError)):
    with results.PopulationWriter(str(tmp_path), 'p') as writer:
      writer.finish(rows(), params, provenance)
  assert not results.is_finished(str(tmp_path), 'p')
  # The next attempt starts anew.
  with results.PopulationWriter(str(tmp_path), 'p') as writer:
    assert [p.name for p in writer.partial.iterdir()] == ['metrics.jsonl']
    writer.finish([], {}, {})
  assert results.is_finished(str(tmp_path), 'p')


def test_json_is_strict_and_what_is_not_finite_is_null(tmp_path):
  odd = {
    'nan': math.nan,
    'inf': -math.inf,
    'np': np.float32(np.inf),
    'fine': np.float32(0.5),
    'count': np.int64(3),
    'truth': np.bool_(True),
    'deep': [{'x': (math.nan, 1.0)}],
    3: 'key',
  }
  expected = {
    'nan': None,
    'inf': None,
    'np': None,
    'fine': 0.5,
    'count': 3,
    'truth': True,
    'deep': [{'x': [None, 1.0]}],
    '3': 'key',
  }
  results.open_study(str(tmp_path), 'n', odd, {'t': odd}, RUNS)
  with results.PopulationWriter(str(tmp_path), 'p') as writer:
    writer.append_metrics([odd])
    writer.finish([odd], {}, odd)

  def refuse(word):
    raise AssertionError(word)

  files = [f for f in tmp_path.rglob('*.json*')]
  assert len(files) == 4
  for file in files:
    for text in (
      file.read_text().splitlines()
      if file.suffix == '.jsonl'
      else [file.read_text()]
    ):
      json.loads(text, parse_constant=refuse)
  assert results.read_runs(str(tmp_path)) == [expected]
  assert results.read_metrics(str(tmp_path)) == [expected]
  assert results.read_provenance(str(tmp_path)) == {'p': expected}
  study = results.read_study(str(tmp_path))
  assert study['config'] == expected and study['tasks'] == {'t': expected}
  assert study['runs'] == [{'seed': 0, 'x': 0.5}, {'seed': 1, 'x': None}]


def test_parameters_come_back_and_hold_no_objects(tmp_path):
  _open(tmp_path)
  arrays = {
    'layers/0/kernel': np.arange(6.0).reshape(1, 2, 3),
    'readout/bias': np.array([1.5], np.float32),
  }
  with results.PopulationWriter(str(tmp_path), 'p') as writer:
    writer.finish([], arrays, {})
  read = results.read_params(str(tmp_path), 'p')
  assert read.keys() == arrays.keys()
  for name, array in arrays.items():
    assert read[name].dtype == array.dtype
    np.testing.assert_array_equal(read[name], array)
  with results.PopulationWriter(str(tmp_path), 'q') as writer:
    with pytest.raises(ValueError, match='allow_pickle'):
      writer.finish([], {'w': np.array([object()])}, {})


def test_populations_are_read_in_the_order_of_their_names(tmp_path):
  _open(tmp_path)
  for name in ('b', 'a'):
    with results.PopulationWriter(str(tmp_path), name) as writer:
      writer.append_metrics([{'run': name}])
      writer.finish([{'id': name}], {}, {})
  (tmp_path / 'populations' / '.DS_Store').write_text('')
  with results.PopulationWriter(str(tmp_path), 'c'):
    pass
  assert [row['id'] for row in results.read_runs(str(tmp_path))] == ['a', 'b']


def test_a_directory_without_runs_says_what_to_do(tmp_path):
  with pytest.raises(results.WorkdirError, match='holds no study'):
    results.read_runs(str(tmp_path))
  _open(tmp_path)
  with pytest.raises(results.WorkdirError, match='no finished runs.*repeat'):
    results.read_runs(str(tmp_path))


def test_a_start_that_was_killed_leaves_a_directory_that_can_be_used(tmp_path):
  (tmp_path / 'populations').mkdir()
  (tmp_path / 'study.json.tmp').write_text('{"for')
  (tmp_path / '.lock').touch()
  _open(tmp_path)
  assert results.read_study(str(tmp_path))['name']


def test_only_one_process_trains_in_a_directory(tmp_path):
  code = (
    'import sys; from lstm_variants import results\n'
    'with results.lock(sys.argv[1]): pass'
  )
  command = [sys.executable, '-c', code, str(tmp_path)]
  with results.lock(str(tmp_path)):
    other = subprocess.run(command, capture_output=True, text=True)
    assert other.returncode and 'another process is training' in other.stderr
  assert subprocess.run(command).returncode == 0


@pytest.mark.parametrize('text', ['{"format": 1}', '[]', '{"format": 2}'])
def test_a_study_without_its_fields_is_refused(tmp_path, text):
  (tmp_path / 'study.json').write_text(text)
  with pytest.raises(results.WorkdirError, match='not a study of format 1'):
    results.read_study(str(tmp_path))


@pytest.mark.parametrize('text', [None, '{"torn', '\xff'])
def test_a_population_that_cannot_be_read_is_named(tmp_path, text):
  _open(tmp_path)
  broken = tmp_path / 'populations' / 'broken'
  broken.mkdir()
  if text is not None:
    (broken / 'runs.jsonl').write_bytes(text.encode('latin-1'))
  with pytest.raises(results.WorkdirError, match=f'remove {broken}'):
    results.read_runs(str(tmp_path))


def test_provenance_names_commit_versions_and_machine():
  found = provenance.describe()
  root = pathlib.Path(results.__file__).parents[1]
  commit = subprocess.run(
    ['git', 'rev-parse', 'HEAD'], cwd=root, capture_output=True, text=True
  )
  assert found['commit'] == (commit.stdout.strip() or None)
  assert found['packages']['jax'] == sys.modules['jax'].__version__
  assert found['packages']['numpy'] == np.__version__
  assert found['python'] == '.'.join(map(str, sys.version_info[:3]))
  assert found['command'][0] == 'python' and found['cpus'] >= 1
  json.dumps(found, allow_nan=False)


def test_provenance_without_git_has_no_commit(monkeypatch):
  monkeypatch.setenv('PATH', '/nowhere')
  found = provenance.describe()
  assert (found['commit'], found['uncommitted_changes']) == (None, None)


def test_results_and_reports_are_read_without_jax():
  code = (
    'import sys, lstm_variants.results, lstm_variants.analysis.report\n'
    'assert not {"jax", "flax", "optax", "ml_collections"} & set(sys.modules)'
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=pathlib.Path(results.__file__).parents[1],
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == 0, done.stderr
