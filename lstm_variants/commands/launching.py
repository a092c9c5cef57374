"""--launch: who starts the workers that train a study, and how many."""

import collections
from collections.abc import Callable, Sequence
import pathlib
import shlex
import sys

from absl import flags

from lstm_variants import console
from lstm_variants.commands import command, config_file
from lstm_variants.launch import engine, local, local_workers, ray, slurm
from lstm_variants.runs import files, lease, partial, results

# The flags below are the programs', so that their --help lists them.
flags.disclaim_key_flags()


# Called with the run directory, and with what tells whether all is trained.
Launch = Callable[[str, Callable[[], bool]], None]
# Name -> what starts the workers of a job, and tells whether it saw them end.
_ENGINES: dict[str, Callable[[engine.Job], bool]] = {
  'local': local_workers.launch,
  'slurm': slurm.launch,
  'ray': ray.launch,
}
# Of the launcher alone; a worker has all others.
_VALUES = ('launch', 'workers', 'launch_option')
_SWITCHES = ('dry_run', 'share', 'wait', 'resume')


def define_launch() -> Callable[[], Launch | None]:
  """Define --launch and its flags.

  Returns:
    What checks the flags, and returns what launches the workers of a run
    directory; None without --launch.
  """
  launch = flags.DEFINE_enum(
    'launch',
    None,
    list(_ENGINES),
    'Start workers that share the study (docs/many-machines.md). local: '
    'processes on this machine, among which its cores and GPUs are shared out. '
    'slurm: an array job. ray: tasks.',
  )
  workers = flags.DEFINE_integer(
    'workers', 2, 'With --launch: how many.', lower_bound=1, upper_bound=1024
  )
  options = flags.DEFINE_multi_string(
    'launch_option',
    [],
    'With --launch=slurm or ray: NAME=VALUE, an option of it, as partition=gpu '
    'or num_gpus=1.',
  )
  dry_run = flags.DEFINE_bool(
    'dry_run', False, 'With --launch: print what would be started.'
  )

  def launch_in(workdir: str, is_trained: Callable[[], bool]) -> None:
    """Start the workers of a run directory, and say what came of it."""
    job = engine.Job(
      _worker(sys.argv),
      workdir,
      workers.value,
      options.value,
      dry_run.value,
      bool(flags.FLAGS['wait'].value),
      is_trained,
    )
    if _ENGINES[launch.value or ''](job):
      _end(job)
    elif not dry_run.value:
      place = shlex.quote(workdir)
      console.say_next(f'{console.command_line("status")} --workdir={place}')

  def checked() -> Launch | None:
    _check(launch.value)
    return None if launch.value is None else launch_in

  return checked


def _check(launch: str | None) -> None:
  """Refuse flags that mean nothing without --launch, or beside it."""
  if launch is None:
    for name, nearest in (
      ('workers', 'local'),
      ('launch_option', 'slurm'),
      ('dry_run', 'slurm'),
    ):
      if flags.FLAGS[name].present:
        raise config_file.UsageError(
          f'--{name}: is of --launch; nearest: --launch={nearest}'
        )
    return
  given = [_name(word) for word in sys.argv[1:]]
  read = map(_name, flags.FLAGS.read_flags_from_files(sys.argv[1:]))
  counted, all_counted = map(collections.Counter, (given, read))
  for name in ('dry_run', 'nodry_run', *_VALUES):
    if all_counted[name] > counted[name]:
      raise config_file.UsageError(
        f'--{name}: stands in a --flagfile, which the workers read too; give '
        'it on the command line'
      )
  if flags.FLAGS['overwrite'].value:
    raise config_file.UsageError(
      '--launch --overwrite: each worker would remove what others train; '
      'choose another --workdir'
    )


def _worker(argv: Sequence[str]) -> list[str]:
  """Return the arguments of a worker, from the command line of its launcher."""
  arguments, words = ['sweep'], iter(argv[1:])
  switches = (*_SWITCHES, *(f'no{name}' for name in _SWITCHES))
  for word in words:
    name = _name(word)
    if name not in (*_VALUES, *switches):
      arguments.append(word)
    elif name in _VALUES and '=' not in word:
      next(words)  # its value
  return [*arguments, '--share']


def _name(word: str) -> str:
  """Return the name of the flag that a word gives, '' where it gives none."""
  return word.lstrip('-').partition('=')[0] if word.startswith('-') else ''


def _end(job: engine.Job) -> None:
  """Say what became of a study, by what its directory has.

  Raises:
    DivergedError: every run diverged.
    UntrainedError: nobody trains what is left.
  """
  workdir, path = job.workdir, pathlib.Path(job.workdir)
  # First: what others did last is seen below.
  is_shared = lease.is_shared(path)
  files.look_anew(path / partial.POPULATIONS)
  if not job.is_trained():
    if not is_shared:
      raise engine.UntrainedError(job)
    others = [one for one in lease.leases(path) if not one.has_ended]
    command.say_taken(workdir, max(len(others), 1))
    return
  names = results.populations(workdir)
  diverged = [results.is_all_diverged(workdir, name) for name in names]
  local.check_diverged(workdir, all(diverged))
  command.say_results(workdir)
