"""Workers on this machine: their cores and GPUs, how they begin and end."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from lstm_variants.launch import local_workers
from lstm_variants.runs import lease
from lstm_variants.training import interrupt


@pytest.fixture
def workers(tmp_path, monkeypatch):
  """`workers('code', …)` has a worker run each of these programs."""
  codes: list[str] = []

  def start(arguments, output, environ):
    code = codes[int(environ[lease.LOG_VARIABLE].partition('.log')[0][-1]) - 1]
    return subprocess.Popen(
      [sys.executable, '-c', f'import os, time\n{code}', *arguments],
      env={**os.environ, **environ},
      stdin=subprocess.PIPE,
      stdout=output,
      stderr=output,
    )

  def train(*programs: str) -> local_workers.Ended:
    codes.extend(programs)
    return local_workers.train([str(tmp_path)], str(tmp_path), len(programs))

  monkeypatch.setattr(local_workers.children, 'start', start)
  monkeypatch.setattr(local_workers, '_PAUSE', 0.01)
  monkeypatch.setattr(local_workers, '_BREATH', 0.0)
  return train


FOREVER = 'print("begun", flush=True)\ntime.sleep(600)'


def _logs(tmp_path: pathlib.Path) -> list[str]:
  paths = sorted((tmp_path / lease.WORKERS).glob('*.log'))
  return [path.read_text() for path in paths]


def test_a_worker_that_is_killed_is_started_again(workers, tmp_path, capsys):
  mark = tmp_path / 'mark'
  killed = (
    f'if not os.path.exists("{mark}"):\n  open("{mark}", "w").close()\n'
    '  print("first", flush=True)\n  os.kill(os.getpid(), 9)\nprint("second")'
  )
  assert workers(killed, 'raise SystemExit(3)') == local_workers.Ended()
  assert _logs(tmp_path) == ['first\nsecond\n', '']
  assert 'was killed by signal 9; again' in capsys.readouterr().err


@pytest.mark.parametrize('status', [2, 4, 5, 6, 143])
def test_if_one_is_refused_all_end_and_its_line_is_told(
  workers, tmp_path, status
):
  refused = f'print("error: no room")\nraise SystemExit({status})'
  ended = workers(FOREVER, refused)
  assert ended == local_workers.Ended(status, 'error: no room')


def test_a_signal_ends_all(workers, monkeypatch):
  looks = []

  def requested():
    looks.append(1)
    return len(looks) > 3

  def check(saved):
    raise interrupt.Interrupted(signal.SIGTERM, saved)

  monkeypatch.setattr(interrupt, 'requested', requested)
  monkeypatch.setattr(interrupt, 'check', check)
  with pytest.raises(interrupt.Interrupted) as caught:
    workers(FOREVER, FOREVER)
  assert caught.value.exit_status == 143


def test_one_that_is_killed_again_and_again_is_given_up(workers, monkeypatch):
  monkeypatch.setattr(local_workers, '_RESTARTS', 2)
  ended = workers('print("again", flush=True)\nos.kill(os.getpid(), 9)')
  assert ended == local_workers.Ended(137, 'again')


@pytest.mark.skipif(sys.platform != 'linux', reason='cores cannot be told')
def test_each_has_its_own_cores_and_gpu(workers, tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda process: range(8))
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '2,5')
  places = local_workers._places(3)
  assert [sorted(place.cores) for place in places] == [
    *([0, 1], [2, 3, 4], [5, 6, 7]),
  ]
  gpus = [place.environ['CUDA_VISIBLE_DEVICES'] for place in places]
  assert gpus == ['2', '5', '2']
  many = local_workers._places(20)
  assert {len(place.cores) for place in many} == {1}
  assert {core for place in many for core in place.cores} == {*range(8)}
  monkeypatch.undo()
  shared = 'XLA_PYTHON_CLIENT_PREALLOCATE'
  assert all(place.environ[shared] == 'false' for place in places)


def test_a_worker_has_the_cores_of_its_place(workers, tmp_path):
  cores = sorted(os.sched_getaffinity(0))
  say = 'time.sleep(0.3)\nprint(sorted(os.sched_getaffinity(0)))'
  assert workers(*[say] * len(cores)) == local_workers.Ended()
  assert _logs(tmp_path) == [f'[{core}]\n' for core in cores]
