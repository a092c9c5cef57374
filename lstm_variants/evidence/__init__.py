"""What a study's trained models show: takes a study, yields drawings.

A kind of evidence is a folder here, and its name in `KINDS`. Its modules
measure, draw, and tell what was drawn; its `draw.draw` does all three.
"""

from collections.abc import Callable, Iterator
import importlib
from typing import Any

# In the order of the report.
KINDS = ('gradient_flow', 'gates', 'lengths', 'importance', 'survival')


def drawer(kind: str) -> Callable[[Any, str], Iterator[Any]]:
  """Return what draws a kind of evidence.

  It is imported here: the names of the kinds are known without jax, so that a
  report can be written without it.

  Args:
    kind: one of `KINDS`.

  Returns:
    `(subjects.Study, baseline) -> drawings`, each a `gallery.Drawing`.
  """
  return importlib.import_module(f'{__name__}.{kind}.draw').draw
