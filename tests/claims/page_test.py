"""The table of claims: what is in it, and a page that gets it."""

import csv
import io
import os

import pytest

from lstm_variants.claims import budget, claim, page
from lstm_variants.runs import files, provenance

CODE = 'lstm-variants 0.1.0, source 123456789abc'


def outcome(name='one', verdict=claim.Verdict.PARTLY, **fields):
  asked = claim.Claim(
    *(name, 'LSTM | RNN', '74,000 sequences', 'Somebody 1997, table 7'),
    *('configs/adding.py:x', 2.5, claim.Training(99_000, 'table 7')),
    *('wrong below 0.1', [], 'another readout'),
  )
  findings = [
    claim.Finding('5/5 solved', claim.Answer.YES),
    claim.Finding('p 0.2', claim.Answer.UNDECIDED, 'our runs allow both'),
  ]
  made = budget.Outcome(
    *(asked, budget.State.JUDGED, verdict, findings),
    **{'runs': 10, 'sequences': 5000, 'minutes': 1.26, 'code': CODE},
  )
  return made._replace(**fields)


WITHOUT = budget.Outcome(
  outcome('two').of, budget.State.NOT_RUN, why='takes too long'
)


def test_the_table_has_the_published_and_our_numbers():
  text = page.markdown([outcome(), WITHOUT])
  assert text.startswith(
    '2 claims: 1 partly, 1 not run yet. 10 runs, 1 minutes of training. '
    f'All were trained by {CODE}.'
  )
  rows = [line for line in text.splitlines() if line.startswith('| `')]
  assert rows == [
    '| `one`: LSTM \\| RNN | 74,000 sequences (Somebody 1997, table 7) | '
    'yes: 5/5 solved<br>undecided: p 0.2; our runs allow both | partly | 1.3 |',
    # How far a study is, is no verdict.
    '| `two`: LSTM \\| RNN | 74,000 sequences (Somebody 1997, table 7) | '
    'takes too long | (not run yet) |  |',
  ]
  one, two = (line for line in text.splitlines() if line.startswith('- `'))
  command = 'lstm-variants sweep --config=configs/adding.py:x --workdir=runs/'
  theirs = (
    'solved is: wrong below 0.1; a failure is one after 50 % of 99,000 '
    'sequences (table 7); another readout'
  )
  assert one == f'- `{command}one`: 5,000 sequences; {theirs}'
  assert two == f'- `{command}two`: {theirs}'


def test_what_was_asked_and_is_undecided_is_told_from_what_was_not_asked():
  asked, other = (
    outcome(
      verdict=claim.Verdict.NOT_TESTED, findings=[claim.Finding('', answer)]
    )
    for answer in (claim.Answer.UNDECIDED, claim.Answer.NOT_TESTED)
  )
  assert (asked.word, other.word) == ('not tested (undecided)', 'not tested')
  assert page.summary([asked, other]).startswith('2 claims: 2 not tested. ')


def test_the_page_says_how_verdicts_follow():
  assert claim.RULE in page.markdown([outcome()])
  said = page.verdicts()
  assert ' '.join(said.split()).endswith(claim.RULE.replace('*', ''))
  for verdict in claim.Verdict:
    assert f'*{verdict.value}*' in claim.RULE and verdict.value in said
  assert max(map(len, said.splitlines())) <= 80


def test_a_page_never_mixes_versions_without_saying_so():
  """S8 of the review: three runs of a claim gave other numbers than its page"""
  old = 'lstm-variants 0.0.9, commit 1234567'
  three = [outcome('a'), outcome('b', code=old), outcome('c'), WITHOUT]
  said = f'Trained by different code: {CODE} (a, c); {old} (b).'
  assert said in page.markdown(three)
  rows = list(csv.DictReader(io.StringIO(page.csv_text(three))))
  assert [row['code'] for row in rows] == [CODE, old, CODE, '']
  assert f'trained by {old}' in page.outcome_text(three[1])
  now = provenance.code(provenance.describe())
  assert 'trained by' not in page.outcome_text(outcome(code=now))
  assert page.versions([WITHOUT]) == ''


def test_what_is_said_on_a_terminal_fits_it():
  long = claim.Finding('median ' * 30, claim.Answer.NO, 'slower ' * 10)
  text = page.outcome_text(outcome(findings=[long]))
  assert text.startswith('one: partly\n') and 'no: median' in text
  assert max(map(len, text.splitlines())) <= 80


def test_the_csv_has_a_line_for_each_claim():
  rows = list(csv.DictReader(io.StringIO(page.csv_text([outcome(), WITHOUT]))))
  assert [row['verdict'] for row in rows] == ['partly', 'not run yet']
  assert rows[0]['ours'].startswith('yes: 5/5 solved; undecided: p 0.2')
  assert rows[0]['runs'] == '10' and rows[0]['minutes'] == '1.26'
  assert rows[0]['sequences'] == '5000'
  assert rows[0]['published sequences'] == '99000'
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


def test_a_page_that_is_no_file_is_refused_at_once(tmp_path):
  (tmp_path / 'zeros').symlink_to('/dev/zero')
  os.mkfifo(tmp_path / 'pipe')
  for name, kind in (('zeros', 'a device'), ('pipe', 'a pipe')):
    with pytest.raises(page.PageError, match=f'is {kind}, not a regular file'):
      page.check(tmp_path / name)


def test_a_page_that_cannot_be_written_is_as_before(tmp_path, monkeypatch):
  path = tmp_path / 'page.md'
  path.write_text(f'{page.BEGIN}{page.END}')

  def refuse(*unused):
    raise files.StorageError('no space')

  monkeypatch.setattr(files, 'sync', refuse)
  with pytest.raises(files.StorageError):
    page.fill(path, 'new')
  assert path.read_text() == f'{page.BEGIN}{page.END}'
