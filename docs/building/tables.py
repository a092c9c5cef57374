"""Tables of the cells and of the tasks that sort and filter, made at the build.

The directives `cells-table` and `tasks-table`; the scripts are the report's.
Tables of pages get a frame that scrolls and that keys can reach.
"""

from collections.abc import Iterator
import re
from typing import Any

from docutils import nodes
from sphinx import application
from sphinx.util import docutils as sphinx_docutils

from docs import generate
from lstm_variants import cells, tasks
from lstm_variants.cells import variants
from lstm_variants.report import markup
from lstm_variants.tasks import base

CELL_HEADS = ('name', 'what it is', 'parameters', 'cost', 'kind', 'source')
TASK_HEADS = ('task', 'dialect', 'what it is', 'usual T', 'without memory')


def _slug(heading: str) -> str:
  """Return the anchor of a heading, as Markdown's hosts make it."""
  return re.sub(r'[^\w\s-]', '', heading.lower()).replace(' ', '-')


def _cell(text: str, key: str | float | None = None) -> markup.Cell:
  return markup.Cell(markup.escape(text), str(text if key is None else key))


def _linked(name: str, address: str) -> markup.Cell:
  link = f'<a href="{address}"><code>{markup.escape(name)}</code></a>'
  return markup.Cell(link, name)


def _year(reference: str) -> str:
  """Return 'Gers … 2000' of a citation: who, and when."""
  year = re.search(r'\b(19|20)\d\d\b', reference)
  authors = re.split(r',|\d', reference)[0].strip()
  return f'{authors} {year[0]}' if year else authors


def cell_rows(page: str) -> Iterator[markup.Line]:
  """Yield a row for each variant of the LSTM, and for each other cell.

  Args:
    page: the address of docs/variants.md.
  """
  lstm = cells.CELLS['lstm']
  entries: list[tuple[str, Any, str, Any, Any, str]] = [
    (
      name,
      one,
      'variant of the LSTM',
      lstm,
      one.toggles,
      '#variants-of-the-lstm',
    )
    for name, one in variants.VARIANTS.items()
  ]
  for module in cells.MODULES:
    anchor = '#' + _slug(', '.join(module.CELLS))
    for name, one in module.CELLS.items():
      vanilla = variants.VARIANTS['vanilla'].toggles
      settings = vanilla if one.toggled else one.settings
      entries.append((name, one, 'cell', one, settings, anchor))
  for name, one, kind, cell, settings, anchor in entries:
    known = getattr(one, 'alias_of', '') or name
    size, cost = generate.size_and_cost(known, cell, settings)
    yield markup.Line(
      (
        _linked(name, page + anchor),
        _cell(one.summary),
        _cell(size, size.replace(',', '')),
        _cell(cost, cost if cost != '—' else 'NaN'),
        _cell(kind),
        _cell(_year(one.reference)),
      )
    )


def task_rows(page: str) -> Iterator[markup.Line]:
  """Yield a row for each dialect of each task.

  Args:
    page: the address of docs/tasks.md.
  """
  for name, dialects in tasks.DIALECTS.items():
    for dialect in dialects:
      address = f'{page}#{_slug(f"{name}, {dialect}")}'
      first = _linked(name, address), _cell(dialect)
      try:
        task = tasks.make_task(name, dialect)
      except base.SpecError as error:
        rest = _cell(error.rule), _cell('—', 'NaN'), _cell('—', 'NaN')
      else:
        loss = task.baselines.get('loss')
        shown = '—' if loss is None else f'loss {loss:.4g}'
        rest = (
          _cell(f'{task.summary} ({_year(task.reference)})'),
          _cell(f'{task.length:,}', task.length),
          _cell(shown, 'NaN' if loss is None else loss),
        )
      yield markup.Line((*first, *rest))


class _Table(sphinx_docutils.SphinxDirective):
  """A table whose rows are made when the page is."""

  heads: tuple[str, ...]
  page: str
  caption: str

  def rows(self, page: str) -> Iterator[markup.Line]:
    raise NotImplementedError

  def run(self) -> list[nodes.Node]:
    builder = self.env.app.builder
    page = builder.get_relative_uri(self.env.docname, self.page)
    text = markup.table(
      [_cell(head) for head in self.heads],
      self.rows(page),
      self.caption,
      'sorted filtered',
    )
    return [nodes.raw('', text, format='html')]


class CellsTable(_Table):
  """The directive `cells-table`."""

  heads, page, caption = CELL_HEADS, 'variants', 'Variants and cells'

  def rows(self, page: str) -> Iterator[markup.Line]:
    """Yield the rows."""
    return cell_rows(page)


class TasksTable(_Table):
  """The directive `tasks-table`."""

  heads, page, caption = TASK_HEADS, 'tasks', 'Tasks'

  def rows(self, page: str) -> Iterator[markup.Line]:
    """Yield the rows."""
    return task_rows(page)


def _reachable(
  app: application.Sphinx, page: str, template: str, context: Any, tree: Any
) -> None:
  """Let keys reach what scrolls."""
  if 'body' in context:
    context['body'] = context['body'].replace(
      '<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'
    )


def setup(app: application.Sphinx) -> dict[str, bool]:
  """Register the directives."""
  app.add_directive('cells-table', CellsTable)
  app.add_directive('tasks-table', TasksTable)
  app.connect('html-page-context', _reachable)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}
