"""The program that shows a task."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import lstm_variants as lv


def _show(fork, *arguments: str, status: int = 0) -> str:
  done = fork('show', *arguments)
  assert done['status'] == status, done['stderr']
  if status:
    assert done['stderr'].count('\n') == 1 and not done['stdout']
    assert 'Traceback' not in done['stderr']
    return done['stderr']
  assert not done['stderr']
  return done['stdout']


def test_a_task_is_drawn_with_all_that_is_known_of_it(fork, tmp_path):
  out = tmp_path / 'new' / 'adding.svg'
  shown = _show(fork, '--task=adding_hs97', f'--out={out}', '--samples=2')
  assert 'adding-hs97-T100: scaled sum' in shown
  assert 'without memory  loss 0.0392' in shown
  assert 'solved          last 2,000 training sequences all within' in shown
  assert 'T = 500: 209,000 sequences to success' in shown
  assert shown.count('\n  target') == shown.count('\n  marker') > 2
  assert out.read_text().startswith('<?xml')
  assert shown.splitlines()[-2:] == [
    f'results: {out}',
    'next: python -m experiments.train --config=base --config.task.name=adding '
    '--config.task.dialect=hs97 --workdir=runs/adding',
  ]


def test_a_reader_that_goes_away_ends_nothing(tmp_path):
  out = tmp_path / 'copy.svg'
  shown = subprocess.run(
    f'{sys.executable} -m experiments.show --task=copy --out={out} | true; '
    'exit ${PIPESTATUS[0]}',
    shell=True,
    executable='/bin/bash',
    capture_output=True,
    text=True,
  )
  assert (shown.returncode, shown.stderr) == (0, '')
  assert out.exists()


def test_what_is_drawn_is_a_batch_of_the_task(fork, tmp_path):
  out = f'--out={tmp_path / "copy.png"}'
  shown = _show(fork, '--task=copy', '--config.task.length=3', '--seed=7', out)
  task = lv.make_task('copy', 'urnn16', 3)
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(7), 3)
  names = '.12345678?'
  lines = [
    '  input   ' + ' '.join(names[n] for n in row)
    for row in np.argmax(batch.inputs, axis=-1)
  ]
  assert [line for line in shown.splitlines() if 'input ' in line] == lines
  assert (tmp_path / 'copy.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['--task=ading'], ('--task=ading', 'nearest: adding')),
    (['--task=copy', '--config.task.name=adding'], ('both name the task',)),
    (
      ['--task=adding_hs97', '--config.task.length=10'],
      ('--config.task.length=10', 'at least 11', 'nearest: 11'),
    ),
    (['--task=copy', '--out=x.jpg'], ('--out=x.jpg', '.svg or .png')),
    (['--task=copy', '--samples=0'], ('samples',)),
    (
      ['--task=copy', '--config.task.symbols=1'],
      ('--config.task.symbols=1', 'nearest: 2'),
    ),
    (
      ['--task=characters', '--config.task.path=missing.txt'],
      ('--config.task.path=', 'missing.txt'),
    ),
    (
      ['--task=copy', '--config.task.length=100000'],
      ('--samples=3: ', '100,020 steps', 'nearest: --samples=1\n'),
    ),
    (
      ['--task=adding', '--config.task.length=1000000', '--samples=1'],
      (
        '--config.task.length=1000000: ',
        'nearest: --config.task.length=133333 --samples=1\n',
      ),
    ),
    (
      ['--task=adding', '--config.task.length=133334', '--samples=1'],
      ('nearest: --config.task.length=133333 ',),
    ),
    (
      ['--task=spike_delays_nmsd', '--config.task.length=1000000'],
      ('nearest: --config.task.length=200000 ',),
    ),
    (
      ['--task=sequential_digits_mnist'],
      ('--config.task.path=', 'give the directory'),
    ),
    (
      ['--task=long_lag_hs97_2c', '--config.task.shortest_length=101'],
      ('--config.task.shortest_length=101', 'nearest: 100'),
    ),
  ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(fork, arguments, words):
  refusal = _show(fork, *arguments, status=2)
  for word in words:
    assert word in refusal


def test_a_picture_that_cannot_be_written_ends_with_status_6(fork):
  refusal = fork('show', '--task=copy', '--out=/proc/show/x.svg')
  assert refusal['status'] == 6
  assert refusal['stderr'].count('\n') == 1
