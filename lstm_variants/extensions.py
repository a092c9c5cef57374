"""Extensions: modules from outside that register cells, variants, tasks, ….

A module is imported only when the user names it (`--import=MODULE`), or when a
package that the user installed names it as an entry point:

    [project.entry-points.lstm_variants]
    my_cells = "my_package.cells"

A run directory remembers the names of the modules that its runs need. They are
shown to whoever lacks one; nothing is ever imported because a directory says
so.
"""

from collections.abc import Iterable, Sequence
import importlib
import importlib.metadata
import os
import pkgutil
import re
import sys
import traceback

from lstm_variants import console, errors
from lstm_variants import names as names_lib
from lstm_variants.registry import HOUSE, Registry

GROUP = 'lstm_variants'
_MODULE = re.compile(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)*', re.ASCII)
# The modules that were named, in the order of their loading.
_loaded: list[str] = []
# module -> the named one whose import imported it first.
_named_by: dict[str, str] = {}


class ExtensionError(errors.Error):
  """An extension cannot be imported, or is lacking; the message is one line."""


def load(names: Iterable[str]) -> None:
  """Import modules that the user names on a command line.

  Those in the current directory are found, as by `python -m`.

  Args:
    names: dotted, as 'my_cells' or 'my_package.cells'.

  Raises:
    ExtensionError: one that is missing or fails.
  """
  names = list(names)
  if names and not {'', os.getcwd()} & set(sys.path):
    sys.path.insert(0, os.getcwd())
  for name in names:
    _check_name(name)
    try:
      _import(name)
    except (Exception, SystemExit) as error:  # whatever a user's module raises
      raise ExtensionError(_explain(name, error)) from error


def load_installed() -> None:
  """Import the entry points of installed packages.

  One that fails is warned of and left out: it must not break every command.
  """
  for entry in importlib.metadata.entry_points(group=GROUP):
    try:
      _import(entry.module)
    except (Exception, SystemExit) as error:  # whatever a package raises
      package = entry.dist.name if entry.dist else entry.name
      console.warn(
        f'the extension {entry.module} of the package {package} is left out: '
        f'{type(error).__name__}: {_one_line(error)}'
      )


def modules() -> list[str]:
  """Return the names of the modules that were loaded, the first one first."""
  return list(_loaded)


def needed_by(*components: tuple[Registry, str]) -> list[str]:
  """Return the names of the modules without which components are not there.

  Args:
    *components: a registry and the name of one of its entries, each.

  Returns:
    What to name after `--import=`, sorted; none for what is the house's.
  """
  registered_by = {registry.module_of(name) for registry, name in components}
  return sorted(
    _importable(module) for module in registered_by if module != HOUSE
  )


def require(
  place: str, components: Iterable[tuple[Registry, str]], needed: Sequence[str]
) -> None:
  """Refuse runs whose components are not all there.

  Args:
    place: of the runs, as '--workdir=runs/study'.
    components: a registry and the name of the entry that a run uses, each.
    needed: the modules that the runs need, as a run directory remembers them.

  Raises:
    ExtensionError: the first that is not there, and what to name for it.
  """
  for registry, name in components:
    if name not in registry:
      raise ExtensionError(f'{place}: {missing(registry.kind, name, needed)}')


def missing(kind: str, name: str, needed: Sequence[str]) -> str:
  """Return what to say of a component that runs use and nothing registers.

  Args:
    kind: of component, in one word, as 'cell'.
    name: of the component.
    needed: the modules that the runs need, as a run directory remembers them;
      names that cannot be any are not repeated.

  Returns:
    The end of a line that begins with the place of the runs.
  """
  lacking = [
    module
    for module in needed
    if isinstance(module, str)
    and _MODULE.fullmatch(module)
    and module not in _loaded
  ]
  if not lacking:
    return (
      f'its runs use the {kind} {name!r}, which nothing registers; name its '
      'module with --import=MODULE'
    )
  noun = 'module' if len(lacking) == 1 else 'modules'
  return (
    f'its runs use the {kind} {name!r} of the {noun} {", ".join(lacking)}; '
    f'nearest: --import={",".join(lacking)}'
  )


def _import(name: str) -> None:
  """Import a module, and remember what came with it."""
  if name in _loaded:
    return
  before = set(sys.modules)
  importlib.import_module(name)
  for module in set(sys.modules) - before:
    _named_by[module] = name
  _loaded.append(name)


def _importable(module: str) -> str:
  """Return the name under which another process can import a module."""
  if module == '__main__':
    main = sys.modules['__main__']
    spec, file = getattr(main, '__spec__', None), getattr(main, '__file__', '')
    if spec:
      return spec.name.removesuffix('.__main__')
    stem = os.path.splitext(os.path.basename(file or ''))[0]
    return stem or module
  return module if module in _loaded else _named_by.get(module, module)


def _check_name(name: str) -> None:
  """Refuse what is not the name of a module.

  Raises:
    ExtensionError: with the nearest name.
  """
  if _MODULE.fullmatch(name) and not name.endswith('.py'):
    return
  path = os.path.normpath(name.removesuffix('.py')).replace(os.sep, '.')
  nearest = path if _MODULE.fullmatch(path) else 'my_cells'
  raise ExtensionError(
    f'--import={name}: not the name of a module; nearest: --import={nearest}'
  )


def _explain(name: str, error: BaseException) -> str:
  """Return in a line why a module cannot be imported."""
  if isinstance(error, ModuleNotFoundError) and error.name in _parents(name):
    parent, _, last = str(error.name).rpartition('.')
    hint = names_lib.hint(
      last,
      _beside(parent),
      lambda name: '--import=' + '.'.join(filter(None, (parent, name))),
    )
    return f'--import={name}: there is no module {error.name}{hint}'
  if isinstance(error, SyntaxError):
    file, line, message = error.filename, error.lineno, error.msg
  else:
    file, line = _place(error)
    message = _one_line(error)
  place = f' ({os.path.basename(file)}, line {line})' if file else ''
  return f'--import={name}: fails: {type(error).__name__}: {message}{place}'


def _place(error: BaseException) -> tuple[str, int | None]:
  """Return the file and the line of a module's own that an error came from."""
  ours = os.path.dirname(os.path.abspath(__file__)), '<frozen'
  for frame in traceback.extract_tb(error.__traceback__):
    file = frame.filename
    if not file.startswith(ours) and file != importlib.__file__:
      return file, frame.lineno
  return '', None


def _parents(name: str) -> list[str]:
  """Return a dotted name and those of the packages that it is in."""
  parts = name.split('.')
  return ['.'.join(parts[: n + 1]) for n in range(len(parts))]


def _beside(parent: str) -> list[str]:
  """Return the names of the modules in a package, or in the directory."""
  paths = [os.getcwd()]
  if parent:
    paths = list(getattr(sys.modules.get(parent), '__path__', []))
  return [module.name for module in pkgutil.iter_modules(paths)]


def _one_line(error: BaseException) -> str:
  return ' '.join(str(error).split()) or 'no message'
