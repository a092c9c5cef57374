"""The configs of the house, found by name from any directory.

`adding`, `studies/quickstart`, `published/hs97`: the files of `configs/` in a
clone, of `lstm_variants/configs/` where the package was installed from a wheel.
"""

import ast
import contextlib
import pathlib

from lstm_variants import names as names_lib

_PACKAGE = pathlib.Path(__file__).parents[1]


def folder() -> pathlib.Path:
  """Return the directory that holds them."""
  inside = _PACKAGE / 'configs'
  return inside if inside.is_dir() else _PACKAGE.parent / 'configs'


def names() -> list[str]:
  """Return their names: paths below the directory, without the suffix."""
  paths = (path.relative_to(folder()) for path in folder().rglob('*.py'))
  return sorted(
    path.with_suffix('').as_posix()
    for path in paths
    if path.name != '__init__.py'
  )


def find(path: str) -> pathlib.Path | None:
  """Return the file that a user means: one's own, or else one of the house.

  Args:
    path: of a file, or the name of a config of the house.
  """
  own = pathlib.Path(path)
  with contextlib.suppress(OSError):  # as of a name that is too long
    if own.is_file():
      return own
  return folder() / f'{path}.py' if path in names() else None


def nearest(path: str) -> str | None:
  """Return the file below `configs/`, or the name, that is closest to a path.

  A path that was right in a clone, and a name without its folder, are close.
  """
  own = [str(file) for file in sorted(pathlib.Path('configs').rglob('*.py'))]
  known = names()
  name = path.removeprefix('configs/').removesuffix('.py')
  last = {known_name.rpartition('/')[2]: known_name for known_name in known}
  if name in known or name in last:
    return last.get(name, name)
  return names_lib.nearest(path, [*own, *known])


def sentence(name: str) -> str:
  """Return what a config says that it is, the first line of its docstring."""
  tree = ast.parse((folder() / f'{name}.py').read_text('utf-8'))
  return (ast.get_docstring(tree) or '').partition('\n')[0]
