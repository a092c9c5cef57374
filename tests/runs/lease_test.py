"""Who trains a population: one process, and the next when that has ended."""

import contextlib
import errno
import json
import os
import pathlib
import subprocess
import sys
import time
import types

import pytest

from lstm_variants.runs import (
  checkpoint,
  directory,
  exclusive,
  files,
  holder,
  lease,
  lock,
  partial,
  results,
)
from lstm_variants.runs import writer as writer_lib

NAME = 'adding-T8_lstm5_0a1b2c3d'
TOKEN = '0123456789abcdef'
# As a process of another machine would write it.
ELSEWHERE = holder.Holder(
  *('elsewhere', 123, '2026-01-01T00:00:00+00:00', 'another-boot'),
  *('pid:[7]', '99', TOKEN),
)
SECONDS = 60.0


@pytest.fixture
def worker(tmp_path):
  """This process as a worker of a study."""
  with lease.join(tmp_path) as worker:
    yield worker


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
  """Run a program that needs no jax, and so starts at once."""
  program = (
    'import os, pathlib, sys\n'
    'from lstm_variants.runs import exclusive, files, holder, lease\n'
    f'directory = pathlib.Path(sys.argv[1])\n{code}'
  )
  command = [sys.executable, '-c', program, *arguments]
  return subprocess.run(command, capture_output=True, text=True)


def _put(workdir: pathlib.Path, who: holder.Holder, age: float = 0) -> None:
  """Leave the lease of another process, renewed some seconds ago."""
  path = workdir / lease.LEASES / NAME
  facts = {'seconds': SECONDS, 'log': 'its.log'}
  path.write_bytes(who.line() + json.dumps(facts).encode())
  now = path.stat().st_mtime
  os.utime(path, (now - age, now - age))


def _refused(worker: lease.Worker) -> str:
  with pytest.raises(lease.TakenError) as caught:
    with worker.claim(NAME):
      raise AssertionError
  return str(caught.value)


def test_one_process_has_a_population_and_gives_it_back(tmp_path, worker):
  code = (
    'with lease.join(directory) as worker, worker.claim(sys.argv[2]):\n'
    '  print("has it")'
  )
  with worker.claim(NAME) as ours:
    ours.check()
    other = _run(code, str(tmp_path), NAME)
    assert other.returncode and 'has it' not in other.stdout
    assert f'{NAME}: is trained by process {os.getpid()}' in other.stderr
    assert f'process {os.getpid()}' in _refused(worker)  # nor twice in one
    ours.check()
  after = _run(code, str(tmp_path), NAME)
  assert (after.returncode, after.stdout) == (0, 'has it\n')
  assert not os.listdir(tmp_path / lease.LEASES)
  assert len(os.listdir(tmp_path / lease.WORKERS)) == 1


@pytest.mark.parametrize('name', ['', "holder.socket.gethostname = 'x'.upper"])
def test_what_a_killed_process_had_is_taken_over_at_once(
  tmp_path, worker, name
):
  ended = _run(
    f'{name}\nwith lease.join(directory) as worker, worker.claim(sys.argv[2]):'
    '\n  os.kill(os.getpid(), 9)',
    *(str(tmp_path), NAME),
  )
  assert ended.returncode == -9, ended.stderr
  assert os.listdir(tmp_path / lease.LEASES) == [NAME]
  with worker.claim(NAME):
    pass
  assert not os.listdir(tmp_path / lease.LEASES)


def test_a_lease_of_elsewhere_ends_by_the_clock_of_the_file_system(
  tmp_path, worker, monkeypatch
):
  monkeypatch.setattr(time, 'time', lambda: 4e9)  # ours is wrong
  _put(tmp_path, ELSEWHERE, SECONDS - 5)
  assert '123 on elsewhere, since 2026' in _refused(worker)
  _put(tmp_path, ELSEWHERE, SECONDS + 5)
  with worker.claim(NAME) as ours:
    ours.check()
  _put(tmp_path, ELSEWHERE, -SECONDS - 5)  # that clock was set back
  with worker.claim(NAME):
    pass


@pytest.mark.parametrize(
  'who, age, seconds',
  [
    (ELSEWHERE, SECONDS - 5, 5.0),
    (ELSEWHERE, 5 - SECONDS, 5.0),  # its clock was set back
    (holder.describe(), 0.0, 0.0),  # should it end, that is seen at once
  ],
)
def test_who_is_refused_is_told_for_how_long(
  tmp_path, worker, who, age, seconds
):
  _put(tmp_path, who, age)
  with pytest.raises(lease.TakenError) as refused, worker.claim(NAME):
    raise AssertionError
  assert refused.value.seconds == pytest.approx(seconds, abs=0.5)


def test_a_process_of_this_machine_that_sleeps_too_long_loses_its_lease(
  tmp_path, worker
):
  here = holder.describe()  # it lives
  _put(tmp_path, here, SECONDS - 5)
  _refused(worker)
  _put(tmp_path, here, SECONDS + 5)
  with worker.claim(NAME):
    pass


def test_a_lease_is_renewed_until_it_is_given_back(
  tmp_path, worker, monkeypatch
):
  monkeypatch.setenv(lease.SECONDS_VARIABLE, '0.06')
  with worker.claim(NAME):
    counts: set[int] = set()
    while len(counts) < 3:
      seen = exclusive.look(tmp_path / lease.LEASES / NAME)
      assert seen and seen.holder
      counts.add(seen.holder.renewed)


@pytest.mark.parametrize('content', [b'', b'x', b'a b c\n{}', b'\0' * 9999])
def test_a_lease_that_tells_nobody_ends_in_its_time(tmp_path, worker, content):
  path = tmp_path / lease.LEASES / NAME
  path.write_bytes(content)
  assert 'an unknown host' in _refused(worker)
  os.utime(path, (1e9, 1e9))
  with worker.claim(NAME):
    pass


def test_no_lock_of_the_system_is_asked(tmp_path, monkeypatch):
  def flock(*unused):
    raise AssertionError

  monkeypatch.setattr(exclusive.fcntl, 'flock', flock)
  with lease.join(tmp_path) as worker:
    _put(tmp_path, ELSEWHERE, SECONDS + 5)
    with worker.claim(NAME):
      _refused(worker)


# A round: everybody wants a population whose lease has ended, at one moment.
RACE = """
import json, multiprocessing, os
TAKERS, ROUNDS = 6, int(sys.argv[3])

def link(*unused):
  raise OSError(1, 'Operation not permitted')

if sys.argv[2] == 'no links':
  os.link = link

def take(start, end, ends):
  with lease.join(directory) as worker:
    for number in range(ROUNDS):
      start.wait()
      try:
        with worker.claim(str(number)) as ours:
          ends.put((number, True))
          end.wait()
          ours.check()
      except lease.TakenError:
        ends.put((number, False))
        end.wait()

(directory / 'leases').mkdir()
for number in range(ROUNDS):
  dead = holder.describe()._replace(start='1')
  (directory / 'leases' / str(number)).write_bytes(dead.line())
context = multiprocessing.get_context('fork')
start, end = context.Barrier(TAKERS), context.Barrier(TAKERS)
ends = context.Queue()
takers = [
  context.Process(target=take, args=(start, end, ends), daemon=True)
  for _ in range(TAKERS)
]
for taker in takers:
  taker.start()
wins = [0] * ROUNDS
for _ in range(ROUNDS * TAKERS):
  number, won = ends.get(timeout=60)
  wins[number] += won
for taker in takers:
  taker.join()
print(json.dumps([wins, os.listdir(directory / 'leases')]))
"""


@pytest.mark.parametrize('kind, rounds', [('links', 30), ('no links', 8)])
def test_of_those_who_take_over_at_once_one_does(tmp_path, kind, rounds):
  done = _run(RACE, str(tmp_path), kind, str(rounds))
  assert json.loads(done.stdout) == [[1] * rounds, []], done.stderr


def _begin(writer: writer_lib.PopulationWriter, update: int) -> None:
  """Train a population so far, and save."""
  writer.adopt()
  writer.start()
  writer.append_metrics([{'run': 'a', 'update': update}])
  _save(writer, update)


def _save(writer: writer_lib.PopulationWriter, update: int) -> None:
  writer.sync()
  progress = checkpoint.Progress(
    update, 1.0, writer.metrics_bytes, writer.metrics_sha256, 'me'
  )
  place = writer.partial / partial.CHECKPOINTS
  checkpoint.save(place, 'who', {}, progress, 2)


def _resume(writer: writer_lib.PopulationWriter) -> int:
  """Go on from the newest checkpoint, as `training.resume` does."""
  writer.adopt()
  saved = checkpoint.load(
    writer.partial / partial.CHECKPOINTS,
    'who',
    checkpoint.Expected({}, lambda arrays: arrays, 0),
  )
  assert saved
  progress = saved[1]
  writer.resume(progress.metrics_bytes, progress.metrics_sha256)
  return progress.update


def _snapshot(path: pathlib.Path) -> dict[str, bytes]:
  return {
    str(file.relative_to(path)): file.read_bytes()
    for file in sorted(path.rglob('*'))
    if file.is_file()
  }


def test_who_slept_through_his_lease_writes_into_nothing(tmp_path, worker):
  """Even where it does not ask: the system has no such place any more."""
  with contextlib.ExitStack() as stack:
    slept = stack.enter_context(worker.claim(NAME))
    zombie = writer_lib.PopulationWriter(str(tmp_path), NAME, slept)
    _begin(stack.enter_context(zombie), 10)
    os.utime(tmp_path / lease.LEASES / NAME, (1e9, 1e9))
    ours = stack.enter_context(worker.claim(NAME))
    writer = writer_lib.PopulationWriter(str(tmp_path), NAME, ours)
    stack.enter_context(writer)
    assert _resume(writer) == 10
    before = _snapshot(writer.partial)
    for write in (
      lambda: zombie.append_metrics([{'run': 'zombie'}]),
      zombie.sync,
      lambda: _save(zombie, 20),
      lambda: zombie.finish([], {}, {}),
      zombie.adopt,
      zombie.reopen,
      zombie.start,
    ):
      with pytest.raises(lease.LostError, match='taken over by process') as why:
        write()
      assert why.value.exit_status == 5 and '\n' not in str(why.value)
    # Between its last question and the call of the system it slept again.
    zombie.check = lambda: None
    zombie.append_metrics([{'run': 'zombie'}])  # into a file without a name
    for write in (
      lambda: _save(zombie, 20),
      lambda: zombie.resume(0, ''),
      lambda: zombie.finish([], {}, {}),
    ):
      with pytest.raises((files.StorageError, files.DamagedError)):
        write()
    again = writer_lib.PopulationWriter(str(tmp_path), NAME, slept)
    again.check = lambda: None
    stack.enter_context(again)
    again.start()  # a directory that does not count
    assert again.partial.is_dir()
    assert _snapshot(writer.partial) == before
    assert partial.begun(tmp_path) == {NAME: writer.partial}
    writer.append_metrics([{'run': 'a', 'update': 20}])
    _save(writer, 20)
    writer.finish([], {}, {})
    assert not partial.begun(tmp_path)
  assert results.populations(str(tmp_path)) == [NAME]
  rows = (tmp_path / 'populations' / NAME / 'metrics.jsonl').read_text()
  assert [json.loads(row)['update'] for row in rows.splitlines()] == [10, 20]


def test_a_finished_population_stays_so_whoever_wakes_to_train_it_longer(
  tmp_path, worker, monkeypatch
):
  with worker.claim(NAME) as first:
    writer = writer_lib.PopulationWriter(str(tmp_path), NAME, first)
    with writer:
      _begin(writer, 10)
      writer.finish([], {}, {})
  before = _snapshot(tmp_path / 'populations')
  with worker.claim(NAME) as slept:
    zombie = writer_lib.PopulationWriter(str(tmp_path), NAME, slept)
    replace = os.replace

    def late(*names):
      """It slept just before the call, and another one took it over."""
      monkeypatch.undo()
      os.utime(tmp_path / lease.LEASES / NAME, (1e9, 1e9))
      with worker.claim(NAME):
        replace(*names)

    monkeypatch.setattr(os, 'replace', late)
    with pytest.raises(lease.LostError):
      zombie.reopen()
  assert _snapshot(tmp_path / 'populations') == before


# Of the system, in a take-over that change something.
CALLS = 6


@pytest.mark.parametrize('call', range(CALLS + 1))
def test_a_take_over_that_is_killed_at_any_call_is_done_by_the_next(
  tmp_path, worker, monkeypatch, call
):
  with worker.claim(NAME) as first:
    writer = writer_lib.PopulationWriter(str(tmp_path), NAME, first)
    with writer:
      _begin(writer, 10)
  empty = partial.place(tmp_path, NAME, TOKEN)  # of a zombie
  empty.mkdir()
  calls = {'left': call}

  class Killed(BaseException):
    pass

  def counted(function):
    def wrapped(*arguments, **options):
      calls['left'] -= 1
      if calls['left'] < 0:
        raise Killed
      return function(*arguments, **options)

    return wrapped

  for name in ('rename', 'replace', 'unlink', 'rmdir', 'fsync'):
    monkeypatch.setattr(os, name, counted(getattr(os, name)))
  with contextlib.suppress(Killed):
    partial.adopt(partial.place(tmp_path, NAME, 'f' * 16))
  assert (calls['left'] < 0) == (call < CALLS)
  monkeypatch.undo()
  with worker.claim(NAME) as ours:
    writer = writer_lib.PopulationWriter(str(tmp_path), NAME, ours)
    with writer:
      assert _resume(writer) == 10
      assert (writer.partial / 'metrics.jsonl').read_text().count('\n') == 1
    folders = os.listdir(tmp_path / 'populations')
    assert folders == [writer.partial.name]
    assert not list(writer.partial.rglob('*.tmp'))


def test_the_newest_checkpoint_counts_and_what_is_finished_most(tmp_path):
  folder = tmp_path / 'populations'
  for token, update in (('', 3), (TOKEN, 20), ('f' * 16, 10)):
    saved = partial.place(tmp_path, NAME, token) / partial.CHECKPOINTS
    saved.mkdir(parents=True)
    (saved / f'{update:09}.safetensors').touch()
  newest = partial.place(tmp_path, NAME, TOKEN)
  assert partial.begun(tmp_path) == {NAME: newest}
  assert results.populations(str(tmp_path)) == [NAME]
  own = partial.place(tmp_path, NAME, '')
  partial.adopt(own)
  assert os.listdir(folder) == [own.name]
  assert checkpoint.newest_update(own / partial.CHECKPOINTS) == 20
  newest.mkdir()
  (folder / NAME).mkdir()
  assert partial.begun(tmp_path) == {}
  partial.adopt(partial.place(tmp_path, NAME, 'e' * 16))
  assert os.listdir(folder) == [NAME]


RUNS = [{'seed': 0, 'training': {'updates': 5}}]
JOIN = """
import json, multiprocessing, time
from lstm_variants.runs import directory

def join(start, seen):
  start.wait()
  with directory.join_study(str(directory_path), 'x', {}, {}, [{'seed': 0}]):
    there = os.stat(directory_path / 'study.json')
    seen.put((there.st_ino, there.st_mtime_ns))
    start.wait()

directory_path = pathlib.Path(sys.argv[1]) / 'study'
context = multiprocessing.get_context('fork')
start, seen = context.Barrier(5), context.Queue()
joiners = [context.Process(target=join, args=(start, seen)) for _ in range(5)]
for joiner in joiners:
  joiner.start()
print(len({seen.get(timeout=60) for _ in joiners}))
for joiner in joiners:
  joiner.join()
  assert not joiner.exitcode
"""


def test_joins_at_once_begin_one_study(tmp_path):
  done = _run(JOIN, str(tmp_path))
  assert done.stdout == '1\n', done.stderr
  left = {path.name for path in (tmp_path / 'study').iterdir()}
  assert left == {'study.json', 'populations', 'leases', 'workers'}


def _join(path, runs=RUNS, more=types.MappingProxyType({})):
  """Join a study; one that grows, with `more`."""
  return directory.join_study(str(path), 'x', {}, {}, runs, more=more)


def _open(path, mode, runs=RUNS):
  return directory.open_study(str(path), 'x', {}, {}, runs, mode)


@pytest.mark.parametrize('has', ['workers', 'leases'])
@pytest.mark.parametrize('mode', ['RESUME', 'OVERWRITE'])
def test_who_trains_the_whole_study_and_who_share_it_refuse_each_other(
  tmp_path, mode, has
):
  mode = directory.Mode[mode]
  with _join(tmp_path) as worker, worker.claim(NAME):
    gone = {'workers': lease.LEASES, 'leases': lease.WORKERS}[has]
    for path in (tmp_path / gone).iterdir():
      path.unlink()
    with pytest.raises(files.BusyError, match='train here with --share') as why:
      with _open(tmp_path, mode):
        raise AssertionError
    assert why.value.exit_status == 5
  with _open(tmp_path, mode):
    with pytest.raises(files.BusyError, match='is training here; wait for it'):
      with _join(tmp_path):
        raise AssertionError
  with _join(tmp_path), _join(tmp_path):
    pass


def test_who_was_counted_out_takes_no_lease(tmp_path):
  with _join(tmp_path) as slept:
    (path,) = (tmp_path / lease.WORKERS).iterdir()
    os.utime(path, (1e9, 1e9))
    with _open(tmp_path, directory.Mode.RESUME):
      with pytest.raises(lease.LostError):
        with slept.claim(NAME):
          raise AssertionError
      assert not list((tmp_path / lease.LEASES).iterdir())


@pytest.mark.parametrize('more', [{}, {'parts': [1]}])
@pytest.mark.parametrize('is_begun', [True, False])
def test_a_study_is_read_while_nobody_waits_for_who_reads_it(
  tmp_path, monkeypatch, is_begun, more
):
  """It may have a hundred thousand runs, and a thousand may join it."""
  read, hold = results.read_study, lock.hold_join
  is_read = []

  def read_study(workdir):
    assert not (tmp_path / lock.JOIN).exists()
    is_read.append(True)
    return read(workdir)

  def begin_first(path):
    monkeypatch.setattr(lock, 'hold_join', hold)
    with _join(tmp_path, more=more):
      pass
    return hold(path)

  monkeypatch.setattr(results, 'read_study', read_study)
  if is_begun:
    with _join(tmp_path, more=more):
      pass
  else:
    monkeypatch.setattr(lock, 'hold_join', begin_first)
  with _join(tmp_path, more=more) as worker:
    worker.check()
  assert is_read


def test_a_study_that_changed_as_one_came_is_looked_at_again(
  tmp_path, monkeypatch
):
  longer = [{'seed': 0, 'training': {'updates': 9}}]
  hold = lock.hold_join
  with _join(tmp_path):
    pass
  with contextlib.ExitStack() as stack:

    def change_first(path):
      monkeypatch.setattr(lock, 'hold_join', hold)
      stack.enter_context(_join(tmp_path, longer))
      return hold(path)

    monkeypatch.setattr(lock, 'hold_join', change_first)
    with pytest.raises(directory.ResumeError, match='updates: 9 before, 5 now'):
      with _join(tmp_path):
        raise AssertionError


def test_a_study_that_changes_all_the_time_is_looked_at_under_its_lock(
  tmp_path, monkeypatch
):
  hold, changes = lock.hold_join, []
  with _join(tmp_path, more={'parts': [1]}):
    pass

  def change_first(path):
    changes.append(None)
    os.utime(path / files.STUDY, (0, len(changes)))
    return hold(path)

  monkeypatch.setattr(lock, 'hold_join', change_first)
  with _join(tmp_path, more={'parts': [1]}) as worker:
    worker.check()
  assert len(changes) == directory._TRIES + 1


def test_who_joins_trains_as_long_as_the_others(tmp_path):
  longer = [{'seed': 0, 'training': {'updates': 9}}]
  with _join(tmp_path):
    with pytest.raises(directory.ResumeError, match='updates: 5 before, 9 now'):
      with _join(tmp_path, longer):
        raise AssertionError
    with pytest.raises(directory.ResumeError, match='--share needs the same'):
      with _join(tmp_path, [{'seed': 1}]):
        raise AssertionError
  with _join(tmp_path, longer):
    assert results.read_study(str(tmp_path))['runs'] == longer


def test_reports_are_written_while_others_train(tmp_path):
  with _join(tmp_path) as worker, worker.claim(NAME) as ours:
    with lock.hold_report(tmp_path, 0.1):
      ours.check()


def test_what_the_system_refuses_is_no_lease(tmp_path, worker, monkeypatch):
  def fsync(*unused):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', fsync)
  with pytest.raises(files.StorageError, match='No space left'):
    with worker.claim(NAME):
      raise AssertionError
  monkeypatch.undo()
  assert not os.listdir(tmp_path / lease.LEASES)
