"""Trains the studies of claims, as far as a budget of minutes goes.

Each study is trained by the command that its claim names, in a process of its
own, which ends with this one. What does not end in time is saved and gone on
with the next time; a study that another process trains is waited for.

That a study was run is one thing, what its runs say of the claim another:
`State` and `claim.Verdict`. Runs of another version of the code are judged as
any others; each outcome tells which code trained it.
"""

from collections.abc import Callable, Mapping, Sequence
import enum
import hashlib
import pathlib
import subprocess
import time
from typing import Any, NamedTuple

from lstm_variants import children, console
from lstm_variants.claims import claim
from lstm_variants.config import builtin
from lstm_variants.runs import files, lock, partial, provenance, results

# What tells how a finished study was made.
STAMP = results.STAMP
# What the configs of papers begin with.
_BELOW = pathlib.Path(builtin.__file__).with_name('experiment.py')
_STOPPED = 'saved; the next time goes on with it'
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


class State(enum.Enum):
  """How far the study of a claim is."""

  JUDGED = 'judged'
  NOT_RUN = 'not run yet'
  STOPPED = 'stopped before its end'
  FAILED = 'failed'


class Outcome(NamedTuple):
  """What became of a claim.

  Attributes:
    of: the claim.
    state: of its study.
    verdict: of our runs; None without a finished study.
    findings: what they say.
    runs: that were judged.
    sequences: that the longest of them was trained on.
    minutes: that their training took, compilation included.
    code: that trained them, in words.
    why: of a state without a verdict.
    status: that the training ended with, of a claim that failed.
  """

  of: claim.Claim
  state: State
  verdict: claim.Verdict | None = None
  findings: Sequence[claim.Finding] = ()
  runs: int = 0
  sequences: int = 0
  minutes: float = 0.0
  code: str = ''
  why: str = ''
  status: int = 0

  @property
  def word(self) -> str:
    """The verdict, or how far the study is."""
    if self.verdict is None:
      return self.state.value
    answers = [finding.answer for finding in self.findings]
    undecided = claim.Answer.UNDECIDED in answers
    if undecided and self.verdict is claim.Verdict.NOT_TESTED:
      return f'{self.verdict.value} (undecided)'
    return self.verdict.value


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
  if budget.remaining() and not is_finished(wanted, workdir):
    begun = (workdir / 'study.json').is_file()
    if budget.remaining() < (1 if begun else 60 * wanted.minutes):
      why = (
        f'takes about {wanted.minutes:g} minutes on two cores, '
        f'{budget.remaining() / 60:.1f} are left'
      )
      return Outcome(wanted, State.NOT_RUN, why=why)
    status, said = _train(wanted, workdir, budget, stopped)
    if status is None:
      return Outcome(wanted, State.STOPPED, why=said)
    if status == _OTHER:
      said = f'{said}; or remove {workdir} to train anew'
    if status not in (0, _DIVERGED):
      return Outcome(wanted, State.FAILED, why=said, status=status)
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
    begun = (workdir / 'study.json').is_file()
    why = 'begun, not run to its end' if begun else 'not begun'
    return Outcome(wanted, State.NOT_RUN, why=why)
  try:
    runs = results.read_runs(str(workdir))
    tasks = results.read_study(str(workdir))['tasks']
    made_by = results.read_provenance(str(workdir)).values()
    code = ' and '.join(dict.fromkeys(map(provenance.code, made_by)))
    minutes = sum(map(_minutes, made_by))
  except results.WorkdirError as error:
    return Outcome(
      wanted, State.FAILED, why=str(error), status=error.exit_status
    )
  rules = {label: str(task.get('success')) for label, task in tasks.items()}
  verdict, findings = claim.judge(wanted, runs, rules)
  return Outcome(
    wanted,
    State.JUDGED,
    verdict,
    findings,
    runs=len(runs),
    sequences=max(run['sequences'] for run in runs),
    minutes=minutes,
    code=code,
  )


def _minutes(made: Mapping[str, Any]) -> float:
  """Return what training took, over all sessions, and compiling in the last."""
  parts = (made.get(name) for name in ('train_seconds', 'compile_seconds'))
  return sum(part for part in parts if isinstance(part, (int, float))) / 60


def is_finished(wanted: claim.Claim, workdir: pathlib.Path) -> bool:
  """Tell whether a study was trained to its end, from the config of now.

  Where the file has changed since, in whatever place, the study is gone on
  with: that ends at once if its own runs are as they were. One that somebody
  trains further has not ended.
  """
  try:
    if files.read_json(workdir / STAMP) != _stamp(wanted):
      return False
  except (OSError, files.DamagedError):
    return False
  return not partial.begun(workdir)


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
    log.unlink(missing_ok=True)  # it may be a pipe, or another program's still
    file = open(log, 'x+b')
  with file:
    with children.start(command, file) as process:
      try:
        while process.poll() is None and budget.remaining() and not stopped():
          time.sleep(_PAUSE)
      finally:
        in_time = process.poll() is not None
        if not in_time:
          _end(process)
    file.seek(0)
    lines = file.read().decode(errors='replace').strip().splitlines()
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
