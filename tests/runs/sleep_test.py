"""A process that sleeps between two looks, for longer than it may, and wakes.

The laptop was closed, the node hung. Here nobody sleeps: what others do
meanwhile is done in the middle of a call of the system.
"""

from collections.abc import Callable
import contextlib
import errno
import io
import itertools
import json
import os
import pathlib
import threading
import time
from typing import Any

import pytest

from lstm_variants import opening
from lstm_variants.runs import (
  checkpoint,
  directory,
  exclusive,
  files,
  holder,
  lease,
  lock,
  partial,
  record,
  results,
  status,
)
from lstm_variants.runs import writer as writer_lib

NAME = 'adding-T8_lstm5_0a1b2c3d'
TOKEN = '0123456789abcdef'
# As a process of another machine would write it.
ELSEWHERE = holder.Holder(
  *('elsewhere', 123, '2026-01-01T00:00:00+00:00', 'another-boot'),
  *('pid:[7]', '99', TOKEN),
)
ENDED = holder.describe()._replace(start='1')
SECONDS = 60.0
RUNS = [{'seed': 0, 'training': {'updates': 5}}]
LONGER = [{'seed': 0, 'training': {'updates': 9}}]


@pytest.fixture
def worker(tmp_path):
  """This process as a worker of a study."""
  with lease.join(tmp_path) as worker:
    yield worker


def _write(path: pathlib.Path, who: holder.Holder, age: float = 0) -> None:
  """Write a file of another process into what is there, or anew."""
  facts = {'seconds': SECONDS, 'log': ''}
  path.touch()
  with open(path, 'r+b') as file:
    file.write(who.line() + json.dumps(facts).encode())
  now = time.time()
  os.utime(path, (now - age, now - age))


def _put(path: pathlib.Path, who: holder.Holder) -> None:
  """Put a file of another process into a place, by a rename as that does."""
  aside = path.with_name('other.tmp')
  _write(aside, who)
  os.rename(aside, path)


def _before(monkeypatch, owner: Any, name: str, do: Callable[..., Any]) -> None:
  """Have something done just before the next call of a function."""
  call = getattr(owner, name)

  def late(*arguments: Any, **options: Any) -> Any:
    monkeypatch.setattr(owner, name, call)
    do(*arguments)
    return call(*arguments, **options)

  monkeypatch.setattr(owner, name, late)


def _is_of(path: pathlib.Path, who: holder.Holder) -> bool:
  seen = exclusive.look(path)
  return seen is not None and seen.holder == who


def test_who_wakes_renews_what_he_has_at_once(tmp_path, worker, monkeypatch):
  monkeypatch.setattr(exclusive, '_GLANCE', 0.001)
  clock = time.time
  with worker.claim(NAME):
    path = tmp_path / lease.LEASES / NAME
    first = exclusive.look(path)
    assert first and first.holder and not first.holder.renewed
    monkeypatch.setattr(time, 'time', lambda: clock() + 2 * lease.length())
    end = time.monotonic() + 10  # half of what it would take without
    while _is_of(path, first.holder):
      assert time.monotonic() < end
      time.sleep(0.001)


def test_what_was_renewed_since_one_looked_is_not_taken_over(
  tmp_path, worker, monkeypatch
):
  path = tmp_path / lease.LEASES / NAME
  renewed = ELSEWHERE._replace(renewed=7)
  _write(path, ELSEWHERE, SECONDS + 5)
  has_ended, judged = lease._has_ended, []

  def late(*arguments):
    result = has_ended(*arguments)
    judged.append(result)
    if len(judged) == 2:  # the first time to be refused without a file
      _write(path, renewed)
    return result

  monkeypatch.setattr(lease, '_has_ended', late)
  with pytest.raises(lease.TakenError):
    with worker.claim(NAME):
      raise AssertionError
  assert judged == [True, True] and _is_of(path, renewed)


@pytest.mark.parametrize('is_done', [True, False])
def test_who_sleeps_with_the_right_to_replace_a_lease_loses_it(
  tmp_path, worker, monkeypatch, is_done
):
  path = tmp_path / lease.LEASES / NAME
  winner = ELSEWHERE._replace(token='f' * 16)
  _write(path, ENDED)

  def other(right, path):
    """Take the right over, and use it, or be about to."""
    _put(right, winner)
    if is_done:
      os.rename(right, path)

  _before(monkeypatch, os, 'replace', other)
  with pytest.raises(lease.TakenError, match='123 on elsewhere'):
    with worker.claim(NAME):
      raise AssertionError
  assert os.listdir(path.parent) == [NAME] and _is_of(path, winner)


def test_a_right_that_is_another_s_by_now_is_not_removed(
  tmp_path, worker, monkeypatch
):
  path = tmp_path / lease.LEASES / NAME
  _write(path, ENDED)
  right = path.with_name(f'{NAME}.{ENDED.token}')

  def other(*unused):
    """Renew the lease, and have another one take the right."""
    _write(path, ELSEWHERE)
    _put(right, ELSEWHERE)

  look, looks = exclusive.look, []

  def late(*arguments, **options):
    looks.append(arguments)
    # To be refused at once; what is in the way; what one would replace.
    if len(looks) == 3:
      other()
    return look(*arguments, **options)

  monkeypatch.setattr(exclusive, 'look', late)
  with pytest.raises(lease.TakenError):
    with worker.claim(NAME):
      raise AssertionError
  assert _is_of(right, ELSEWHERE) and _is_of(path, ELSEWHERE)


def test_a_link_of_which_the_server_says_that_it_was_there_is_one_s_own(
  worker, monkeypatch
):
  """As NFS does where it is asked again, as its answer was lost."""
  link = os.link

  def twice(*names):
    link(*names)
    link(*names)

  monkeypatch.setattr(os, 'link', twice)
  with worker.claim(NAME) as ours:
    ours.check()


def _remember_clock(folder: pathlib.Path) -> None:
  """Have looked at the clock of a file system, and slept since."""
  lease._clocks[folder] = time.time() - 10 * SECONDS, time.monotonic()


def test_a_clock_of_before_one_slept_ends_no_lease(tmp_path, worker):
  path = tmp_path / lease.LEASES / NAME
  _write(path, ELSEWHERE)
  _remember_clock(path.parent)
  with pytest.raises(lease.TakenError):
    with worker.claim(NAME):
      raise AssertionError


@pytest.mark.parametrize('folder', [lease.WORKERS, lease.LEASES])
@pytest.mark.parametrize('trouble', ['our clock', 'old clock', 'late'])
def test_who_lives_is_counted_whatever_the_clocks_say_and_whoever_sleeps(
  tmp_path, monkeypatch, folder, trouble
):
  path = tmp_path / folder / 'one.lease'
  path.parent.mkdir()
  _write(path, ELSEWHERE)
  if trouble == 'our clock':
    monkeypatch.setattr(time, 'time', lambda: 4e9)
  elif trouble == 'old clock':
    _remember_clock(path.parent)
  else:  # it slept behind its look at the clock; meanwhile one was renewed
    now, counts = lease._now, itertools.count(1)

    def slept(*arguments, **options):
      clock = now(*arguments, **options)
      _write(path, ELSEWHERE._replace(renewed=next(counts)), -10 * SECONDS)
      return clock

    monkeypatch.setattr(lease, '_now', slept)
  assert lease.has_workers(tmp_path)
  with pytest.raises(files.BusyError, match='123 on elsewhere'):
    lease.refuse_workers(tmp_path)
  assert path.exists()


def test_who_joins_is_refused_by_the_clock_of_the_file_system(
  tmp_path, monkeypatch
):
  with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS):
    monkeypatch.setattr(time, 'time', lambda: 4e9)
    with pytest.raises(directory.ResumeError, match='others train it now'):
      with directory.join_study(str(tmp_path), 'x', {}, {}, LONGER):
        raise AssertionError


def test_who_joins_counts_out_whom_nobody_has_heard_of_for_long(tmp_path):
  with lease.join(tmp_path) as slept:
    (path,) = (tmp_path / lease.WORKERS).iterdir()
    now = path.stat().st_mtime
    os.utime(path, (now - 3 * lease.length(), now - 3 * lease.length()))
    with lease.join(tmp_path), slept.claim(NAME):
      pass
    os.utime(path, (1e9, 1e9))
    with lease.join(tmp_path):
      with pytest.raises(lease.LostError):
        slept.check()


def test_who_joins_to_train_otherwise_counts_out_who_sleeps(tmp_path):
  """When it wakes it would go on in the old way."""
  with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS) as slept:
    (path,) = (tmp_path / lease.WORKERS).iterdir()
    age = time.time() - 3 * lease.length()
    os.utime(path, (age, age))
    with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS):
      os.utime(path)  # not by one who trains as it does
      slept.check()
      with pytest.raises(directory.ResumeError, match='others train it now'):
        with directory.join_study(str(tmp_path), 'x', {}, {}, LONGER):
          raise AssertionError
    os.utime(path, (age, age))
    with directory.join_study(str(tmp_path), 'x', {}, {}, LONGER):
      with pytest.raises(lease.LostError):
        with slept.claim(NAME):
          raise AssertionError


@pytest.mark.parametrize('folder', [lease.WORKERS, lease.LEASES])
def test_who_is_refused_counts_nobody_out(tmp_path, folder):
  """Who sleeps goes on when it wakes: no other conduct began meanwhile."""
  with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS) as slept:
    (path,) = (tmp_path / lease.WORKERS).iterdir()
    age = time.time() - 3 * lease.length()
    os.utime(path, (age, age))
    _write(tmp_path / folder / f'other{lease.SUFFIX}', ELSEWHERE)
    with pytest.raises(files.BusyError, match='train here with --share'):
      with _alone(tmp_path):
        raise AssertionError
    slept.check()


def test_who_joins_waits_for_who_is_refused(tmp_path, monkeypatch):
  """It asks for long where there are thousands of leases."""
  waits, joined = threading.Event(), []

  def join():
    try:
      with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS):
        joined.append(True)
    finally:
      waits.set()

  with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS):
    late = threading.Thread(target=join)
    sleep = time.sleep
    monkeypatch.setattr(
      lock.time, 'sleep', lambda seconds: waits.set() or sleep(0.001)
    )

    def meanwhile(path):
      late.start()
      assert waits.wait(10) and not joined

    _before(monkeypatch, lease, 'refuse_workers', meanwhile)
    with pytest.raises(files.BusyError, match='train here with --share'):
      with _alone(tmp_path):
        raise AssertionError
    late.join()
  assert joined
  with _alone(tmp_path), lock.hold_join(tmp_path, 0):
    pass  # it trains: who joins is refused at once


def _alone(workdir: pathlib.Path) -> contextlib.AbstractContextManager[None]:
  mode = directory.Mode.RESUME
  return directory.open_study(str(workdir), 'x', {}, {}, RUNS, mode)


def test_the_right_to_replace_a_lease_is_no_lease(tmp_path, worker):
  """As whoever was killed with it leaves it behind."""
  with directory.open_study(str(tmp_path / 'study'), 'x', {}, {}, RUNS):
    pass
  folder = tmp_path / 'study' / lease.LEASES
  folder.mkdir()
  lives = folder / f'{NAME}.{TOKEN}'
  _write(lives, holder.describe())
  ended = [
    folder / f'{NAME}.{TOKEN}.{"f" * 16}',
    folder / f'{NAME}.8a1-18b2f0c3d4e5f607',  # of a file that tells nobody
  ]
  for path in ended:
    _write(path, ENDED)
  assert not lease.leases(tmp_path / 'study')
  assert not status.read(str(tmp_path / 'study')).training
  with lease.join(tmp_path / 'study'):
    assert [*folder.iterdir()] == [lives]


def _lose(path: pathlib.Path) -> None:
  """Have another process take a lock or a lease."""
  _put(path, ELSEWHERE)


@pytest.mark.parametrize('mode', ['RESUME', 'OVERWRITE'])
def test_a_study_is_changed_by_nobody_who_has_lost_it(
  tmp_path, monkeypatch, mode
):
  mode = directory.Mode[mode]
  with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS):
    (tmp_path / 'compare.csv').touch()
  before = (tmp_path / files.STUDY).read_bytes()
  _before(
    *(monkeypatch, lease, 'refuse_workers'),
    lambda path: _lose(path / lock.NAME),
  )
  with pytest.raises(files.StorageError, match='taken over by another'):
    with directory.open_study(str(tmp_path), 'x', {}, {}, LONGER, mode):
      raise AssertionError
  assert (tmp_path / files.STUDY).read_bytes() == before
  assert (tmp_path / 'compare.csv').exists()


def test_a_study_does_not_grow_by_who_lost_it_while_its_file_was_synced(
  tmp_path, monkeypatch
):
  more = {'parts': []}
  with directory.open_study(str(tmp_path), 'x', {}, {}, [], more=more):
    before = {
      path: path.read_bytes()
      for path in tmp_path.iterdir()
      if path.name == files.STUDY
    }
    _before(
      *(monkeypatch, files, 'sync'), lambda file: _lose(tmp_path / lock.NAME)
    )
    with pytest.raises(files.StorageError, match='taken over by another'):
      directory.grow(str(tmp_path), RUNS, record.NEW, {'parts': [1]})
  (tmp_path / lock.NAME).unlink()
  after = {path for path in tmp_path.iterdir() if path.is_file()}
  assert {path: path.read_bytes() for path in after} == before


def test_who_wakes_renames_nothing_that_others_have_begun_since(
  tmp_path, monkeypatch
):
  """They train it, and would write into nothing."""
  with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS):
    pass
  theirs = partial.place(tmp_path, NAME, TOKEN)

  def other(*unused):
    _lose(tmp_path / lock.NAME)
    theirs.mkdir()

  _before(monkeypatch, partial, 'rename_all', other)
  mode = directory.Mode.RESUME
  with pytest.raises(lock.LostError):
    with directory.open_study(str(tmp_path), 'x', {}, {}, LONGER, mode):
      raise AssertionError
  assert [*theirs.parent.iterdir()] == [theirs]


def test_who_has_a_study_looks_at_what_its_server_has(tmp_path, monkeypatch):
  """Another host may have had it until a moment ago."""
  with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS):
    pass
  asked: list[str] = []
  monkeypatch.setattr(os, 'utime', lambda path: asked.append(path.name))
  mode, seen = directory.Mode.RESUME, []
  with directory.open_study(
    *(str(tmp_path), 'x', {}, {}, RUNS, mode), lambda: seen.extend(asked)
  ):
    assert {*seen} >= {partial.POPULATIONS, results.GENERATIONS}


def test_a_lock_that_another_host_removes_as_one_reads_it_is_nobody_s(
  tmp_path, monkeypatch
):
  """As NFS says it where many come at once."""
  path = tmp_path / lock.JOIN
  _write(path, ELSEWHERE)

  def gone(*unused):
    path.unlink()
    raise OSError(errno.ESTALE, 'Stale file handle')

  monkeypatch.setattr(lock, '_holder', lambda path: None)
  _before(monkeypatch, os, 'read', gone)
  with lock.hold_join(tmp_path):
    seen = exclusive.look(path)
    assert seen and seen.holder and seen.holder.process == os.getpid()


def test_a_lock_that_another_host_has_replaced_is_lost(tmp_path, monkeypatch):
  def is_at(*unused):
    raise OSError(errno.ESTALE, 'Stale file handle')

  with lock.hold(tmp_path, print):
    with monkeypatch.context() as nfs, pytest.raises(lock.LostError):
      nfs.setattr(exclusive.Own, 'is_at', is_at)
      lock.check(tmp_path)


@pytest.mark.parametrize('life', [holder.Life.LIVES, holder.Life.ENDED])
def test_who_has_lost_a_study_before_he_was_counted_looks_again(
  tmp_path, monkeypatch, capsys, life
):
  """Who trains it alone has looked for workers, and seen none."""
  with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS):
    pass

  def lose(path):
    _lose(path / lock.NAME)
    lease.refuse_workers(path)

  _before(monkeypatch, lease, 'join', lose)
  monkeypatch.setattr(lock, '_wait', lambda *unused: life)
  joined = directory.join_study(str(tmp_path), 'x', {}, {}, RUNS)
  if life is holder.Life.LIVES:
    with pytest.raises(files.BusyError) as refused, joined:
      raise AssertionError
    assert refused.value.exit_status == 5
    assert not os.listdir(tmp_path / lease.WORKERS)
  else:
    with joined as worker:
      worker.check()
      assert len(os.listdir(tmp_path / lease.WORKERS)) == 1
  assert 'taken over by another process' in capsys.readouterr().err


@pytest.mark.parametrize('point', ['counted', 'writing'])
def test_who_sleeps_while_he_joins_looks_again(
  tmp_path, monkeypatch, capsys, point
):
  """A lone sweep comes meanwhile, and removes what this one was making."""
  with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS):
    pass
  name = '_names' if point == 'counted' else 'replace'
  owner: Any = lease if point == 'counted' else os
  call, folder = getattr(owner, name), tmp_path / lease.WORKERS

  def late(*arguments):
    path = pathlib.Path(arguments[-1])
    counted = path == folder and any(folder.glob('*.lease'))
    if counted or path.name == files.STUDY:
      monkeypatch.setattr(owner, name, call)
      _lose(tmp_path / lock.NAME)
      files.remove_where(folder, lambda entry: True)
      files.remove_aside(tmp_path, files.STUDY)
    return call(*arguments)

  monkeypatch.setattr(owner, name, late)
  monkeypatch.setattr(lock, '_wait', lambda *unused: holder.Life.ENDED)
  with directory.join_study(str(tmp_path), 'x', {}, {}, LONGER) as worker:
    worker.check()
  assert results.read_study(str(tmp_path))['runs'] == LONGER
  assert 'looking again' in capsys.readouterr().err


def test_who_loses_a_study_again_and_again_ends(tmp_path, monkeypatch):
  """As on a file system that gives a file another number at each look."""
  monkeypatch.setattr(exclusive.Own, 'has', lambda *unused: False)
  with pytest.raises(lock.LostError):
    with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS):
      raise AssertionError


@pytest.mark.parametrize(
  ('owner', 'name'),
  [(lock, 'hold_report'), (directory, '_remove'), (os, 'replace')],
)
def test_a_study_is_cleared_by_nobody_who_lost_it_while_he_waited(
  tmp_path, monkeypatch, owner, name
):
  with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS):
    (tmp_path / 'compare.csv').touch()
  _before(
    *(monkeypatch, owner, name), lambda *unused: _lose(tmp_path / lock.NAME)
  )
  mode = directory.Mode.OVERWRITE
  with pytest.raises(files.StorageError, match='taken over by another'):
    with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS, mode):
      raise AssertionError
  assert (tmp_path / 'compare.csv').exists()


def _train(writer: writer_lib.PopulationWriter, update: int) -> None:
  """Train a population so far, and save."""
  writer.start()
  writer.append_metrics([{'run': 'a', 'update': update}])
  writer.sync()
  _save(writer.partial, update, writer.metrics_bytes, writer.metrics_sha256)


def _save(folder: pathlib.Path, update: int, size=0, sha256='') -> None:
  progress = checkpoint.Progress(update, 1.0, size, sha256, 'me')
  checkpoint.save(folder / partial.CHECKPOINTS, 'who', {}, progress, 2)


def _update(folder: pathlib.Path) -> int:
  return checkpoint.newest_update(folder / partial.CHECKPOINTS)


def test_a_directory_is_taken_from_nobody_who_has_it_since_one_looked(
  tmp_path, worker, monkeypatch
):
  with contextlib.ExitStack() as stack:
    slept = stack.enter_context(worker.claim(NAME))
    zombie = writer_lib.PopulationWriter(str(tmp_path), NAME, slept)
    taken: list[writer_lib.PopulationWriter] = []

    def other(*unused):
      os.utime(tmp_path / lease.LEASES / NAME, (1e9, 1e9))
      ours = stack.enter_context(worker.claim(NAME))
      writer = writer_lib.PopulationWriter(str(tmp_path), NAME, ours)
      _train(stack.enter_context(writer), 10)
      taken.append(writer)

    _before(monkeypatch, partial, '_all', other)
    with pytest.raises(lease.LostError):
      zombie.adopt()
    (writer,) = taken
    assert _update(writer.partial) == 10
    assert [*(tmp_path / partial.POPULATIONS).iterdir()] == [writer.partial]


def test_a_directory_that_was_renamed_by_who_woke_is_looked_for_again(
  tmp_path, monkeypatch
):
  woken = partial.place(tmp_path, NAME, 'e' * 16)
  before = partial.place(tmp_path, NAME, TOKEN)
  before.mkdir(parents=True)
  _save(before, 20)
  rename = os.rename
  _before(monkeypatch, os, 'rename', lambda *names: rename(before, woken))
  own = partial.place(tmp_path, NAME, 'f' * 16)
  partial.adopt(own)
  assert [*(tmp_path / partial.POPULATIONS).iterdir()] == [own]
  assert _update(own) == 20


def test_what_is_gone_on_with_has_the_newest_checkpoint_of_its_server(
  tmp_path, monkeypatch
):
  """NFS lists for up to a minute what there was, and the other is removed."""
  one, two = (partial.place(tmp_path, NAME, end * 16) for end in 'ef')
  for folder, update in (one, 20), (two, 10):
    folder.mkdir(parents=True)
    _save(folder, update)
  remembered, newest_first = (
    {one / partial.CHECKPOINTS},
    checkpoint._newest_first,
  )
  monkeypatch.setattr(os, 'utime', remembered.discard)
  monkeypatch.setattr(
    *(checkpoint, '_newest_first'),
    lambda folder: [] if folder in remembered else newest_first(folder),
  )
  own = partial.place(tmp_path, NAME, TOKEN)
  partial.adopt(own)
  assert _update(own) == 20


def test_checkpoints_that_are_renamed_as_one_looks_are_none(
  tmp_path, monkeypatch
):
  place = partial.place(tmp_path, NAME, TOKEN)
  place.mkdir(parents=True)
  _save(place, 20)
  newest_first = checkpoint._newest_first

  def late(folder):
    os.rename(place, tmp_path / 'woken')
    return newest_first(folder)

  monkeypatch.setattr(checkpoint, '_newest_first', late)
  assert partial.begun(tmp_path) == {NAME: place}


def test_who_goes_on_has_a_file_of_rows_that_nobody_else_has_open(tmp_path):
  """Of those who had the whole study all have a directory of one name."""
  slept = writer_lib.PopulationWriter(str(tmp_path), NAME)
  with slept, writer_lib.PopulationWriter(str(tmp_path), NAME) as writer:
    _train(slept, 10)
    slept.append_metrics([{'run': 'slept', 'update': 11}])
    size = slept.metrics_bytes
    row = (writer.partial / results.METRICS).read_bytes().splitlines(True)[0]
    sha256 = writer_lib.hashlib.sha256(row).hexdigest()
    assert writer.resume(len(row), sha256) == size - len(row)
    slept.append_metrics([{'run': 'slept', 'update': 12}])
    writer.append_metrics([{'run': 'a', 'update': 11}])
    rows = [*files.read_json_lines(writer.partial / results.METRICS)]
  assert rows == [{'run': 'a', 'update': update} for update in (10, 11)]


def test_a_finished_population_is_put_back_by_who_has_lost_the_study(
  tmp_path, monkeypatch
):
  with lock.hold(tmp_path, print):
    writer = writer_lib.PopulationWriter(str(tmp_path), NAME)
    with writer:
      _train(writer, 10)
      writer.finish([], {}, {})
    _before(
      *(monkeypatch, os, 'replace'), lambda *names: _lose(tmp_path / lock.NAME)
    )
    with pytest.raises(files.StorageError, match='taken over by another'):
      writer.reopen()
  assert writer.final.is_dir() and not writer.partial.exists()


def test_nothing_is_finished_by_who_lost_the_study_while_rows_were_synced(
  tmp_path, monkeypatch
):
  with lock.hold(tmp_path, print):
    writer = writer_lib.PopulationWriter(str(tmp_path), NAME)
    with writer:
      _train(writer, 8)
      sync = files.sync

      def late(file):
        sync(file)
        if file is writer._metrics:
          _lose(tmp_path / lock.NAME)

      monkeypatch.setattr(files, 'sync', late)
      with pytest.raises(files.StorageError, match='taken over by another'):
        writer.finish([], {}, {})
  assert not writer.final.exists() and writer.partial.is_dir()


def test_who_slept_before_his_last_rename_finishes_nothing_of_another(
  tmp_path, monkeypatch
):
  """The other one has the study for itself, and goes on after the update 8."""
  replace, writers = os.replace, []

  def late(source, target):
    if target == slept.final and not writers:
      exclusive.held.pop(tmp_path / lock.NAME)
      (tmp_path / lock.NAME).unlink()
      stack.enter_context(lock.hold(tmp_path, print))
      writer = writer_lib.PopulationWriter(str(tmp_path), NAME)
      writers.append(stack.enter_context(writer))
      writer.adopt()
      writer.resume(size, sha256)
    return replace(source, target)

  with lock.hold(tmp_path, print), contextlib.ExitStack() as stack:
    slept = writer_lib.PopulationWriter(str(tmp_path), NAME)
    stack.enter_context(slept)
    _train(slept, 8)
    size, sha256 = slept.metrics_bytes, slept.metrics_sha256
    slept.append_metrics([{'run': 'a', 'update': 16}])
    monkeypatch.setattr(os, 'replace', late)
    with pytest.raises(files.StorageError, match='No such file'):
      slept.finish([], {}, {})
    (writer,) = writers
    assert not writer.final.exists()
    assert partial.begun(tmp_path) == {NAME: writer.partial}
    writer.append_metrics([{'run': 'a', 'update': 16}])
    writer.finish([], {}, {})
  rows = files.read_json_lines(writer.final / results.METRICS)
  assert [row['update'] for row in rows] == [8, 16]


def test_who_has_the_whole_study_goes_on_with_a_directory_without_a_token(
  tmp_path,
):
  """As versions before had it."""
  with writer_lib.PopulationWriter(str(tmp_path), NAME) as before:
    _train(before, 8)
  assert before.partial.name == f'{NAME}{partial.SUFFIX}'
  with lock.hold(tmp_path, print):
    with writer_lib.PopulationWriter(str(tmp_path), NAME) as writer:
      writer.adopt()
      assert writer.partial != before.partial and _update(writer.partial) == 8
  assert partial.begun(tmp_path) == {NAME: writer.partial}


@pytest.mark.parametrize(
  'error', [FileNotFoundError(), files.StorageError('x'), files.DamagedError()]
)
def test_what_fails_since_the_population_was_lost_is_told_as_that(
  tmp_path, worker, error
):
  with pytest.raises(lease.LostError) as caught:
    with worker.claim(NAME):
      _lose(tmp_path / lease.LEASES / NAME)
      raise error
  assert caught.value.exit_status == 5
  (tmp_path / lease.LEASES / NAME).unlink()
  with pytest.raises(type(error)):
    with worker.claim(NAME):
      raise error


def test_a_file_system_that_does_not_answer_takes_no_lease_and_hides_none(
  tmp_path, worker, monkeypatch
):
  path = tmp_path / lease.LEASES / NAME

  def refuse(number):
    def is_at(*unused):
      raise OSError(number, os.strerror(number))

    monkeypatch.setattr(exclusive.Own, 'is_at', is_at)

  with worker.claim(NAME) as ours:
    for number in (errno.EIO, errno.ETIMEDOUT):
      refuse(number)
      ours.check()
    refuse(errno.EACCES)
    with pytest.raises(files.StorageError, match='Permission denied'):
      ours.check()
    _lose(path)
    refuse(errno.ESTALE)
    with pytest.raises(lease.LostError, match='taken over by process 123'):
      ours.check()
    monkeypatch.undo()
    with pytest.raises(lease.LostError, match='taken over by process 123'):
      ours.check()
    path.unlink()
    with pytest.raises(lease.LostError, match='had it meanwhile, or it was re'):
      ours.check()


def test_a_file_that_another_host_replaces_as_one_reads_it_is_read(
  tmp_path, monkeypatch
):
  """It was opened, and is gone when NFS is asked what it holds."""
  with directory.open_study(str(tmp_path), 'x', {}, {}, RUNS):
    pass
  open_file, opened = opening.open_file, []

  class Gone(io.BytesIO):
    def read(self, *unused):
      raise OSError(errno.ESTALE, 'Stale file handle')

    readline = fileno = read

  def late(path, *arguments):
    opened.append(path)
    return Gone() if len(opened) == 1 else open_file(path, *arguments)

  monkeypatch.setattr(opening, 'open_file', late)
  assert results.read_study(str(tmp_path))['runs'] == RUNS
  del opened[:]
  assert files.read_json(tmp_path / files.STUDY)['runs'] == RUNS


@pytest.mark.parametrize('code', [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_what_was_finished_stays_so_while_the_file_system_does_not_answer(
  tmp_path, monkeypatch, code
):
  (tmp_path / partial.POPULATIONS / NAME).mkdir(parents=True)
  before = partial.finished(tmp_path)
  assert before == {NAME}

  def fails(path):
    raise OSError(code, os.strerror(code))

  monkeypatch.setattr(partial.os, 'listdir', fails)
  assert partial.finished(tmp_path, before) == before
  with pytest.raises(files.StorageError, match=os.strerror(code)):
    partial.finished(tmp_path)  # who joins is not to think that nothing is
  code = errno.EACCES
  with pytest.raises(files.StorageError, match='Permission denied'):
    partial.finished(tmp_path, before)


@pytest.mark.parametrize('name', ['scandir', 'open'])
@pytest.mark.parametrize('code', [errno.EIO, errno.ETIMEDOUT, errno.EACCES])
@pytest.mark.parametrize(
  'ask', [lease.refuse_workers, lease.has_workers], ids=['alone', 'otherwise']
)
def test_who_is_not_shown_by_the_file_system_is_not_taken_for_nobody(
  tmp_path, worker, monkeypatch, ask, code, name
):
  """He trains, and others would train the same, or clear it."""
  call = getattr(os, name)

  def fails(path, *arguments):
    if lease.WORKERS in str(path):
      raise OSError(code, os.strerror(code), str(path))
    return call(path, *arguments)

  monkeypatch.setattr(os, name, fails)
  with pytest.raises(files.StorageError, match=os.strerror(code)) as caught:
    ask(tmp_path)
  assert caught.value.exit_status == 6
  place = tmp_path / lease.WORKERS
  if name == 'open':
    (place,) = place.iterdir()
  said = f'{place}: does not tell who trains here: {os.strerror(code)}; '
  assert str(caught.value).startswith(said)
  if name == 'scandir':
    with lease.join(tmp_path):  # who joins harms nobody
      pass


def test_who_has_joined_since_this_host_looked_is_not_taken_for_nobody(
  tmp_path, worker, monkeypatch
):
  """NFS tells for up to a minute what a directory had, unless it changes."""
  changed, utime, scandir = set(), os.utime, os.scandir

  def changes(path, *arguments):
    changed.add(pathlib.Path(path))
    utime(path, *arguments)

  def lists(path):
    return scandir(path if path in changed else tmp_path / lease.LEASES)

  monkeypatch.setattr(os, 'utime', changes)
  monkeypatch.setattr(os, 'scandir', lists)
  assert lease.has_workers(tmp_path)
  changed.clear()
  with pytest.raises(files.BusyError, match='train here with --share'):
    lease.refuse_workers(tmp_path)


def test_what_others_have_trained_until_now_is_looked_at_when_they_have_ended(
  tmp_path,
):
  """It may be more than who joins to train it otherwise has seen."""
  with directory.open_study(str(tmp_path), 'x', {}, {}, LONGER):
    pass
  sleeps = tmp_path / lease.WORKERS / f'who{lease.SUFFIX}'
  sleeps.parent.mkdir()
  _write(sleeps, ELSEWHERE, SECONDS + 5)
  looks: list[bool] = []

  def check_kept():
    looks.append(bool(lock.token(tmp_path)))
    if looks[-1]:
      raise directory.ResumeError('is at update 9')

  before = (tmp_path / files.STUDY).read_bytes()
  with pytest.raises(directory.ResumeError, match='is at update 9'):
    with directory.join_study(str(tmp_path), 'x', {}, {}, RUNS, check_kept):
      raise AssertionError
  assert looks == [False, True]
  assert (tmp_path / files.STUDY).read_bytes() == before
  assert sleeps.exists()  # who is refused counts nobody out
