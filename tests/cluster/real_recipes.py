"""The recipes of docs/many-machines.md, as they stand there: `make cluster`."""

from collections.abc import Mapping
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
  place: pathlib.Path, *words: object, environ: Mapping[str, str] = {}
) -> subprocess.Popen[str]:
  return subprocess.Popen(
    [str(word) for word in words],
    cwd=place,
    env={**os.environ, **harness.ENVIRON, **environ},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def test_submitit_goes_on_after_a_preemption(place, tmp_path_factory):
  expected = harness.alone(tmp_path_factory.getbasetemp())
  workdir = place / 'runs' / 'variants'
  with slurm_here.Slurm(pathlib.Path(tempfile.mkdtemp(prefix='s_'))) as slurm:
    recipe = _recipe('submitit', place)
    environ = slurm.environ
    process = _start(place, sys.executable, recipe, environ=environ)
    harness.wait_until_two_train(workdir)
    slurm.call('srun', '--partition=urgent', '--nodes=1', 'sleep', '3')
    out, _ = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 0, out
    harness.wait_for(lambda: not slurm.call('squeue', '-h'), workdir)
  assert faults.digest(workdir) == expected
