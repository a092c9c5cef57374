"""Docstrings of ours for Sphinx: they are Markdown's, not reStructuredText's.

Code stands in single backticks, equations in indented blocks.
"""

import itertools
import re
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
  from sphinx import application


def _to_restructured(
  app: 'application.Sphinx',
  what: str,
  name: str,
  thing: Any,
  options: Any,
  lines: list[str],
) -> None:
  lines[:] = list(translated(lines))


def translated(lines: list[str]) -> list[str]:
  """Return the lines of a docstring in reStructuredText.

  Args:
    lines: without the indentation of all of them.
  """
  result: list[str] = []
  text: list[str] = []
  literal = False
  for place, line in enumerate(lines):
    indented = line.startswith('    ')
    after_blank = place > 0 and not lines[place - 1].strip()
    if indented and after_blank and not literal:
      language = 'python' if _is_python(lines[place:]) else 'text'
      result += [*_marked(text), f'.. code-block:: {language}', '']
      text = []
      literal = True
    elif line.strip() and not indented:
      literal = False
    if place > 0 and lines[place - 1] == 'Returns:':
      # A colon in it would set a type apart, which the signature has.
      text[-1], line = '', f':returns: {line.strip()}'
    (result if literal else text).append(line)
  return result + _marked(text)


def _is_python(lines: list[str]) -> bool:
  """Tell whether an indented block is code; else it is equations."""
  block = itertools.takewhile(lambda line: line[:1] in ('', ' '), lines)
  return any(re.search(r'\blv\.|\bdef |\bnnx\.', line) for line in block)


def _marked(lines: list[str]) -> list[str]:
  """Return lines whose code is marked, and which have no other markup."""
  parts = re.split(r'(`[^`]*`)', '\n'.join(lines))
  for place, part in enumerate(parts):
    if place % 2:
      # What follows without a space, as the s of a plural, ends no code.
      joined = parts[place + 1][:1].isalnum()
      parts[place] = f'`{part}`' + '\\ ' * joined
    else:
      part = re.sub(r'(\w)_(?!\w)', r'\1\\_', part)
      # A letter alone, as F, would be the number of an item.
      parts[place] = re.sub(r'^(\s+\w+: )(\w\.)$', r'\1\\\2', part, flags=re.M)
  return ''.join(parts).split('\n') if lines else []


def setup(app: 'application.Sphinx') -> dict[str, bool]:
  """Translate before napoleon reads the sections."""
  app.connect('autodoc-process-docstring', _to_restructured, priority=400)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}
