"""The simulation of intervals and tests: it counts right, its page is whole."""

import math

from absl import flags
import numpy as np
import pytest

from benchmarks import statistics
from lstm_variants.statistics import intervals

Interval = intervals.Interval


@pytest.fixture(scope='module')
def page():
  """The page of four repetitions of each."""
  flags.FLAGS(['benchmarks', '--quick'])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(statistics, 'FEW', 4)
    return statistics.page()


def _cells(lines):
  """Return what every line of a table is about, numbers left out."""
  rows = [line.strip('| ').split(' | ') for line in lines if line[:1] == '|']
  return [row[:2] if len(row) > 2 else row[:1] for row in rows]


def test_the_page_in_the_docs_has_what_the_command_writes(page):
  written = statistics.PAGE.read_text().splitlines()
  assert f'{statistics.REPETITIONS:,} repetitions' in ' '.join(written)
  for marks in ('#', '- **'):
    headings = [line for line in page if line.startswith(marks)]
    assert headings == [line for line in written if line.startswith(marks)]
  of_seeds = {str(count) for count in statistics.RUNS}
  ours, theirs = (
    [row for row in _cells(lines) if row[0] not in of_seeds]
    for lines in (page, written)
  )
  assert ours == theirs


def test_what_covers_too_little_is_named_and_nothing_else_is_in_the_docs():
  rows = [('a', 'x', '93.0', '92.9', '—'), ('b', 'y', '99.0', '95.0', '94.0')]
  padded = [(*row, '95.0', '95.0') for row in rows]
  assert statistics.short(padded) == ['- a, x: 92.9 % with 3']
  text = statistics.PAGE.read_text()
  start = text.index('Below 93 %:')
  short = text[start : text.index('How often the ratio of times', start)]
  printed = [
    line
    for line in short.splitlines()
    if line.startswith('- ') and 'not printed' not in line
  ]
  # Where an interval that is printed falls short, the page says why.
  assert {line.split(',')[0] for line in printed} <= {
    '- difference of shares',
    '- typical share (angles)',
  }


def test_intervals_are_counted_of_those_that_are_printed():
  nan, inf = math.nan, math.inf
  found = [
    Interval(1, 0.5, 2),
    Interval(1, 1.5, 2),
    Interval(1, 0.5, inf),
    Interval(1, nan, nan),
  ]
  result = statistics.tally(found, 1.0)
  assert result == (pytest.approx(2 / 3), 0.5)
  assert math.isnan(statistics.tally(found[3:], 1.0).covered)


@pytest.mark.parametrize('name', ['normal', 'log-normal', 'exponential'])
def test_quantiles_are_those_of_what_is_drawn(name):
  values = statistics.draw(name, (20_000,))
  for share in (0.1, 0.5, 0.9):
    below = np.mean(values <= statistics.quantile(name, share))
    assert below == pytest.approx(share, abs=0.015)
  mean = statistics.average(name, lambda x: x)
  assert values.mean() == pytest.approx(mean, rel=0.05)


def test_pairs_correlate_as_they_say_and_three_in_ten_are_unsolved(page):
  del page  # the flags are parsed
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(statistics, 'FEW', 500)
    ours, theirs = statistics.correlated(20, 0.6)
    runs = statistics.censored('exponential', '30 % unsolved', 20)
    solved = np.mean([solved for _, solved in runs])
  between = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
  assert between == pytest.approx(0.6, abs=0.03)
  assert solved == pytest.approx(0.7, abs=0.02)
