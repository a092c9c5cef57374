"""Workers on this machine: processes that share cores, GPUs and the directory.

Each is `sweep --share`, with a file for what it says. One that a signal killed
is started again; all of them end with this process. What became of the study
is then read from its directory.
"""

from collections.abc import Mapping, Sequence
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
from typing import IO, NamedTuple

from lstm_variants import children, console
from lstm_variants.runs import files, lease
from lstm_variants.training import interrupt

# Seconds between two looks at the workers, and before one is started again.
_PAUSE, _BREATH = 0.2, 1.0
# So often one is started again: by then it is no accident.
_RESTARTS = 100
# Exit statuses of a worker that did what there was to do: every run diverged.
_DONE = (0, 3)


class Ended(NamedTuple):
  """How workers ended.

  Attributes:
    status: 0, or that of the first one that was refused.
    line: the last of what that one said.
  """

  status: int = 0
  line: str = ''


class _Place(NamedTuple):
  """Where a worker runs: its cores, none where that cannot be told; its GPU."""

  cores: frozenset[int]
  environ: Mapping[str, str]


def train(arguments: Sequence[str], workdir: str, workers: int) -> Ended:
  """Have workers train a study, until the last one ends.

  Args:
    arguments: of `lstm-variants`, for a worker.
    workdir: of the study; what they say goes to workers/NAME.log there.
    workers: how many.

  Raises:
    Interrupted: a signal asked for the end; the workers have saved.
    StorageError: a log cannot be written.
  """
  folder = pathlib.Path(workdir) / lease.WORKERS
  with files.refusals(folder):
    folder.mkdir(parents=True, exist_ok=True)
  name = f'{socket.gethostname()}-{os.getpid()}'
  logs = [folder / f'{name}-{n}{lease.LOG}' for n in range(1, workers + 1)]
  console.say(f'{workers} workers; what they say: {folder / name}-*{lease.LOG}')
  with contextlib.ExitStack() as stack, interrupt.deferred():
    running = [
      stack.enter_context(_Worker(arguments, log, place))
      for log, place in zip(logs, _places(workers), strict=True)
    ]
    ended = _watch(running)
  interrupt.check(saved=True)
  return ended


def _watch(workers: Sequence['_Worker']) -> Ended:
  """Wait for all workers; if one is refused, or a signal comes, end them."""
  running, ended = list(workers), Ended()
  while running:
    for worker in list(running):
      status = worker.status()
      if status is None:
        continue
      running.remove(worker)
      if status not in _DONE and not ended.status:
        ended = Ended(status, worker.last_line())
    if ended.status or interrupt.requested():
      for worker in running:
        worker.end()
    time.sleep(_PAUSE)
  return ended


class _Worker:
  """A worker, and those that follow it where it is killed."""

  def __init__(
    self, arguments: Sequence[str], log: pathlib.Path, place: _Place
  ):
    self._arguments, self._log, self._place = arguments, log, place
    self._restarts, self._is_ending = 0, False

  def __enter__(self) -> '_Worker':
    with files.refusals(self._log):
      self._file: IO[bytes] = open(self._log, 'ab')
    self._process = self._start()
    return self

  def __exit__(self, *exc_info) -> None:
    self.end()
    with self._process:  # waits for it
      self._file.close()

  def _start(self) -> subprocess.Popen[bytes]:
    environ = {**self._place.environ, lease.LOG_VARIABLE: str(self._log)}
    process = children.start(self._arguments, self._file, environ)
    if self._place.cores:
      # It may have ended. It has no threads yet, which would keep all cores.
      with contextlib.suppress(OSError):
        os.sched_setaffinity(process.pid, self._place.cores)
    return process

  def status(self) -> int | None:
    """Return its exit status, None while it, or one after it, runs."""
    status = self._process.poll()
    if status is None or status >= 0 or self._is_ending:
      return status if status is None or status >= 0 else 128 - status
    if self._restarts == _RESTARTS:
      return 128 - status
    self._restarts += 1
    console.warn(f'{self._log.stem}: was killed by signal {-status}; again')
    with self._process:
      time.sleep(_BREATH)
    self._process = self._start()
    return None

  def end(self) -> None:
    """Ask it to save and end, once."""
    if not self._is_ending and self._process.poll() is None:
      self._process.terminate()
    self._is_ending = True

  def last_line(self) -> str:
    """Return the last of what it said."""
    with contextlib.suppress(OSError):
      lines = self._log.read_text(errors='replace').strip().splitlines()
      if lines:
        return lines[-1]
    return f'{self._log}: is empty'


def _places(workers: int) -> list[_Place]:
  """Share cores and GPUs out; of too few of them several have the same."""
  gpus = _gpus()
  places = []
  for number in range(workers):
    environ = {}
    if gpus:
      environ['CUDA_VISIBLE_DEVICES'] = gpus[number % len(gpus)]
    if 0 < len(gpus) < workers:
      environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
    if sys.platform != 'linux':
      share = max((os.cpu_count() or 1) // workers, 1)
      environ.setdefault('JAX_NUM_CPU_DEVICES', str(share))
      places.append(_Place(frozenset(), environ))
      continue
    cores = sorted(os.sched_getaffinity(0))
    first = number * len(cores) // workers
    last = max((number + 1) * len(cores) // workers, first + 1)
    places.append(_Place(frozenset(cores[first:last]), environ))
  return places


def _gpus() -> list[str]:
  """Return the GPUs that this process may use, without taking one."""
  named = os.environ.get('CUDA_VISIBLE_DEVICES')
  if named is not None:
    return [name for name in named.split(',') if name.strip()]
  devices = pathlib.Path('/dev').glob('nvidia*')
  numbers = [re.fullmatch(r'nvidia(\d+)', device.name) for device in devices]
  return [str(n) for n in sorted(int(match[1]) for match in numbers if match)]
