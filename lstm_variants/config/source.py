"""Where a config comes from: a file with `get_config`, or a name of ours."""

from collections.abc import Callable, Iterable, Mapping
import copy
import importlib.util
import inspect
import os
import pathlib
import re
import types
from typing import Any

from ml_collections import config_dict

from lstm_variants import errors
from lstm_variants import names as names_lib
from lstm_variants.config import builtin, fields, rules

# The name of a study whose config is no file.
_NAMELESS = 'study'


class SourceError(errors.Error, ValueError):
  """A config cannot be had from there; the message is one line."""


def split_argument(path: str) -> tuple[str, str]:
  """Return the file and the argument of FILE:ARGUMENT; '' where none is given.

  The first colon counts, as in `config_flags`.
  """
  file, _, argument = path.partition(':')
  return file, argument


def takes(function: Callable[..., Any], *arguments: Any) -> bool:
  """Tell whether a config's function can be called with these arguments."""
  try:
    inspect.signature(function).bind(*arguments)
  except TypeError:
    return False
  except ValueError:  # of Python's own, as a class: it does not tell
    return True
  return True


def load_module(path: str) -> types.ModuleType:
  """Execute a config and return it as a module.

  Args:
    path: of a file, or the name of a config of the house.

  Raises:
    SourceError: there is none, it fails, or has no `get_config`.
  """
  file = builtin.find(path)
  if file is None:
    raise SourceError(
      f'--config={path}: no such file, nor a config of the house'
      + names_lib.hint_at(
        builtin.nearest(path) or _field_of(path), '--config={}'.format
      )
    )
  spec = importlib.util.spec_from_file_location(file.stem, file)
  if spec is None or spec.loader is None:
    raise SourceError(f'--config={path}: not a Python file; it must end in .py')
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except (Exception, SystemExit) as error:
    raise SourceError(
      f'--config={path}: fails: {type(error).__name__}: {error}{_advice(error)}'
    ) from error
  if not hasattr(module, 'get_config'):
    raise SourceError(
      f'--config={path}: has no get_config(); nearest: --config=adding'
    )
  return module


def _field_of(name: str) -> str | None:
  """Return the config and field of a task or model that is named for one."""
  if not re.fullmatch(r'[\w-]+', name):  # a path
    return None
  # Only now: it takes jax, which is slow to start.
  from lstm_variants.config import schema

  for field in ('task.name', 'model.variant'):
    rule = schema.table()[field].rule
    assert isinstance(rule, rules.Choice)
    meant = rule.meant(field, name)
    named = '' if meant.choice is None else f'--config.{field}={meant.choice}'
    if flags := ' '.join(filter(None, (named, meant.flags))):
      return f'base {flags}'
  return None


def _advice(error: BaseException) -> str:
  """Return what helps a config that was written for a clone."""
  if isinstance(error, ModuleNotFoundError) and error.name == 'configs':
    return '; nearest: import lstm_variants as lv, for lv.default_config()'
  return ''


def load_config(path: str) -> config_dict.ConfigDict:
  """Return the config of a file.

  Args:
    path: FILE, or FILE:ARGUMENT for `get_config(ARGUMENT)`; or the name of a
      config of the house in place of FILE.

  Raises:
    SourceError: there is none, or it fails.
  """
  return _config_of(load_module(_file_of(path)), path)


def _file_of(path: str) -> str:
  """Return the file of FILE or FILE:ARGUMENT.

  Raises:
    SourceError: there is a colon and no argument.
  """
  file, argument = split_argument(path)
  if file != path and not argument:
    raise SourceError(
      f'--config={path}: no argument follows the colon; nearest: '
      f'--config={file}'
    )
  return file


def _config_of(module: types.ModuleType, path: str) -> config_dict.ConfigDict:
  """Return the config of a module; see `load_config`."""
  file, argument = split_argument(path)
  given = (argument,) if argument else ()
  if given and not takes(module.get_config, argument):
    raise SourceError(
      f'--config={path}: its get_config() takes no argument; nearest: '
      f'--config={file}'
    )
  try:
    config = module.get_config(*given)
  except (Exception, SystemExit) as error:
    if given and isinstance(error, ValueError):  # it refuses the argument
      raise SourceError(f'--config={path}: {error}') from error
    raise SourceError(
      f'--config={path}: get_config() fails: {type(error).__name__}: {error}'
    ) from error
  if not isinstance(config, config_dict.ConfigDict):
    raise SourceError(
      f'--config={path}: get_config() returns {type(config).__name__}, not a '
      'ConfigDict; nearest: --config=adding'
    )
  return config


def load_grid(path: str) -> Callable[[Any], Iterable[Any]] | None:
  """Return the `get_hyper` of a config file, None where it states no grid.

  Args:
    path: as of `load_config`; of FILE:ARGUMENT it has the argument already.

  Raises:
    SourceError: it takes no argument.
  """
  return _grid_of(load_module(split_argument(path)[0]), path)


def load_search(path: str) -> Callable[[Any], Any] | None:
  """Return the `get_search` of a config file, None where it states no search.

  Args:
    path: as of `load_config`; of FILE:ARGUMENT it has the argument already.

  Raises:
    SourceError: it takes no argument.
  """
  module = load_module(split_argument(path)[0])
  return _stated(module, 'get_search', 'search', path)


def _grid_of(
  module: types.ModuleType, path: str
) -> Callable[[Any], Iterable[Any]] | None:
  """Return the grid of a module; see `load_grid`."""
  return _stated(module, 'get_hyper', 'hyper', path)


def _stated(
  module: types.ModuleType, name: str, what: str, path: str
) -> Callable[[Any], Any] | None:
  """Return a function of a config that takes a module of ours.

  Args:
    module: the config.
    name: of the function.
    what: it takes, and perhaps the argument behind it.
    path: of the config, perhaps with an argument.
  """
  file, argument = split_argument(path)
  function = getattr(module, name, None)
  if function is None or not argument:
    return function
  if not takes(function, None, argument):
    raise SourceError(
      f'--config={path}: its {name}({what}) takes no argument; nearest: '
      f'--config={file}'
    )
  return lambda given: function(given, argument)


def read(
  config: Any,
) -> tuple[config_dict.ConfigDict, Callable[[Any], Iterable[Any]] | None, str]:
  """Return a config, the grid of its file if it has one, and a name for both.

  Args:
    config: the path of a file, or a name of the house; or a `ConfigDict`; or
      fields that differ from the defaults, dotted or nested.

  Raises:
    SourceError: it is none of these.
    InputError: an unknown field, or a value of the wrong type.
  """
  if isinstance(config, str | os.PathLike):
    path = os.fspath(config)
    file = _file_of(path)
    module = load_module(file)
    name = pathlib.Path(file).stem
    return _config_of(module, path), _grid_of(module, path), name
  if isinstance(config, config_dict.ConfigDict):
    return copy.deepcopy(config), None, _NAMELESS
  if isinstance(config, Mapping):
    return _with_fields(config), None, _NAMELESS
  raise SourceError(
    f'{config!r} is no config: give fields, a ConfigDict, or a path'
  )


def _with_fields(changes: Mapping[str, Any]) -> config_dict.ConfigDict:
  """Return the default config with other values of some fields."""
  # Only now: it takes jax, which is slow to start.
  from lstm_variants.config import default, schema

  config = default.default_config()
  known = [name for name, _ in fields.flatten(config.to_dict())]
  for field, value in fields.flatten(changes):
    name = field.removeprefix('config.')
    value = plain(value)
    if name not in known:
      hint = names_lib.field_tail(name, known)
      raise rules.InputError(name, value, f'unknown field{hint}')
    try:
      config.update_from_flattened_dict({name: value})
    except (KeyError, AttributeError, TypeError, ValueError) as error:
      raise schema.not_taken(name, value, error) from error
  return config


def plain(value: Any) -> Any:
  """Return a number of NumPy or JAX as one of Python."""
  return value.item() if getattr(value, 'ndim', None) == 0 else value
