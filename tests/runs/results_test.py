"""The run directory: what is refused, what is written, and how."""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from lstm_variants.runs import directory, provenance, results
from lstm_variants.runs import writer as writer_lib

RUNS = [{'seed': 0, 'x': 0.5}, {'seed': 1, 'x': math.inf}]


ROW = {
  **{
    'id': 'a',
    'population': 'p',
    'task': 't',
    'model': 'm',
    'config': {'seed': 0},
  },
  **{'status': 'unsolved', 'sequences_to_success': None, 'sequences': 8},
  **{'updates': 1, 'final': {}, 'params_in_use': 1, 'params': 1},
  'seconds_per_update': 0.5,
}
EVALUATION = {'run': 'a', 'update': 1, 'sequences': 8, 'loss': 0.5}


def _snapshot(path: pathlib.Path):
  return {
    str(file.relative_to(path)): file.read_bytes() if file.is_file() else None
    for file in sorted(path.rglob('*'))
  }


def _open(path):
  with directory.open_study(str(path), 'study', {'a': 1}, {}, RUNS):
    pass


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
  with writer_lib.PopulationWriter(str(tmp_path), 'p') as writer:
    writer.start()
    assert not final.exists()
    writer.append_metrics([EVALUATION])
    # Flushed, so that it can be followed.
    text = (tmp_path / 'populations/p.partial/metrics.jsonl').read_text()
    assert json.loads(text) == EVALUATION
    assert not results.is_finished(str(tmp_path), 'p')
    assert results.read_metrics(str(tmp_path)) == []
    writer.finish([ROW], {'w': np.ones(2)}, {'by': 'me'})
    assert results.is_finished(str(tmp_path), 'p')
  assert {p.name for p in final.iterdir()} == {
    'runs.jsonl',
    'metrics.jsonl',
    'params.npz',
    'provenance.json',
  }
  assert not (tmp_path / 'populations/p.partial').exists()
  assert results.read_metrics(str(tmp_path)) == [EVALUATION]
  assert results.read_runs(str(tmp_path)) == [ROW]
  assert results.read_provenance(str(tmp_path)) == {'p': {'by': 'me'}}


@pytest.mark.parametrize('broken', ['runs', 'params', 'provenance'])
def test_an_error_while_finishing_leaves_no_final_directory(tmp_path, broken):
  _open(tmp_path)

  def rows():
    yield ROW
    if broken == 'runs':
      raise RuntimeError

  params: Any = {'w': object() if broken == 'params' else np.ones(1)}
  provenance = {'x': object() if broken == 'provenance' else 1}
  with pytest.raises((RuntimeError, ValueError, TypeError)):
    with writer_lib.PopulationWriter(str(tmp_path), 'p') as writer:
      writer.start()
      writer.finish(rows(), params, provenance)
  assert not results.is_finished(str(tmp_path), 'p')
  # The next attempt starts anew.
  with writer_lib.PopulationWriter(str(tmp_path), 'p') as writer:
    writer.start()
    assert [p.name for p in writer.partial.iterdir()] == ['metrics.jsonl']
    writer.finish([], {}, {})
  assert results.is_finished(str(tmp_path), 'p')


def test_json_is_strict_and_what_is_not_finite_is_null(tmp_path):
  odd: dict[Any, Any] = {
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
  with directory.open_study(str(tmp_path), 'n', odd, {'t': odd}, RUNS):
    pass
  with writer_lib.PopulationWriter(str(tmp_path), 'p') as writer:
    writer.start()
    writer.append_metrics([{**EVALUATION, 'odd': odd}])
    writer.finish([{**ROW, 'odd': odd}], {}, odd)

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
  assert results.read_runs(str(tmp_path)) == [{**ROW, 'odd': expected}]
  (evaluation,) = results.read_metrics(str(tmp_path))
  assert evaluation == {**EVALUATION, 'odd': expected}
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
  with writer_lib.PopulationWriter(str(tmp_path), 'p') as writer:
    writer.start()
    writer.finish([], arrays, {})
  read = results.read_params(str(tmp_path), 'p')
  assert read.keys() == arrays.keys()
  for name, array in arrays.items():
    assert read[name].dtype == array.dtype
    np.testing.assert_array_equal(read[name], array)
  with writer_lib.PopulationWriter(str(tmp_path), 'q') as writer:
    writer.start()
    with pytest.raises(ValueError, match='allow_pickle'):
      writer.finish([], {'w': np.array([object()])}, {})


def test_populations_are_read_in_the_order_of_their_names(tmp_path):
  _open(tmp_path)
  for name in ('b', 'a'):
    with writer_lib.PopulationWriter(str(tmp_path), name) as writer:
      writer.start()
      writer.append_metrics([{**EVALUATION, 'run': name}])
      writer.finish([{**ROW, 'id': name}], {}, {})
  (tmp_path / 'populations' / '.DS_Store').write_text('')
  with writer_lib.PopulationWriter(str(tmp_path), 'c'):
    pass
  assert [row['id'] for row in results.read_runs(str(tmp_path))] == ['a', 'b']


def test_a_directory_without_runs_says_what_to_do(tmp_path):
  with pytest.raises(results.WorkdirError, match='holds no study'):
    results.read_runs(str(tmp_path))
  _open(tmp_path)
  with pytest.raises(results.WorkdirError, match='no finished runs.*repeat'):
    results.read_runs(str(tmp_path))


@pytest.mark.parametrize('text', ['{"format": 1}', '[]', '{"format": 2}'])
def test_a_study_without_its_fields_is_refused(tmp_path, text):
  (tmp_path / 'study.json').write_text(text)
  with pytest.raises(results.WorkdirError, match='not a study of ours'):
    results.read_study(str(tmp_path))


def test_a_format_of_a_newer_version_is_told_in_one_line(tmp_path):
  _open(tmp_path)
  path = tmp_path / 'study.json'
  study = {**json.loads(path.read_text()), 'format': results.FORMAT + 1}
  path.write_text(json.dumps(study))
  with pytest.raises(
    results.WorkdirError, match='format 3, of a newer'
  ) as info:
    results.read_study(str(tmp_path))
  assert '\n' not in str(info.value) and 'nearest' in str(info.value)


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
  root = pathlib.Path(results.__file__).parents[2]
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


def test_provenance_tells_code_that_trains_apart_whatever_its_version(
  tmp_path, monkeypatch
):
  for name in ('cells', 'report'):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'one.py').write_text('x = 1')
  monkeypatch.setattr(provenance, '_PACKAGE', tmp_path)
  first = provenance.source()
  (tmp_path / 'report' / 'one.py').write_text('x = 2')
  assert provenance.source() == first
  (tmp_path / 'cells' / 'one.py').write_text('x = 2')
  assert provenance.source() != first
  (tmp_path / 'cells' / 'one.py').write_text('x = 1')
  assert provenance.source() == first
  (tmp_path / 'cells' / 'one.py').rename(tmp_path / 'cells' / 'two.py')
  assert provenance.source() != first


@pytest.mark.parametrize(
  'made, words',
  [
    ({'packages': {'lstm-variants': '1.0'}, 'source': 'a'}, '1.0, source a'),
    (
      {'packages': {}, 'commit': '0123456789', 'uncommitted_changes': False},
      'of unknown version, commit 0123456',
    ),
    ({'packages': None, 'commit': None}, 'of unknown version'),
  ],
)
def test_code_is_named_from_what_was_recorded_of_it(made, words):
  assert provenance.code(made) == f'lstm-variants {words}'


def test_results_and_reports_are_read_without_jax():
  code = (
    'import sys, lstm_variants.runs.results, lstm_variants.report.write\n'
    'assert not {"jax", "flax", "optax", "ml_collections"} & set(sys.modules)'
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=pathlib.Path(results.__file__).parents[2],
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == 0, done.stderr


DEEP = '[' * 10_000 + ']' * 10_000
HOSTILE = {
  'deep': DEEP,
  'null': 'null',
  'list': '[1]',
  'text': '"x"',
  'number': '1e999',
  'binary': '\x80\x00',
  'cut': '{"id": "a"',
}


@pytest.mark.parametrize('text', HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
  'name', ['runs.jsonl', 'metrics.jsonl', 'provenance.json', 'study.json']
)
def test_hostile_json_is_refused_in_a_line(tmp_path, name, text):
  _open(tmp_path)
  with writer_lib.PopulationWriter(str(tmp_path), 'p') as writer:
    writer.start()
    writer.append_metrics([EVALUATION])
    writer.finish([ROW], {}, {})
  (path,) = tmp_path.rglob(name)
  path.write_bytes(text.encode('latin-1'))
  with pytest.raises(results.WorkdirError) as error:
    results.read_runs(str(tmp_path))
    results.read_metrics(str(tmp_path))
    results.read_provenance(str(tmp_path))
  message = str(error.value)
  assert name in message and '\n' not in message and len(message) < 500


@pytest.mark.parametrize('name', ROW)
def test_a_row_without_what_readers_need_is_refused(tmp_path, name):
  _open(tmp_path)
  for number, value in enumerate((None, [1], {'seed': 1}, '../../x', 1.5)):
    with writer_lib.PopulationWriter(str(tmp_path), f'p{number}') as writer:
      writer.start()
      writer.finish([{**ROW, name: value}], {}, {})
    try:
      (row,) = results.read_runs(str(tmp_path))
      assert isinstance(row[name], (type(ROW[name]), int | None))
    except results.WorkdirError as error:
      assert f'its {name} is ' in str(error)
    shutil.rmtree(tmp_path / 'populations' / f'p{number}')


def test_a_gigabyte_of_json_is_not_read(tmp_path):
  _open(tmp_path)
  os.truncate(tmp_path / 'study.json', 2**30)
  tracemalloc.start()
  started = time.monotonic()
  try:
    with pytest.raises(results.WorkdirError, match='larger than'):
      results.read_runs(str(tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 150 * 2**20
  finally:
    tracemalloc.stop()
  assert time.monotonic() - started < 2
