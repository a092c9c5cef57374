"""The config file of a command line and its overrides, checked strictly."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import math
import re
from typing import Any

from absl import flags
from ml_collections import config_dict

from lstm_variants import console, errors
from lstm_variants import names as names_lib
from lstm_variants.config import builtin, rules, source
from lstm_variants.config import fields as fields_lib

_OVERRIDE = re.compile(r'--?config\.([^=]+)(?:=(.*))?', re.DOTALL)
# Chooses the device, where others have a flag; jax reads it.
_PLATFORM = 'JAX_PLATFORMS'
# What Weights & Biases reads itself, where other trainers have a flag.
_OF_WANDB = ('WANDB_PROJECT', 'WANDB_ENTITY', 'WANDB_MODE', 'WANDB_DIR')
# Libraries with flags of their own, of which no user of this program thinks.
_OF_OTHERS = re.compile(r'(absl|chex)\b')
# A word that is a flag, and no value of the flag before it, as -1 and -inf are.
_FLAG = re.compile(r'--[a-z].*|-(?!inf\b)[a-z].*', re.DOTALL | re.IGNORECASE)
_TRUE_OR_FALSE = ('true', 'false', '1', '0', 't', 'f', 'y', 'n', 'yes', 'no')
_TRUE = ('true', '1', 't', 'y', 'yes')
_FALSE = tuple(word for word in _TRUE_OR_FALSE if word not in _TRUE)
# Some integers, as others write them: 1..5, 1-5, 0:5, range(5), [1, 2].
_INTEGERS = re.compile(
  r'\s*(range)?[(\[]?\s*[+-]?\d+(\s*(\.\.+|-|:|,|\s)\s*[+-]?\d+)*\s*[)\]]?\s*'
)
# A function of the config file -> what it states, where others have flags.
_STATED: dict[str, tuple[str, ...]] = {}


class UsageError(errors.Error):
  """The command line cannot be used; the message is one line."""


def define_stated(function: str, names: Iterable[str]) -> None:
  """Say what is no flag of this program but stated in the config file.

  Args:
    function: of the config file, as 'get_search'.
    names: what it states.
  """
  _STATED[function] = tuple(names)


def resolved(argv: Sequence[str]) -> list[str]:
  """Return a command line whose --config is a file, where it was a name."""
  words = list(argv)
  for index, word in enumerate(words):
    name, equals, value = word.partition('=')
    if name not in ('-config', '--config'):
      continue
    if equals:
      words[index] = f'{name}={_resolve(value)}'
    elif index + 1 < len(words):
      words[index + 1] = _resolve(words[index + 1])
  return words


def placed(error: Exception, argv: Sequence[str]) -> Exception:
  """Return a refusal, naming the config file where the value stands there.

  Args:
    error: what was raised.
    argv: the command line, which may give the field itself.
  """
  path = value_of('--config', argv)
  if path is None or not isinstance(error, rules.InputError):
    return error
  # Only now: it takes jax, which is slow to start.
  from lstm_variants.config import schema

  row = schema.table().get(error.field)
  given = dict(overrides(argv))
  of_file = row is None or row.default != error.value
  if error.field in given:
    # The grid of the file may have other values than the command line.
    of_file = not _says(given[error.field], error.value)
  if of_file:
    error.place(path)
  return error


def _says(text: str | None, value: Any) -> bool:
  """Tell whether a value may be what a word of a command line gives."""
  if text is None or not isinstance(value, int | float | str):
    return True
  if isinstance(value, str):
    return text == value
  if isinstance(value, bool):
    return (text.lower() in _TRUE) == value
  try:
    given = type(value)(text)
  except ValueError:
    return True
  return given == value or (math.isnan(given) and math.isnan(value))


def _resolve(path: str) -> str:
  """Return FILE or FILE:ARGUMENT for NAME or NAME:ARGUMENT."""
  name, argument = source.split_argument(path)
  file = builtin.find(name)
  if file is None:
    return path
  return f'{file}:{argument}' if argument else str(file)


def check(argv: Sequence[str]) -> dict[str, type]:
  """Check the config file and the overrides on the command line against it.

  Returns:
    The type of each field of the config.

  Raises:
    UsageError: naming what is wrong.
  """
  path = value_of('--config', argv)
  if path is None:
    if any(_OVERRIDE.fullmatch(word) for word in argv[1:]):
      raise UsageError(
        '--config.…: fields need a config file; nearest: --config=adding'
      )
    word = argv[1] if len(argv) > 1 and not is_flag(argv[1]) else ''
    name = word if builtin.find(word) else 'adding'
    raise UsageError(f'--config: missing; nearest: --config={name}')
  if is_flag(path):
    raise UsageError('--config: needs a value, as --config=adding')
  types_of = _types_of(source.load_config(path))
  given: dict[str, list[str | None]] = {}
  for field, value in overrides(argv):
    given.setdefault(field, []).append(value)
    if field not in types_of:
      wrong = field if value is None else f'{field}={value}'
      tail = field_tail(wrong, types_of)
      if value is not None and len(_parts(value)) > 1 and not _pair(wrong):
        tail = tail.removesuffix(_grid()) + _grid()
      raise UsageError(f'--config.{field}={value}: unknown field{tail}')
    if value is not None:
      _check_type(field, value, types_of[field])
      _check_single(field, value)
    elif types_of[field] is not bool:
      raise UsageError(
        f'--config.{field}: needs a value, as --config.{field}=VALUE'
      )
  for field, values in given.items():
    if len(set(values)) > 1:
      console.warn(f'--config.{field} is given twice: {values[-1]} counts')
  return types_of


def overrides(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
  """Yield each overridden field of a command line, and its value."""
  for index, word in enumerate(argv):
    match = _OVERRIDE.fullmatch(word)
    if match and match[2] is None and index + 1 < len(argv):
      following = argv[index + 1]
      yield match[1], None if is_flag(following) else following
    elif match:
      yield match[1], match[2]


def is_flag(word: str) -> bool:
  """Tell whether a word of a command line is a flag, and no value of one."""
  return _FLAG.fullmatch(word) is not None


def _parts(value: str) -> list[str]:
  return [part.strip() for part in value.split(',')]


def _grid() -> str:
  """Return the end of a line for one who gives several values to a field."""
  return (
    '; several values are a grid, a config file with get_hyper for sweep, as '
    f'{console.command_line("config")} --copy=studies/variants'
  )


def _check_single(field: str, value: str) -> None:
  """Refuse several names, with commas, where a field takes one."""
  parts = _parts(value)
  if len(parts) < 2:
    return
  # Only now: it takes jax, which is slow to start.
  from lstm_variants.config import schema

  row = schema.table().get(field)
  if row is None or not isinstance(row.rule, rules.Choice):
    return
  choices = tuple(row.rule.names)
  near = [names_lib.hint(part, choices, repr) for part in parts]
  hint = next((one for one in near if one), '')
  if value not in choices:
    raise UsageError(f'--config.{field}={value}: takes one name{hint}{_grid()}')


def _check_type(field: str, value: str, expected: type) -> None:
  """Refuse a value that is not of its field's type."""
  what = f'--config.{field}={value}'
  if expected is bool and value.lower() not in _TRUE_OR_FALSE:
    raise UsageError(
      f'{what}: must be true or false'
      + names_lib.hint(value, _TRUE_OR_FALSE[:2])
    )
  if expected is int and not re.fullmatch(r'\s*[+-]?\d[\d_]*\s*', value):
    try:
      nearest = f'; nearest: {round(float(value))}'
    except (ValueError, OverflowError):
      nearest = '; for example 32'
      if _INTEGERS.fullmatch(value):
        nearest = _grid()
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
      if not good and len(_parts(value)) > 1:
        nearest += _grid()
      raise UsageError(f'{what}: must be a number; {nearest}') from None


def _types_of(config: config_dict.ConfigDict) -> dict[str, type]:
  """Return the type of each field; that of a value left open is known too."""
  types_of = {}
  for field, _ in fields_lib.flatten(config.to_dict()):
    *parts, name = field.split('.')
    part: Any = config
    for key in parts:
      part = part[key]
    types_of[field] = part.get_type(name)
  return types_of


def values_of(flag: str, argv: Sequence[str]) -> list[str]:
  """Return what is given to a flag, as FLAG=VALUE or FLAG VALUE, in order."""
  values = []
  for index, word in enumerate(argv):
    name, equals, value = word.partition('=')
    if name not in (flag, flag.removeprefix('-')):
      continue
    if equals:
      values.append(value)
    elif index + 1 < len(argv):
      values.append(argv[index + 1])
  return values


def value_of(flag: str, argv: Sequence[str]) -> str | None:
  """Return the last value given to a flag, or None."""
  values = values_of(flag, argv)
  return values[-1] if values else None


def nearest_flag(wrong: str, types_of: Mapping[str, type]) -> str:
  """Name the field or flag closest to `wrong`, given as NAME or NAME=VALUE.

  Args:
    wrong: without the dashes.
    types_of: the fields of the config, see `check`; none: there is no config.

  Returns:
    The end of a line, '' if nothing is near.
  """
  name, _, value = wrong.partition('=')
  if name.upper() in _OF_WANDB:
    return f'; nearest: {name.upper()}={value or "VALUE"}, before the command'
  if pair := _pair(wrong):
    first, second = pair
    return (
      f'; nearest: --config.optimizer.b1={first} --config.optimizer.b2={second}'
    )
  own = [
    flag
    for flag in flags.FLAGS
    if not _OF_OTHERS.match(flags.FLAGS.find_module_defining_flag(flag) or '')
  ]
  stated = {
    option: function
    for function, options in _STATED.items()
    for option in options
    if option not in types_of
  }
  platform = (_PLATFORM,) if types_of else ()
  known = [*types_of, *own, *stated, *platform]
  near = names_lib.nearest_field(name.removeprefix('config.'), known)
  if near is None:
    return ''
  if near == _PLATFORM:
    platform = _platform(name.lower(), value.lower())
    return f'; nearest: {_PLATFORM}={platform}, before the command'
  if near in stated:
    return f'; nearest: {near}, in {stated[near]} of the config file'
  if near == 'seed' and names_lib.plain(name).endswith('s'):
    return f'; nearest: --config.seed{_grid()}'
  field, has_value, _ = near.partition('=')
  if has_value and value.lower() in _FALSE:  # `--use_gru=false`
    return ''
  prefix = 'config.' if field in types_of else ''
  if has_value:
    return f'; nearest: --{prefix}{near}'
  meant = _value_for(field, value, types_of)
  if meant.choice is None and meant.settings:  # `--model=Bidirectional`
    return f'; nearest: {meant.flags}'
  equals = '' if meant.choice is None else f'={meant.choice}'
  beside = f' {meant.flags}' if meant.settings else ''
  return f'; nearest: --{prefix}{near}{equals}{beside}'


def _pair(wrong: str) -> list[str]:
  """Return the two numbers of what torch calls betas; none: it is not that."""
  name, _, value = wrong.partition('=')
  parts = _parts(value.strip('()[]'))
  is_pair = name.endswith('betas') and len(parts) == 2
  return parts if is_pair else []


def _platform(name: str, value: str) -> str:
  """Return what jax calls the device that a flag of another trainer means."""
  if value.isalpha() and value not in _TRUE_OR_FALSE:
    return {'gpu': 'cuda'}.get(value, value)
  # `--gpu=0` is the first one, `--use_gpu=0` is none.
  no = ('false', 'f', 'n', 'no', *(('0',) if 'use' in name else ()))
  if 'no' in name or value in no:
    return 'cpu'
  said = f'{name} {value}'
  if 'cuda' in said or 'gpu' in said:
    return 'cuda'
  return 'tpu' if 'tpu' in said else 'cpu'


def _value_for(
  field: str, value: str, types_of: Mapping[str, type]
) -> names_lib.Meant:
  """Return a value as a field or flag takes it, of none if it has no such."""
  # Only now: it takes jax, which is slow to start.
  from lstm_variants.config import schema

  row = schema.table().get(field)
  rule = row.rule if row is not None else None
  if row is None:
    parser: Any = flags.FLAGS[field].parser
    if choices := getattr(parser, 'enum_values', ()):
      rule = rules.Choice(choices)
  if isinstance(rule, rules.Choice):
    known = value in rule.names or not value
    given = names_lib.Meant(value or None)
    return given if known else rule.meant(field, value)
  try:
    _check_type(field, value, types_of.get(field, str))
  except UsageError:
    return names_lib.Meant(None)
  return names_lib.Meant(value or None)


def field_tail(wrong: str, types_of: Mapping[str, type]) -> str:
  """Name the field or flag closest to a wrong field, else what there is."""
  name, _, value = wrong.partition('=')
  if value.lower() in _FALSE:
    # What is not wanted has no neighbour, but its section is told.
    name = ''.join(name.rpartition('.')[:2])
  return nearest_flag(wrong, types_of) or names_lib.field_tail(name, types_of)
