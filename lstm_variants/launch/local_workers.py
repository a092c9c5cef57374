"""Workers on this machine: processes that share cores, GPUs and the directory.

Each is `sweep --share`, with a file for what it says. One that a signal killed
is started again; all of them end with this process. What became of the study
is then read from its directory.
"""

from collections.abc import Sequence
import contextlib
import os
import pathlib
import shlex
import socket
import subprocess
import time

from lstm_variants import console
from lstm_variants.launch import engine, places, watching
from lstm_variants.runs import lease
from lstm_variants.training import interrupt

# Seconds between two looks at the workers, and before one is started again.
_PAUSE, _BREATH = 0.2, 1.0
# So often one is started again: by then it is no accident.
_RESTARTS = 100
# Exit statuses of a worker that did what there was to do: every run diverged.
_DONE = (0, 3)


def launch(job: engine.Job) -> bool:
  """Start the workers, and stay until the last one ends; then this is True.

  Raises:
    EngineError: an option is given; there is none.
    RefusedError: a worker was refused; the others have saved what they had.
    StoppedError: a signal asked for the end; the workers have saved.
    StorageError: a log cannot be written.
  """
  if job.options:
    raise engine.EngineError(
      f'--launch_option={job.options[0]}: is of SLURM and Ray; leave it out'
    )
  if job.wait:
    job = job._replace(arguments=[*job.arguments, '--wait'])
  if job.dry_run:
    console.say(f'{job.workers} times: {shlex.join(job.command)}')
    return False
  engine.make_logs(job)
  name = job.logs / f'{socket.gethostname()}-{os.getpid()}'
  logs = pathlib.Path(job.workdir, lease.WORKERS, name.name)
  console.note(f'{job.workers} workers; what they say: {logs}-*{lease.LOG}')
  workers: list[_Worker] = []
  with interrupt.deferred(), watching.Watch(job.workdir) as watch:
    try:
      for number, place in enumerate(places.share_out(job.workers), 1):
        log = name.with_name(f'{name.name}-{number}{lease.LOG}')
        workers.append(_Worker(job.arguments, log, place))
      _wait(workers, watch)
    finally:
      # All at once, and before one is waited for.
      for worker in workers:
        worker.end()
      for worker in workers:
        worker.close()
  engine.check()
  return True


def _wait(workers: Sequence['_Worker'], watch: watching.Watch) -> None:
  """Stay until all workers have ended, or one is refused, or a signal comes."""
  running = list(workers)
  while running and not interrupt.requested():
    for worker in list(running):
      if interrupt.requested():  # to start each again takes a second
        return
      status = worker.status()
      if status in _DONE:
        running.remove(worker)
      elif status is not None:
        (line,) = engine.tail(worker.log) or [f'{worker.log}: is empty']
        raise engine.RefusedError(line, status)
    watch.look()
    time.sleep(_PAUSE)


class _Worker:
  """A worker, and those that follow it where it is killed."""

  def __init__(
    self, arguments: Sequence[str], log: pathlib.Path, place: places.Place
  ):
    self._arguments, self.log, self._place = arguments, log, place
    self._restarts, self._process = 0, self._start()

  def _start(self) -> subprocess.Popen[bytes]:
    process = engine.start(self._arguments, self.log, self._place.environ)
    if self._place.cores:
      # It may have ended. It has no threads yet, which would keep all cores.
      with contextlib.suppress(OSError):
        os.sched_setaffinity(process.pid, self._place.cores)
    return process

  def status(self) -> int | None:
    """Return its exit status, None while it, or one after it, runs."""
    status = self._process.poll()
    if status is None or status >= 0:
      return status
    if self._restarts == _RESTARTS:
      return 128 - status
    self._restarts += 1
    console.warn(f'{self.log.stem}: was killed by signal {-status}; again')
    with self._process:
      time.sleep(_BREATH)
    self._process = self._start()
    return None

  def end(self) -> None:
    """Ask it to save and end, if it runs."""
    # By the end of its pipe: a signal may be its second one, and would not let
    # it save, where its launcher and all workers were signalled at once.
    if self._process.stdin is not None:
      self._process.stdin.close()

  def close(self) -> None:
    """Wait for its end."""
    with self._process:  # closes its pipe
      pass
