"""The page docs/cell.md in a browser: what its switches allow, what it says."""

import contextlib
import functools
import random
import re

import pytest

import lstm_variants as lv
from lstm_variants.cells import lstm
from tests import browser
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / 'docs' / 'cell.md'
pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason=browser.WHY)


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
  """Return a browser that shows the page as the site has it."""
  root = tmp_path_factory.mktemp('cell')
  (root / '_static').symlink_to(REPOSITORY / 'docs' / '_static')
  (raw,) = re.findall(r'```{raw} html\n(.*?)```', PAGE.read_text(), re.DOTALL)
  page = root / 'cell.html'
  page.write_text(f'<!doctype html><meta charset="utf-8"><body>{raw}')
  with browser.open_browser(root / 'profile') as opened:
    opened.show(page, width=390)
    yield opened


def read_step(chromium, preset, step):
  """Return the numbers that the page tells of a step, by their names."""
  chromium.click(f'.presets button:nth-child({preset})')
  chromium.run(
    f'(input => {{ input.value = {step}; '
    'input.dispatchEvent(new Event("input")); })'
    '(document.querySelector(".sequence input"))'
  )
  text = chromium.run('document.querySelector(".numbers").textContent')
  _, gates, *states, ways = text.replace('−', '-').split('\n')
  found = dict(re.findall(r'(\w) = (\S+)', gates))
  for line in states:
    found[line[0]] = line.split()[-1]
  names = zip(
    ('all', 'straight', 'rnn'), re.findall(r': ([^;]+)', ways), strict=True
  )
  return {name: float(number) for name, number in (*found.items(), *names)}


@contextlib.contextmanager
def quiet(chromium):
  """Hold that nothing is thrown or logged."""
  yield
  assert not chromium.errors()


def test_no_switches_contradict_each_other_whatever_is_clicked(chromium):
  rng = random.Random(0)
  seen = set()
  with quiet(chromium):
    for _ in range(150):
      chromium.run(
        '(open => open[Math.floor(open.length * '
        f'{rng.random()})].click())([...document.querySelectorAll('
        '".switch input:not(:disabled)")])'
      )
      on = chromium.run(
        '[...document.querySelectorAll(".switch")].map('
        'one => [one.title, one.querySelector("input").checked])'
      )
      lstm.check_toggles(lv.Toggles(**dict(on)))
      seen.add(tuple(sorted(name for name, is_on in on if is_on)))
  assert len(seen) > 50
  assert {name for one in seen for name in one} == (
    set(lv.Toggles._fields) - {'coupling_shift'}
  )


def test_what_a_toggle_leaves_without_use_has_no_slider(chromium):
  chromium.click('.presets button:nth-child(5)')  # coupled gates
  hidden = (
    '[...document.querySelectorAll(".group-f .slider")]'
    '.every(one => one.hidden)'
  )
  assert chromium.run(hidden)
  chromium.click('.switch[title="coupled"]')
  assert not chromium.run(hidden)
  assert chromium.run(
    'document.querySelector(".group-f .slider:nth-of-type(5)").hidden'
  )


def test_the_settings_to_begin_with_do_what_their_words_say(chromium):
  told = functools.partial(read_step, chromium)
  with quiet(chromium):
    assert told(1, 39)['c'] > 0.8 and told(1, 4)['all'] > 0.9
    assert told(1, 4)['rnn'] == 2e-11
    assert told(2, 11)['c'] > 0.9 and abs(told(2, 11)['o']) < 0.01
    assert told(2, 12)['o'] > 0.99 and abs(told(2, 13)['c']) < 0.05
    assert told(3, 0)['straight'] == 1
    assert told(4, 19)['straight'] == pytest.approx(0.731**20, rel=0.1)
    before, after = told(5, 21), told(5, 22)
    assert after['c'] == pytest.approx(after['g'], abs=0.01) != before['c']
    assert [t for t in range(40) if told(6, t)['o'] > 0.9] == [
      7,
      15,
      23,
      31,
      39,
    ]
    assert told(7, 4)['rnn'] == 1e5


def test_the_page_asks_for_its_own_files_and_fits_a_phone(chromium):
  assert all(url.startswith('file:') for url in chromium.requests())
  assert chromium.run('document.documentElement.scrollWidth') <= 390
