"""Trains the studies of claims, as far as a budget of minutes goes.

Each study is trained by the command that its claim names, in a process of its
own. What does not end in time is saved and gone on with the next time.
"""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import pathlib
import subprocess
import time
from typing import NamedTuple

from lstm_variants import children, console
from lstm_variants.claims import claim, questions
from lstm_variants.config import builtin
from lstm_variants.runs import files, lock, results

# What tells how a finished study was made.
STAMP = 'claim.json'
# What the configs of papers begin with.
_BELOW = pathlib.Path(builtin.__file__).with_name('experiment.py')
_STOPPED = 'was stopped before its end, saved; the next time goes on with it'
# Of the end of a study that a signal asked for: its chunk of updates.
_PATIENCE = 60  # seconds
# Seconds between two looks at a study that is trained.
_PAUSE = 0.2
# Seconds until a study that was busy is tried again.
_RETRY = 10.0
# Exit status of every run diverged: there are results, and they tell.
_DIVERGED = 3
# Of a directory that holds other runs than the config has now.
_OTHER = 4
# Of a directory in which another process trains.
_BUSY = 5


class Outcome(NamedTuple):
  """What became of a claim.

  Attributes:
    of: the claim.
    verdict: of our runs.
    findings: what they say; none without a finished study.
    runs: that were judged.
    minutes: that their training took, compilation included.
    why: of a verdict that is not about runs.
    status: that the training ended with, of a claim that failed.
  """

  of: claim.Claim
  verdict: claim.Verdict
  findings: Sequence[claim.Finding] = ()
  runs: int = 0
  minutes: float = 0.0
  why: str = ''
  status: int = 0


class Budget:
  """A number of minutes that runs out."""

  def __init__(
    self, minutes: float, clock: Callable[[], float] = time.monotonic
  ):
    self._clock = clock
    self._end = clock() + 60 * minutes

  def remaining(self) -> float:
    """Return the seconds until the budget ends, at least 0."""
    return max(self._end - self._clock(), 0.0)


def reproduce(
  wanted: claim.Claim,
  workdir: pathlib.Path,
  budget: Budget,
  stopped: Callable[[], bool],
) -> Outcome:
  """Train a claim's study if it is not finished and fits, and judge it.

  Args:
    wanted: the claim.
    workdir: of its study.
    budget: of all claims.
    stopped: whether a signal asks for the end.

  Raises:
    StorageError: nothing can be written there.
  """
  if not is_finished(wanted, workdir):
    begun = (workdir / 'study.json').is_file()
    if budget.remaining() < (1 if begun else 60 * wanted.minutes):
      why = (
        f'takes about {wanted.minutes:g} minutes on two cores, '
        f'{budget.remaining() / 60:.1f} are left'
      )
      return Outcome(wanted, claim.Verdict.OUT_OF_BUDGET, why=why)
    status, said = _train(wanted, workdir, budget, stopped)
    if status is None:
      return Outcome(wanted, claim.Verdict.OUT_OF_BUDGET, why=said)
    if status == _OTHER:
      said = f'{said}; or remove {workdir} to train anew'
    if status not in (0, _DIVERGED):
      return Outcome(wanted, claim.Verdict.FAILED, why=said, status=status)
    files.write_json(workdir / STAMP, _stamp(wanted))
  return read(wanted, workdir)


def read(wanted: claim.Claim, workdir: pathlib.Path) -> Outcome:
  """Judge a claim by what is there.

  Args:
    wanted: the claim.
    workdir: of its study.

  Returns:
    The outcome; FAILED, with the reason, where a finished study cannot be read.
  """
  if not is_finished(wanted, workdir):
    return Outcome(wanted, claim.Verdict.NOT_RUN, why='not run to its end yet')
  try:
    runs = results.read_runs(str(workdir))
    verdict, findings = claim.judge(wanted, runs)
  except (results.WorkdirError, questions.ArmError) as error:
    return Outcome(
      wanted, claim.Verdict.FAILED, why=str(error), status=error.exit_status
    )
  return Outcome(wanted, verdict, findings, len(runs), _minutes(workdir))


def _minutes(workdir: pathlib.Path) -> float:
  """Return what training took, over all sessions, and compiling in the last."""
  provenance = results.read_provenance(str(workdir)).values()
  seconds = (
    each['train_seconds'] + each['compile_seconds'] for each in provenance
  )
  return sum(seconds) / 60


def is_finished(wanted: claim.Claim, workdir: pathlib.Path) -> bool:
  """Tell whether a study was trained to its end, from the config of now.

  Where the file has changed since, in whatever place, the study is gone on
  with: that ends at once if its own runs are as they were.
  """
  try:
    return files.read_json(workdir / STAMP) == _stamp(wanted)
  except (OSError, files.DamagedError):
    return False


def _stamp(wanted: claim.Claim) -> Mapping[str, str]:
  name = wanted.config.partition(':')[0]
  files_read = builtin.find(name) or pathlib.Path(name), _BELOW
  text = b''.join(path.read_bytes() for path in files_read)
  return {
    'config': wanted.config,
    'sha256': hashlib.sha256(text).hexdigest(),
  }


def _train(
  wanted: claim.Claim,
  workdir: pathlib.Path,
  budget: Budget,
  stopped: Callable[[], bool],
) -> tuple[int | None, str]:
  """Run a claim's command, once nobody else trains in its directory.

  Returns:
    Its exit status, None where it did not end in time, and what is to be said:
    its error, its last line, or why it did not end.

  Raises:
    StorageError: nothing can be written there.
  """
  waits_for, again_at = '', 0.0
  while not stopped() and budget.remaining():
    holder, life = lock.holder(workdir)
    # What may live elsewhere shows that to the study itself.
    if life is not lock.Life.LIVES and time.monotonic() >= again_at:
      status, said = _run(wanted, workdir, budget, stopped)
      if status != _BUSY:
        return status, said
      again_at = time.monotonic() + _RETRY
    elif holder and str(holder) != waits_for:
      waits_for = str(holder)
      console.note(f'{workdir}: {holder}, trains here; waiting for it')
    time.sleep(_PAUSE)
  return None, f'is trained by {waits_for}' if waits_for else _STOPPED


def _run(
  wanted: claim.Claim,
  workdir: pathlib.Path,
  budget: Budget,
  stopped: Callable[[], bool],
) -> tuple[int | None, str]:
  """Run a claim's command; what it says goes into a file beside the study.

  Returns, raises: as `_train`.
  """
  command = ['sweep', *wanted.flags(str(workdir))]
  if (workdir / 'study.json').is_file():
    command.append('--resume')
  log = workdir.with_suffix('.log')
  with files.refusals(log):
    log.parent.mkdir(parents=True, exist_ok=True)
    file = open(log, 'wb')
  with file, children.start(command, file) as process:
    try:
      while process.poll() is None and budget.remaining() and not stopped():
        time.sleep(_PAUSE)
    finally:
      in_time = process.poll() is not None
      if not in_time:
        _end(process)
  lines = log.read_text(errors='replace').strip().splitlines()
  errors = [line for line in lines if line.startswith('error: ')]
  last = [f'{log}: is empty', *lines[-1:], *errors[-1:]][-1]
  return (process.returncode, last) if in_time else (None, _STOPPED)


def _end(process: subprocess.Popen[bytes]) -> None:
  """Ask a study to save and end, and wait until it has."""
  process.terminate()
  try:
    process.wait(_PATIENCE)
  except subprocess.TimeoutExpired:
    process.kill()
    process.wait()
