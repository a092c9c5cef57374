"""The page that follows a study in training, and the server that shows it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import threading
import time

import pytest

from lstm_variants.report import live, serve
from lstm_variants.runs import files, results
from lstm_variants.runs import writer as writer_lib
from tests import browser as browser_lib
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS
IN_TRAINING = [
  {
    'id': f'copy-{seed}',
    'population': COPY,
    **fixture.run(COPY, 'gru', seed, None, 0.02),
  }
  for seed in range(2)
]


def _evaluate(workdir, count):
  """Write the evaluations of runs in training, so many of each."""
  folder = workdir / 'populations' / f'{COPY}.partial'
  folder.mkdir(parents=True, exist_ok=True)
  rows = [
    row for run in IN_TRAINING for row in fixture.evaluations(run)[:count]
  ]
  (folder / results.METRICS).write_bytes(b''.join(map(files.json_line, rows)))


def _finish(workdir, runs):
  """Write another population, which is finished."""
  with writer_lib.PopulationWriter(str(workdir), 'more') as writer:
    writer.start()
    rows = [
      {'id': f'more-{index}', 'population': 'more', 'index': index, **run}
      for index, run in enumerate(runs)
    ]
    for row in rows:
      writer.append_metrics(fixture.evaluations(row))
    writer.finish(rows, {}, fixture.provenance())


def _in_training(workdir, evaluations):
  """Return what is known of those runs before their end."""
  unknown = ('sequences_to_success', 'params_in_use', 'params')
  begun = {row['run'] for row in evaluations}
  return [
    {k: v for k, v in run.items() if k not in unknown}
    for run in IN_TRAINING
    if run['id'] in begun
  ]


@pytest.fixture
def workdir(tmp_path):
  """A study of two tasks: one is finished, one in training."""
  place = tmp_path / 'study'
  runs = [row for row in fixture.example() if row['task'] == ADDING]
  fixture.write(place, [*runs, *IN_TRAINING], finished=len(runs))
  _evaluate(place, 2)
  return place


@pytest.fixture
def study(workdir):
  return live.Study(str(workdir), 'vanilla', _in_training, lambda: 0.0)


@pytest.fixture
def server(workdir, study):
  with serve.Server(str(workdir), study, '127.0.0.1', 0) as made:
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()


def _get(server, path, host=None):
  """Return status, headers and text of an answer."""
  connection = http.client.HTTPConnection('127.0.0.1', server.server_port)
  connection.request('GET', path, headers={'Host': host} if host else {})
  answer = connection.getresponse()
  text = answer.read().decode()
  connection.close()
  return answer.status, answer.headers, text


def _curves(page):
  """Return the data of the first curves of a page."""
  start = '<script type="application/json">'
  return json.loads(page.partition(start)[2].partition('</script>')[0])


def test_it_has_what_is_finished_and_the_curves_of_what_is_in_training(study):
  page = study.page()
  assert '<h2 id="training">In training</h2>' in page
  assert f'interrupted: {COPY}: 2 runs' in page
  curves = _curves(page)
  assert curves['title'] == 'Copy, 20 steps'
  (row,) = curves['rows']
  assert row['label'] == 'gru' and row['x'] == [1600, 3200]
  assert [run['id'] for run in row['runs']] == ['copy-0', 'copy-1']
  # The answer is of the finished task alone.
  assert 'Adding, 50 steps</a>.' in page and 'Copy, 20 steps</a>.' not in page


def test_before_anything_is_finished_the_page_is_there(tmp_path):
  fixture.write(tmp_path / 's', fixture.example(), finished=0)
  page = live.Study(str(tmp_path / 's'), None, _in_training).page()
  assert f'0 of {len(fixture.example())} runs finished' in page
  assert 'class="curves"' not in page
  _evaluate(tmp_path / 's', 1)
  page = live.Study(str(tmp_path / 's'), None, _in_training).page()
  assert _curves(page)['rows'][0]['x'] == [1600]


def test_it_is_made_anew_when_something_has_changed_and_only_then(
  workdir, study
):
  before, version = study.page(), study.version()
  assert study.page() is before and study.version() == version
  assert f'data-version="{version}"' in before
  _evaluate(workdir, 3)
  assert study.version() != version
  assert _curves(study.page())['rows'][0]['x'] == [1600, 3200, 4800]


def test_the_page_of_a_large_study_takes_a_tenth_of_a_core(
  monkeypatch, workdir
):
  now, made = [0.0], []
  study = live.Study(str(workdir), None, _in_training, lambda: now[0])

  def make(version):
    now[0] += 2.0
    made.append(version)
    return f'page {len(made)}'

  monkeypatch.setattr(study, '_make', make)
  assert study.page() == 'page 1'
  before = study.version()
  _evaluate(workdir, 3)
  now[0] += 19.0
  assert study.page() == 'page 1' and study.version() == before
  now[0] += 1.0
  assert study.version() != before and study.page() == 'page 2'


def test_before_the_baseline_has_runs_others_are_compared(workdir):
  page = live.Study(str(workdir), 'gru_of_the_end', _in_training).page()
  assert 'compared with <strong>vanilla</strong>' in page


def test_nothing_is_written(workdir, study):
  def listed():
    return {path: path.stat().st_mtime_ns for path in workdir.rglob('*')}

  before = listed()
  study.page()
  assert listed() == before


def test_the_server_answers_with_the_page_its_version_and_linked_files(
  workdir, study, server
):
  status, headers, page = _get(server, '/')
  assert status == 200 and page == study.page()
  assert headers['Content-Type'].startswith('text/html')
  assert _get(server, '/version')[2] == study.version()
  status, headers, text = _get(server, '/study.json')
  assert status == 200 and text == (workdir / 'study.json').read_text()
  assert headers['Content-Type'].startswith('text/plain')


@pytest.mark.parametrize(
  'path',
  [
    *(
      '/../outside.txt',
      '/%2e%2e/outside.txt',
      '//outside.txt',
      '/populations',
    ),
    *('/.hidden', '/link.txt', '/pipe', '/none.json', '/study.json/x', '/%00'),
  ],
)
def test_no_other_file_is_handed_out(workdir, server, path):
  outside = workdir.parent / 'outside.txt'
  outside.write_text('secret')
  (workdir / '.hidden').write_text('secret')
  (workdir / 'link.txt').symlink_to(outside)
  os.mkfifo(workdir / 'pipe')
  status, _, text = _get(server, path)
  assert status == 404 and 'secret' not in text


def test_a_planted_page_runs_nothing(workdir, server):
  (workdir / 'page.html').write_text('<script>alert(1)</script>')
  (workdir / 'figure.svg').write_text('<svg onload="alert(1)"/>')
  for name in ('page.html', 'figure.svg'):
    status, headers, _ = _get(server, f'/{name}')
    assert status == 200 and not headers['Content-Type'].startswith('text/html')
    assert "default-src 'none'" in headers['Content-Security-Policy']
    assert 'sandbox' in headers['Content-Security-Policy']
    assert headers['X-Content-Type-Options'] == 'nosniff'


@pytest.mark.parametrize('path', ['/', '/version', '/study.json'])
def test_a_foreign_name_that_leads_here_is_not_served(server, path):
  """A page from elsewhere can have its own name resolve to 127.0.0.1."""
  for name in ('attacker.example', 'attacker.example:80', '127.0.0.1.example'):
    status, _, text = _get(server, path, host=f'{name}')
    assert status == 403 and 'study' not in text
  for name in (f'localhost:{server.server_port}', 'LOCALHOST', '127.0.0.1'):
    assert _get(server, path, host=name)[0] == 200


def test_a_browser_that_goes_or_asks_nonsense_leaves_no_traceback(
  server, capsys
):
  address = server.server_address
  for request in (b'', b'GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n'):
    with socket.create_connection(address) as connection:
      # Closed so, the other side's next reading or writing fails.
      linger = struct.pack('ii', 1, 0)
      connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
      connection.sendall(request)
  with socket.create_connection(address) as connection:
    connection.sendall(b'GET a://[ HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert b' 404 ' in connection.recv(100)
  assert _get(server, '/version')[0] == 200
  assert capsys.readouterr().err == ''


def test_a_study_that_cannot_be_read_is_told_in_a_line(workdir, server):
  (workdir / 'study.json').write_text('{}')
  status, _, text = _get(server, '/')
  assert status == 503 and text.count('\n') == 1 and 'not a study' in text


def test_an_address_that_is_taken_is_refused_in_a_line(workdir, study, server):
  with pytest.raises(serve.PortError, match='nearest: .* --port=0'):
    serve.Server(str(workdir), study, '127.0.0.1', server.server_port)
  with pytest.raises(serve.PortError, match='--port=70000'):
    serve.Server(str(workdir), study, '127.0.0.1', 70000)
  # Of a variable that is not set: it would be every address.
  with pytest.raises(serve.PortError, match='nearest: --host=127.0.0.1'):
    serve.Server(str(workdir), study, '', 0)


def test_the_command_serves_until_ctrl_c(fork_server, workdir):
  with socket.create_server(('127.0.0.1', 0)) as taken:
    port = taken.getsockname()[1]
  started = fork_server.start('watch', f'--workdir={workdir}', f'--port={port}')
  end = time.monotonic() + 60
  while time.monotonic() < end:
    with (
      contextlib.suppress(OSError),
      socket.create_connection(('127.0.0.1', port), 1),
    ):
      break
    time.sleep(0.1)
  os.kill(started.pid, signal.SIGINT)
  done = started.wait(60)
  assert done['status'] == 130 and done['stderr'].count('\n') == 1, done
  assert done['stdout'].startswith(f'http://127.0.0.1:{port}/')


def test_a_directory_without_a_study_is_refused(fork, tmp_path):
  done = fork('watch', f'--workdir={tmp_path}')
  assert done['status'] == 2 and done['stderr'].count('\n') == 1


def test_a_baseline_that_no_run_is_to_be_of_is_refused(fork, workdir):
  done = fork('watch', f'--workdir={workdir}', '--baseline=vanila')
  assert done['status'] == 2 and done['stderr'].count('\n') == 1
  assert "nearest: 'vanilla'" in done['stderr']


@pytest.mark.skipif(browser_lib.PROGRAM is None, reason=browser_lib.WHY)
def test_the_page_follows_and_stays_as_one_has_set_it(
  tmp_path, workdir, server
):
  drawn = "document.querySelector('.training .curves script').textContent"
  pressed = (
    "[...document.querySelectorAll('.training .choice button')].filter("
    "one => one.ariaPressed === 'true').map(one => one.textContent).join()"
  )
  opened = "[...document.querySelectorAll('main details')].map(one => one.open)"
  sorted_by = (
    "[...document.querySelectorAll('th[aria-sort]')].map("
    'one => one.cellIndex + one.ariaSort).join()'
  )
  with browser_lib.open_browser(tmp_path / 'profile') as tab:
    # As where a browser is told to store nothing.
    tab.ask(
      'Page.addScriptToEvaluateOnNewDocument',
      source="Object.defineProperty(window, 'sessionStorage', {get() {"
      "throw new DOMException('denied', 'SecurityError');}});",
    )
    tab.show(server.url)
    assert 'follows the study' in tab.run(
      "document.querySelector('.follow').textContent"
    )
    assert tab.run(pressed) == 'sequences,log,range'
    tab.run(
      "[...document.querySelectorAll('.training .choice button')].find("
      "one => one.textContent === 'each run').click();"
      "for (const one of document.querySelectorAll('main details'))"
      'one.open = false;'
      "document.querySelectorAll('table.sorted th button')[1].click()"
    )
    order = tab.run(sorted_by)
    # Another task has as many runs as the one whose tables were folded.
    _evaluate(workdir, 3)
    _finish(workdir, [row for row in fixture.example() if row['task'] == COPY])
    tab.wait('Page.loadEventFired')
    tab.settle()
    assert '4800' in tab.run(drawn)
    assert tab.run(pressed) == 'sequences,log,each run'
    assert tab.run(sorted_by) == order != ''
    folded = tab.run(opened)
    assert not any(folded[:3]) and any(folded[3:])
    assert tab.errors() == []


@pytest.mark.skipif(browser_lib.PROGRAM is None, reason=browser_lib.WHY)
def test_a_page_whose_study_is_removed_says_so_and_goes_on_with_the_next(
  tmp_path, workdir, server
):
  said = "document.querySelector('.follow').textContent"
  with browser_lib.open_browser(tmp_path / 'profile') as tab:
    tab.show(server.url)
    workdir.rename(tmp_path / 'moved')
    _wait_for(lambda: 'holds no study' in tab.run(said))
    (tmp_path / 'moved').rename(workdir)
    _wait_for(lambda: 'follows the study' in tab.run(said))


def _wait_for(condition):
  end = time.monotonic() + 30
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.2)
