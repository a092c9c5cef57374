"""The table of claims: what is in it, and a page that gets it."""

import csv
import io

import pytest

from lstm_variants.claims import budget, claim, page
from lstm_variants.runs import files


def outcome(name='one', verdict=claim.Verdict.PARTLY, **fields):
  asked = claim.Claim(
    *(name, 'LSTM | RNN', '74,000 sequences', 'Somebody 1997, table 7'),
    *('configs/adding.py:x', 2.5, [], 'another readout'),
  )
  found = [claim.Finding('5/5 solved', True), claim.Finding('p 0.2', False)]
  return budget.Outcome(asked, verdict, found, 10, 1.26, **fields)


WITHOUT = budget.Outcome(
  outcome('two').of, claim.Verdict.OUT_OF_BUDGET, why='takes too long'
)


def test_the_table_has_the_published_and_our_numbers():
  text = page.markdown([outcome(), WITHOUT])
  assert text.startswith(
    '2 claims: 1 partly, 1 out of budget. 10 runs, 1 minutes of training.'
  )
  rows = [line for line in text.splitlines() if line.startswith('| `')]
  assert rows == [
    '| `one`: LSTM \\| RNN | 74,000 sequences (Somebody 1997, table 7) | '
    'yes: 5/5 solved<br>no: p 0.2 | partly | 1.3 |',
    '| `two`: LSTM \\| RNN | 74,000 sequences (Somebody 1997, table 7) | '
    'takes too long | out of budget |  |',
  ]
  assert (
    '- `lstm-variants sweep --config=configs/adding.py:x '
    '--workdir=runs/two`: another readout'
  ) in text


def test_the_csv_has_a_line_for_each_claim():
  rows = list(csv.DictReader(io.StringIO(page.csv_text([outcome(), WITHOUT]))))
  assert [row['verdict'] for row in rows] == ['partly', 'out of budget']
  assert rows[0]['ours'] == 'yes: 5/5 solved; no: p 0.2'
  assert rows[0]['runs'] == '10' and rows[0]['minutes'] == '1.26'
  assert rows[1]['ours'] == 'takes too long'
  assert rows[1]['command'].endswith(
    '--config=configs/adding.py:x --workdir=runs/two'
  )


def test_a_page_keeps_what_is_around_its_table(tmp_path):
  path = tmp_path / 'page.md'
  path.write_text(f'before\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n')
  page.fill(path, 'new')
  page.fill(path, 'newer')
  assert path.read_text() == (
    f'before\n\n{page.BEGIN}\n\nnewer\n\n{page.END}\n\nafter\n'
  )


@pytest.mark.parametrize(
  'text', ['nothing', f'{page.END} {page.BEGIN}', page.BEGIN, None]
)
def test_a_page_without_a_place_is_refused_and_left_alone(tmp_path, text):
  path = tmp_path / 'page.md'
  if text is not None:
    path.write_text(text)
  with pytest.raises(page.PageError, match='nearest: --page=docs/results.md'):
    page.check(path)
  with pytest.raises(page.PageError):
    page.fill(path, 'new')
  assert not path.exists() or path.read_text() == text


def test_a_page_that_cannot_be_written_is_as_before(tmp_path, monkeypatch):
  path = tmp_path / 'page.md'
  path.write_text(f'{page.BEGIN}{page.END}')

  def refuse(*unused):
    raise files.StorageError('no space')

  monkeypatch.setattr(files, 'sync', refuse)
  with pytest.raises(files.StorageError):
    page.fill(path, 'new')
  assert path.read_text() == f'{page.BEGIN}{page.END}'
