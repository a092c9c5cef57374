"""SLURM trains a study: an array job, each element of it one worker.

Needs SLURM's commands, nothing of Python. Where the time of an element is up,
or another job is to have its node, its worker saves, and the element is queued
again; so it is where the worker was killed. Who cancels it ends it for good.
"""

from collections.abc import Sequence
import contextlib
import shlex
import shutil
import subprocess
import time

from lstm_variants import console
from lstm_variants.launch import engine, sbatch
from lstm_variants.training import interrupt

# Seconds before each look at the queue, and at the directory.
_LOOK = 2.0


def launch(job: engine.Job) -> bool:
  """Submit the job; tell whether all is trained: where that was waited for.

  Raises:
    EngineError: SLURM is not there, or refuses.
    UntrainedError: the job has ended before all was trained.
    StoppedError: a signal asked for the end; the job is cancelled.
  """
  script = sbatch.script(job)
  if job.dry_run:
    console.say(script.rstrip())
    return False
  if shutil.which('sbatch') is None:
    raise engine.EngineError(
      '--launch=slurm: no sbatch here; start it where jobs are submitted; '
      'nearest: --launch=local, or --dry_run to see the script'
    )
  job = engine.make_logs(job)
  with interrupt.deferred():  # or a job might be left whose number nobody knows
    place = _submit(script)
    number, end = place[-1], shlex.join(['scancel', *place])
    console.say(f'job {number}: {job.workers} workers; {end} ends it')
    if job.wait:
      _wait(job, place)
    elif interrupt.requested():
      _cancel(place)
      engine.check()
  return job.wait


def _submit(script: str) -> list[str]:
  """Submit a job; return how SLURM's other commands are told which it is.

  Raises:
    EngineError: SLURM refuses, or has made none, as an option wants it.
  """
  said = _call('sbatch', '--parsable', stdin=script)
  # Some sites have it say something before.
  number, _, cluster = said.rpartition('\n')[2].partition(';')
  if not number.isdecimal():
    raise engine.EngineError(
      f'--launch=slurm: sbatch tells no number of a job: {said!r}'
    )
  # The cluster of this host may have another job of that number.
  return [f'--clusters={cluster}', number] if cluster else [number]


def _wait(job: engine.Job, place: Sequence[str]) -> None:
  """Stay until all is trained; cancel what is not needed any more.

  Raises:
    UntrainedError, StoppedError: as `engine.stay`.
  """
  try:
    engine.stay(job, lambda: _is_queued(place))
  except engine.StoppedError:
    _cancel(place)
    raise
  # What has not begun would only see that nothing is left. SLURM refuses where
  # the job has ended by now.
  with contextlib.suppress(engine.EngineError):
    _call('scancel', '--state=PENDING', *place)


def _cancel(place: Sequence[str]) -> None:
  """Cancel a job, which may have ended by itself: SLURM refuses that.

  Raises:
    EngineError: it is not cancelled.
  """
  try:
    _call('scancel', *place)
  except engine.EngineError:
    if _is_queued(place):
      raise


def _is_queued(place: Sequence[str]) -> bool:
  """Tell in a moment if some of a job is not over; True: nobody answers."""
  time.sleep(_LOOK)
  *cluster, number = place
  try:
    jobs = _call('squeue', '--noheader', *cluster, f'--jobs={number}')
    # Some versions name the cluster, whatever of a header is asked for.
    return any(not line.startswith('CLUSTER:') for line in jobs.splitlines())
  except engine.EngineError as error:
    return 'Invalid job id' not in str(error)


def _call(*words: str, stdin: str = '') -> str:
  """Return what a command of SLURM prints.

  Raises:
    EngineError: it refuses, or is not there.
  """
  try:
    # In a session of its own: a Ctrl-C is the launcher's to answer, when it
    # knows the number of the job.
    done = subprocess.run(
      words, input=stdin, capture_output=True, text=True, start_new_session=True
    )
  except OSError as error:
    raise engine.EngineError(
      f'--launch=slurm: {words[0]}: {error.strerror}'
    ) from error
  if done.returncode:
    raise engine.EngineError(f'--launch=slurm: {done.stderr or words[0]}')
  return done.stdout.strip()
