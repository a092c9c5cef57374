"""Formulas as MathML, which browsers draw without a script or a font of ours.

MathJax and KaTeX would come from another host, or with a megabyte of files.
"""

from typing import Any

from docutils import nodes
from latex2mathml import converter
from sphinx import application


def _inline(self: Any, node: nodes.math) -> None:
  self.body.append(converter.convert(node.astext()))
  raise nodes.SkipNode


def _display(self: Any, node: nodes.math_block) -> None:
  # A wide formula scrolls by itself, by keys too.
  self.body.append('<div class="formula" tabindex="0">')
  self.body.append(converter.convert(node.astext(), display='block'))
  self.body.append('</div>\n')
  raise nodes.SkipNode


def setup(app: application.Sphinx) -> dict[str, bool]:
  """Make this the way in which formulas are written."""
  app.add_html_math_renderer('mathml', (_inline, None), (_display, None))
  return {'parallel_read_safe': True, 'parallel_write_safe': True}
