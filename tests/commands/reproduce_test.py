"""The program that tests published claims."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from lstm_variants import claims
from lstm_variants.claims import claim, page
from tests import conftest


def test_the_claims_are_listed_with_number_source_and_minutes(fork):
  done = fork('reproduce', '--list')
  assert done['status'] == 0 and not done['stderr'], done
  sentences = ' '.join(done['stdout'].split())  # they are folded
  for name, each in claims.CLAIMS.items():
    assert f'{name}  ({each.minutes:g} min)' in done['stdout']
    assert f'{each.says}: {each.published}' in sentences
    assert each.source in sentences
    training = each.training
    said = f'{training.sequences:,} sequences ({training.source})'
    assert said in sentences
    assert f'--config={each.config} --workdir=runs/{name}' in done['stdout']
  assert claim.RULE.replace('*', '') in sentences


def test_without_time_nothing_is_trained_and_the_page_says_so(fork, tmp_path):
  target = tmp_path / 'page.md'
  target.write_text(f'# Title\n{page.BEGIN}\n{page.END}\n')
  done = fork(
    *('reproduce', '--budget=0', f'--workdir={tmp_path / "runs"}'),
    f'--page={target}',
  )
  assert done['status'] == 0 and not done['stderr'], done
  count = len(claims.CLAIMS)
  assert f'{count} claims: {count} not run yet' in done['stdout']
  text = target.read_text()
  assert text.startswith('# Title\n') and text.count('not run yet') > count
  left = {path.name for path in (tmp_path / 'runs').iterdir()}
  assert left == {'claims.csv', 'claims.md'}
  table = (tmp_path / 'runs/claims.md').read_text()
  assert text == f'# Title\n{page.BEGIN}\n\n{table}\n{page.END}\n'


def test_no_page_that_was_not_asked_for_gets_a_table(fork, tmp_path):
  """A look at an empty directory had taken docs/results.md for its page."""
  target = conftest.REPOSITORY / 'docs/results.md'
  before = target.read_bytes()
  try:
    done = fork('reproduce', '--budget=0', f'--workdir={tmp_path}')
    assert done['status'] == 0 and not done['stderr'], done
    assert target.read_bytes() == before
  finally:
    target.write_bytes(before)


def test_what_is_next_can_be_pasted_whether_or_not_something_is_trained(
  tmp_path,
):
  workdir = tmp_path / 'my runs'
  names = list(claims.CLAIMS)[:2]
  command, *flags = shlex.split(page.next_command(names, workdir))[-3:]
  assert command == 'reproduce'
  assert flags == [f'--only={names[0]}', f'--workdir={workdir}']
  (workdir / names[1]).mkdir(parents=True)
  assert shlex.split(page.next_command(names, workdir))[-2:] == [
    *('compare', f'--workdir={workdir / names[1]}')
  ]


def test_chosen_claims_leave_the_page_of_all_alone(fork, tmp_path):
  name = next(iter(claims.CLAIMS))
  target = tmp_path / 'page.md'
  text = f'{page.BEGIN}\nold\n{page.END}\n'
  target.write_text(text)
  done = fork(
    *('reproduce', '--budget=0', f'--only={name}', f'--page={target}'),
    f'--workdir={tmp_path / "runs"}',
  )
  assert done['status'] == 0, done
  assert f'{name}: not run yet' in done['stdout']
  count = len(claims.CLAIMS)
  assert f'{count} claims: {count} not run yet' in done['stdout']
  assert target.read_text() == text


def test_a_signal_ends_it_in_order_and_begins_no_other_claim(fork, tmp_path):
  """Ctrl-C goes to the whole group: the study must get one signal, not two."""
  runs = tmp_path / 'runs'
  target = tmp_path / 'page.md'
  target.write_text(f'{page.BEGIN}\nold\n{page.END}\n')
  flags = ('--budget=60', f'--workdir={runs}', f'--page={target}')
  command = [sys.executable, '-m', 'experiments.reproduce', *flags]
  process = subprocess.Popen(
    command,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
    cwd=conftest.REPOSITORY,
  )
  try:
    _wait_for(lambda: any(map(_trains, runs.rglob('metrics.jsonl'))))
    (log,) = runs.glob('*.log')
    before = log.stat().st_ino, sorted(runs.glob('*'))
    second = fork('reproduce', *flags)
    assert second['status'] == 5 and 'wait for it' in second['stderr']
    assert (log.stat().st_ino, sorted(runs.glob('*'))) == before
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
  finally:
    process.kill()
  assert process.returncode == 130, stderr
  assert 'the same command goes on' in stderr
  assert stdout.count(': stopped before its end\n') == 1
  assert 'SIGTERM' in log.read_text() and 'SIGINT' not in log.read_text()
  assert any(log.with_suffix('').rglob('checkpoints/*'))
  assert 'old' in target.read_text()


def test_of_those_who_write_the_table_at_once_each_writes_a_whole_one(
  fork_server, tmp_path
):
  runs, target = tmp_path / 'runs', tmp_path / 'page.md'
  flags = ('--budget=0', f'--workdir={runs}', f'--page={target}')
  target.write_text(f'{page.BEGIN}\n{page.END}\n')
  assert fork_server.run('reproduce', *flags)['status'] == 0
  texts = [(runs / 'claims.csv').read_bytes(), target.read_bytes()]
  started = [fork_server.start('reproduce', *flags) for _ in range(4)]
  ended = [each.wait(60) for each in started]
  assert {0} <= {each['status'] for each in ended} <= {0, 5}, ended
  for each in ended:
    busy = each['stderr'].startswith(f'error: {runs}: process ')
    assert busy == (each['status'] == 5) and busy == bool(each['stderr']), each
  assert [(runs / 'claims.csv').read_bytes(), target.read_bytes()] == texts
  assert {each.name for each in tmp_path.rglob('*')} == {
    *('runs', 'page.md', 'claims.csv', 'claims.md')
  }


@pytest.mark.parametrize('read', [3, len(claims.CLAIMS)])
def test_who_is_overtaken_writes_no_table(fork, tmp_path, read):
  runs, target = tmp_path / 'runs', tmp_path / 'page.md'
  text = f'{page.BEGIN}\nold\n{page.END}\n'
  target.write_text(text)
  done = fork(
    *('tests.commands.overtaken_claims', str(read), '--budget=0'),
    *(f'--workdir={runs}', f'--page={target}'),
  )
  assert done['status'] not in (0, 1), done
  assert 'taken over by another process' in done['stderr']
  assert done['stdout'].count('not run yet') == read
  assert target.read_text() == text
  assert [each.name for each in runs.iterdir()] == ['.lock']


def _trains(metrics) -> bool:
  return '"update": 0' in metrics.read_text()


def _wait_for(happens) -> None:
  end = time.monotonic() + 120
  while not happens():
    assert time.monotonic() < end
    time.sleep(0.1)


def test_the_examples_name_claims():
  program = conftest.REPOSITORY / 'lstm_variants/commands/reproduce.py'
  text = program.read_text()
  (named,) = re.findall(r'--only=([\w,]+)\n', text)
  assert set(named.split(',')) <= set(claims.CLAIMS)


@pytest.mark.parametrize(
  'flags, words',
  [
    (('--only=hs97_addin',), ('--only=hs97_addin', 'nearest: --only=hs97_a')),
    (('--budget=-1',), ('--budget=-1', 'nearest: --budget=30')),
    (('--budget=nan',), ('--budget=nan', 'nearest: --budget=30')),
    (('--budget=long',), ('--budget=long',)),
    (('--page=nowhere.md',), ('nowhere.md', 'results.md, or none')),
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
