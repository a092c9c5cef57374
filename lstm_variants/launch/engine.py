"""What an engine is given: it starts workers, and they share the directory."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import os
import pathlib
import re
import subprocess
import types
from typing import NamedTuple

from lstm_variants import children, errors
from lstm_variants import names as names_lib
from lstm_variants.launch import watching
from lstm_variants.runs import files, lease, partial
from lstm_variants.training import interrupt

# As programs have them: lower case, and no sign that a shell or a file of
# options reads as anything else.
_NAME = re.compile('[a-z][a-z0-9_-]*')

# How a line begins by which a worker was refused.
_REFUSAL = 'error: '


class EngineError(errors.Error):
  """An engine cannot start workers; the message is one line."""


class UntrainedError(errors.Error):
  """All workers have ended, and not all is trained; the message is one line."""

  exit_status = 1

  def __init__(self, job: 'Job'):
    super().__init__(
      f'--workdir={job.workdir}: its workers have ended, and it is not trained '
      f'to the end; {_why(job)}; the same command goes on'
    )


class RefusedError(errors.Error):
  """A worker was refused; the message is the one line that it said."""

  def __init__(self, line: str, exit_status: int):
    super().__init__(line.removeprefix(_REFUSAL))
    self.exit_status = exit_status


class StoppedError(errors.Error):
  """A signal asked for the end."""

  def __init__(self, exit_status: int):
    super().__init__(
      'stopped; the workers save what they trained; the same command goes on'
    )
    self.exit_status = exit_status


class Job(NamedTuple):
  """What an engine is to start.

  Attributes:
    arguments: of `lstm-variants`, for a worker that ends when nothing is left
      to begin; with --wait it stays until all is trained.
    workdir: that the workers share.
    workers: how many.
    options: of the engine, as NAME or NAME=VALUE.
    dry_run: only tell what would be started.
    wait: until all is trained.
    is_trained: tells whether all is, by the directory and what is wanted now.
    before: the bytes that each log had before this launch: `make_logs`.
  """

  arguments: Sequence[str]
  workdir: str
  workers: int
  options: Sequence[str] = ()
  dry_run: bool = False
  wait: bool = False
  is_trained: Callable[[], bool] = lambda: False
  before: Mapping[pathlib.Path, int] = types.MappingProxyType({})

  @property
  def logs(self) -> pathlib.Path:
    """The directory of what the workers print."""
    return pathlib.Path(self.workdir).absolute() / lease.WORKERS

  @property
  def command(self) -> list[str]:
    """The command line of a worker."""
    return children.command(self.arguments)


def options(job: Job, known: Sequence[str] = ()) -> dict[str, str]:
  """Return the options of a job by name, '' where one has no value.

  Args:
    job: whose options are checked.
    known: all names that there are; none: the engine itself refuses others.

  Raises:
    EngineError: one has no name, is not known, or is given twice.
  """
  given: dict[str, str] = {}
  for option in job.options:
    name, _, value = option.partition('=')
    name = name.lstrip('-')
    if not _NAME.fullmatch(name) or not value.isprintable():
      raise EngineError(
        f'--launch_option={option}: is no NAME=VALUE; nearest: '
        '--launch_option=time=1:00:00'
      )
    if known and name not in known:
      raise EngineError(
        f'--launch_option={option}: unknown'
        + names_lib.tail(name, known, '--launch_option={}=…'.format)
      )
    if name in given:
      raise EngineError(
        f'--launch_option={name}: is given twice; leave one out'
      )
    given[name] = value
  return given


def make_logs(job: Job) -> Job:
  """Make the directory of what the workers print.

  Returns:
    The job, with what the logs have by now.

  Raises:
    StorageError: it cannot be made, or is a link.
  """
  with files.refusals(job.logs):
    job.logs.parent.mkdir(parents=True, exist_ok=True)
  files.make_directory(job.logs)
  return job._replace(before=_sizes(job.logs))


def start(
  arguments: Sequence[str], log: pathlib.Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
  """Start a worker on this machine, as `children.start` does.

  Args:
    arguments: of `lstm-variants`.
    log: gets what it prints, behind what is there.
    environ: variables that it has beside those of this process.

  Raises:
    StorageError: the log cannot be written, or is a link.
    EngineError: the system starts no more processes.
  """
  with files.refusals(log):
    # No link is followed: names of logs can be guessed.
    output = open(
      log,
      'ab',
      opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666),
    )
  with output:
    try:
      return children.start(
        arguments, output, {**environ, lease.LOG_VARIABLE: str(log)}
      )
    except OSError as error:
      raise EngineError(
        f'{log.stem}: cannot be started: {error.strerror}; nearest: fewer '
        '--workers'
      ) from error


def tail(log: pathlib.Path, count: int = 1, start: int = 0) -> list[str]:
  """Return the last lines that a worker said, none where nothing is read.

  Args:
    log: the file with what it said.
    count: so many lines at most.
    start: only what is behind so many bytes.
  """
  with contextlib.suppress(OSError):
    lines = log.read_bytes()[start:].decode(errors='replace').split('\n')
    return [line for line in lines if line.strip()][-count:]
  return []


def _why(job: Job) -> str:
  """Return why the last worker to say something was refused, or who tells."""
  now = _sizes(job.logs)
  with contextlib.suppress(OSError, ValueError):  # none has said anything
    logs = [log for log in now if now[log] != job.before.get(log)]
    last = max(logs, key=lambda log: log.stat().st_mtime)
    # Behind it srun may tell that the worker has ended.
    for line in reversed(tail(last, 3, job.before.get(last, 0))):
      if line.startswith(_REFUSAL):
        return f'{last}: {line.removeprefix(_REFUSAL)}'
  return f'{job.logs} tells why'


def _sizes(logs: pathlib.Path) -> dict[pathlib.Path, int]:
  """Return the bytes of each log, none where that is not answered."""
  with contextlib.suppress(OSError):
    return {log: log.stat().st_size for log in logs.glob(f'*{lease.LOG}')}
  return {}


def stay(job: Job, look: Callable[[], bool]) -> None:
  """Stay until all is trained, or no worker is left, or a signal comes.

  Args:
    job: whose directory tells what is trained; an engine may not know.
    look: waits for a moment, and tells whether some workers may still run.

  Raises:
    UntrainedError: the workers have ended before all was trained.
    StoppedError: a signal asked for the end.
  """
  with interrupt.deferred(), watching.Watch(job.workdir) as watch:
    while True:
      is_running = look()  # first: what a worker did last is seen below
      watch.look()
      if not is_running:
        # What they did last another host may not see for a minute.
        files.look_anew(pathlib.Path(job.workdir, partial.POPULATIONS))
      if job.is_trained():
        return
      if not is_running:
        raise UntrainedError(job)
      check()


def check() -> None:
  """End the launcher if a signal is waiting; its workers are told to end.

  Raises:
    StoppedError: a signal is waiting.
  """
  try:
    interrupt.check(saved=True)
  except interrupt.Interrupted as error:
    raise StoppedError(error.exit_status) from error
