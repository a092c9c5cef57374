"""A real SLURM of two nodes on this machine: `make cluster`."""

import pathlib
import re
import shutil
import signal
import tempfile
import time

import pytest

from tests.cluster import harness, slurm_here
from tests.faults import harness as faults


@pytest.fixture(scope='module')
def slurm():
  """Start a SLURM; its path is short, as that of a socket has to be."""
  place = pathlib.Path(tempfile.mkdtemp(prefix='slurm_'))
  with slurm_here.Slurm(place) as slurm:
    yield slurm
  shutil.rmtree(place)


def _submit(slurm, workdir: pathlib.Path, *flags: str) -> str:
  """Submit a study, return the number of the job."""
  flags = ('--launch=slurm', '--workers=2', *flags)
  said = harness.run(workdir, *flags, environ=slurm.environ)
  number = re.search(r'^job (\d+): 2 workers', said, re.MULTILINE)
  assert number, said
  return number[1]


def test_preempted_cancelled_and_a_node_dead_it_leaves_what_one_process_does(
  slurm, tmp_path_factory
):
  expected = harness.alone(tmp_path_factory.getbasetemp())
  workdir = tmp_path_factory.mktemp('slurm') / 'study'

  # Another job is to have a node: the worker there saves, and is queued again.
  job = _submit(slurm, workdir, '--launch_option=partition=main')
  harness.wait_until_two_train(workdir)
  slurm.call('srun', '--partition=urgent', '--nodes=1', 'sleep', '3')
  assert 'SIGTERM: saved' in harness.logs(workdir)
  harness.wait_for(lambda: harness.sessions(workdir) == 3, workdir)

  # Who cancels the job ends it for good; what was trained is saved.
  slurm.call('scancel', job)
  harness.wait_for(lambda: not slurm.elements(job), workdir)
  time.sleep(10)  # what is queued again appears soon
  assert not slurm.elements(job)
  assert harness.sessions(workdir) == 3

  # The same command goes on. A node dies: its element begins again.
  flags = ('--launch=slurm', '--workers=2', '--wait')
  launcher = harness.start(workdir, *flags, environ=slurm.environ)
  harness.wait_until_two_train(workdir)
  slurm.kill_node('node2')
  out, err = launcher.communicate(timeout=harness.PATIENCE)
  assert launcher.returncode == 0, (out, err, harness.logs(workdir))
  assert faults.digest(workdir) == expected

  slurm.start_node('node2')
  slurm.wait_for(lambda: slurm.nodes() == {'idle': 2})


def test_ctrl_c_of_a_launcher_that_waits_cancels_all_workers_which_save(
  slurm, tmp_path
):
  flags = ('--launch=slurm', '--workers=2', '--wait')
  launcher = harness.start(tmp_path / 'study', *flags, environ=slurm.environ)
  harness.wait_until_two_train(tmp_path / 'study')
  launcher.send_signal(signal.SIGINT)
  _, err = launcher.communicate(timeout=harness.PATIENCE)
  assert launcher.returncode == 130, err
  slurm.wait_for(lambda: slurm.call('squeue', '--noheader') == '')
  assert harness.logs(tmp_path / 'study').count('SIGTERM: saved') == 2
