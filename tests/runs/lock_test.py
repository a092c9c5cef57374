"""Who writes to a directory: one process, and the next when that has ended."""

import contextlib
import errno
import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

from lstm_variants.runs import exclusive, files, holder, lock

TOKEN = '0123456789abcdef'
# As a process of another place would write it: no flock reaches from there.
ELSEWHERE = lock.Holder(
  *('elsewhere', 123, '2026-01-01T00:00:00+00:00', 'another-boot'),
  *('pid:[7]', '99', TOKEN),
)


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
  """Run a program that needs no jax, and so starts at once."""
  program = (
    'import os, pathlib, sys\n'
    'from lstm_variants.runs import exclusive, holder, lock\n'
    f'directory = pathlib.Path(sys.argv[1])\n{code}'
  )
  command = [sys.executable, '-c', program, *arguments]
  return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def no_flock(monkeypatch) -> None:
  """Have a file system that knows no flock."""

  def flock(*unused):
    raise OSError(errno.ENOLCK, 'No locks available')

  monkeypatch.setattr(exclusive.fcntl, 'flock', flock)


@pytest.fixture
def short(monkeypatch) -> None:
  """Let a lease last for a moment."""
  for name, seconds in (('_LEASE', 0.4), ('_BEAT', 0.02), ('_LOOK', 0.05)):
    monkeypatch.setattr(lock, name, seconds)


def _put(directory: pathlib.Path, holder: lock.Holder) -> None:
  (directory / lock.NAME).write_bytes(holder.line())


def _refused(directory: pathlib.Path) -> str:
  with pytest.raises(files.BusyError) as caught:
    with lock.hold(directory, print):
      raise AssertionError
  assert caught.value.exit_status == 5
  return str(caught.value)


def test_only_one_process_trains_in_a_directory(tmp_path):
  code = 'with lock.hold(directory, print): pass'
  with lock.hold(tmp_path, print):
    other = _run(code, str(tmp_path))
    assert other.returncode
    assert f'process {os.getpid()} on {socket.gethostname()}' in other.stderr
    assert 'is training here; wait for it' in other.stderr
    assert 'is training here' in _refused(tmp_path)  # nor twice in a process
    assert len(list(tmp_path.iterdir())) == 1
  after = _run(code, str(tmp_path))
  assert (after.returncode, after.stdout) == (0, '')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'container',
  ['', "holder.socket.gethostname = lambda: 'a2f0'\n", None],
  ids=['at home', 'under another name', 'with numbers of its own'],
)
def test_what_a_killed_process_held_is_taken_over_at_once(tmp_path, container):
  """A container that is started again has another name, maybe our number."""
  if container is None:
    container = (
      'describe = holder.describe\n'
      'holder.describe = lambda: describe()._replace('
      f"host='a2f0', space='pid:[7]', process={os.getpid()})\n"
    )
  ended = _run(
    f'{container}with lock.hold(directory, print):\n  os.kill(os.getpid(), 9)',
    str(tmp_path),
  )
  assert ended.returncode == -9 and not ended.stderr
  notices: list[str] = []
  with lock.hold(tmp_path, notices.append):
    (notice,) = notices
    assert f'{tmp_path}: taken over from process' in notice
    assert notice.endswith(', which has ended') and ',,' not in notice
  assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('no_flock')
def test_where_no_flock_is_the_number_and_the_start_of_a_process_tell(tmp_path):
  here = holder.describe()
  _put(tmp_path, here._replace(start='1'))  # another one had the number
  assert lock.holder(tmp_path)[1] is lock.Life.ENDED
  with lock.hold(tmp_path, print):
    assert lock.holder(tmp_path)[1] is lock.Life.LIVES
    assert 'wait for it' in _refused(tmp_path)


def test_a_process_that_nobody_has_waited_for_has_ended(tmp_path):
  ended = subprocess.Popen([sys.executable, '-c', ''])
  here = holder.describe()
  start = ''
  while not start:  # until it is a zombie
    path = pathlib.Path(f'/proc/{ended.pid}/stat')
    state, *facts = path.read_text().rpartition(')')[2].split()
    start = facts[18] if state == 'Z' else ''
  _put(tmp_path, here._replace(process=ended.pid, start=start))
  assert lock.holder(tmp_path)[1] is lock.Life.ENDED
  ended.wait()


@pytest.mark.usefixtures('short')
def test_what_shows_no_life_elsewhere_is_taken_over_after_its_lease(tmp_path):
  _put(tmp_path, ELSEWHERE)
  # Whatever the clocks of the two say.
  os.utime(tmp_path / lock.NAME, (4e9, 4e9))
  assert lock.holder(tmp_path) == (ELSEWHERE, lock.Life.UNKNOWN)
  notices: list[str] = []
  with lock.hold(tmp_path, notices.append):
    waits, taken = notices
    assert 'on elsewhere, since 2026' in waits and '0.4 s for a sign' in waits
    assert taken.endswith('which has ended')
    mine, life = lock.holder(tmp_path)
    assert mine and mine.process == os.getpid() and life is lock.Life.LIVES


@pytest.mark.usefixtures('short', 'no_flock')
def test_what_lives_elsewhere_is_left_to_it(tmp_path, monkeypatch):
  with contextlib.ExitStack() as elsewhere:
    with monkeypatch.context() as patch:
      patch.setattr(holder, 'describe', lambda: ELSEWHERE)
      elsewhere.enter_context(lock.hold(tmp_path, print))
    assert '123 on elsewhere, since 2026' in _refused(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_process_that_slept_too_long_does_not_write(tmp_path):
  with lock.hold(tmp_path, print):
    lock.check(tmp_path)
    (tmp_path / 'taken').write_bytes(ELSEWHERE.line())
    os.replace(tmp_path / 'taken', tmp_path / lock.NAME)
    with pytest.raises(files.StorageError, match='taken over by another'):
      lock.check(tmp_path)
  # Nor does it remove what is another's.
  assert (tmp_path / lock.NAME).read_bytes() == ELSEWHERE.line()


def test_a_lock_that_was_removed_under_its_holder_no_longer_holds(tmp_path):
  with lock.hold(tmp_path, print):
    (tmp_path / lock.NAME).unlink()  # whoever took it over has given it back
    with pytest.raises(lock.LostError, match='made anew'):
      lock.check(tmp_path)
    (tmp_path / lock.NAME).touch()
    with pytest.raises(lock.LostError, match='made anew'):
      lock.check(tmp_path)
    os.rename(tmp_path, tmp_path.with_name('moved'))
    with pytest.raises(files.StorageError, match='No such file'):
      lock.check(tmp_path)
  lock.check(tmp_path)  # it is not ours: nothing to say


# A round: everybody wants a lock whose process has ended, at the same moment;
# who gets it has it until all others were refused. `stage` makes what is there.
RACE = """
import errno, json, multiprocessing
from lstm_variants.runs import files

TAKERS, ROUNDS = 6, int(sys.argv[3])
kind = sys.argv[2]

def flock(*unused):
  raise OSError(errno.ENOLCK, 'No locks available')

def link(*unused):
  raise OSError(errno.EPERM, 'Operation not permitted')

if kind != 'flock':
  exclusive.fcntl.flock = flock
if kind == 'no links':
  os.link = link
dead = holder.describe()._replace(start='1', token='0123456789abcdef')

def take(place, start, end, ends):
  for number in range(ROUNDS):
    start.wait()
    try:
      with lock.hold(place / str(number), lambda notice: None):
        ends.put((number, True))
        end.wait()
        lock.check(place / str(number))
    except files.BusyError:
      ends.put((number, False))
      end.wait()

context = multiprocessing.get_context('fork')
start, end = context.Barrier(TAKERS), context.Barrier(TAKERS)
ends = context.Queue()
for number in range(ROUNDS):
  place = directory / str(number)
  place.mkdir()
  (place / '.lock').write_bytes(dead.line())
  if number % 2:  # who was about to take it over was killed
    token = 'fedcba9876543210'
    right = place / '.lock.0123456789abcdef'
    right.write_bytes(dead._replace(token=token).line())
takers = [
  context.Process(target=take, args=(directory, start, end, ends), daemon=True)
  for _ in range(TAKERS)
]
for taker in takers:
  taker.start()
wins = [0] * ROUNDS
for _ in range(ROUNDS * TAKERS):
  number, won = ends.get(timeout=20)
  wins[number] += won
for taker in takers:
  taker.join()
left = [str(path) for path in directory.glob('*/*')]
print(json.dumps([wins, left]))
"""


@pytest.mark.parametrize(
  'kind, rounds', [('flock', 40), ('no flock', 40), ('no links', 8)]
)
def test_of_those_who_take_over_at_once_one_does(tmp_path, kind, rounds):
  done = _run(RACE, str(tmp_path), kind, str(rounds))
  wins, left = json.loads(done.stdout)
  assert wins == [1] * rounds, done.stderr
  assert left == []


@pytest.mark.usefixtures('no_flock')
@pytest.mark.parametrize('ends', [False, True])
def test_who_comes_too_late_to_take_over_leaves_the_new_lock(
  tmp_path, monkeypatch, ends
):
  """It has seen that the process has ended; before it acts another one does."""
  _put(tmp_path, holder.describe()._replace(start='1', token=TOKEN))
  has_ended, first = lock._has_ended, itertools.count()
  other = contextlib.ExitStack()

  def late(notice, path, seen):
    result = has_ended(notice, path, seen)
    if not next(first):
      other.enter_context(lock.hold(tmp_path, print))
      if ends:
        other.close()
    return result

  monkeypatch.setattr(lock, '_has_ended', late)
  if ends:
    with lock.hold(tmp_path, print):
      assert len(list(tmp_path.iterdir())) == 1
  else:
    with other:
      assert f'process {os.getpid()}' in _refused(tmp_path)
      lock.check(tmp_path)
      assert len(list(tmp_path.iterdir())) == 1


def test_who_is_refused_in_the_same_process_takes_nothing_from_who_trains(
  tmp_path,
):
  with lock.hold(tmp_path, print):
    with pytest.raises(files.BusyError):
      with lock.hold(tmp_path, print):
        pass
    lock.check(tmp_path)
    (tmp_path / lock.NAME).unlink()
    (tmp_path / lock.NAME).touch()
    with pytest.raises(files.StorageError, match='taken over'):
      lock.check(tmp_path)


def test_a_lock_is_renewed_until_it_is_given_back(tmp_path, monkeypatch):
  monkeypatch.setattr(lock, '_BEAT', 0.01)
  before = threading.active_count()
  with lock.hold(tmp_path, print):
    counts: set[int] = set()
    while len(counts) < 3:
      who, _ = lock.holder(tmp_path)
      assert who
      counts.add(who.renewed)
  assert threading.active_count() == before


def test_locks_of_earlier_versions_are_read(tmp_path):
  here, since = socket.gethostname(), '2026-01-01T00:00:00+00:00'
  path = tmp_path / lock.NAME
  path.write_text(f'elsewhere 123 {since}\n')
  assert '123 on elsewhere, since 2026' in _refused(tmp_path)
  assert f'if it is not, remove {path}' in _refused(tmp_path)
  assert path.read_text() == f'elsewhere 123 {since}\n'
  # The system's lock tells of one of this host.
  path.write_text(f'{here} {os.getpid()} {since}\n')
  with lock.hold(tmp_path, print):
    pass
  # And they read ours: three words.
  assert len(ELSEWHERE.line().split()) == 3
  assert holder.parse(ELSEWHERE.line()) == ELSEWHERE


@pytest.mark.parametrize(
  'content',
  [
    *(b'', b'x', b'a b c', b'\0' * 9, b'\xff\xfe', b'x' * 5000),
    # A digit, and no number.
    *('a ² c'.encode(), ELSEWHERE.line().replace(b'0\n', '²\n'.encode())),
    # What a planted one names is no path.
    ELSEWHERE._replace(token='../../../etc').line(),
  ],
)
def test_a_lock_that_tells_nothing_does_not_matter(tmp_path, content):
  (tmp_path / lock.NAME).write_bytes(content)
  notices: list[str] = []
  with lock.hold(tmp_path, notices.append):
    assert str(os.getpid()) in (tmp_path / lock.NAME).read_text()
  assert notices == [] and not list(tmp_path.iterdir())


def test_an_error_inside_the_lock_is_not_the_lock_s(tmp_path):
  with pytest.raises(FileNotFoundError):
    with lock.hold(tmp_path, print):
      open(tmp_path / 'nothing')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('kind', ['link', 'pipe', 'directory'])
def test_what_is_no_file_in_place_of_the_lock_is_refused(tmp_path, kind):
  (tmp_path / 'victim').write_text('mine')
  path = tmp_path / lock.NAME
  if kind == 'link':
    path.symlink_to(tmp_path / 'victim')
  elif kind == 'pipe':
    os.mkfifo(path)
  else:
    path.mkdir()
  assert lock.holder(tmp_path) == (None, lock.Life.ENDED)
  with pytest.raises(files.StorageError):
    with lock.hold(tmp_path, print):
      raise AssertionError
  assert (tmp_path / 'victim').read_text() == 'mine'
  assert {each.name for each in tmp_path.iterdir()} == {lock.NAME, 'victim'}


@pytest.mark.usefixtures('no_flock')
def test_a_report_is_written_by_one_also_where_no_flock_is(tmp_path):
  with lock.hold(tmp_path, print), lock.hold_report(tmp_path):
    with pytest.raises(files.BusyError, match='has been writing its report'):
      with lock.hold_report(tmp_path, 0.1):
        raise AssertionError
    # Training goes on, and each is given back by itself.
    lock.check(tmp_path)
  assert not list(tmp_path.iterdir())


def test_one_among_others_waits_for_who_asks_to_train_alone(
  tmp_path, monkeypatch
):
  asks = contextlib.ExitStack()
  asks.enter_context(lock.hold(tmp_path, print))
  with pytest.raises(files.BusyError, match='asking to train it alone for 0 s'):
    with lock.hold_among(tmp_path, print, 0):
      raise AssertionError
  monkeypatch.setattr(lock.time, 'sleep', lambda seconds: asks.close())
  with lock.hold_among(tmp_path, print):
    lock.check(tmp_path)
    with pytest.raises(files.BusyError, match='has been joining it for 0 s'):
      with lock.hold_join(tmp_path, 0):
        raise AssertionError
  assert not list(tmp_path.iterdir())


def test_who_waits_makes_no_file_and_looks_seldom(tmp_path, monkeypatch):
  pauses: list[float] = []
  stack = contextlib.ExitStack()
  stack.enter_context(lock.hold_join(tmp_path))
  there = [*tmp_path.iterdir()]

  def sleep(seconds):
    pauses.append(seconds)
    if len(pauses) == 20:
      stack.close()

  def make(*unused, **options):
    assert len(pauses) == 20 and not there[0].exists()
    return own(*unused, **options)

  own = exclusive.Own
  monkeypatch.setattr(exclusive, 'Own', make)
  monkeypatch.setattr(lock.time, 'sleep', sleep)
  with lock.hold_join(tmp_path):
    pass
  assert pauses[0] <= 0.05 and max(pauses) <= 1 < sum(pauses[-3:])
  assert len(set(pauses)) == 20  # not all who wait at once


def test_who_has_ended_is_seen_where_its_number_is_that_of_another(
  tmp_path, monkeypatch
):
  """As where the system does not say when a process began: no /proc."""
  monkeypatch.setattr(holder, '_start', lambda process: '')
  ended = holder.describe()._replace(start='', boot='')
  (tmp_path / lock.JOIN).write_bytes(ended.line())
  monkeypatch.setattr(lock.time, 'sleep', lambda seconds: pytest.fail())
  with lock.hold_join(tmp_path):
    pass


def test_without_patience_a_lock_of_another_host_is_not_waited_for(
  tmp_path, monkeypatch
):
  there = holder.describe()._replace(host='far', boot='x', start='1')
  (tmp_path / lock.MIRROR).write_bytes(there.line())
  monkeypatch.setattr(exclusive, 'Own', lambda *unused, **of: pytest.fail())
  with pytest.raises(files.BusyError):
    with lock.hold_mirror(tmp_path, 0):
      pass


def test_without_patience_a_lock_of_a_killed_container_is_taken_over(
  tmp_path, monkeypatch
):
  """Its number is hidden, and the system tells that nobody has its file."""
  there = holder.describe()._replace(space='pid:[7]')
  (tmp_path / lock.MIRROR).write_bytes(there.line())
  monkeypatch.setattr(lock.time, 'sleep', lambda seconds: pytest.fail())
  with lock.hold_mirror(tmp_path, 0):
    pass


def test_who_waits_is_patient_with_each_that_comes_before(
  tmp_path, monkeypatch
):
  clock, path = [0.0], tmp_path / lock.JOIN
  lives = holder.describe()
  path.write_bytes(lives.line())

  def sleep(seconds):
    clock[0] += 50
    if clock[0] < 2000:  # another one every 150 s
      token = f'{int(clock[0] // 150):016x}'
      path.write_bytes(lives._replace(token=token).line())

  monkeypatch.setattr(lock.time, 'monotonic', lambda: clock[0])
  monkeypatch.setattr(lock.time, 'sleep', sleep)
  with pytest.raises(files.BusyError, match='has been joining it for 180 s'):
    with lock.hold_join(tmp_path):
      raise AssertionError
  assert 2000 < clock[0] < 2300


def test_what_killed_processes_left_aside_is_removed_by_the_next(tmp_path):
  killed = 'exclusive.take = lambda *unused: os.kill(os.getpid(), 9)\n'
  for name in ('hold(directory, print)', 'hold_report(directory)'):
    _run(f'{killed}with lock.{name}: pass', str(tmp_path))
  assert len(list(tmp_path.iterdir())) == 2

  def aside(token: str, content: bytes) -> pathlib.Path:
    path = tmp_path / f'{lock.NAME}.{token * 16}{files.ASIDE}'
    path.write_bytes(content)
    return path

  lives = aside('1', holder.describe().line())
  begins, elsewhere = aside('2', b''), aside('3', ELSEWHERE.line())
  for old in (aside('4', b''), aside('5', ELSEWHERE.line())):
    os.utime(old, (1e9, 1e9))
  aside('6', holder.describe()._replace(start='1').line())
  of_user = tmp_path / f'{lock.NAME}.notes{files.ASIDE}'
  of_user.touch()
  link = tmp_path / f'{lock.NAME}.{"7" * 16}{files.ASIDE}'
  link.symlink_to(of_user)
  with lock.hold(tmp_path, print), lock.hold_report(tmp_path):
    pass
  assert set(tmp_path.iterdir()) == {lives, begins, elsewhere, of_user, link}
