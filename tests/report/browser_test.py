"""The report in a real browser: what a reader gets, and what plants do not.

Skipped where there is no Chromium. One is started for all of it.
"""

import html
import http.server
import json
import pathlib
import threading

from matplotlib import figure, image
import numpy as np
import pytest

from lstm_variants.evidence import gallery
from lstm_variants.plots import theme
from lstm_variants.report import markup
from lstm_variants.report import write as report
from lstm_variants.runs import results
from tests import browser as browser_lib
from tests.report import study_fixture as fixture

pytestmark = pytest.mark.skipif(
  browser_lib.PROGRAM is None, reason=browser_lib.WHY
)
ADDING, COPY = fixture.TASKS
HERE = pathlib.Path(__file__).parent
# What each of them does where it is a part of a page.
TEXT = (
  '<script>console.log("PLANTED"); fetch("{0}/fetch")</script>'
  '<img src="{0}/image" onerror="console.log(\'PLANTED\')">'
  '<iframe src="{0}/frame"></iframe><link rel="stylesheet" href="{0}/style">'
)
SVG = (
  '<svg xmlns="http://www.w3.org/2000/svg" onload="console.log(\'PLANTED\')">'
  '<script>console.log("PLANTED"); fetch("{0}/svg-fetch")</script>'
  '<image href="{0}/svg-image" width="9" height="9"/>'
  '<style>@import url("{0}/svg-style");</style>'
  '<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" '
  'src="{0}/svg-frame"></iframe></foreignObject></svg>'
)


@pytest.fixture
def listener():
  """The address of a server of this machine, and the paths that it is asked."""
  asked: list[str] = []

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      asked.append(self.path)
      self.send_response(404)
      self.end_headers()

    def log_message(self, format, *args):
      pass

  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}', asked
    server.shutdown()


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
  with browser_lib.open_browser(tmp_path_factory.mktemp('profile')) as tab:
    yield tab


def _grid() -> list[dict]:
  """Two models at two learning rates, four seeds each."""
  runs = []
  for model, rate in (('vanilla', 0.01), ('vanilla', 0.1), ('gru', 0.01)):
    for seed in range(4):
      config = fixture.config(ADDING, model, seed, learning_rate=rate)
      loss = 0.01 * (seed + 1) * (3 if rate > 0.05 else 1)
      runs.append(fixture.run(ADDING, model, seed, 3200, loss, config=config))
  return runs


@pytest.fixture(scope='module')
def page(tmp_path_factory) -> pathlib.Path:
  """The report of two tasks and three models; one run diverged."""
  workdir = tmp_path_factory.mktemp('report') / 'study'
  fixture.write(workdir, fixture.example())
  return pathlib.Path(report.write(str(workdir), 'vanilla').html)


@pytest.fixture(scope='module')
def grid_page(tmp_path_factory) -> pathlib.Path:
  workdir = tmp_path_factory.mktemp('report') / 'grid'
  fixture.write(workdir, _grid())
  return pathlib.Path(report.write(str(workdir), 'vanilla').html)


SIZES = [(390, 'light'), (390, 'dark'), (1300, 'dark'), (2500, 'light')]


def test_black_dots_stay_full_or_hollow_and_hatches_pale_on_a_dark_page(
  chromium, tmp_path
):
  drawing = figure.Figure(figsize=(2, 2))
  axes = drawing.add_axes((0, 0, 1, 1))
  axes.axis('off')
  axes.set(xlim=(0, 1), ylim=(0, 1))
  for x, face in ((0.25, 'black'), (0.75, 'none')):
    axes.scatter([x], [0.5], s=900, facecolors=face, edgecolors='black')
  area = {'facecolor': '#f2f2f2', 'hatch': '/', 'edgecolor': '#777777'}
  axes.fill_between((0, 1), 0.8, 1, **area, linewidth=0)
  text = markup.figure(theme.svg(drawing, 'a'), 'dots')
  colors = ':root{color-scheme:light dark} body{margin:0;background:#14171b}'
  (tmp_path / 'dots.html').write_text(
    f'<style>{colors} img{{display:block;width:200px}} *{{margin:0}}</style>'
    + text
  )
  chromium.show(tmp_path / 'dots.html', 200, 200, scheme='dark')
  chromium.picture(tmp_path / 'seen.png', whole=False)
  pixels = image.imread(tmp_path / 'seen.png')[..., :3].mean(axis=2)
  full, hollow = pixels[100, 50], pixels[100, 150]
  assert full > 0.8 and hollow < 0.2
  assert np.median(pixels[:35]) < 0.3


@pytest.mark.parametrize('width, scheme', SIZES)
def test_no_scroll_sideways_no_error_no_request_and_readable_text(
  chromium, page, grid_page, width, scheme
):
  contrast = (HERE / 'contrast.js').read_text()
  for path in (page, grid_page):
    chromium.show(path, width, scheme=scheme)
    chromium.run(
      'document.querySelectorAll("details").forEach(one => one.open = true)'
    )
    chromium.settle()
    assert chromium.run('document.documentElement.scrollWidth') <= width
    assert chromium.errors() == []
    asked = chromium.requests()
    assert asked[0].endswith('report.html')
    assert all(url.startswith('data:image/svg+xml') for url in asked[1:])
    faint = chromium.run(contrast)
    assert faint['texts'] > 100 and faint['faint'] == []


def test_a_long_name_leaves_the_numbers_in_sight(chromium, tmp_path):
  name = 'm' * 200
  runs = [
    fixture.run(ADDING, model, seed, 1600, 0.1)
    for model in ('vanilla', name)
    for seed in range(2)
  ]
  fixture.write(tmp_path / 'study', runs)
  page = report.write(str(tmp_path / 'study'), name).html
  for width, media in ((390, 'screen'), (1300, 'screen'), (718, 'print')):
    chromium.show(page, width, media=media)
    assert chromium.run('document.documentElement.scrollWidth') <= width
    right = chromium.run(
      'document.querySelector("#answer tbody td:nth-child(3)")'
      '.getBoundingClientRect().right'
    )
    assert right <= width


def test_figures_are_dark_on_a_dark_page_and_light_on_paper(
  chromium, page, tmp_path
):
  brightness = {}
  for scheme, media in (
    *(('light', 'screen'), ('dark', 'screen'), ('dark', 'print')),
  ):
    chromium.show(f'{page}#task-0-success', 1300, scheme=scheme, media=media)
    chromium.picture(tmp_path / 'seen.png', whole=False)
    x, y, width, height = chromium.run(
      '(r => [r.x, r.y, r.width, r.height])(document.querySelector('
      '"#task-0-success + figure img").getBoundingClientRect())'
    )
    pixels = image.imread(tmp_path / 'seen.png')
    inside = pixels[
      int(y + 9) : int(y + height - 9), int(x + 9) : int(x + width)
    ]
    brightness[scheme, media] = float(np.median(inside[..., :3]))
  assert brightness['light', 'screen'] > 0.95
  assert brightness['dark', 'screen'] < 0.15
  assert brightness['dark', 'print'] > 0.95
  chromium.show(page, 794, media='print')
  seen = chromium.run(
    '[".curves", ".still img", "nav", ".filter"].map(name => '
    'document.querySelector(name)?.getClientRects().length ?? 0)'
  )
  assert [count > 0 for count in seen] == [False, True, False, False]
  ink = 'getComputedStyle(document.body).color'
  assert chromium.run(ink) == 'rgb(27, 31, 36)'


def test_without_scripts_all_is_there_but_what_is_interactive(chromium, page):
  chromium.show(page, scripts=False)
  seen = chromium.run(
    '[".curves", ".still img", ".filter", "th button"].map(name => '
    'document.querySelector(name)?.getClientRects().length ?? 0)'
  )
  assert [count > 0 for count in seen] == [False, True, False, False]
  assert 'Fastest: peephole' in chromium.run('document.body.innerText')


def test_on_a_phone_each_row_of_the_answer_is_read_from_top_to_bottom(
  chromium, page
):
  chromium.show(page, 390)
  wide = chromium.run(
    '[...document.querySelectorAll("#answer td, #answer tbody th")]'
    '.filter(cell => cell.getBoundingClientRect().right > innerWidth).length'
  )
  assert wide == 0
  names = chromium.run(
    '[...document.querySelectorAll("#answer tbody tr:first-child td")]'
    '.map(cell => getComputedStyle(cell, "::before").content)'
  )
  assert names[1:3] == ['"learning rate"', '"solved, runs"']


# Losses of the only run of a task at its evaluations, one after the other.
ODD = {
  'adding-none-T1': [],
  'adding-single-T2': [0.5],
  'adding-negative-T3': [-1.0, -2.0, -1.5],
  'adding-infinite-T4': [None, None],
  'adding-zero-T5': [0.0, 0.0],
}


def _odd_evaluations(row: dict) -> list[dict]:
  return [
    {'run': row['id'], 'update': k, 'sequences': 32 * k, 'loss': loss}
    for k, loss in enumerate(ODD[row['task']])
  ]


def test_odd_curves_draw_without_an_error(chromium, tmp_path, monkeypatch):
  monkeypatch.setattr(fixture, 'evaluations', _odd_evaluations)
  runs = [
    fixture.run(task, 'vanilla', 0, None, [None, *losses][-1])
    for task, losses in ODD.items()
  ]
  workdir = tmp_path / 'odd'
  fixture.write(workdir, runs, dict.fromkeys(ODD, fixture.COPY))
  chromium.show(report.write(str(workdir)).html)
  for place, name in enumerate(ODD):
    home = f'.curves[data-part=task-{place}]'
    for button in range(1, 4):
      chromium.click(f'{home} [aria-label=Show] button:nth-child({button})')
    chromium.click(f'{home} [aria-label=Loss] button:last-child')
    chromium.run(f'document.querySelector("{home} .plot").focus()')
    chromium.press('ArrowRight', 39)
    assert chromium.errors() == [], name
    drawn = f'document.querySelectorAll("{home} canvas").length'
    assert chromium.run(drawn) == 1, name


def _visible(chromium, selector: str) -> str:
  """Return the text of an element that is within the window."""
  return chromium.run(
    f'(e => {{ const r = e.getBoundingClientRect(); return r.top >= 0 && '
    'r.bottom <= innerHeight ? e.innerText : ""; })'
    f'(document.querySelector({json.dumps(selector)}))'
  )


def _cells(chromium) -> dict[str, str]:
  """Return the first row of the first table by its headings, if visible."""
  return chromium.run(
    '(() => { const t = document.querySelector("table"); '
    'const cells = [...t.tBodies[0].rows[0].cells]; '
    'return Object.fromEntries([...t.tHead.rows[0].cells].map((h, k) => '
    '[h.innerText.replace(/\\s+/g, " "), '
    'cells[k].getBoundingClientRect().right <= innerWidth '
    '&& cells[k].getBoundingClientRect().bottom <= innerHeight '
    '? cells[k].innerText.replace(/\\s+/g, " ") : ""])); })()'
  )


def test_five_questions_are_answered_within_two_clicks(chromium, page):
  chromium.show(page)
  words = _visible(chromium, '#answer p + p')
  cells = _cells(chromium)
  # Which is fastest? By looking; the heading of the column sorts.
  assert 'Fastest: peephole, half of the runs within 2,400' in words
  chromium.click('#answer th:nth-child(5) button')
  fastest = _cells(chromium)
  assert 'peephole' in fastest['model']
  # With what learning rate?
  assert cells['learning rate'] == '0.001'
  # Did any diverge? Its run is a click away.
  assert 'Diverged: peephole (1).' in words
  chromium.click('#answer a[href="#task-0-row-1"]')
  assert 'peephole' in _visible(chromium, '#task-0-row-1')
  diverged = 'document.querySelector(".runs td.diverged").innerText'
  assert chromium.run(diverged) == 'diverged'
  # How long did each train?
  assert cells['trained sequences, time'] == '6,400 0.4 s'
  # Where is that curve's data?
  chromium.show(page)
  chromium.click('#answer a[href$="metrics.jsonl"]', leaves=True)
  assert chromium.run('location.href').endswith('/metrics.jsonl')
  row = json.loads(chromium.run('document.body.innerText').splitlines()[0])
  assert row['run'] == f'{ADDING}-0' and row['loss'] == 8e-4


def test_curves_are_read_enlarged_hidden_and_shown_another_way(chromium, page):
  chromium.show(f'{page}#task-0-curves')
  home = '.curves[data-part=task-0]'
  assert chromium.run(f'document.querySelectorAll("{home} canvas").length') == 1
  chromium.run(f'document.querySelector("{home} .plot").focus()')
  chromium.press('ArrowRight', 39)
  chromium.settle()
  said = f'document.querySelector("{home} .said").value'
  assert chromium.run(said) == 'vanilla: 0.0036 at 1,600 sequences'
  chromium.click(f'{home} [aria-label=Loss] button + button')
  assert chromium.errors() == []
  chromium.click(f'{home} [aria-label=Along] button + button')
  chromium.click(f'{home} [aria-label=Show] button:last-child')
  chromium.run(f'document.querySelector("{home} .plot").focus()')
  chromium.press('ArrowRight', 39)
  chromium.settle()
  # 1,600 sequences at 32 an update of 2 ms.
  assert f'({ADDING}-0): ' in chromium.run(said)
  assert chromium.run(said).endswith('at 0.2 s')
  chromium.click(f'{home} .legend button')
  pressed = f'document.querySelector("{home} .legend button").ariaPressed'
  assert chromium.run(pressed) == 'false'
  chromium.run(f'document.querySelector("{home} .plot").focus()')
  chromium.press('Escape', 27)
  assert chromium.run(pressed) == 'true'
  assert chromium.errors() == []


def test_a_table_shows_the_rows_that_have_the_words(chromium, page):
  chromium.show(f'{page}#task-0-row-0')
  field = '#task-0-runs ~ details input'
  chromium.run(f'document.querySelector("{field}").focus()')
  chromium.ask('Input.insertText', text='peephole diverged')
  rows = chromium.run(
    '[...document.querySelectorAll("#task-0-runs ~ details .runs tbody tr")]'
    '.filter(row => !row.hidden).map(row => row.innerText)'
  )
  assert len(rows) == 1 and 'peephole' in rows[0] and 'diverged' in rows[0]


def test_all_is_reached_and_used_by_the_keyboard(chromium, page):
  chromium.show(page)
  wanted = chromium.run(
    '[...document.querySelectorAll("#answer a, #answer button, #answer input, '
    'nav a, nav summary")].length'
  )
  reached = set()
  for _ in range(wanted):
    chromium.press('Tab', 9)
    reached.add(
      chromium.run(
        '(e => [e.tagName, e.innerText, e.hash, getComputedStyle(e)'
        '.outlineStyle].join("|"))(document.activeElement)'
      )
    )
  assert all(one.endswith('|solid') or one.endswith('|auto') for one in reached)
  assert {one.split('|')[0] for one in reached} >= {'A', 'BUTTON', 'SUMMARY'}
  chromium.run('document.querySelector("#answer th button").focus()')
  chromium.ask('Input.dispatchKeyEvent', type='char', text='\r')
  assert chromium.run('document.querySelector("#answer th").ariaSort')


def test_a_grid_is_a_heat_map_and_its_best_are_told_of_other_seeds(
  chromium, grid_page
):
  chromium.show(f'{grid_page}#task-0-grid')
  map_ = chromium.run(
    '[...document.querySelectorAll(".heat tbody tr")].map(row => '
    '[...row.cells].map(cell => cell.innerText.split("\\n")[0]))'
  )
  assert map_ == [['vanilla', '0.0221', '0.0664'], ['gru', '0.0221', '—']]
  best = chromium.run(
    '[...document.querySelectorAll("#task-0-best ~ .scroll tbody tr")]'
    '.slice(0, 2).map(row => row.innerText.replace(/\\s+/g, " "))'
  )
  # Seeds 0 and 1 choose; 2 and 3, of losses 0.03 and 0.04, are told.
  assert best[0].startswith('vanilla 0.01 2 settings 2 of 2')
  assert ' 0.0346' in best[0]
  assert 'seeds 0, 1 alone' in chromium.run('document.body.innerText')


def test_nothing_of_a_planted_directory_runs_or_loads_in_a_browser(
  chromium, tmp_path, listener
):
  address, asked = listener
  text, svg = TEXT.format(address), SVG.format(address)
  bare = tmp_path / 'bare.html'
  bare.write_text(f'<!doctype html><html><body>{text}{svg}</body></html>')
  chromium.show(bare)
  assert 'PLANTED' in str(chromium.errors())
  assert {'/fetch', '/svg-fetch', '/image'} <= {*asked}
  asked.clear()

  workdir = tmp_path / 'study'
  fixture.write(workdir, fixture.example()[:2], name=text)
  _plant(workdir, text)
  runs = results.read_runs(str(workdir))
  drawing = gallery.Drawing(
    *('survival', ADDING, '', text, text),
    *(figure.Figure(), (text,), [(text,)]),
  )
  (path,) = gallery.write(str(workdir), [drawing], runs)
  path.write_text(svg)
  report.write(str(workdir))
  chromium.show(workdir / 'report.html')
  shown = chromium.run('document.documentElement.outerHTML')
  # It is shown, as a text.
  assert html.escape(text, quote=False)[:20] in shown
  assert 'data:image/svg+xml' in shown
  assert not asked
  assert 'PLANTED' not in str(chromium.errors())


def _plant(workdir: pathlib.Path, text: str) -> None:
  """Put a text where the files of a study tell names and facts."""
  study = workdir / 'study.json'
  content = json.loads(study.read_text())
  for task in content['tasks'].values():
    task.update(summary=text, reference=text, success=text)
  study.write_text(json.dumps(content))
  for rows in workdir.glob('populations/*/runs.jsonl'):
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    for row in lines:
      row['model'] = text
    rows.write_text(''.join(json.dumps(row) + '\n' for row in lines))
  for made in workdir.glob('populations/*/provenance.json'):
    facts = json.loads(made.read_text())
    texts = [name for name in facts if isinstance(facts[name], str)]
    facts.update(dict.fromkeys(texts, text))
    facts['command'] = [text]
    made.write_text(json.dumps(facts))
