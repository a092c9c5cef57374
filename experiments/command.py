"""What the programs share: strict flags, and bad input in one line.

Exit status: 0 fine, 2 bad input (one line on stderr, nothing written), 130
interrupted.
"""

from collections.abc import Callable, Iterator, Sequence
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

_OVERRIDE = re.compile(r'--?config\.([\w.]+)(?:=(.*))?', re.DOTALL)
_TRUE_OR_FALSE = ('true', 'false', '1', '0', 't', 'f', 'y', 'n', 'yes', 'no')


class UsageError(Exception):
  """The command line cannot be used; the message is one line."""


def define_config() -> flags.FlagHolder:
  """Define --config, a config file whose fields --config.FIELD overrides."""
  return config_flags.DEFINE_config_file(
    'config',
    None,
    'Config file, as configs/adding.py; configs/base.py explains every field. '
    'Override fields as --config.model.variant=peephole.',
    lock_config=True,
  )


def define_workdir() -> flags.FlagHolder[str]:
  """Define --workdir, the run directory."""
  return flags.DEFINE_string(
    'workdir', None, 'The run directory.', required=True
  )


def run(main: Callable[[], None], *errors: type[Exception]) -> None:
  """Parse the flags and run a program.

  Args:
    main: the program, after its flags are parsed.
    *errors: exceptions whose message is a line for the user.
  """

  def guarded(argv: Sequence[str]) -> None:
    del argv
    try:
      main()
    except errors as error:
      _refuse(error)
    except KeyboardInterrupt:
      print('interrupted', file=sys.stderr)
      sys.exit(130)

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
  except Exception as error:
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
  try:
    if 'config' in known:
      _check_config(argv)
    rest = known(argv)
    if len(rest) > 1:
      word = rest[1]
      raise UsageError(
        f'{word!r}: unexpected argument; fields and flags start with --, '
        f'nearest: {_as_flag(word)}'
      )
  except flags.UnrecognizedFlagError as error:
    names = [f'--{name}' for name in known]
    wrong = f'--{error.flagname}'
    _refuse(UsageError(f'{wrong}: unknown flag{_nearest(wrong, names)}'))
  except (flags.Error, UsageError) as error:
    _refuse(error)
  except Exception as error:  # whatever a config's own code raises
    _refuse(UsageError(f'--config: {type(error).__name__}: {error}'))
  else:
    return rest
  raise AssertionError('unreachable')


def _check_config(argv: Sequence[str]) -> None:
  """Check the config file and the overrides on the command line against it."""
  path = _value_of('--config', argv)
  if path is None:
    if any(_OVERRIDE.fullmatch(word) for word in argv[1:]):
      raise UsageError(
        '--config.…: fields need a config file; nearest: '
        '--config=configs/adding.py'
      )
    if not {'--help', '--helpfull', '--helpshort', '-?'} & set(argv):
      raise UsageError('--config: missing; nearest: --config=configs/adding.py')
    return
  path, _, argument = path.partition(':')
  module = load_config_module(path)
  config = module.get_config(*([argument] if argument else []))
  types_of = dict(_flatten(config))
  for field, value in _overrides(argv):
    if field not in types_of:
      names = [f'--config.{name}' for name in types_of]
      wrong = f'--config.{field}'
      raise UsageError(
        f'{wrong}={value}: unknown field{_nearest(wrong, names)}'
      )
    if value is not None:
      _check_type(field, value, types_of[field])


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
      f'{what}: must be true or false{_nearest(value, _TRUE_OR_FALSE)}'
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


def _as_flag(word: str) -> str:
  return f'--{word}' if word.startswith('config') else f'--config.{word}'


def _nearest(value: str, choices: Sequence[str]) -> str:
  close = difflib.get_close_matches(value, choices, n=1, cutoff=0.4)
  return f'; nearest: {close[0]}' if close else ''


def _refuse(error: Exception) -> None:
  """Print an error as one line and exit with status 2."""
  print('error: ' + ' '.join(str(error).split()), file=sys.stderr)
  sys.exit(2)
