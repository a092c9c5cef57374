"""The report in a real browser: it sorts, fits a phone, has a dark side."""

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

from lstm_variants.report import gallery, tables
from lstm_variants.report import write as report
from lstm_variants.runs import results
from tests.report import gallery_test
from tests.report import study_fixture as fixture

BROWSER = pathlib.Path(__file__).parent / 'browser.py'
PHONE, DESK = 390, 1280
# Of a page's prefers-color-scheme, as Chromium counts them.
SCHEMES = {'dark': 0, 'light': 1}


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  path = tmp_path_factory.mktemp('browser') / 'study'
  fixture.write(path, fixture.example(), name='a <study>')
  gallery.write(
    str(path),
    [gallery_test.drawing(kind) for kind in gallery.KINDS],
    results.read_runs(str(path)),
  )
  return report.write(str(path), 'vanilla')


@pytest.fixture(scope='module')
def look(written, tmp_path_factory):
  """Return what a browser of some width and scheme makes of the report."""
  probe = [sys.executable, '-c', 'import PyQt6.QtWebEngineWidgets']
  try:
    found = subprocess.run(probe, capture_output=True, text=True, timeout=60)
  except subprocess.TimeoutExpired:
    pytest.skip('the browser does not start here')
  if found.returncode:
    pytest.skip(f'no browser here: {found.stderr.strip().splitlines()[-1]}')
  picture = tmp_path_factory.mktemp('pictures') / 'page.png'

  def looked(width: int, scheme: str) -> dict:
    done = subprocess.run(
      [
        *(sys.executable, str(BROWSER), str(written.html)),
        *(str(width), str(picture)),
      ],
      env={
        **os.environ,
        'QT_QPA_PLATFORM': 'offscreen',
        'QTWEBENGINE_CHROMIUM_FLAGS': '--no-sandbox --disable-gpu '
        f'--blink-settings=preferredColorScheme={SCHEMES[scheme]}',
      },
      capture_output=True,
      text=True,
      timeout=120,
    )
    assert done.stdout, done.stderr
    assert picture.read_bytes().startswith(b'\x89PNG')
    return json.loads(done.stdout)

  return looked


@pytest.fixture(scope='module')
def desk(look):
  return look(DESK, 'light')


@pytest.fixture(scope='module')
def phone(look):
  return look(PHONE, 'dark')


def _luminance(color: str) -> float:
  red, green, blue = (
    float(part) for part in color.strip('rgba()').split(',')[:3]
  )
  return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_a_page_asks_for_nothing_and_complains_of_nothing(desk, written):
  assert desk['complaints'] == []
  assert desk['addresses'] == [f'file://{written.html}']
  assert desk['title'] == 'a <study>: comparison'
  assert len(desk['pictures']) == 4 + len(gallery.KINDS)
  assert all(width > 300 and height > 100 for width, height in desk['pictures'])


def test_a_phone_scrolls_in_one_direction_only(phone, desk):
  assert phone['width'] <= phone['window'] == PHONE
  assert desk['width'] <= desk['window'] == DESK


def test_light_and_dark_can_be_read(phone, desk):
  assert _luminance(desk['paper']) > 0.9 > 0.3 > _luminance(desk['ink'])
  assert _luminance(phone['paper']) < 0.2 < 0.7 < _luminance(phone['ink'])


def test_every_column_sorts_up_and_down_with_what_is_missing_last(
  desk, written
):
  first = written.rows[0].task
  rows = [row for row in written.rows if row.task == first]
  keys = {tables.cells(row)[0]: tables.keys(row) for row in rows}
  positions = (0, 1, 2, 3, 4, 6, 8, 9, 10, 11)
  assert len(desk['sorted']) == len(positions)
  for position, ways in zip(positions, desk['sorted'], strict=True):
    assert [way for way, _ in ways] == ['ascending', 'descending']
    for way, names in ways:
      values = [keys[name][position] for name in names]
      known = [value for value in values if value != 'NaN']
      assert values[: len(known)] == known
      if position:
        known = [float(value) for value in known]
      assert known == sorted(known, reverse=way == 'descending')
  assert any(math.isinf(float(k[4])) for k in keys.values())
  assert any(k[8] == 'NaN' for k in keys.values())
