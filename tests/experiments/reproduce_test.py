"""The program that tests published claims."""

import pytest

from lstm_variants import claims
from lstm_variants.claims import page
from tests.experiments import bad_input_test

fork = bad_input_test.fork


def test_the_claims_are_listed_with_number_source_and_minutes(fork):
  done = fork('reproduce', '--list')
  assert done['status'] == 0 and not done['stderr'], done
  for name, each in claims.CLAIMS.items():
    assert f'{name}  ({each.minutes:g} min)' in done['stdout']
    assert each.published in done['stdout'] and each.source in done['stdout']


def test_without_time_nothing_is_trained_and_the_page_says_so(fork, tmp_path):
  target = tmp_path / 'page.md'
  target.write_text(f'# Title\n{page.BEGIN}\n{page.END}\n')
  done = fork(
    *('reproduce', '--budget=0', f'--workdir={tmp_path / "runs"}'),
    f'--page={target}',
  )
  assert done['status'] == 0 and not done['stderr'], done
  count = len(claims.CLAIMS)
  assert f'{count} claims: {count} out of budget' in done['stdout']
  text = target.read_text()
  assert text.startswith('# Title\n') and text.count('out of budget') > count
  assert [path.name for path in (tmp_path / 'runs').iterdir()] == ['claims.csv']


def test_claims_that_were_not_asked_for_stay_in_the_table(fork, tmp_path):
  name = next(iter(claims.CLAIMS))
  done = fork(
    *('reproduce', '--budget=0', f'--only={name}', '--page='),
    f'--workdir={tmp_path / "runs"}',
  )
  assert done['status'] == 0, done
  assert f'{name}: out of budget' in done['stdout']
  rest = len(claims.CLAIMS) - 1
  assert f'1 out of budget, {rest} not run' in done['stdout']


@pytest.mark.parametrize(
  'flags, words',
  [
    (('--only=hs97_addin',), ('--only=hs97_addin', 'nearest: --only=hs97_a')),
    (('--budget=-1',), ('--budget=-1', 'nearest: --budget=30')),
    (('--budget=nan',), ('--budget=nan', 'nearest: --budget=30')),
    (('--budget=long',), ('--budget=long',)),
    (('--page=nowhere.md',), ('nowhere.md', '--page= for none')),
    (('--page=README.md',), ('README.md', 'nearest: --page=docs/results.md')),
    (('--workdir=README.md',), ('README.md',)),
  ],
)
def test_bad_input_gets_a_line_and_trains_nothing(fork, tmp_path, flags, words):
  given = [f'--workdir={tmp_path / "runs"}', *flags]
  done = fork('reproduce', *given)
  assert done['status'] != 0 and not done['stdout'], done
  assert done['stderr'].count('\n') == 1
  assert done['stderr'].startswith('error: ')
  for word in words:
    assert word in done['stderr']
  assert not (tmp_path / 'runs').exists()
