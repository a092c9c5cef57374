"""The report: CSV, figures, the page and the terminal, from a run directory."""

import base64
import csv
import hashlib
import html.parser
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree

from matplotlib import figure
import pytest

from lstm_variants.evidence import gallery
from lstm_variants.plots import theme
from lstm_variants.report import comparison, markup
from lstm_variants.report import page as page_lib
from lstm_variants.report import write as report
from lstm_variants.runs import grouping, results
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS
_SVG = 'data:image/svg+xml;base64,'
_VOID = {'meta', 'link', 'br', 'img', 'hr', 'input'}


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  path = tmp_path_factory.mktemp('runs') / 'study'
  fixture.write(path, fixture.example(), name='first <study>')
  report.write(str(path), 'vanilla')
  return path


class _Page(html.parser.HTMLParser):
  """Checks that tags balance; collects the addresses, ids and words."""

  def __init__(self):
    super().__init__()
    self.open, self.addresses, self.ids, self.words = [], [], [], ''
    self.tags = set()

  def handle_starttag(self, tag, attrs):
    self.tags.add(tag)
    if tag not in _VOID:
      self.open.append(tag)
    for name, value in attrs:
      if name == 'id':
        self.ids.append(value)
      if name in ('src', 'href', 'xlink:href', 'srcset', 'action', 'data'):
        self.addresses.append(value)

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    if tag not in _VOID:
      self.handle_endtag(tag)

  def handle_endtag(self, tag):
    assert self.open and self.open.pop() == tag, tag

  def handle_data(self, data):
    self.words += data


def _parse(workdir) -> _Page:
  page = _Page()
  page.feed((workdir / 'report.html').read_text())
  page.close()
  return page


def test_csv_has_full_numbers_and_empty_or_inf_for_what_is_missing(workdir):
  with open(workdir / 'compare.csv') as file:
    rows = list(csv.DictReader(file))
  assert [(row['task'], row['label']) for row in rows] == [
    (ADDING, 'vanilla'),
    (ADDING, 'peephole'),
    (ADDING, 'vanilla <no input_gate>'),
    (COPY, 'vanilla'),
    (COPY, 'peephole'),
  ]
  runs = results.read_runs(str(workdir))
  expected = comparison.compare(fixture.TASKS, runs, 'vanilla')
  failing, vanilla = expected[2], expected[0]
  assert float(rows[2]['loss_p']) == failing.ratio.p_value
  assert float(rows[2]['loss_p_holm']) == failing.loss_holm
  assert float(rows[2]['speed_p']) == failing.speed.p_value
  assert float(rows[2]['speed_p_holm']) == failing.speed_holm
  assert failing.speed_holm != failing.speed.p_value
  assert float(rows[0]['loss']) == vanilla.loss.estimate
  assert float(rows[0]['loss_low']) == vanilla.loss.low
  assert float(rows[0]['loss_high']) == vanilla.loss.high
  assert float(rows[0]['final_loss']) == vanilla.final.estimate
  for column in ('loss_p', 'loss_p_holm', 'speed_p', 'speed_p_holm', 'bits'):
    assert rows[0][column] == ''
  assert rows[2]['median_sequences_to_success'] == 'inf'
  for column in ('compared_at_sequences', 'trained_sequences_most'):
    assert rows[2][column] == str(fixture.BUDGET)
  assert rows[2]['loss_runs'] == '8'
  assert rows[2]['diverged'] == '0'
  assert rows[1]['loss_runs'] == '7'
  assert rows[1]['diverged'] == '1'


def test_page_is_balanced_and_its_ids_are_unique(workdir):
  page = _parse(workdir)
  assert page.open == []
  assert len(page.ids) == len(set(page.ids))
  targets = {address[1:] for address in page.addresses if address[0] == '#'}
  assert targets <= set(page.ids)


def test_page_loads_nothing(workdir):
  page = _parse(workdir)
  images = [one for one in page.addresses if one.startswith(_SVG)]
  assert len(images) == 2 * len(fixture.TASKS)
  links = {*page.addresses} - {*images}
  assert all(one.startswith(('#', './')) for one in links)
  assert not page.tags & {'link', 'svg', 'iframe', 'object', 'form', 'base'}
  text = (workdir / 'report.html').read_text()
  assert '@import' not in text
  # The only scripts are the library's and ours, and a browser runs no other.
  assert re.findall(r'<script>(.*?)</script>', text, re.DOTALL) == [
    *page_lib.SCRIPTS
  ]
  for script in page_lib.SCRIPTS:
    digest = hashlib.sha256(script.encode()).digest()
    assert f"'sha256-{base64.b64encode(digest).decode()}'" in text
  assert 'url(' not in text
  (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
  # Neither of them falls back on the default.
  for rule in ('default-src', 'base-uri', 'form-action'):
    assert f"{rule} 'none'" in policy


def test_the_library_is_what_its_readme_says():
  folder = pathlib.Path(page_lib.__file__).parent / 'assets' / 'uplot'
  readme = (folder / 'README.md').read_text()
  stated = re.findall(r'^ {4}([0-9a-f]{64})  (\S+)$', readme, re.M)
  assert {name for _, name in stated} == {'uPlot.iife.min.js', 'uPlot.min.css'}
  for digest, name in stated:
    content = (folder / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
  assert 'MIT' in (folder / 'LICENSE').read_text()


def test_links_lead_to_files_of_the_run_directory(workdir):
  links = {one for one in _parse(workdir).addresses if one.startswith('./')}
  assert links
  for link in links:
    path = (workdir / urllib.parse.unquote(link)).resolve()
    assert path.is_relative_to(workdir.resolve())
    # Nothing was trained: there are no weights.
    assert path.is_file() or path.name == 'params.npz', link
  names = {link.rpartition('/')[2] for link in links}
  assert {'study.json', 'compare.csv', 'metrics.jsonl', 'runs.jsonl'} <= names
  assert {f'{ADDING}-loss.csv', f'{ADDING}-success.csv'} <= names


def test_a_name_of_a_planted_population_leads_nowhere_else():
  parts = ('populations', '../../a"b', 'javascript:x')
  assert markup.file_link(parts, '<b>') == (
    '<a href="./populations/..%2F..%2Fa%22b/javascript%3Ax">&lt;b&gt;</a>'
  )


# What a planted figure would do, if it were part of the page.
PLANTED = """<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">
<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/gone"/>
<foreignObject><form action="http://127.0.0.1:9/form"><input name="a"/></form>
<base href="http://127.0.0.1:9/"/><iframe src="http://127.0.0.1:9/"/>
</foreignObject><script>alert(1)</script><a href="javascript:alert(1)">x</a>
</svg>"""


def test_a_planted_figure_is_an_image_and_no_part_of_the_page(tmp_path):
  # An image of SVG runs no script, loads nothing, leads nowhere (SVG 2, 2.7).
  workdir = tmp_path / 'study'
  fixture.write(workdir, fixture.example()[:2])
  runs = results.read_runs(str(workdir))
  drawing = gallery.Drawing(
    *('survival', ADDING, '', 'a heading', 'a "caption"'),
    *(figure.Figure(), ('x',), []),
  )
  (svg,) = gallery.write(str(workdir), [drawing], runs)
  svg.write_text(PLANTED)
  report.write(str(workdir), 'vanilla')
  page = _parse(workdir)
  clean = {'html', 'head', 'meta', 'title', 'style', 'body', 'script', 'img'}
  clean |= {'h1', 'h2', 'h3', 'p', 'strong', 'nav', 'ul', 'li', 'a', 'section'}
  clean |= {'dl', 'dt', 'dd', 'div', 'table', 'thead', 'tbody', 'tr', 'th'}
  clean |= {'td', 'small', 'figure', 'figcaption', 'details', 'summary', 'i'}
  clean |= {'main', 'header', 'code', 'em'}
  assert page.tags <= clean
  text = (workdir / 'report.html').read_text()
  assert text.count('http-equiv') == 1 and '127.0.0.1' not in text
  images = [one for one in page.addresses if one.startswith(_SVG)]
  text = base64.b64decode(images[-1][len(_SVG) :]).decode()
  assert text.replace(theme.DARK_RULES, '') == PLANTED
  links = {*page.addresses} - {*images}
  assert all(one.startswith(('#', './')) for one in links)


def test_page_escapes_what_comes_from_the_study(workdir):
  text = (workdir / 'report.html').read_text()
  assert 'vanilla &lt;no input_gate&gt;' in text
  for raw in ('<no input_gate>', '<b>exactly', '<script>alert', '<study>'):
    assert raw not in text


def test_page_tells_groups_tasks_criteria_and_provenance(workdir):
  words = _parse(workdir).words
  for expected in (
    *('vanilla baseline', 'peephole', 'vanilla <no input_gate>'),
    *(
      'Adding, 50 steps',
      'Copy, 20 steps',
      ADDING,
      COPY,
      'held-out loss below 0.001',
      'loss 0.1667',
    ),
    '74,000 sequences to success, table 7, LSTM, 10 trials (T = 100)',
    *("sweep.py '--config=a b.py'", 'c0ffee with uncommitted changes'),
    *('Python 3.11.7; jax 0.10.2', 'TFRT_CPU_0', '41 s', '3.25 s'),
    *('> 6,400', 'memoryless baseline', '27 of 27 runs finished'),
    'optimizer adam, learning rate 0.001, hidden features 32, batch size 32',
  ):
    assert expected in words, expected


def test_page_tells_how_much_of_the_study_is_finished(tmp_path):
  fixture.write(tmp_path / 'study', fixture.example(), finished=24)
  report.write(str(tmp_path / 'study'), 'vanilla')
  words = _parse(tmp_path / 'study').words
  assert '24 of 27 runs finished' in words
  assert COPY not in words


def test_report_is_equal_when_written_again_and_leaves_nothing_aside(workdir):
  before = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file()}
  paths = report.write(str(workdir), 'vanilla')
  after = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file()}
  assert before == after
  assert {paths.html, paths.csv, *paths.figures} <= set(after)
  assert len(paths.figures) == 3 * 4
  assert not list(workdir.rglob('*.tmp'))


def test_unknown_baseline_writes_nothing(tmp_path):
  fixture.write(tmp_path / 'study', fixture.example())
  before = sorted(tmp_path.rglob('*'))
  with pytest.raises(grouping.BaselineError):
    report.write(str(tmp_path / 'study'), 'peephol')
  assert sorted(tmp_path.rglob('*')) == before


def test_figures_are_svg_with_every_group_and_no_date(workdir):
  for kind, extra in (('loss', 'memoryless baseline'), ('success', 'unsolved')):
    text = (workdir / 'figures' / f'{ADDING}-{kind}.svg').read_text()
    root = xml.etree.ElementTree.fromstring(text)
    words = ' '.join(
      ''.join(element.itertext())
      for element in root.iter('{http://www.w3.org/2000/svg}text')
    )
    for label in ('Adding, 50 steps', 'vanilla', 'vanilla <no input_gate>'):
      assert label in words
    assert extra in words
    assert 'training sequences' in words
    assert 'date' not in text.lower()
    png = (workdir / 'figures' / f'{ADDING}-{kind}.png').read_bytes()
    assert png.startswith(b'\x89PNG')


def test_comparing_imports_no_jax():
  # The package itself imports jax, so its __init__ is left out.
  code = (
    'import sys, types, pathlib\n'
    'package = types.ModuleType("lstm_variants")\n'
    'package.__path__ = ["lstm_variants"]\n'
    'sys.modules["lstm_variants"] = package\n'
    'from experiments import compare\n'
    'assert "jax" not in sys.modules\n'
    'assert "matplotlib.pyplot" not in sys.modules\n'
  )
  subprocess.run([sys.executable, '-c', code], check=True)


def test_compare_prints_tables_and_says_where_the_report_is(tmp_path):
  fixture.write(tmp_path / 'study', fixture.example())
  command = [sys.executable, '-m', 'experiments.compare']
  command.append(f'--workdir={tmp_path / "study"}')
  done = subprocess.run(
    command,
    capture_output=True,
    check=True,
    env={**os.environ, 'LC_ALL': 'C'},
  )
  assert b'vanilla (baseline)' in done.stdout
  place, after = done.stdout.decode().splitlines()[-2:]
  assert after.startswith('next: python -m experiments.analyse --workdir=')
  assert place == f'results: {tmp_path / "study" / "report.html"}'
  assert (tmp_path / 'study' / 'report.html').exists()
  done = subprocess.run(
    [*command, '--baseline=vanila'], capture_output=True, text=True
  )
  assert done.returncode == 2
  assert done.stdout == ''
  assert len(done.stderr.splitlines()) == 1
  assert "nearest: 'vanilla'" in done.stderr
