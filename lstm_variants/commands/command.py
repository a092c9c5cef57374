"""What the programs share: strict flags, and bad input in one line.

Exit status, each but 0 with one line on stderr that tells why:

    0    fine
    2    bad input; nothing was written
    3    every run diverged; their results are written
    4    no checkpoint can be used, or --resume under another config
    5    the directory is busy, or holds a study and neither --resume nor
         --overwrite is given
    6    no space, not writable (stdout included), or a file system that does
         not answer; what was saved before is whole
    129  SIGHUP,
    130  SIGINT, and
    143  SIGTERM: saved after the chunk of updates; a second one, half a second
         later or more, ends at once
    134  one of several joined processes is gone; what was saved before is whole
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import functools
import io
import logging
import re
import shlex
import sys
import textwrap
import types
from typing import Any

from absl import app, command_name, flags
from ml_collections import config_flags

from lstm_variants import console, errors, extensions
from lstm_variants import names as names_lib
from lstm_variants.commands import (
  config_file,
  distributed,
  environment,
  flag_files,
)
from lstm_variants.runs import directory, outcome, results
from lstm_variants.training import interrupt

# The flags below are the programs', so that their --help lists them.
flags.disclaim_key_flags()

_HELP = ('help', 'helpshort', 'helpfull', 'helpxml', '?')
_HELP_WANTED = {f'{dashes}{name}' for dashes in ('-', '--') for name in _HELP}


# What the fields of a section are about, where its name does not tell.
_SECTIONS = {
  '': 'run',
  'model.toggles': 'model: toggles of an LSTM, on top of its variant',
  'model.cell': 'model: settings of other cells',
}


class _Defaults:
  """The values that the running program has for flags that are not given."""

  config: str | None = None


class _Words:
  """The words without dashes of the command line, if the program takes any."""

  taken = False
  given: list[str] = []


def define_config(default: str | None = None) -> flags.FlagHolder:
  """Define --config, a config file, and --config.FIELD for each of its fields.

  Args:
    default: the config of a program that is started without --config; None:
      such a start is refused.
  """
  _Defaults.config = default
  try:
    flag_files.check(sys.argv)
    return config_flags.DEFINE_config_file(
      'config',
      None,
      'Config: a file, or one of the house by its name, as adding. Its fields '
      'are listed below; override them as --config.model.variant=peephole.',
      lock_config=True,
    )
  # A flagfile is read here already.
  except (flags.Error, errors.Error) as error:
    console.refuse(error)


def define_workdir() -> flags.FlagHolder[str]:
  """Define --workdir, the run directory."""
  # Never None after `_parse`; `required=True` would refuse less readably.
  workdir: Any = flags.DEFINE_string('workdir', None, 'The run directory.')
  return workdir


def define_mode() -> Callable[[], directory.Mode]:
  """Define --resume, --overwrite and --share; the result tells which."""
  resume = flags.DEFINE_bool(
    'resume', False, 'Go on with the study in --workdir where it stopped.'
  )
  overwrite = flags.DEFINE_bool(
    'overwrite', False, 'Remove the study in --workdir and begin anew.'
  )
  share = flags.DEFINE_bool(
    'share',
    False,
    'Begin the study in --workdir, or train it together with the processes, '
    'here or on other machines, that were started so too '
    '(docs/many-machines.md).',
  )

  def mode() -> directory.Mode:
    if resume.value and overwrite.value:
      raise config_file.UsageError(
        '--resume --overwrite: one goes on, the other begins anew; nearest: '
        '--resume'
      )
    if share.value and overwrite.value:
      raise config_file.UsageError(
        '--share --overwrite: would remove what others train; nearest: --share'
      )
    workdir = flags.FLAGS['workdir'].value or ''
    if resume.value and (share.value or _is_launched()):
      directory.check(workdir, None, directory.Mode.RESUME)
    if share.value:
      return directory.Mode.SHARE
    if resume.value:
      return directory.Mode.RESUME
    return directory.Mode.OVERWRITE if overwrite.value else directory.Mode.NEW

  return mode


def define_wait(launches: bool = False) -> Callable[[], bool]:
  """Define --wait, of --share.

  Args:
    launches: whether the program has --launch too.
  """
  wait = flags.DEFINE_bool(
    'wait',
    False,
    'With --share: stay until nothing is left, and take over what processes '
    'that end leave.'
    + (' With --launch: stay until all is trained.' if launches else ''),
  )

  def is_given() -> bool:
    if wait.value and not (flags.FLAGS['share'].value or _is_launched()):
      raise config_file.UsageError(
        '--wait: waits for others of --share; nearest: --share --wait'
      )
    return bool(wait.value)

  return is_given


def _is_launched() -> bool:
  """Tell whether --launch is given, where there is such a flag."""
  return 'launch' in flags.FLAGS and flags.FLAGS['launch'].value is not None


def define_profile() -> Callable[[], str | None]:
  """Define --profile; the result tells the directory, None without one."""
  given = flags.DEFINE_string(
    'profile',
    None,
    'A directory for a profile of the first chunks of updates, which '
    'TensorBoard and ui.perfetto.dev open.',
  )

  def profile() -> str | None:
    if given.value == '':  # as of a variable of the shell that is not set
      raise config_file.UsageError(
        '--profile=: names no directory; nearest: --profile=profile'
      )
    return given.value

  return profile


def define_words() -> Callable[[], list[str]]:
  """Let the program take words without dashes; the result returns them."""
  _Words.taken = True
  return lambda: _Words.given


def _define_import() -> None:
  """Define --import, which every program has."""
  flags.DEFINE_multi_string(
    'import',
    [],
    'MODULE[,MODULE]: modules of your own that register cells, variants, tasks '
    'or optimizers (docs/extending.md).',
  )


def start(program: types.ModuleType) -> None:
  """Run a program, a module of `commands`, as the main module.

  Args:
    program: a module with a function `main`; --help shows its docstring and its
      flags.
  """
  sys.modules['__main__'].__doc__ = re.sub(
    r'\blstm-variants (\w+)',
    lambda match: console.command_line(match[1]),
    program.__doc__ or '',
  )
  for flag in flags.FLAGS.get_flags_for_module(program.__name__):
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
  _define_import()
  # absl takes it for a flag of whoever called `start`, which of the installed
  # program is not the main module.
  flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS['import'])
  run(program.main)


def run(main: Callable[[], None]) -> None:
  """Parse the flags and run a program; if it fails, say why in one line.

  Args:
    main: called after the flags are parsed.
  """

  def guarded(argv: Sequence[str]) -> None:
    del argv
    # Of absl it has a space, at which SLURM's linuxproc loses the process: it
    # would signal nothing.
    command_name.set_kernel_process_name('lstm-variants')
    try:
      main()
    except (errors.Error, interrupt.Interrupted) as error:
      distributed.refuse(config_file.placed(error, sys.argv))
    except Exception as error:
      refusal = environment.refusal(error)
      if refusal is None:
        raise
      distributed.refuse(refusal)

  interrupt.install()
  # Without this, jax logs which platforms it does not have.
  logging.getLogger('jax').setLevel(logging.WARNING)
  program = functools.partial(app.run, guarded, flags_parser=_parse)
  with console.guarded():
    distributed.run(program, sys.argv)


def _parse(argv: Sequence[str]) -> list[str]:
  """Parse the command line, or end the program with one line on stderr."""
  try:
    return _parse_strictly(argv)
  except (flags.Error, errors.Error) as error:
    distributed.refuse(config_file.placed(error, sys.argv))
  except Exception as error:  # a config file may raise anything
    distributed.refuse(
      environment.refusal(error)
      or config_file.UsageError(f'--config: {type(error).__name__}: {error}')
    )


def _parse_strictly(argv: Sequence[str]) -> list[str]:
  """Parse the command line, and refuse also what absl would accept.

  Returns:
    The program's name, as absl wants it.

  Raises:
    flags.Error: if absl refuses the command line.
    errors.Error: if something else in it cannot be used.
  """
  known = flags.FLAGS
  if 'log_dir' in known:
    # Of absl, which writes nothing there; whoever gives it means --workdir.
    delattr(known, 'log_dir')
  flag_files.check(argv)
  if _Defaults.config and config_file.value_of('--config', argv) is None:
    argv = [argv[0], f'--config={_Defaults.config}', *argv[1:]]
  # Extensions are imported first: a config may name what they register.
  extensions.load(_extensions_named(argv))
  if _HELP_WANTED & set(argv):
    _help(argv)
  extensions.load_installed()
  _check_resumed(argv)
  fields = config_file.check(argv) if 'config' in known else {}
  _check_values(argv)
  try:
    arguments = known(config_file.resolved(argv))
  except flags.IllegalFlagValueError as error:
    line = str(error).removeprefix('flag ')
    raise config_file.UsageError(line) from error
  except flags.UnrecognizedFlagError as error:
    value = config_file.value_of(f'--{error.flagname}', argv)
    if value and config_file.is_flag(value):  # the next one: this has no value
      value = None
    wrong = f'{error.flagname}={value}' if value else error.flagname
    nearest = config_file.nearest_flag(wrong, fields)
    raise config_file.UsageError(
      f'--{error.flagname}: unknown flag{nearest}'
    ) from error
  if 'import' in known:  # a flagfile may name more of them
    extensions.load(_split_names(known['import'].value or ()))
  if 'workdir' in known and known['workdir'].value is None:
    place = shlex.quote(arguments[1]) if len(arguments) > 1 else 'runs/NAME'
    raise config_file.UsageError(
      f'--workdir: missing; nearest: --workdir={place}'
    )
  if _Words.taken:
    _Words.given = arguments[1:]
  elif len(arguments) > 1:
    word = arguments[1]
    raise config_file.UsageError(
      f'{word!r}: unexpected argument; fields and flags start with --'
      + config_file.nearest_flag(word.lstrip('-'), fields)
    )
  return arguments


def _check_values(argv: Sequence[str]) -> None:
  """Refuse flags without their value, and choices that are none."""
  known = flags.FLAGS
  for index, word in enumerate(argv[1:], 1):
    name = word.lstrip('-')
    if not config_file.is_flag(word) or name not in known:
      continue
    following = argv[index + 1] if index + 1 < len(argv) else '--end'
    if not known[name].boolean and config_file.is_flag(following):
      raise config_file.UsageError(
        f'--{name}: needs a value, as --{name}=VALUE'
      )
  for name in known:
    choices = known[name].parser
    if not isinstance(choices, flags.EnumParser):
      continue
    value = config_file.value_of(f'--{name}', argv)
    if value is not None and value not in choices.enum_values:
      raise config_file.UsageError(
        f'--{name}={value}: unknown'
        + names_lib.tail(value, choices.enum_values, f'--{name}={{}}'.format)
      )


def _extensions_named(argv: Sequence[str]) -> list[str]:
  """Return the modules that a command line names, before it is parsed."""
  return _split_names(config_file.values_of('--import', argv))


def _split_names(values: Iterable[str]) -> list[str]:
  """Return the names in lists whose parts a comma separates."""
  return [name.strip() for value in values for name in value.split(',')]


def _check_resumed(argv: Sequence[str]) -> None:
  """Refuse to go on with a study whose modules are not named.

  Before the config is read, which would be refused for an unknown name.
  """
  workdir = config_file.value_of('--workdir', argv)
  goes_on = {'resume', 'resume=true', 'share', 'share=true'}
  if workdir is None or not goes_on & {word.lstrip('-') for word in argv}:
    return
  try:
    study = results.read_study(workdir)
  except results.WorkdirError:
    return  # it is refused where it is used
  if study.get('modules'):
    # Only now: it takes jax, which is slow to start.
    from lstm_variants.config import components

    components.check_study(workdir, study)


def _help(argv: Sequence[str]) -> None:
  """Show the help that is asked for; absl's would exit with status 1."""
  wanted = next(word for word in argv if word in _HELP_WANTED)
  try:
    flags.FLAGS([argv[0], wanted])
  except SystemExit:
    if 'config' in flags.FLAGS and not wanted.endswith('xml'):
      if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='replace')  # a terminal without σ
      console.say('\n' + '\n'.join(_fields_help()))
    sys.exit(0)


def _fields_help() -> Iterator[str]:
  """Yield the lines that list the fields of a config, at most 80 wide."""
  # Only now: it takes jax, which is slow to start.
  from lstm_variants.config import schema

  yield 'fields, given as --config.FIELD=VALUE, with their defaults (rules:'
  yield f'docs/config.md; {console.command_line("list")} fields WORD: some):'
  section = None
  for name, row in schema.table().items():
    if name.rpartition('.')[0] != section:
      section = name.rpartition('.')[0]
      yield f'\n{_SECTIONS.get(section, section)}:'
    text = f'{name} ({schema.default_text(row)}): {row.doc}'
    yield from textwrap.wrap(
      text,
      80,
      initial_indent='  ',
      subsequent_indent='    ',
      break_long_words=False,
      break_on_hyphens=False,
    )


def say_results(workdir: str) -> None:
  """Warn of runs that came to nothing; say where results are, what is next.

  Of several processes the first one does, which has them.
  """
  if not distributed.is_first():
    return
  come_to = outcome.read(workdir)
  if come_to.warning:
    console.warn(come_to.warning)
  if come_to.note:
    console.note(f'note: {come_to.note}')
  console.end(
    workdir, f'{console.command_line("compare")} {workdir_flags(workdir)}'
  )


def say_taken(workdir: str, others: int) -> None:
  """Say how many populations others train, and where to see how far."""
  one = others == 1
  console.say(
    '1 population is trained by others'
    if one
    else f'{others} populations are trained by others'
  )
  console.say_next(
    f'{console.command_line("status")} --workdir={shlex.quote(workdir)}'
  )


def workdir_flags(workdir: str) -> str:
  """Return the flags with which another command reads a study."""
  modules = results.read_study(workdir).get('modules')
  # They are those of a directory that may be another's, and will be pasted.
  needed = shlex.quote(','.join(modules)) if modules else ''
  place = f'--workdir={shlex.quote(workdir)}'
  return f'{place} --import={needed}' if needed else place


def given_flag(flag: flags.FlagHolder[Any]) -> str:
  """Return a flag as it was given, behind a space, '' if it was not."""
  if flag.value is None:
    return ''
  return f' --{flag.name}={shlex.quote(str(flag.value))}'
