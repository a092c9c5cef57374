"""The programs end to end: train, repeat, compare; and their help."""

import csv

import pytest

from lstm_variants.config import fields
from lstm_variants.runs import results
from tests import conftest

TINY = (
  '--config=configs/adding.py',
  '--config.task.length=4',
  '--config.model.hidden_features=2',
  '--config.model.recurrent_init=uniform',
  '--config.training.batch_size=2',
  '--config.training.updates=3',
  '--config.training.evaluation_interval=2',
  '--config.training.evaluation_batches=1',
)


def test_train_then_compare(run_command, fork, tmp_path):
  workdir = tmp_path / 'new' / 'run'
  arguments = (
    *TINY,
    '--config.model.variant=peephole',
    # Two words, and a flag without a value.
    *('--config.optimizer.learning_rate', '3e-3'),
    '--config.model.toggles.gate_recurrence',
    f'--workdir={workdir}',
  )
  own = {'JAX_COMPILATION_CACHE_DIR': '', 'XDG_CACHE_HOME': str(tmp_path)}
  done = run_command('train', *arguments, **conftest.QUICK, **own)
  assert (done.status, done.stderr) == (0, '')
  kept = (tmp_path / 'lstm_variants' / 'programs').glob('*/*-cache')
  assert 'jit__over_runs' in {path.name.partition('-')[0] for path in kept}
  assert 'adding: 1 run in 1 compiled program\n' in done.stdout
  assert ', 3 updates in ' in done.stdout
  assert done.stdout.splitlines()[-2:] == [
    f'results: {workdir}',
    f'next: python -m experiments.compare --workdir={workdir}',
  ]
  (row,) = results.read_runs(str(workdir))
  assert row['model'] == 'peephole+gate_recurrence'
  assert row['config']['optimizer']['learning_rate'] == 3e-3
  assert (row['updates'], row['sequences']) == (3, 6)
  rows = results.read_metrics(str(workdir))
  assert [row['update'] for row in rows] == [0, 2, 3]
  (provenance,) = results.read_provenance(str(workdir)).values()
  assert f'--workdir={workdir}' in provenance['command']

  refused = fork('train', *arguments)
  assert refused['status'] == 5 and '--resume' in refused['stderr']
  again = fork('train', *arguments, '--resume')
  assert (again['status'], again['stderr']) == (0, '')
  assert 'already finished' in again['stdout']
  assert results.read_metrics(str(workdir)) == rows

  model = '--baseline=peephole+gate_recurrence'
  compared = fork('compare', f'--workdir={workdir}', model, COLUMNS='200')
  assert (compared['status'], compared['stderr']) == (0, '')
  assert 'peephole+gate_recurrence' in compared['stdout']
  assert compared['stdout'].splitlines()[-2:] == [
    f'results: {workdir}/report.html',
    f'next: python -m experiments.analyse --workdir={workdir} {model}',
  ]
  with open(workdir / 'compare.csv') as file:
    (line,) = csv.DictReader(file)
  assert float(line['loss']) == row['final']['loss']
  assert (workdir / 'report.html').stat().st_size > 1000

  # Another study from these weights, at another rate: it begins where they are.
  further = tmp_path / 'further'
  source = f'--from={workdir}:{row["id"]}'
  slower = '--config.optimizer.learning_rate=1e-4'
  begun = fork('train', *arguments[:-1], source, slower, f'--workdir={further}')
  assert begun['status'] == 0, begun['stderr']
  first, *_ = results.read_metrics(str(further))
  assert first['loss'] == pytest.approx(rows[-1]['loss'], rel=1e-6)
  assert rows[0]['loss'] != pytest.approx(rows[-1]['loss'], rel=1e-6)


@pytest.mark.parametrize(
  'program, flags',
  [
    ('train', ('--config', '--workdir')),
    ('sweep', ('--config', '--workdir')),
    ('compare', ('--workdir', '--baseline')),
  ],
)
def test_help_shows_an_example_and_the_flags_and_exits_with_0(
  fork, program, flags
):
  done = fork(program, '--help')
  assert (done['status'], done['stderr']) == (0, '')
  assert f'python -m experiments.{program} --' in done['stdout']
  for flag in flags:
    assert f'\n  {flag}: ' in done['stdout']
  assert max(map(len, done['stdout'].splitlines())) <= 100


@pytest.mark.parametrize('program', ['train', 'sweep', 'show'])
def test_help_lists_every_field_with_its_default_and_sentence(fork, program):
  _, _, text = fork(program, '--help')['stdout'].partition('\nfields, given')
  lines = text.splitlines()
  assert max(map(len, lines)) <= 80
  shown = ' '.join(' '.join(lines).split())
  for row in fields.ROWS:
    assert f' {row.name} (' in shown
    assert ' '.join(row.doc.split()) in shown
  assert ' optimizer.learning_rate (0.001): ' in shown
  assert ' optimizer.weight_decay (0): ' in shown
  assert ' model.toggles.peephole_i (open): ' in shown


def test_one_run_of_a_study_with_a_grid_says_so_and_how_to_sweep(
  fork, tmp_path
):
  done = fork(
    'train',
    '--config=studies/quickstart',
    f'--workdir={tmp_path}/one',
    *(flag for flag in TINY[1:] if 'updates' not in flag),
    '--config.training.updates=0',
  )
  assert done['status'] == 0
  (line,) = done['stderr'].splitlines()
  assert line.startswith('--config=studies/quickstart states a grid: this is ')
  assert 'python -m experiments.sweep --config=studies/quickstart' in line
  (row,) = results.read_runs(f'{tmp_path}/one')
  assert row['updates'] == 0

  far = '--config.optimizer.learning_rate=1000'
  done = fork('train', *TINY, far, f'--workdir={tmp_path}/far')
  assert done['status'] == 0
  (line,) = done['stderr'].splitlines()
  assert line.startswith('warning: diverged: vanilla_seed0_')


def test_help_needs_no_valid_command_line(fork):
  done = fork('train', '--config=nowhere.py', '--hiden=1', '-?')
  assert (done['status'], done['stderr']) == (0, '')
