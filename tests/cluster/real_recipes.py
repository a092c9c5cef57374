"""The recipes of docs/many-machines.md, as they stand there: `make cluster`."""

from collections.abc import Iterator, Mapping
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from lstm_variants import errors
from lstm_variants.runs import lease, status
from tests.cluster import harness, slurm_here, ssh_here
from tests.faults import harness as faults

_PAGE = harness.REPOSITORY / 'docs' / 'many-machines.md'


@pytest.fixture
def place(tmp_path) -> pathlib.Path:
  """Return a directory in which the recipes have their study.py."""
  shutil.copy(harness.REPOSITORY / 'tests' / 'cluster' / 'study.py', tmp_path)
  return tmp_path


def _find(pattern: str) -> re.Match[str]:
  """Return what the page has; a dot is of any line."""
  match = re.search(pattern, _PAGE.read_text(), re.DOTALL | re.MULTILINE)
  assert match, pattern
  return match


def _recipe(name: str, place: pathlib.Path) -> pathlib.Path:
  """Write the program of a section of the page."""
  code = _find(rf'^### {name}$.*?```python\n(.*?)```')
  path = place / f'with_{name.lower()}.py'
  path.write_text(code[1])
  return path


def _start(
  place: pathlib.Path,
  *words: object,
  environ: Mapping[str, str] = {},
  output: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
  return subprocess.Popen(
    [str(word) for word in words],
    cwd=place,
    env={**os.environ, **harness.ENVIRON, **environ},
    stdout=output,
    stderr=subprocess.STDOUT,
    text=True,
  )


def test_submitit_goes_on_after_a_preemption(place, tmp_path_factory):
  expected = harness.alone(tmp_path_factory.getbasetemp())
  workdir = place / 'runs' / 'variants'
  # Short, as the path of a socket has to be.
  short = pathlib.Path(tempfile.mkdtemp(prefix='s_'))
  with slurm_here.Slurm(short) as slurm:
    recipe = _recipe('submitit', place)
    environ = slurm.environ
    process = _start(place, sys.executable, recipe, environ=environ)
    harness.wait_until_two_train(workdir)
    slurm.call('srun', '--partition=urgent', '--nodes=1', 'sleep', '3')
    out, _ = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 0, out
    harness.wait_for(lambda: not slurm.call('squeue', '-h'), workdir)
  shutil.rmtree(short)
  assert faults.digest(workdir) == expected


@contextlib.contextmanager
def _dask(place: pathlib.Path) -> Iterator[list[subprocess.Popen[str]]]:
  """Start a scheduler and two workers, as the page says; yield the workers."""
  dask = pathlib.Path(sys.executable).with_name('dask')
  host, port = _find(r"Client\('([^:]*):(\d+)'\)").groups()
  log = place / 'dask.log'
  with contextlib.ExitStack() as stack:
    output = stack.enter_context(open(log, 'ab')).fileno()

    def start(*words: object) -> subprocess.Popen[str]:
      process = _start(place, *words, output=output)
      stack.enter_context(process)
      stack.callback(process.kill)
      return process

    start(dask, 'scheduler', f'--host={host}', f'--port={port}')
    worker = (dask, 'worker', '--nthreads=1', f'tcp://{host}:{port}')
    worker += (f'--local-directory={place}',)
    workers = [start(*harness.ALONE, *worker) for _ in range(2)]
    harness.wait_for(lambda: log.read_text().count('Registered') == 2, place)
    yield workers


def test_dask_goes_on_after_a_worker_was_killed(place, tmp_path_factory):
  expected = harness.alone(tmp_path_factory.getbasetemp())
  workdir = place / 'runs' / 'variants'
  with _dask(place) as workers:
    process = _start(place, sys.executable, _recipe('Dask', place))
    harness.wait_until_two_train(workdir)
    workers[0].kill()
    out, _ = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 0, (out, (place / 'dask.log').read_text())
  assert faults.digest(workdir) == expected


def _is_trained(workdir: pathlib.Path) -> bool:
  try:
    read = status.read(str(workdir))
  except errors.Error:  # a population was finished meanwhile
    return False
  return not (read.pending or read.training)


def test_hosts_that_ssh_starts_go_on_after_one_died(place, tmp_path_factory):
  expected = harness.alone(tmp_path_factory.getbasetemp())
  workdir = place / 'runs' / 'variants'
  loop = _find(r'^By ssh.*?```bash\n(.*?)```')[1]
  for name, here in (
    ('/shared', str(place)),
    ('cd project', f'cd {place}'),
    ('studies/variants', 'study.py'),
  ):
    assert name in loop
    loop = loop.replace(name, here)
  programs = pathlib.Path(sys.executable).parent
  path = f'{programs}:{os.environ["PATH"]}'
  with ssh_here.hosts(
    tmp_path_factory.mktemp('ssh'), {**harness.ENVIRON, 'PATH': path}
  ) as (servers, environ):

    def start() -> None:
      """Run the loop, which does not wait for what it starts."""
      bash = ['bash', '-c', loop]
      subprocess.run(bash, env=environ, timeout=60, check=True)

    start()
    harness.wait_until_two_train(workdir)
    servers['one'].kill()
    harness.wait_for(lambda: not lease.is_shared(workdir), place)
    start()  # what the dead one had may be left: nobody has waited for it
    harness.wait_for(lambda: _is_trained(workdir), place)
  assert faults.digest(workdir) == expected
