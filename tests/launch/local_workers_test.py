"""Workers on this machine: their cores and GPUs, how they begin and end."""

import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest

from lstm_variants.launch import engine, local_workers, places
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

  def launch(*programs: str, **more: Any) -> bool:
    codes.extend(programs)
    job = engine.Job(['sweep'], str(tmp_path), len(programs), **more)
    return local_workers.launch(job)

  monkeypatch.setattr(engine.children, 'start', start)
  monkeypatch.setattr(local_workers, '_PAUSE', 0.01)
  monkeypatch.setattr(local_workers, '_BREATH', 0.0)
  return launch


# Until its launcher closes its pipe.
FOREVER = 'print("begun", flush=True)\nos.read(0, 1)'


def _logs(tmp_path: pathlib.Path) -> list[str]:
  paths = sorted((tmp_path / lease.WORKERS).glob('*.log'))
  return [path.read_text() for path in paths]


def test_a_worker_that_is_killed_is_started_again(workers, tmp_path, capsys):
  mark = tmp_path / 'mark'
  killed = (
    f'if not os.path.exists("{mark}"):\n  open("{mark}", "w").close()\n'
    '  print("first", flush=True)\n  os.kill(os.getpid(), 9)\nprint("second")'
  )
  assert workers(killed, 'raise SystemExit(3)')
  assert _logs(tmp_path) == ['first\nsecond\n', '']
  assert 'was killed by signal 9; again' in capsys.readouterr().err


@pytest.mark.parametrize('status', [2, 4, 5, 6, 143])
def test_if_one_is_refused_all_end_and_its_line_is_told(
  workers, tmp_path, status
):
  refused = f'print("error: no room")\nraise SystemExit({status})'
  with pytest.raises(engine.RefusedError) as caught:
    workers(FOREVER, refused)
  assert (str(caught.value), caught.value.exit_status) == ('no room', status)


def test_a_signal_ends_all(workers, monkeypatch):
  looks = []

  def requested():
    looks.append(1)
    return len(looks) > 3

  def check(saved):
    raise interrupt.Interrupted(signal.SIGTERM, saved)

  monkeypatch.setattr(interrupt, 'requested', requested)
  monkeypatch.setattr(interrupt, 'check', check)
  with pytest.raises(engine.StoppedError) as caught:
    workers(FOREVER, FOREVER)
  assert caught.value.exit_status == 143


def test_all_are_asked_to_save_by_no_signal_and_before_one_is_waited_for(
  tmp_path, monkeypatch
):
  """Signalled with its launcher, a worker would end at once by a second one."""
  calls = []

  class Process:
    @property
    def stdin(self):
      return self

    def poll(self):
      return 2 if self is processes[1] else None

    def close(self):
      calls.append(('ask', processes.index(self)))

    def __enter__(self):
      return self

    def __exit__(self, *exc_info):
      calls.append(('wait', processes.index(self)))

  processes = [Process(), Process(), Process()]
  starting = iter(processes)
  monkeypatch.setattr(engine, 'start', lambda *unused: next(starting))
  place = places.Place(frozenset(), {})
  monkeypatch.setattr(places, 'share_out', lambda number: [place] * number)
  with pytest.raises(engine.RefusedError):
    local_workers.launch(engine.Job([], str(tmp_path), 3))
  assert sorted(calls[:3]) == [('ask', number) for number in range(3)]
  assert sorted(calls[3:]) == [('wait', number) for number in range(3)]


def test_a_worker_waits_where_the_launcher_does_and_a_dry_run_starts_none(
  workers, tmp_path, capsys
):
  say = 'import sys\nprint(sys.argv[1:])'
  assert workers(say) and workers(say, wait=True)
  assert _logs(tmp_path) == ["['sweep']\n['sweep', '--wait']\n"]
  capsys.readouterr()
  assert not workers(say, wait=True, dry_run=True)
  assert capsys.readouterr().out.endswith(' sweep --wait\n')
  with pytest.raises(engine.EngineError, match='partition=x: is of SLURM'):
    workers(say, options=['partition=x'])


def test_none_is_started_again_after_a_signal_to_end(tmp_path, monkeypatch):
  """Each is started a second later, and there may be many."""
  started, signalled = [], []

  def start(arguments, log, environ):
    started.append(log)
    child = subprocess.Popen(['sh', '-c', 'kill -9 $$'])
    child.wait()
    return child

  place = places.Place(frozenset(), {})
  monkeypatch.setattr(places, 'share_out', lambda number: [place] * number)
  monkeypatch.setattr(engine, 'start', start)
  monkeypatch.setattr(local_workers.time, 'sleep', signalled.append)
  monkeypatch.setattr(interrupt, 'requested', lambda: bool(signalled))
  local_workers.launch(engine.Job(['sweep'], str(tmp_path), 3))
  assert len(started) == 3 + 1 and signalled == [local_workers._BREATH]


def test_one_that_is_killed_again_and_again_is_given_up(workers, monkeypatch):
  monkeypatch.setattr(local_workers, '_RESTARTS', 2)
  with pytest.raises(engine.RefusedError, match='again') as caught:
    workers('print("again", flush=True)\nos.kill(os.getpid(), 9)')
  assert caught.value.exit_status == 137


def test_a_worker_has_the_cores_of_its_place(workers, tmp_path):
  cores = sorted(os.sched_getaffinity(0))
  say = 'time.sleep(0.3)\nprint(sorted(os.sched_getaffinity(0)))'
  assert workers(*[say] * len(cores))
  assert _logs(tmp_path) == [f'[{core}]\n' for core in cores]
