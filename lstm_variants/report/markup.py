"""The pieces of HTML that a report is made of: all text in them is escaped."""

import base64
from collections.abc import Iterable, Sequence
import html
import re
from typing import Any, NamedTuple
import urllib.parse

from lstm_variants.plots import theme
from lstm_variants.report import tables
from lstm_variants.runs import files


class Cell(NamedTuple):
  """A cell of a table.

  Attributes:
    content: HTML.
    key: what it is sorted by.
    style: its class.
  """

  content: str
  key: str = tables.NOTHING
  style: str = ''


class Line(NamedTuple):
  """A row of a table.

  Attributes:
    cells: the first one is its heading.
    style: its class.
    anchor: its id; '': none.
  """

  cells: Sequence[Cell]
  style: str = ''
  anchor: str = ''


def escape(value: Any) -> str:
  """Return a value as the text of an element or an attribute."""
  return html.escape(str(value), quote=True)


def attribute(name: str, value: str) -> str:
  """Return an attribute, nothing where its value is empty."""
  return f' {name}="{escape(value)}"' if value else ''


def small(texts: Iterable[str]) -> str:
  """Return texts that stand below what is before them."""
  return ''.join(f' <small>{escape(text)}</small>' for text in texts if text)


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
  """Return headings and texts."""
  items = (
    f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in pairs
  )
  return f'<dl>{"".join(items)}</dl>'


def file_link(parts: Sequence[str], text: str) -> str:
  """Return a link to a file of the run directory, in which the page lies."""
  path = '/'.join(urllib.parse.quote(part, safe='') for part in parts)
  return f'<a href="./{path}">{escape(text)}</a>'


def jump(anchor: str, text: str, more: str = '') -> str:
  """Return a link within the page."""
  return f'<a href="#{escape(anchor)}"{more}>{escape(text)}</a>'


def section(anchor: str, heading: str, content: str) -> str:
  """Return a part of a task with its heading; none where it is empty."""
  if not content:
    return ''
  return f'<h3 id="{escape(anchor)}">{escape(heading)}</h3>\n{content}'


def folded(summary: str, content: str, opened: bool = False) -> str:
  """Return what is shown when it is asked for."""
  state = ' open' if opened else ''
  return (
    f'<details{state}><summary>{escape(summary)}</summary>{content}</details>\n'
  )


def figure(svg: str, caption: str, below: str = '') -> str:
  """Return a figure as an image.

  What an image of SVG holds beside shapes, as scripts, links or addresses, a
  browser leaves alone: it may be from anywhere.

  Args:
    svg: its text.
    caption: what is drawn.
    below: HTML after the caption.
  """
  content = files.encode(theme.follow_page(svg))
  text = escape(caption)
  return (
    f'<figure><div class="card" tabindex="0"><img alt="{text}" '
    f'src="data:image/svg+xml;base64,{base64.b64encode(content).decode()}">'
    f'</div><figcaption>{" ".join(filter(None, (text, below)))}</figcaption>'
    '</figure>\n'
  )


def table(
  heads: Sequence[Cell],
  lines: Iterable[Line],
  caption: str,
  style: str = 'sorted',
) -> str:
  """Return a table that scrolls by itself where it is wide.

  Args:
    heads: of the columns; their keys are of no meaning.
    lines: the rows.
    caption: what it is, for who cannot see it.
    style: its classes; 'sorted': its headings sort; 'cards': on a phone a row
      is a card, in which each cell has its heading.
  """
  head = ''.join(
    f'<th scope="col"{attribute("class", one.style)}>{one.content}</th>'
    for one in heads
  )
  names = [_plain(one.content) for one in heads] if 'cards' in style else []
  body = ''.join(_line(line, names) for line in lines)
  label = attribute('aria-label', caption)
  return (
    f'<div class="scroll" tabindex="0" role="region"{label}>'
    f'<table class="{style}"><thead><tr>{head}</tr></thead>\n'
    f'<tbody>{body}</tbody></table></div>\n'
  )


def _plain(content: str) -> str:
  """Return the words of a heading, without the elements that they stand in."""
  text = re.sub(r'<[^>]*>', '', content.replace(' <small>', ', '))
  return ' '.join(html.unescape(text).split())


def _line(line: Line, names: Sequence[str]) -> str:
  first, *others = line.cells
  parts = [
    f'<tr{attribute("class", line.style)}{attribute("id", line.anchor)}>'
    f'<th scope="row"{_sorted(first)}>{first.content}</th>'
  ]
  for place, one in enumerate(others, 1):
    name = attribute('data-name', names[place]) if names else ''
    parts.append(f'<td{_sorted(one)}{name}>{one.content}</td>')
  return ''.join((*parts, '</tr>\n'))


def _sorted(cell: Cell) -> str:
  key = escape(cell.key)
  return f'{attribute("class", cell.style)} data-sort="{key}"'
