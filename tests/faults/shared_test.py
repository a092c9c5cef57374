"""Several processes train one study, and are killed, stopped and woken."""

import os
import pathlib
import signal
import time

import pytest

from lstm_variants.runs import partial, results
from tests.faults import harness

KILL, STOP = signal.SIGKILL, signal.SIGSTOP


@pytest.fixture(scope='module')
def alone(tmp_path_factory, fork_server):
  """The study as one process leaves it."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(harness, '_server', lambda: fork_server)
    patch.setattr(harness, 'MANY', f'{harness.MANY}:brief')
    workdir = tmp_path_factory.mktemp('alone') / 'study'
    flags = (harness.MANY, f'--workdir={workdir}')
    assert harness.fork('sweep', *flags)['status'] == 0
    assert len(results.populations(str(workdir))) == 6
    digest = harness.digest(workdir)
    yield digest


def _check_clean(workdir: pathlib.Path) -> None:
  """Check that nothing is left of those who trained."""
  assert partial.begun(workdir) == {}
  assert not list((workdir / 'leases').iterdir())
  assert {path.name for path in workdir.iterdir()} == {
    *('study.json', 'populations', 'leases', 'workers'),
  }


def test_workers_that_are_killed_leave_what_one_process_leaves(tmp_path, alone):
  workdir = tmp_path / 'study'
  at_once = (
    {'at': 'save', 'number': 2, 'signals': [KILL], 'host': 'a2f0'},
    {'at': 'finish', 'number': 1, 'signals': [KILL]},
    {'at': 'chunk', 'number': 3, 'signals': [KILL]},
  )
  workers = [harness.share(workdir, fault=fault) for fault in at_once]
  for worker in workers:
    assert worker.wait(300)['status'] == -KILL
  assert partial.begun(workdir)
  # Who takes over is killed too: as it takes the lease, the directory, a file.
  for fault in ('link', 1), ('replace', 0), ('rename', 0), ('replace', 1):
    at, number = fault
    planted = {'at': at, 'number': number, 'signals': [KILL]}
    ended = harness.share(workdir, fault=planted).wait(300)
    assert ended['status'] == -KILL, (fault, ended)
  workers = [harness.share(workdir, '--wait') for _ in range(2)]
  for worker in workers:
    ended = worker.wait(300)
    assert ended['status'] == 0 and 'error' not in ended['stderr'], ended
    assert 'results: ' in ended['stdout']
  assert harness.digest(workdir) == alone
  _check_clean(workdir)


def _is_stopped(process: int) -> bool:
  stat = pathlib.Path(f'/proc/{process}/stat').read_text()
  return stat.rpartition(')')[2].split()[0] == 'T'


def test_a_worker_that_wakes_after_its_lease_writes_into_nothing(
  tmp_path, alone
):
  workdir = tmp_path / 'study'
  fault = {'at': 'chunk', 'number': 2, 'signals': [STOP]}
  slept = harness.share(workdir, fault=fault, lease=4)
  end = time.monotonic() + 300
  while not _is_stopped(slept.pid):
    assert time.monotonic() < end
    time.sleep(0.05)
  try:
    ended = harness.share(workdir, '--wait').wait(300)
    assert ended['status'] == 0 and 'error' not in ended['stderr'], ended
    assert harness.digest(workdir) == alone
  finally:
    os.kill(slept.pid, signal.SIGCONT)
  woken = slept.wait(300)
  assert woken['status'] == 0
  assert woken['stderr'].count('\n') == 1
  assert 'the lease is gone: others had it meanwhile' in woken['stderr']
  assert 'going on with the others' in woken['stderr']
  assert harness.digest(workdir) == alone
  _check_clean(workdir)
