"""What the programs share: strict flags, and bad input in one line.

Exit status, each but 0 with one line on stderr that tells why:

    0    fine
    2    bad input; nothing was written
    3    every run diverged; their results are written
    4    no checkpoint can be used, or --resume under another config
    5    the directory is busy, or holds a study and neither --resume nor
         --overwrite is given
    6    no space, or not writable; what was saved before is whole
    130  SIGINT, and
    143  SIGTERM: saved after the chunk of updates; a second one ends at once
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import difflib
import importlib.util
import logging
import math
import pathlib
import re
import sys
import types
from typing import Any

from absl import app, flags
from ml_collections import config_dict, config_flags

from lstm_variants import console, directory, storage
from lstm_variants.training import interrupt

# The flags below are the programs', so that their --help lists them.
flags.disclaim_key_flags()

_OVERRIDE = re.compile(r'--?config\.([^=]+)(?:=(.*))?', re.DOTALL)
_TRUE_OR_FALSE = ('true', 'false', '1', '0', 't', 'f', 'y', 'n', 'yes', 'no')
_HELP = ('help', 'helpshort', 'helpfull', 'helpxml', '?')
_HELP_WANTED = {f'{dashes}{name}' for dashes in ('-', '--') for name in _HELP}


class UsageError(Exception):
  """The command line cannot be used; the message is one line."""


# What any program may meet.
_ANYWHERE = (
  UsageError,
  storage.StorageError,
  storage.BusyError,
  interrupt.Interrupted,
)


def define_config() -> flags.FlagHolder:
  """Define --config, a config file whose fields --config.FIELD overrides."""
  try:
    return config_flags.DEFINE_config_file(
      'config',
      None,
      'Config file, as configs/adding.py; configs/base.py explains every '
      'field. Override fields as --config.model.variant=peephole.',
      lock_config=True,
    )
  except flags.Error as error:  # it reads the command line: a missing flagfile
    _refuse(error)
  raise AssertionError('unreachable')


def define_workdir() -> flags.FlagHolder[str]:
  """Define --workdir, the run directory."""
  # Never None after `_parse`; `required=True` would refuse less readably.
  workdir: Any = flags.DEFINE_string('workdir', None, 'The run directory.')
  return workdir


def define_mode() -> Callable[[], directory.Mode]:
  """Define --resume and --overwrite; the result tells which was given."""
  resume = flags.DEFINE_bool(
    'resume', False, 'Go on with the study in --workdir where it stopped.'
  )
  overwrite = flags.DEFINE_bool(
    'overwrite', False, 'Remove the study in --workdir and begin anew.'
  )

  def mode() -> directory.Mode:
    if resume.value and overwrite.value:
      raise UsageError(
        '--resume --overwrite: one goes on, the other begins anew; nearest: '
        '--resume'
      )
    if resume.value:
      return directory.Mode.RESUME
    return directory.Mode.OVERWRITE if overwrite.value else directory.Mode.NEW

  return mode


def run(main: Callable[[], None], *errors: type[Exception]) -> None:
  """Parse the flags and run a program.

  Args:
    main: the program, after its flags are parsed.
    *errors: exceptions whose message is a line for the user; those of
      storage, and a signal, are understood anyway.
  """

  def guarded(argv: Sequence[str]) -> None:
    del argv
    try:
      main()
    except (*errors, *_ANYWHERE) as error:
      _refuse(error)

  interrupt.install()
  # jax tells which of its platforms are missing; what was found is recorded.
  logging.getLogger('jax').setLevel(logging.WARNING)
  app.run(guarded, flags_parser=_parse)


def load_config_module(path: str) -> types.ModuleType:
  """Execute a config file and return it as a module.

  Raises:
    UsageError: there is no such file, it fails, or has no `get_config`.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    known = [str(p) for p in sorted(pathlib.Path('configs').rglob('*.py'))]
    raise UsageError(f'--config={path}: no such file{_nearest(path, known)}')
  spec = importlib.util.spec_from_file_location(file.stem, file)
  if spec is None or spec.loader is None:
    raise UsageError(f'--config={path}: not a Python file; it must end in .py')
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except (Exception, SystemExit) as error:
    name = type(error).__name__
    raise UsageError(f'--config={path}: fails: {name}: {error}') from error
  if not hasattr(module, 'get_config'):
    raise UsageError(
      f'--config={path}: has no get_config(); nearest: configs/adding.py'
    )
  return module


def _parse(argv: Sequence[str]) -> list[str]:
  """Parse the command line; refuse in one line what absl does not."""
  known = flags.FLAGS
  if _HELP_WANTED & set(argv):
    _help(argv)
  fields: dict[str, type] = {}
  try:
    if 'config' in known:
      fields = _check_config(argv)
    rest = known(argv)
    if known['workdir'].value is None:
      raise UsageError('--workdir: missing; nearest: --workdir=runs/NAME')
    if len(rest) > 1:
      word = rest[1]
      raise UsageError(
        f'{word!r}: unexpected argument; fields and flags start with --'
        + _nearest_flag(word.lstrip('-'), fields)
      )
  except flags.UnrecognizedFlagError as error:
    wrong = error.flagname
    nearest = _nearest_flag(wrong, fields)
    _refuse(UsageError(f'--{wrong}: unknown flag{nearest}'))
  except (flags.Error, UsageError) as error:
    _refuse(error)
  except Exception as error:  # whatever else a value may set off
    _refuse(UsageError(f'--config: {type(error).__name__}: {error}'))
  else:
    return rest
  raise AssertionError('unreachable')


def _help(argv: Sequence[str]) -> None:
  """Show the help that is asked for; absl's would exit with status 1."""
  wanted = next(word for word in argv if word in _HELP_WANTED)
  try:
    flags.FLAGS([argv[0], wanted])
  except SystemExit:
    sys.exit(0)


def _check_config(argv: Sequence[str]) -> dict[str, type]:
  """Check the config file and the overrides on the command line against it.

  Returns:
    The type of each field of the config.

  Raises:
    UsageError: naming what is wrong.
  """
  path = _value_of('--config', argv)
  if path is None:
    if any(_OVERRIDE.fullmatch(word) for word in argv[1:]):
      raise UsageError(
        '--config.…: fields need a config file; nearest: '
        '--config=configs/adding.py'
      )
    raise UsageError('--config: missing; nearest: --config=configs/adding.py')
  types_of = dict(_flatten(_load_config(path)))
  given: dict[str, list[str | None]] = {}
  for field, value in _overrides(argv):
    given.setdefault(field, []).append(value)
    if field not in types_of:
      wrong = f'--config.{field}={value}'
      nearest = _nearest_flag(field, types_of)
      raise UsageError(f'{wrong}: unknown field{nearest}')
    if value is not None:
      _check_type(field, value, types_of[field])
  for field, values in given.items():
    if len(set(values)) > 1:
      console.warn(f'--config.{field} is given twice: {values[-1]} counts')
  return types_of


def _load_config(path: str) -> config_dict.ConfigDict:
  """Call the `get_config` of a config file, given as FILE or FILE:ARGUMENT."""
  file, _, argument = path.partition(':')
  module = load_config_module(file)
  try:
    config = module.get_config(*([argument] if argument else []))
  except (Exception, SystemExit) as error:
    raise UsageError(
      f'--config={path}: get_config() fails: {type(error).__name__}: {error}'
    ) from error
  if not isinstance(config, config_dict.ConfigDict):
    raise UsageError(
      f'--config={path}: get_config() returns {type(config).__name__}, not a '
      'ConfigDict; nearest: configs/adding.py'
    )
  return config


def _overrides(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
  for index, word in enumerate(argv):
    match = _OVERRIDE.fullmatch(word)
    if match and match[2] is None and index + 1 < len(argv):
      following = argv[index + 1]
      yield match[1], None if following.startswith('-') else following
    elif match:
      yield match[1], match[2]


def _check_type(field: str, value: str, expected: type) -> None:
  """Refuse a value that is not of its field's type."""
  what = f'--config.{field}={value}'
  if expected is bool and value.lower() not in _TRUE_OR_FALSE:
    raise UsageError(
      f'{what}: must be true or false{_nearest(value, _TRUE_OR_FALSE[:2])}'
    )
  if expected is int and not re.fullmatch(r'\s*[+-]?\d[\d_]*\s*', value):
    try:
      nearest = f'; nearest: {round(float(value))}'
    except (ValueError, OverflowError):
      nearest = '; for example 32'
    raise UsageError(f'{what}: must be an integer{nearest}')
  if expected is float:
    try:
      float(value)
    except ValueError:
      number = value.replace(',', '.')
      good = re.fullmatch(r'[+-]?\d*\.?\d+', number) and math.isfinite(
        float(number)
      )
      nearest = f'nearest: {number}' if good else 'for example 0.001'
      raise UsageError(f'{what}: must be a number; {nearest}') from None


def _flatten(
  config: config_dict.ConfigDict, prefix: str = ''
) -> Iterator[tuple[str, type]]:
  for key in config:
    kind: Any = config.get_type(key)
    if issubclass(kind, config_dict.ConfigDict):
      nested: Any = config[key]
      yield from _flatten(nested, f'{prefix}{key}.')
    else:
      yield f'{prefix}{key}', kind


def _value_of(flag: str, argv: Sequence[str]) -> str | None:
  """Return the last value given to a flag, in either form, or None."""
  found = None
  for index, word in enumerate(argv):
    if word in (flag, flag[1:]) and index + 1 < len(argv):
      found = argv[index + 1]
    for form in (flag, flag[1:]):
      if word.startswith(form + '='):
        found = word[len(form) + 1 :]
  return found


def _nearest_flag(wrong: str, fields: Iterable[str]) -> str:
  """Name the field or flag closest to `wrong`, given as NAME or NAME=VALUE.

  A field may lack what stands before its last dot.
  """
  name, equals, value = wrong.partition('=')
  name = name.removeprefix('config.')
  whole = {field: f'config.{field}' for field in fields}
  last = {field.rpartition('.')[2]: flag for field, flag in whole.items()}
  choices = {**{flag: flag for flag in flags.FLAGS}, **last, **whole}
  close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
  return f'; nearest: --{choices[close[0]]}{equals}{value}' if close else ''


def _nearest(value: str, choices: Sequence[str]) -> str:
  close = difflib.get_close_matches(value, choices, n=1, cutoff=0.4)
  return f'; nearest: {close[0]}' if close else ''


def _refuse(error: Exception) -> None:
  """Print an error as one line and exit with its status, 2 if it has none."""
  print('error: ' + ' '.join(str(error).split()), file=sys.stderr)
  sys.exit(getattr(error, 'exit_status', 2))
