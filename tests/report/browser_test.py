"""A report of a planted run directory, in a real browser: nothing of it runs.

Skipped where there is no Chromium. The same plants in a page of their own do
run and load, or the browser would prove nothing.
"""

import html
import http.server
import json
import pathlib
import shutil
import subprocess
import threading

from matplotlib import figure
import pytest

from lstm_variants.evidence import gallery
from lstm_variants.report import write as report
from lstm_variants.runs import results
from tests.report import study_fixture as fixture

BROWSER = shutil.which('chromium') or shutil.which('google-chrome')
FLAGS = (
  *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'),
  *('--no-first-run', '--disable-background-networking', '--disable-sync'),
  *('--disable-component-update', '--enable-logging=stderr', '--dump-dom'),
  '--virtual-time-budget=3000',
)
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


def _open(page: pathlib.Path, profile: pathlib.Path) -> tuple[str, str]:
  """Return the page as the browser has it in the end, and what it logs."""
  done = subprocess.run(
    [str(BROWSER), *FLAGS, f'--user-data-dir={profile}', page.as_uri()],
    capture_output=True,
    text=True,
    timeout=240,
  )
  assert '</html>' in done.stdout, done.stderr
  return done.stdout, done.stderr


# Of names that leave no room for the axes.
@pytest.mark.filterwarnings('ignore:constrained_layout not applied')
@pytest.mark.skipif(BROWSER is None, reason='there is no Chromium')
def test_nothing_of_a_planted_directory_runs_or_loads_in_a_browser(
  tmp_path, listener
):
  address, asked = listener
  text, svg = TEXT.format(address), SVG.format(address)
  bare = tmp_path / 'bare.html'
  bare.write_text(f'<!doctype html><html><body>{text}{svg}</body></html>')
  _, logged = _open(bare, tmp_path / 'one')
  assert 'PLANTED' in logged and {'/fetch', '/svg-fetch', '/image'} <= {*asked}
  asked.clear()

  workdir = tmp_path / 'study'
  fixture.write(workdir, fixture.example()[:2], name=text)
  _plant(workdir, text)
  runs = results.read_runs(str(workdir))
  task = next(iter(fixture.TASKS))
  drawing = gallery.Drawing(
    *('survival', task, '', text, text),
    *(figure.Figure(), (text,), [(text,)]),
  )
  (path,) = gallery.write(str(workdir), [drawing], runs)
  path.write_text(svg)
  report.write(str(workdir))
  page, logged = _open(workdir / 'report.html', tmp_path / 'two')
  assert html.escape(text, quote=False)[:20] in page  # it is shown, as a text
  assert 'data:image/svg+xml' in page
  assert not asked
  assert 'PLANTED' not in logged


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
