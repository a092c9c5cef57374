"""--launch: who starts the workers that train a study, and how many."""

from collections.abc import Callable, Sequence
import pathlib
import sys

from absl import flags

from lstm_variants import errors
from lstm_variants.commands import command, config_file
from lstm_variants.launch import local, local_workers
from lstm_variants.runs import lease, results, status

# The flags below are the programs', so that their --help lists them.
flags.disclaim_key_flags()

_ENGINES = ('local',)
# Of the launcher alone; a worker has all others.
_OURS = ('launch', 'workers', 'share', 'noshare', 'resume', 'noresume')


class WorkerError(errors.Error):
  """A worker was refused; the message is the one line that it said."""

  def __init__(self, line: str, exit_status: int):
    super().__init__(line.removeprefix('error: '))
    self.exit_status = exit_status


def define_launch() -> Callable[[], Callable[[str], None] | None]:
  """Define --launch and --workers.

  Returns:
    What checks the flags, and returns what launches the workers of a run
    directory; None without --launch.
  """
  launch = flags.DEFINE_enum(
    'launch',
    None,
    list(_ENGINES),
    'Start workers that share the study (docs/many-machines.md). local: '
    'processes on this machine, among which its cores and GPUs are shared out.',
  )
  workers = flags.DEFINE_integer(
    'workers', 2, 'With --launch: how many.', lower_bound=1, upper_bound=1024
  )

  def launch_in(workdir: str) -> None:
    arguments = _worker(sys.argv)
    ended = local_workers.train(arguments, workdir, workers.value)
    if ended.status:
      raise WorkerError(ended.line, ended.status)
    _end(workdir)

  def checked() -> Callable[[str], None] | None:
    if launch.value is None and flags.FLAGS['workers'].present:
      raise config_file.UsageError(
        f'--workers={workers.value}: is of --launch; nearest: --launch=local '
        f'--workers={workers.value}'
      )
    if launch.value is None:
      return None
    if flags.FLAGS['overwrite'].value:
      raise config_file.UsageError(
        '--launch --overwrite: each worker would remove what others train; '
        'choose another --workdir'
      )
    return launch_in

  return checked


def _worker(argv: Sequence[str]) -> list[str]:
  """Return the arguments of a worker, from the command line of its launcher."""
  arguments, words = ['sweep'], iter(argv[1:])
  for word in words:
    name, equals, _ = word.lstrip('-').partition('=')
    if not word.startswith('-') or name not in _OURS:
      arguments.append(word)
    elif not equals and name in ('launch', 'workers'):
      next(words)  # its value
  return [*arguments, '--share']


def _end(workdir: str) -> None:
  """Say what became of a study, by what its directory has.

  Raises:
    DivergedError: every run diverged.
  """
  read = status.read(workdir)
  if read.training or read.pending:
    others = [
      one for one in lease.leases(pathlib.Path(workdir)) if not one.has_ended
    ]
    command.say_taken(workdir, max(len(others), 1))
    return
  names = results.populations(workdir)
  diverged = [results.is_all_diverged(workdir, name) for name in names]
  local.check_diverged(workdir, all(diverged))
  command.say_results(workdir)
