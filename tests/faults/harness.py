"""Starts the real programs, disturbs them, and compares what they leave."""

import atexit
from collections.abc import Callable, Sequence
import functools
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np

from tests.commands import forks

REPOSITORY = pathlib.Path(__file__).parents[2]
STUDY = '--config=tests/faults/study.py'
# For several processes.
MANY = '--config=tests/faults/many.py'
# Of a session of the study, far more than it takes.
_PATIENCE = 300


class Ended(NamedTuple):
  """How a program ended.

  Attributes:
    status: its exit status, negative for the signal that killed it.
    stdout, stderr: what it said.
    log: words and times that `injected` left.
    ended: when, on the clock of the log.
  """

  status: int
  stdout: str
  stderr: str
  log: list[tuple[str, float]]
  ended: float

  @property
  def seconds_to_end(self) -> float:
    """From the first signal to the end."""
    return self.ended - next(t for word, t in self.log if word == 'signal')


def share_compiled(folder) -> dict[str, str]:
  """Return the environment in which sessions share what is compiled."""
  return {
    'JAX_COMPILATION_CACHE_DIR': str(folder),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.2',
  }


@functools.cache
def _server() -> forks.Server:
  """Start what the programs are forks of; it ends with this process."""
  server = forks.Server()
  atexit.register(server.close)
  return server


def _arguments(workdir, *arguments: str) -> tuple[str, ...]:
  return (STUDY, f'--workdir={workdir}', *arguments)


def start(workdir, *arguments: str, fault: dict | None = None) -> forks.Fork:
  """Start a sweep, with a fault planted if there is one."""
  _log_path(workdir).unlink(missing_ok=True)
  return _start(workdir, _arguments(workdir, *arguments), fault)


def share(
  workdir, *arguments: str, fault: dict | None = None, lease: float = 60
) -> forks.Fork:
  """Start a worker of the study for several, whose leases hold so long."""
  given = (MANY, f'--workdir={workdir}', '--share', *arguments)
  return _start(workdir, given, fault, LSTM_VARIANTS_LEASE=str(lease))


def _start(
  workdir, given: Sequence[str], fault: dict | None, **environ: str
) -> forks.Fork:
  if not fault:
    return _server().start('sweep', *given, **environ)
  log = str(_log_path(workdir))
  environ = {**environ, 'FAULT': json.dumps(fault), 'FAULT_LOG': log}
  return _server().start('tests.faults.injected', 'sweep', *given, **environ)


def spawn(workdir, *arguments: str) -> subprocess.Popen[str]:
  """Start a sweep as a process of its own, which can be killed in its start."""
  return begin(('experiments.sweep', *_arguments(workdir, *arguments)))


def fork(*arguments: str, seconds: float = _PATIENCE) -> forks.Ended:
  """Run any program to its end; raises TimeoutError where it has none."""
  program = _server().start(*arguments)
  try:
    return program.wait(seconds)
  except TimeoutError:
    os.kill(program.pid, signal.SIGKILL)
    raise


def begin(words: Sequence[str]) -> subprocess.Popen[str]:
  """Start a module with arguments as a process of its own."""
  return subprocess.Popen(
    [sys.executable, '-m', *words],
    cwd=REPOSITORY,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def timed(words: Sequence[str]) -> float:
  """Return how long a program takes that nobody disturbs."""
  started = time.monotonic()
  process = begin(words)
  _, err = process.communicate(timeout=_PATIENCE)
  assert process.returncode == 0, err
  return time.monotonic() - started


def seconds_alone(workdir) -> float:
  """Return how long the study takes as a process that nobody disturbs."""
  return timed(('experiments.sweep', *_arguments(workdir)))


def session(workdir, seconds: float) -> tuple[int, str, str]:
  """Start the study or go on with it, as a process that is killed.

  Args:
    workdir: of the study.
    seconds: the process is killed so long after its start, if it still runs.

  Returns:
    Its exit status, negative for a signal, and what it said.
  """
  process = spawn(workdir, *resume_flags(workdir))
  try:
    process.wait(seconds)
  except subprocess.TimeoutExpired:
    process.send_signal(signal.SIGKILL)
  out, err = process.communicate()
  return process.returncode, out, err


def forked_session(workdir, seconds: float) -> tuple[int, str, str]:
  """Do as `session` in a fork, which is never killed in its imports."""
  program = start(workdir, *resume_flags(workdir))
  try:
    done = program.wait(seconds)
  except TimeoutError:
    os.kill(program.pid, signal.SIGKILL)
    done = program.wait(_PATIENCE)
  return done['status'], done['stdout'], done['stderr']


def wait(program: forks.Fork, workdir) -> Ended:
  """Wait for the end of a program."""
  done = program.wait(_PATIENCE)
  ended = time.monotonic()
  log = _log_path(workdir)
  lines = log.read_text().splitlines() if log.exists() else []
  words = [(w, float(t)) for w, t in (line.split() for line in lines)]
  return Ended(done['status'], done['stdout'], done['stderr'], words, ended)


def run(workdir, *arguments: str, fault: dict | None = None) -> Ended:
  """Run the study to its end, or to that of the fault."""
  return wait(start(workdir, *arguments, fault=fault), workdir)


def resume_flags(workdir) -> tuple[str, ...]:
  """Return --resume where there is something to go on with."""
  there = (pathlib.Path(workdir) / 'study.json').exists()
  return ('--resume',) if there else ()


def digest(workdir) -> str:
  """Return the SHA-256 of all results but the times: arrays, metrics, rows."""
  found = hashlib.sha256()
  for folder in sorted((pathlib.Path(workdir) / 'populations').iterdir()):
    assert folder.suffix != '.partial', folder
    found.update(folder.name.encode())
    found.update((folder / 'metrics.jsonl').read_bytes())
    with np.load(folder / 'params.npz', allow_pickle=False) as arrays:
      for name in sorted(arrays):
        found.update(name.encode() + arrays[name].tobytes())
    for line in (folder / 'runs.jsonl').read_text().splitlines():
      row: dict[str, Any] = json.loads(line)
      del row['seconds_per_update']
      found.update(json.dumps(row, sort_keys=True).encode())
  return found.hexdigest()


class Kill(NamedTuple):
  """One kill: after how many seconds, and what the program was doing."""

  seconds: float
  phase: str


def kill_until_done(
  workdir,
  latest: float,
  most: int,
  randomness: random.Random,
  run_session: Callable[..., tuple[int, str, str]] = session,
) -> list[Kill]:
  """Kill the study at random moments, go on with it, until it comes through.

  Args:
    workdir: of the study.
    latest: a session is killed within so many seconds, or it ends before.
    most: so many times; then it is left alone.
    randomness: where the moments come from.
    run_session: `session`, or `forked_session`.

  Raises:
    AssertionError: a session ends with anything but success.
  """
  kills = []
  while True:
    before = set(pathlib.Path(workdir).rglob('*.tmp'))
    seconds = randomness.uniform(0, latest)
    if len(kills) == most:
      seconds = _PATIENCE
    status, out, err = run_session(workdir, seconds)
    if status == 0:
      return kills
    assert status == -signal.SIGKILL, (out, err)
    kills.append(Kill(seconds, _phase(workdir, out, before)))


def kill_workers(
  workdir, count: int, most: int, randomness: random.Random
) -> int:
  """Share a study among workers, and kill some of them at random moments.

  Args:
    workdir: of the study for several.
    count: workers at a time: where one is killed, another is started.
    most: so many are killed, if the study is not trained before.
    randomness: where the moments come from.

  Returns:
    How many were killed.

  Raises:
    AssertionError: one ends with anything but success.
  """
  words = ('experiments.sweep', MANY, f'--workdir={workdir}', '--share')
  running = [begin((*words, '--wait')) for _ in range(count)]
  killed = 0
  while running:
    index = randomness.randrange(len(running))
    worker = running[index]
    if killed < most:
      time.sleep(randomness.uniform(0, 4))
      worker.kill()
    out, err = worker.communicate(timeout=_PATIENCE)
    if worker.returncode == -signal.SIGKILL:
      killed += 1
      running[index] = begin((*words, '--wait'))
    else:
      assert worker.returncode == 0, (out, err)
      del running[index]
  return killed


def _phase(workdir, out: str, before: set[pathlib.Path]) -> str:
  """Tell from what is there what a killed program was doing."""
  if set(pathlib.Path(workdir).rglob('*.tmp')) - before:
    return 'saving'
  last = out.splitlines()[-1] if out else ''
  if not last:
    return 'starting'
  if last.endswith('compiling') or ' compiled program' in last:
    return 'compiling'
  return 'training'


def _log_path(workdir) -> pathlib.Path:
  return pathlib.Path(f'{workdir}.log')
