"""What no linter holds: how large functions grow, and what NumPy unpickles.

Who may import whom is for `lint-imports`, the rest of the style for ruff: both
read pyproject.toml and run in `make lint`.
"""

import ast
from collections.abc import Iterator
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ('lstm_variants', 'experiments', 'benchmarks', 'docs', 'tests')


def _trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
  for folder in folders:
    for path in sorted((ROOT / folder).rglob('*.py')):
      name = str(path.relative_to(ROOT))
      yield name, ast.parse(path.read_text(), name)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
  for node in ast.walk(tree):
    if isinstance(node, ast.FunctionDef):
      yield node


def _length(node: ast.FunctionDef) -> int:
  return (node.end_lineno or 0) - node.lineno + 1


def _depth(node: ast.FunctionDef) -> int:
  """Return how many levels of functions are inside a function."""
  inner = [f for f in _functions(node) if f is not node]
  return 1 + max(map(_depth, inner)) if inner else 0


def test_no_function_has_more_than_60_lines():
  functions = [
    (f'{name}: {function.name}', _length(function))
    for name, tree in _trees(*FOLDERS)
    for function in _functions(tree)
  ]
  assert len(functions) > 1000
  assert [name for name, length in functions if length > 60] == []


def test_no_function_holds_functions_that_hold_functions():
  nested = [
    f'{name}: {function.name}'
    for name, tree in _trees(*FOLDERS[:-1])
    for function in _functions(tree)
    if _depth(function) > 1
  ]
  assert nested == []


def test_numpy_unpickles_nothing_and_imports_are_statements():
  for name, tree in _trees('lstm_variants', 'experiments', 'docs'):
    for node in ast.walk(tree):
      if isinstance(node, ast.keyword) and node.arg == 'allow_pickle':
        assert ast.unparse(node.value) == 'False', name
      if isinstance(node, ast.Name):
        assert node.id != '__import__', name
