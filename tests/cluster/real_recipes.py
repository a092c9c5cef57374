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

from tests.cluster import harness, slurm_here
from tests.faults import harness as faults

_PAGE = harness.REPOSITORY / 'docs' / 'many-machines.md'


@pytest.fixture
def place(tmp_path) -> pathlib.Path:
  """Return a directory in which the recipes have their study.py."""
  shutil.copy(harness.REPOSITORY / 'tests' / 'cluster' / 'study.py', tmp_path)
  return tmp_path


def _recipe(name: str, place: pathlib.Path) -> pathlib.Path:
  """Write the program of a section of the page."""
  code = re.search(
    rf'^### {name}$.*?```python\n(.*?)```',
    _PAGE.read_text(),
    re.DOTALL | re.MULTILINE,
  )
  assert code
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
  address = re.search(r"Client\('(.*):(.*)'\)", _PAGE.read_text())
  assert address
  host, port = address.groups()
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
