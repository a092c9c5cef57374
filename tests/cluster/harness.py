"""Starts the sweep of `study` as a user does, and looks at what it left."""

from collections.abc import Callable, Mapping, Sequence
import functools
import os
import pathlib
import subprocess
import sys
import time

from lstm_variants import errors
from lstm_variants.runs import lease, status
from tests.faults import harness

REPOSITORY = pathlib.Path(__file__).parents[2]
# What all workers and the process alone have in common: results are bit-equal
# on equally many devices.
ENVIRON: Mapping[str, str] = {
  'JAX_NUM_CPU_DEVICES': '1',
  'JAX_PLATFORMS': 'cpu',
  'PYTHONPATH': str(REPOSITORY),
  # Seconds in which the lease of a dead node ends.
  lease.SECONDS_VARIABLE: '30',
}
# Before a command: it has processes of its own, a namespace of Linux, so that
# what ends the first of them ends all, as a power cut does. Needs root.
ALONE = ('unshare', '--pid', '--mount-proc', '--fork', '--kill-child')
# Seconds: for anything that is waited for, on a machine that has much to do.
PATIENCE = 900.0


def start(
  workdir: pathlib.Path,
  *flags: str,
  environ: Mapping[str, str] = {},
  before: Sequence[str] = (),
) -> subprocess.Popen[str]:
  """Start a sweep, by what stands before its command."""
  return subprocess.Popen(
    [
      *before,
      *(sys.executable, '-m', 'lstm_variants', 'sweep'),
      *('--config=tests/cluster/study.py', f'--workdir={workdir}', *flags),
    ],
    cwd=REPOSITORY,
    env={**os.environ, **ENVIRON, **environ},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def run(
  workdir: pathlib.Path, *flags: str, environ: Mapping[str, str] = {}
) -> str:
  """Return what a sweep prints that ends well."""
  process = start(workdir, *flags, environ=environ)
  out, err = process.communicate(timeout=PATIENCE)
  assert process.returncode == 0, (out, err)
  return out


@functools.cache
def alone(folder: pathlib.Path) -> str:
  """Return the digest of the study as one process trains it."""
  run(folder / 'alone')
  return harness.digest(folder / 'alone')


def wait_for(happens: Callable[[], object], workdir: pathlib.Path) -> None:
  """Wait until something happens; else fail with what workers printed."""
  end = time.monotonic() + PATIENCE
  while not happens():
    assert time.monotonic() < end, logs(workdir)
    time.sleep(0.1)


def wait_until_two_train(workdir: pathlib.Path) -> None:
  """Wait until two workers have saved something of what they train now."""
  first: dict[str, int] = {}

  def both() -> bool:
    now = _saved(workdir)
    for name, update in now.items():
      first.setdefault(name, update)
    return sum(update > first[name] for name, update in now.items()) >= 2

  wait_for(both, workdir)


def _saved(workdir: pathlib.Path) -> dict[str, int]:
  """Return the newest checkpoint of each population that somebody trains."""
  try:
    training = status.read(str(workdir)).training
  except errors.Error:  # not begun, or a population was finished meanwhile
    return {}
  leases = lease.leases(workdir)
  taken = {each.name for each in leases if not each.has_ended}
  return {each.name: each.saved or 0 for each in training if each.name in taken}


def sessions(workdir: pathlib.Path) -> int:
  """Return how many workers have begun to train."""
  return logs(workdir).count(' compiled program')


def logs(workdir: pathlib.Path) -> str:
  """Return what the workers printed."""
  paths = sorted((workdir / 'workers').glob('*.log'))
  return '\n'.join(f'{path.name}:\n{path.read_text()}' for path in paths)
