"""Run directories that come from anywhere: no reader waits, fails or obeys."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

from matplotlib import figure
import numpy as np
import pytest

from lstm_variants import errors
from lstm_variants.evidence import gallery
from lstm_variants.report import write as report
from lstm_variants.runs import (
  directory,
  files,
  lease,
  lock,
  outcome,
  results,
  status,
  success_times,
)
from lstm_variants.runs import writer as writer_lib
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS
NAMES = ('study.json', 'runs.jsonl', 'metrics.jsonl', 'provenance.json')
# As many programs at once, forked when everything is imported.
RACE = """
import os, sys
from lstm_variants.report import write
children = []
for _ in range(6):
  child = os.fork()
  if not child:
    write.write(sys.argv[1], 'vanilla')
    os._exit(0)
  children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


@pytest.fixture(scope='module')
def study(tmp_path_factory):
  path = tmp_path_factory.mktemp('planted') / 'study'
  fixture.write(path, fixture.example()[:2])
  return path


@pytest.fixture
def copied(study, tmp_path):
  return pathlib.Path(shutil.copytree(study, tmp_path / 'study'))


def _read(workdir: pathlib.Path) -> str:
  """Return what is said of a directory that is read whole; it may not hang."""
  said: list[str] = []
  thread = threading.Thread(
    target=lambda: said.append(_read_all(str(workdir))), daemon=True
  )
  thread.start()
  thread.join(60)
  assert said, 'a reader still waits, or has failed'
  assert '\n' not in said[0]
  return said[0]


def _read_all(workdir: str) -> str:
  """Read everything that is there, as one command or another does."""
  try:
    status.read(workdir)
    results.read_params(workdir, results.populations(workdir)[0])
    outcome.read(workdir)
    report.write(workdir, 'vanilla')
  except (errors.Error, OSError) as error:
    return str(error)
  return ''


@pytest.mark.parametrize('name', [*NAMES, 'params.npz', 'every figure'])
def test_a_pipe_in_place_of_a_file_makes_no_reader_wait(copied, name):
  if name == 'every figure':
    folder = copied / 'figures'
    folder.mkdir()
    runs = results.read_runs(str(copied))
    entry = {'kind': 'gates', 'name': 'a', 'task': ADDING}
    entry |= {'heading': 'h', 'caption': 'c'}
    index = {'runs': gallery.digest(runs), 'drawings': [entry]}
    files.write_json(folder / 'index.json', index)
    for end in ('svg', 'csv'):
      os.mkfifo(folder / f'a.{end}')
    assert _read(copied) == ''
    (folder / 'index.json').unlink()
    os.mkfifo(folder / 'index.json')
    assert _read(copied) == ''
    return
  (path,) = copied.rglob(name)
  path.unlink()
  os.mkfifo(path)
  said = _read(copied)
  assert 'not a regular file' in said


@pytest.mark.parametrize('name', [lease.LEASES, lease.WORKERS])
def test_no_lease_is_looked_for_or_removed_where_a_link_leads(tmp_path, name):
  """All files of that place would be old leases, which are removed."""
  theirs = tmp_path / 'theirs'
  theirs.mkdir()
  for old in (theirs / 'letter', theirs / 'a.lease'):
    old.touch()
    os.utime(old, (1e9, 1e9))
  (tmp_path / 'study').mkdir()
  (tmp_path / 'study' / name).symlink_to(theirs)
  with pytest.raises(files.StorageError, match='is a link to'):
    with lease.join(tmp_path / 'study'):
      raise AssertionError
  lease.refuse_workers(tmp_path / 'study')
  assert {path.name for path in theirs.iterdir()} == {'letter', 'a.lease'}


def test_what_else_lies_beside_the_logs_of_workers_stays(tmp_path):
  (tmp_path / lease.WORKERS).mkdir()
  notes = tmp_path / lease.WORKERS / 'notes.txt'
  notes.touch()
  os.utime(notes, (1e9, 1e9))
  with lease.join(tmp_path):
    pass
  lease.refuse_workers(tmp_path)
  assert notes.exists()


def test_status_waits_for_no_pipe_of_a_population_in_training(copied):
  folder = copied / 'populations' / f'p{results.PARTIAL}'
  (folder / 'checkpoints').mkdir(parents=True)
  for path in (
    *(folder / results.METRICS, copied / lock.NAME),
    folder / 'checkpoints' / '000000100.safetensors',
  ):
    path.unlink(missing_ok=True)
    os.mkfifo(path)
  assert _read(copied) == ''


def _change(path: pathlib.Path, change) -> None:
  """Change the first row of a file of JSON, or of JSON lines."""
  first, *others = path.read_text().splitlines()
  if path.suffix == '.json':
    first, others = path.read_text(), []
  value = json.loads(first)
  change(value)
  path.write_text('\n'.join([json.dumps(value), *others]) + '\n')


def _study_task(**fields):
  return lambda study: study['tasks'][ADDING].update(fields)


PLANTED = [
  *(
    ('provenance.json', lambda row, name=name: row.update({name: ['x']}))
    for name in ('compile_seconds', 'train_seconds', 'packages')
  ),
  ('provenance.json', lambda row: row.update(compile_seconds='3.2')),
  ('provenance.json', lambda row: row.update(devices='cpu', command=7)),
  ('provenance.json', lambda row: row.update(commit=True)),
  ('runs.jsonl', lambda row: row.pop('sequences_to_success')),
  ('runs.jsonl', lambda row: row.pop('seconds_per_update')),
  ('runs.jsonl', lambda row: row.update(sequences=10**400)),
  ('runs.jsonl', lambda row: row.update(model='a\ud800')),
  ('runs.jsonl', lambda row: row['config'].update(seed='\ud800')),
  ('runs.jsonl', lambda row: row['config'].pop('seed')),
  ('runs.jsonl', lambda row: row['config'].update(seed=[1])),
  ('runs.jsonl', lambda row: row['config'].update(training=[1])),
  *(
    ('runs.jsonl', lambda row, x=x: row['config'].update(training=x))
    for x in ({'evaluation_interval': None}, {'success_interval': 'x'})
  ),
  ('runs.jsonl', lambda row: row['config']['model'].update(width='\ud800')),
  ('runs.jsonl', lambda row: row['final'].update(loss=10**400)),
  ('metrics.jsonl', lambda row: row.pop('loss')),
  ('metrics.jsonl', lambda row: row.update(loss='0.5')),
  ('metrics.jsonl', lambda row: row.update(update=0, loss=10**400)),
  ('study.json', _study_task(baselines='loss')),
  ('study.json', _study_task(baselines={'loss': '0.1'})),
  ('study.json', _study_task(published=[{'value': 'x'}])),
  ('study.json', _study_task(published={'a': 1}, summary=['x'])),
  ('study.json', _study_task(summary='\ud800')),
  ('study.json', lambda study: study.update(name='\ud800')),
  ('study.json', lambda study: study.update(modules=[1])),
  ('study.json', lambda study: study.update(modules='os')),
  ('study.json', lambda study: study['config'].update(note='\ud800')),
]


@pytest.mark.parametrize('name, change', PLANTED)
def test_a_planted_type_is_refused_in_a_line_or_does_not_matter(
  copied, name, change
):
  path = next(iter(sorted(copied.rglob(name))))
  _change(path, change)
  try:
    outcome.read(str(copied))
    status.read(str(copied))
    report.write(str(copied), 'vanilla')
  except results.WorkdirError as error:
    assert path.name in str(error) and '\n' not in str(error)
    str(error).encode()
  else:
    for written in ('report.html', 'compare.csv'):
      (copied / written).read_bytes().decode()


def test_runs_that_are_said_to_have_no_update_are_compared_too():
  runs = [
    {
      'config': {'training': {'evaluation_interval': interval}},
      **{'sequences': 8, 'updates': 0},
    }
    for interval in (1, 2)
  ]
  assert success_times.common_step(runs) == 1


def test_a_formula_of_a_planted_model_is_none_in_the_table(copied):
  formula = '=HYPERLINK("http://127.0.0.1:9","open")'
  for path in copied.rglob('runs.jsonl'):
    _change(path, lambda row: row.update(model=formula))
  written = report.write(str(copied), formula)
  with open(written.csv, newline='') as file:
    cells = [cell for row in csv.reader(file) for cell in row]
  assert f"'{formula}" in cells
  assert not [cell for cell in cells if cell.startswith('=')]


def _advice(workdir, name: str) -> str:
  with pytest.raises(results.WorkdirError) as info:
    results.read_runs(str(workdir))
    results.read_provenance(str(workdir))
  assert name in str(info.value)
  return str(info.value)


def test_what_is_damaged_is_to_be_removed_and_nothing_else(copied, monkeypatch):
  (path,) = copied.rglob('runs.jsonl')
  text = path.read_text()
  path.write_text(text[:-9])
  assert f'remove {path.parent} and repeat' in _advice(copied, path.name)
  path.write_text(text)

  def refuse(path, largest=None):
    raise PermissionError(13, 'Permission denied')

  with monkeypatch.context() as patch:
    patch.setattr(files.opening, 'open_file', refuse)
    patch.setattr(results, 'read_study', lambda workdir: {})
    message = _advice(copied, path.name)
  assert 'Permission denied; see to it' in message and 'remove' not in message


def test_a_population_that_is_renamed_meanwhile_is_not_called_damaged(
  copied, monkeypatch
):
  # To be trained longer: between the listing and the reading.
  read = files.read_json_lines

  def renamed(path, sections):
    monkeypatch.setattr(files, 'read_json_lines', read)
    writer_lib.PopulationWriter(str(copied), ADDING).reopen()
    return read(path, sections)

  monkeypatch.setattr(files, 'read_json_lines', renamed)
  message = _advice(copied, 'runs.jsonl')
  assert 'another program works on it' in message and 'remove' not in message


def test_a_directory_that_cannot_be_written_still_shows_its_tables(
  copied, monkeypatch
):
  system_open = os.open

  def refuse(path, flags, *mode, **more):
    if flags & os.O_CREAT:
      raise OSError(30, 'Read-only file system')
    return system_open(path, flags, *mode, **more)

  seen: list = []
  monkeypatch.setattr(files.os, 'open', refuse)
  with pytest.raises(files.StorageError, match='Read-only file system'):
    report.write(
      str(copied), 'vanilla', lambda finished, rows: seen.extend(rows)
    )
  assert [row.model for row in seen] == ['vanilla', 'peephole']


def test_a_report_is_not_written_beside_a_study_that_took_its_place(
  copied, monkeypatch
):
  draw = report.draw

  def overwritten(*arguments):
    old = results.read_study(str(copied))
    with monkeypatch.context() as patch:
      patch.setattr(directory.datetime, 'datetime', _Tomorrow)
      with directory.open_study(
        *(str(copied), 'new', {}, {}, old['runs']),
        mode=directory.Mode.OVERWRITE,
      ):
        pass
    return draw(*arguments)

  monkeypatch.setattr(report, 'draw', overwritten)
  with pytest.raises(results.WorkdirError, match='begun anew meanwhile'):
    report.write(str(copied), 'vanilla')
  assert not (copied / 'report.html').exists()


class _Tomorrow(directory.datetime.datetime):
  @classmethod
  def now(cls, tz=None):
    return super().now(tz) + directory.datetime.timedelta(days=1)


def test_concurrent_reports_all_succeed_and_leave_one_whole(copied):
  racing = subprocess.run(
    [sys.executable, '-c', RACE, str(copied)],
    capture_output=True,
    timeout=200,
    env={**os.environ, 'PYTHONPATH': os.getcwd()},
  )
  assert (racing.returncode, racing.stderr) == (0, b'')
  whole = {p: p.read_bytes() for p in copied.rglob('*') if p.is_file()}
  assert not [path for path in whole if path.suffix in ('.tmp', '.lock')][1:]
  report.write(str(copied), 'vanilla')
  assert {p: p.read_bytes() for p in whole} == whole


def test_params_are_bounded_by_what_the_model_has(copied):
  writer = writer_lib.PopulationWriter(str(copied), 'more')
  with writer:
    writer.start()
    writer.finish([], {'w': np.zeros(2**21, np.float32)}, {})
  assert results.read_params(str(copied), 'more')['w'].shape == (2**21,)
  with pytest.raises(OSError, match='larger than'):
    results.read_params(str(copied), 'more', 2**10)


def test_figures_are_not_written_through_a_link(copied, tmp_path):
  elsewhere = tmp_path / 'elsewhere'
  elsewhere.mkdir()
  (elsewhere / 'kept.tmp').touch()
  shutil.rmtree(copied / 'figures', ignore_errors=True)
  (copied / 'figures').symlink_to(elsewhere)
  before = sorted(copied.iterdir())
  drawn = figure.Figure()
  drawing = gallery.Drawing('survival', ADDING, '', '', '', drawn, ('x',), ())
  for write in (
    lambda: report.write(str(copied), 'vanilla'),
    lambda: gallery.write(str(copied), [drawing], []),
  ):
    with pytest.raises(files.StorageError, match='is a link to .*else'):
      write()
  assert sorted(copied.iterdir()) == before
  assert [path.name for path in elsewhere.iterdir()] == ['kept.tmp']
