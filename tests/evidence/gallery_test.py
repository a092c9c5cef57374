"""Figures beyond the tables: written with their numbers, shown while fresh."""

import csv
import json
import math
import xml.etree.ElementTree

from matplotlib import figure
import pytest

from lstm_variants.evidence import gallery
from lstm_variants.plots import theme
from lstm_variants.report import write as report
from lstm_variants.runs import results
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS
SVG = 'http://www.w3.org/2000/svg'


def drawing(kind='survival', task=ADDING, part='', rows=((1.5, 'a<b'),)):
  shown = figure.Figure()
  shown.add_subplot().plot([0, 1])
  return gallery.Drawing(
    kind, task, part, f'{kind} <heading>', 'a caption', shown, ('x', 'y'), rows
  )


@pytest.fixture
def study(tmp_path):
  path = str(tmp_path / 'study')
  fixture.write(path, fixture.example())
  return path, results.read_runs(path)


def test_a_drawing_is_a_picture_and_its_numbers(study):
  path, runs = study
  (svg,) = gallery.write(path, [drawing(part='p q')], runs)
  assert svg.name == f'{ADDING}-survival-p_q.svg'
  assert svg.with_suffix('.png').read_bytes().startswith(b'\x89PNG')
  with open(svg.with_suffix('.csv')) as file:
    assert list(csv.reader(file)) == [['x', 'y'], ['1.5', 'a<b']]
  (shown,) = gallery.read(path, runs)
  assert shown.svg == svg.read_text()
  assert (shown.kind, shown.task) == ('survival', ADDING)
  assert shown.numbers == [['x', 'y'], ['1.5', 'a<b']]


def test_a_figure_says_what_it_shows_above_its_task(study):
  path, runs = study
  with theme.page(3.0, ADDING) as shown:
    shown.add_subplot()
  (svg,) = gallery.write(path, [drawing()._replace(figure=shown)], runs)
  root = xml.etree.ElementTree.fromstring(svg.read_text())
  texts = [''.join(e.itertext()).strip() for e in root.iter(f'{{{SVG}}}text')]
  assert texts.index('survival <heading>') == texts.index(ADDING) - 1


def test_a_kind_replaces_its_own_and_leaves_the_others(study):
  path, runs = study
  gallery.write(path, [drawing('survival'), drawing('survival', COPY)], runs)
  gallery.write(path, [drawing('gates', part='one')], runs)
  gallery.write(path, [drawing('survival', COPY)], runs)
  found = [(shown.kind, shown.task) for shown in gallery.read(path, runs)]
  assert found == [('gates', ADDING), ('survival', COPY)]


def test_what_is_of_other_runs_is_not_shown(study):
  path, runs = study
  gallery.write(path, [drawing()], runs[:-1])
  assert gallery.read(path, runs) == []
  changed = [{**runs[0], 'sequences': 1}, *runs[1:]]
  gallery.write(path, [drawing()], changed)
  assert gallery.read(path, runs) == []
  gallery.write(path, [drawing()], runs[::-1])
  assert len(gallery.read(path, runs)) == 1


@pytest.mark.parametrize(
  'damage',
  [
    lambda folder, index: (folder / 'index.json').write_text('{'),
    lambda folder, index: (folder / 'index.json').write_text('[]'),
    lambda folder, index: (folder / f'{ADDING}-survival.svg').unlink(),
    lambda folder, index: (folder / f'{ADDING}-survival.svg').write_text('x'),
    lambda folder, index: (folder / f'{ADDING}-survival.csv').unlink(),
    lambda folder, index: (folder / 'index.json').write_text(
      json.dumps({**index, 'drawings': [{'name': '../study', 'kind': 'gates'}]})
    ),
    lambda folder, index: (folder / 'index.json').write_text(
      json.dumps({**index, 'drawings': [{'name': 'x', 'kind': 'other'}]})
    ),
  ],
)
def test_what_is_damaged_is_left_out_and_the_report_is_written(
  tmp_path, damage
):
  path = str(tmp_path / 'study')
  fixture.write(path, fixture.example()[:2])  # a report that is drawn quickly
  runs = results.read_runs(path)
  (svg,) = gallery.write(path, [drawing()], runs)
  index = json.loads((svg.parent / 'index.json').read_text())
  damage(svg.parent, index)
  assert gallery.read(path, runs) == []
  assert report.write(path, 'vanilla').html.exists()


def test_the_report_shows_headings_captions_and_short_tables(study):
  path, runs = study
  rows = [(n, math.nan if n else math.inf) for n in range(gallery.MOST_LINES)]
  drawings = [
    drawing('lengths', COPY, rows=[(0.000123456, 'a<b'), (2.0, math.nan)]),
    drawing('gates', COPY, rows=rows),
  ]
  gallery.write(path, drawings, runs)
  text = report.write(path, 'vanilla').html.read_text()
  section = text[text.index('id="task-1"') :]
  assert section.index('gates &lt;heading&gt;') < section.index('lengths &lt;')
  assert section.count('a caption</figcaption>') == 2
  assert '<th scope="row" data-sort="0.000123456">0.000123</th>' in section
  assert '<td data-sort="a&lt;b">a&lt;b</td>' in section
  assert '<td data-sort="NaN">—</td>' in section
  assert section.count('The numbers') == 1
  assert gallery.file_name('a b', '', 'ü/..') == 'a_b-_..'
