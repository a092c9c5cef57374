"""The tables of the terminal: whole wherever they are printed."""

import io
import re

import pytest

from lstm_variants.report import comparison, tables
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS


def _shown(encoding='utf-8', rows=None) -> str:
  buffer = io.BytesIO()
  file = io.TextIOWrapper(buffer, encoding=encoding)
  runs = [
    {'id': str(index), **run} for index, run in enumerate(fixture.example())
  ]
  rows = rows or comparison.compare(fixture.TASKS, runs, 'vanilla')
  tables.show({'tasks': fixture.TASKS}, rows, file)
  file.flush()
  return buffer.getvalue().decode(encoding)


def test_terminal_tables_are_not_truncated_when_piped(monkeypatch):
  monkeypatch.setenv('COLUMNS', '40')
  text = _shown()
  assert '…' not in text
  lines = text.splitlines()
  rows = [line.strip() for line in lines]
  (vanilla,) = [line for line in rows if line.startswith('vanilla <')]
  assert vanilla.split() == [
    *('vanilla', '<no', 'input_gate>', '8', '0', '0', '6,400', '>', '6,400'),
    *('[6,400,', '>', '6,400]', '0.008', '0.016'),
    *('0.163', '[0.161,', '0.166]', '<', '0.001', '<', '0.001'),
    *('4,480', '2'),
  ]
  (baseline,) = [line for line in rows if line.startswith('vanilla (b')][:1]
  assert '—' in baseline
  assert '  success: held-out loss below 0.001' in lines
  assert '  memoryless baseline: loss 0.1667' in lines
  assert (
    '  published: 74,000 sequences to success, table 7, LSTM, 10 trials '
    '(T = 100)'
  ) in lines


def test_what_is_no_terminal_gets_plain_text_where_colours_are_forced(
  monkeypatch,
):
  monkeypatch.setenv('TERM', 'xterm-color')
  plain = _shown()
  monkeypatch.setenv('FORCE_COLOR', '1')  # as the kernel of a notebook has it
  assert _shown() == plain and '\x1b' not in plain


def test_terminal_tables_of_long_labels_are_not_truncated_when_piped():
  runs = [
    {'id': '0', **fixture.run(ADDING, 'vanilla ' + 'x' * 300, 0, None, 0.1)}
  ]
  rows = comparison.compare([ADDING], runs, runs[0]['model'])
  assert 'x' * 300 in _shown(rows=rows)


def test_terminal_tables_can_be_printed_in_ascii():
  text = _shown('ascii')
  assert '> 6,400' in text
  assert '-' in text
  assert '?' not in text


class _Terminal(io.TextIOWrapper):
  def isatty(self) -> bool:
    return True


def _shown_in_terminal(rows) -> list[str]:
  buffer = io.BytesIO()
  file = _Terminal(buffer, encoding='utf-8')
  tables.show({'tasks': fixture.TASKS}, rows, file)
  file.flush()
  lines = re.sub(r'\x1b\[[0-9;]*m', '', buffer.getvalue().decode()).splitlines()
  return lines[: lines.index(f'  task: {fixture.ADDING["summary"]}')]


@pytest.mark.parametrize('term', ['xterm', 'dumb'])
def test_a_narrow_terminal_stacks_columns_and_keeps_numbers_whole(
  monkeypatch, term
):
  monkeypatch.setenv('COLUMNS', '80')
  monkeypatch.setenv('TERM', term)
  runs = [
    {'id': str(index), **run} for index, run in enumerate(fixture.example())
  ]
  table = _shown_in_terminal(comparison.compare(fixture.TASKS, runs, 'vanilla'))
  assert max(len(line) for line in table) <= 80
  words = ' '.join(table)
  for cell in ('[1,600, 4,400]', '[0.000209, 0.000678]', '> 6,400', '< 0.001'):
    assert cell in words
  for heading in ('solved', 'diverged', 'median to success', 'ms/update'):
    assert heading in words


@pytest.mark.parametrize('term', ['xterm', 'dumb'])
def test_a_terminal_narrower_than_the_numbers_hides_none(monkeypatch, term):
  monkeypatch.setenv('COLUMNS', '40')
  monkeypatch.setenv('TERM', term)
  model = f'vanilla [red] {"x" * 40}'
  runs = [{'id': '0', **fixture.run(ADDING, model, 0, 1600, 0.125)}]
  words = ' '.join(
    _shown_in_terminal(comparison.compare([ADDING], runs, model))
  )
  for cell in ('[red]', 'x' * 40, '1,600', '0.125', '4,480'):
    assert cell in words


def test_unequal_training_is_told_below_the_table_and_in_it(monkeypatch):
  monkeypatch.setenv('COLUMNS', '80')
  runs = [
    {
      'id': f'{model}{seed}',
      **fixture.run(ADDING, model, seed, end, 0.1 + seed, sequences=end),
    }
    for model, end in (('vanilla', 6400), ('gru', 3200))
    for seed in range(2)
  ]
  metrics = [row for run in runs for row in fixture.evaluations(run)]
  rows = comparison.compare(fixture.TASKS, runs, 'vanilla', lambda: metrics)
  lines = _shown_in_terminal(rows)
  words = ' '.join(lines)
  for told in (
    'compared: at 3,200 sequences, the most at which all runs were evaluated',
    'loss at the end: vanilla 0.332 at 6,400',
    *('trained', '3,200', '6,400'),
  ):
    assert told in words
  assert max(map(len, lines)) <= 80
  # Without evaluations nothing is compared.
  rows = comparison.compare(fixture.TASKS, runs, 'vanilla')
  lines = _shown_in_terminal(rows)
  assert (
    '  compared: not at all: the runs have no evaluation at one number of '
    'sequences'
  ) in lines


def test_a_text_fits_a_narrow_terminal(monkeypatch):
  monkeypatch.setenv('COLUMNS', '80')
  runs = [
    {'id': str(index), **run} for index, run in enumerate(fixture.example())
  ]
  facts = {
    name: {**fixture.ADDING, 'nats_per': 'character'} for name in fixture.TASKS
  }
  rows = comparison.compare(facts, runs, 'vanilla')
  lines = _shown_in_terminal(rows)
  assert max(map(len, lines)) <= 80
  words = ' '.join(lines)
  assert 'bits per character' in words and 'perplexity' in words
