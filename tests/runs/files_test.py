"""Files: whole whoever else writes them, read if they are what they are."""

import contextlib
import csv
import io
import os
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any
import zipfile

import numpy as np
import pytest

from lstm_variants import opening
from lstm_variants.runs import arrays, files, lock

# Kinds of files that no reader may open, wait for, or read to an end.
HOSTILE = {
  'pipe': lambda path: os.mkfifo(path),
  'endless': lambda path: path.symlink_to('/dev/zero'),
  'circle': lambda path: path.symlink_to(path.name),
  'directory': lambda path: path.mkdir(),
}


@pytest.fixture(params=HOSTILE)
def hostile(request, tmp_path):
  path = tmp_path / 'file'
  HOSTILE[request.param](path)
  return path


def _in_time(call, *arguments: Any) -> Any:
  """Return what a call raises; it must not take long."""
  raised: list[Any] = []

  def run():
    try:
      raised.append(call(*arguments))
    except Exception as error:
      raised.append(error)

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  thread.join(10)
  assert raised, f'{call} still waits'
  return raised[0]


def test_what_is_no_regular_file_is_refused_at_once(hostile):
  for call in (
    lambda: opening.read(hostile, 10),
    lambda: files.read_json(hostile),
    lambda: list(files.read_json_lines(hostile)),
    lambda: arrays.read(hostile),
  ):
    error = _in_time(call)
    assert isinstance(error, OSError) and '\n' not in str(error)


def test_a_regular_file_is_read_up_to_its_limit(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'12345')
  (tmp_path / 'link').symlink_to(path)
  assert opening.read(tmp_path / 'link', 5) == b'12345'
  with pytest.raises(opening.RefusedError, match='larger than 4 bytes'):
    opening.read(path, 4)
  os.truncate(path, 2**40)  # nothing of it is read
  with pytest.raises(opening.RefusedError, match='larger than'):
    opening.read(path, 2**20)
  # What tells no size has an end, or is cut.
  assert opening.read('/proc/self/stat', 2**16)
  with pytest.raises(opening.RefusedError, match='larger than 3 bytes'):
    opening.read('/proc/self/stat', 3)


def test_two_that_write_a_file_at_once_do_not_harm_each_other(
  tmp_path, monkeypatch
):
  # Staged: a second writer does all of its work inside of the first one's.
  path, sync = tmp_path / 'report.html', files.sync

  def interrupted(file):
    monkeypatch.setattr(files, 'sync', sync)
    files.write(path, b'of the second')
    assert path.read_bytes() == b'of the second'
    sync(file)

  monkeypatch.setattr(files, 'sync', interrupted)
  files.write(path, b'of the first')
  assert path.read_bytes() == b'of the first'
  assert os.listdir(tmp_path) == ['report.html']


_WRITER = """
import pathlib, sys
from lstm_variants.runs import files, lock
path, mark = pathlib.Path(sys.argv[1]), sys.argv[2].encode()
for _ in range(60):
  files.write(path, mark * 4096)
  content = path.read_bytes()
  assert len(content) == 4096 and len(set(content)) == 1, content[:9]
  with lock.hold_report(path.parent):
    index = path.parent / 'index'
    lines = index.read_bytes() if index.exists() else b''
    files.write(index, lines + mark)
"""


def test_processes_that_race_for_a_file_leave_it_whole_and_lose_no_update(
  tmp_path,
):
  racing = [
    subprocess.Popen(
      [sys.executable, '-c', _WRITER, str(tmp_path / 'file'), mark],
      stderr=subprocess.PIPE,
      env={**os.environ, 'PYTHONPATH': os.getcwd()},
    )
    for mark in 'abc'
  ]
  for process in racing:
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
  assert sorted(os.listdir(tmp_path)) == ['file', 'index']
  index = (tmp_path / 'index').read_text()
  assert {mark: index.count(mark) for mark in 'abc'} == dict.fromkeys('abc', 60)


def test_the_lock_of_a_report_is_waited_for_and_not_for_ever(tmp_path):
  with lock.hold_report(tmp_path):
    started = time.monotonic()
    error = _in_time(lambda: _locked(tmp_path, 0.2))
    assert isinstance(error, files.BusyError) and '\n' not in str(error)
    assert 'writing its report' in str(error)
    assert 0.2 <= time.monotonic() - started < 5
  assert _locked(tmp_path, 0.2) is None
  assert os.listdir(tmp_path) == []


def _locked(directory, patience) -> None:
  with lock.hold_report(directory, patience):
    pass


@pytest.mark.parametrize('name', [lock.NAME, lock.REPORT])
def test_a_pipe_in_place_of_a_lock_is_refused_at_once(tmp_path, name):
  os.mkfifo(tmp_path / name)

  def take():
    taken = {
      lock.NAME: lambda: lock.hold(tmp_path, print),
      lock.REPORT: lambda: lock.hold_report(tmp_path),
    }
    with taken[name]():
      pass

  error = _in_time(take)
  assert isinstance(error, files.StorageError) and 'pipe' in str(error)


def test_what_a_killed_writer_left_aside_goes_once_it_is_old(tmp_path):
  path = tmp_path / 'file'
  aside = '0123456789ab.tmp'
  old, young, another, mine = (
    tmp_path / name
    for name in (
      *(f'file.1-{aside}', f'file.2-{aside}', f'another.1-{aside}'),
      'file.backup.tmp',
    )
  )
  for one in (old, young, another, mine):
    one.write_text('half')
  for one in (old, another, mine):
    os.utime(one, (0, 0))
  files.write(path, b'new')
  assert set(tmp_path.iterdir()) == {path, young, another, mine}
  (tmp_path / 'link').symlink_to(tmp_path)
  files.remove_aside(tmp_path / 'link')
  assert young.exists()
  files.remove_aside(tmp_path)
  assert set(os.listdir(tmp_path)) == {'file', 'link'}


def test_a_file_may_have_the_longest_name_that_the_system_takes(tmp_path):
  for name in ('a' * 255, 'ü' * 127):
    files.write(tmp_path / name, b'x')
    assert (tmp_path / name).read_bytes() == b'x'


@pytest.mark.parametrize('held', [False, True])
def test_a_full_disk_names_resume_where_there_is_something_to_go_on_with(
  tmp_path, held
):
  holds = lock.hold(tmp_path, print) if held else contextlib.nullcontext()
  (tmp_path / files.STUDY).write_text('{}')
  with holds, pytest.raises(files.StorageError, match='make room') as info:
    with files.refusals(tmp_path):
      raise OSError(28, 'No space left on device')
  assert ('--resume' in str(info.value)) == held


# Arrays.


def _npz(path: pathlib.Path, **members: np.ndarray) -> None:
  buffer = io.BytesIO()
  np.savez(buffer, allow_pickle=False, **members)
  path.write_bytes(buffer.getvalue())


def test_arrays_come_back_as_numpy_wrote_them(tmp_path):
  path = tmp_path / 'params.npz'
  wanted: dict[str, Any] = {
    'layers/0/kernel': np.arange(24.0).reshape(2, 3, 4),
    'turned': np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    'scalar': np.float64(3.5),
    'nothing': np.zeros((0, 3)),
    'flags': np.array([True, False]),
  }
  _npz(path, **wanted)
  ours = arrays.read(path, sum(np.asarray(a).nbytes for a in wanted.values()))
  with np.load(path) as theirs:
    assert ours.keys() == set(theirs) == wanted.keys()
    for name in wanted:
      assert ours[name].dtype == theirs[name].dtype
      assert ours[name].flags.writeable
      np.testing.assert_array_equal(ours[name], theirs[name])


def _with_header(path: pathlib.Path, header: str, data: bytes = b'') -> None:
  """Write an npz file whose only array is said to be as a header has it."""
  text = header.encode().ljust(118 - 1) + b'\n'
  array = b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text + data
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('w.npy', array)


def _packed(path: pathlib.Path) -> None:
  np.savez_compressed(path, w=np.zeros(2**20))


def _many(path: pathlib.Path) -> None:
  with zipfile.ZipFile(path, 'w') as archive:
    for number in range(10_001):
      archive.writestr(f'{number}.npy', b'')


def _twice(path: pathlib.Path) -> None:
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('w', b'')


_SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }"
_OBJECT = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
BAD = {
  'packed': _packed,
  'vast': lambda path: _with_header(path, _SHAPE % 2**60),
  'negative': lambda path: _with_header(path, _SHAPE % -4, bytes(16)),
  'too short': lambda path: _with_header(path, _SHAPE % 5, bytes(16)),
  'too long': lambda path: _with_header(path, _SHAPE % 3, bytes(16)),
  'object': lambda path: _with_header(path, _OBJECT, bytes(8)),
  'no header': lambda path: _with_header(path, 'import os'),
  'open brackets': lambda path: _with_header(path, '(' * 3000),
  'a deep header': lambda path: _with_header(path, '-' * 9000 + '1'),
  'many': _many,
  'no array': _twice,
  'no zip': lambda path: path.write_bytes(b'PK\3\4' + bytes(100)),
  'empty': lambda path: path.write_bytes(b''),
}


@pytest.mark.parametrize('kind', BAD)
def test_arrays_that_are_not_ours_are_refused_in_a_line(tmp_path, kind):
  path = tmp_path / 'params.npz'
  BAD[kind](path)
  with pytest.raises((files.DamagedError, OSError)) as info:
    arrays.read(path, 2**20)
  assert '\n' not in str(info.value) and len(str(info.value)) < 300


def test_more_arrays_than_a_model_has_are_not_read(tmp_path):
  path = tmp_path / 'params.npz'
  _npz(path, w=np.zeros(2**20))
  assert arrays.read(path)['w'].shape == (2**20,)
  with pytest.raises(OSError, match='larger than'):
    arrays.read(path, 2**20)


# Texts.


def test_a_text_that_a_spreadsheet_would_execute_is_none_in_csv():
  cells = ['=HYPERLINK("http://x")', '+1+1', '-2+3', '@SUM(A1)', '\t=1', 'a=b']
  numbers = [-1.5, '-1.5', '+inf', 3, '']
  text = files.csv_text(('one', 'two'), [cells, numbers])
  _, words, values = csv.reader(io.StringIO(text, newline=''))
  assert words == [*(f"'{cell}" for cell in cells[:-1]), 'a=b']
  assert values == [str(number) for number in numbers]


def test_halves_of_characters_can_be_written():
  assert files.encode('a\ud800b\udce9ü') == 'a?b?ü'.encode()
