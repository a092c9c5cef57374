"""How far a study is, told from its files, while they are written."""

import os
import pathlib
import subprocess
import sys

import pytest
import safetensors.numpy

from lstm_variants.runs import (
  checkpoint,
  directory,
  files,
  lease,
  lock,
  results,
  status,
)
from lstm_variants.runs import writer as writer_lib
from tests import conftest

RUNS = [{'seed': seed, 'training': {'updates': 100}} for seed in range(9)]
# Python reads it, and no float can be it.
HUGE = '1' + '0' * 400


def _row(name, **changes):
  return {
    'id': name,
    'population': 'done',
    'task': 't',
    'model': 'm',
    'config': {'seed': 0},
    'status': 'unsolved',
    'sequences_to_success': None,
    'sequences': 400,
    'updates': 100,
    'final': {},
    'params_in_use': 1,
    'params': 1,
    'seconds_per_update': 0.5,
    **changes,
  }


def _evaluation(run, update, loss):
  return {'run': run, 'update': update, 'sequences': 4 * update, 'loss': loss}


@pytest.fixture
def workdir(tmp_path):
  """A study of 9 runs: 2 are finished, 4 in training, 3 not begun."""
  path = tmp_path / 'study'
  with directory.open_study(str(path), 'tiny', {}, {}, RUNS):
    pass
  with writer_lib.PopulationWriter(str(path), 'done') as writer:
    writer.start()
    writer.finish([_row('a', status='solved'), _row('b')], {}, {})
  with writer_lib.PopulationWriter(str(path), 'now') as writer:
    writer.start()
    for update in (0, 20, 40):
      writer.append_metrics(
        _evaluation(f'{model}_seed{seed}_0a1b', update, 1.0 / (1 + seed))
        for model in ('gru', 'gru+x')
        for seed in range(2)
      )
    progress = checkpoint.Progress(20, 30.0, 0, '', 'me')
    folder = writer.partial / 'checkpoints'
    checkpoint.save(folder, 'who', {}, progress, 2)
  return path


def _snapshot(path: pathlib.Path):
  return {
    str(file): (file.read_bytes(), file.stat().st_mtime_ns)
    for file in sorted(path.rglob('*'))
    if file.is_file()
  }


def test_runs_are_done_in_training_or_not_begun(workdir):
  before = _snapshot(workdir)
  read = status.read(str(workdir))
  assert _snapshot(workdir) == before
  assert (read.name, read.runs, read.updates) == ('tiny', 9, 100)
  assert [row['status'] for row in read.done] == ['solved', 'unsolved']
  assert read.populations == 1 and read.pending == 3
  (training,) = read.training
  assert (training.name, training.runs, training.update) == ('now', 4, 40)
  assert training.losses == {'gru': 0.75, 'gru+x': 0.75}
  assert training.saved == 20 and 0 <= training.age < 60
  assert training.seconds_per_update == 1.5


def test_the_time_left_is_that_of_the_rest_at_the_measured_speed(workdir):
  read = status.read(str(workdir))
  # A run takes 0.5 s of a finished population's time, and 1.5 / 4 s of the
  # other's: 60 updates there, and 100 of each run that is not begun.
  share = (0.5 + 0.5 + 1.5 / 4) / 3
  assert read.seconds_left == pytest.approx(60 * 1.5 + 3 * 100 * share)


def test_nothing_measured_is_nothing_told(tmp_path):
  with directory.open_study(str(tmp_path), 'tiny', {}, {}, RUNS):
    pass
  read = status.read(str(tmp_path))
  assert read.seconds_left is None and read.pending == 9 and not read.done


def test_a_row_on_its_way_and_rows_of_others_are_no_matter(workdir):
  (file,) = workdir.rglob('now.partial/metrics.jsonl')
  with open(file, 'ab') as metrics:
    metrics.write(b'[1]\n{"run": 3}\nnonsense\n')
    metrics.write(files.json_line(_evaluation('gru_seed0_0a1b', 60, 0.5)))
    metrics.write(b'{"run": "gru_seed1_0a1b", "upd')
  (training,) = status.read(str(workdir)).training
  assert (training.runs, training.update) == (4, 40)
  rows = results.read_metrics_in_training(str(workdir))
  assert [row['update'] for row in rows] == 4 * [0] + 4 * [20] + 4 * [40] + [60]


def test_a_damaged_line_between_others_is_left_out_with_one_warning(
  workdir, capsys
):
  (file,) = workdir.rglob('now.partial/metrics.jsonl')
  lines = file.read_bytes().splitlines(keepends=True)
  for damaged, said in (
    ({1: b'{"run": 3}\n'}, 'line 2 is no evaluation: it is left out'),
    ({1: b'\n', 2: b'x\n'}, 'lines 2, 3 are no evaluations: they are left out'),
    ({len(lines) - 1: b'x\n'}, ''),  # it may be written just now
  ):
    file.write_bytes(b''.join(damaged.get(n, li) for n, li in enumerate(lines)))
    rows = results.read_metrics_in_training(str(workdir))
    assert len(rows) == len(lines) - len(damaged)
    assert capsys.readouterr().err == (f'{file}: {said}\n' if said else '')
    status.read(str(workdir))  # of the end alone, again and again
    assert capsys.readouterr().err == ''


def test_a_long_file_is_read_at_its_end(workdir, monkeypatch):
  monkeypatch.setattr(status, '_TAIL', 450)
  (training,) = status.read(str(workdir)).training
  assert (training.runs, training.update) == (4, 40)


def test_a_damaged_checkpoint_is_passed_over(workdir):
  (file,) = workdir.rglob('*.safetensors')
  (file.parent / '000000040.safetensors').write_bytes(b'\0' * 100)
  (training,) = status.read(str(workdir)).training
  assert training.saved == 20


@pytest.mark.parametrize(
  'planted',
  [
    'metrics "loss": 1e999',
    f'metrics "loss": {HUGE}',
    f'metrics "update": -{HUGE}',
    'checkpoint "update": 1e999',
    f'checkpoint "update": 20, "seconds": {HUGE}',
    'checkpoint "update": 20, "seconds": NaN',
    'checkpoint "update": 20, "seconds": 1e300',
    f'checkpoint "update": {HUGE}, "seconds": 9.0',
    'row "seconds_per_update": NaN',
    'row "seconds_per_update": 1e308',
    f'study "updates": {HUGE}',
  ],
)
def test_numbers_that_no_study_has_end_no_status(workdir, planted):
  where, text = planted.split(' ', 1)
  if where == 'metrics':
    (file,) = workdir.rglob('now.partial/metrics.jsonl')
    whole = '"run": "gru_seed0_0a1b", "update": 60, "sequences": 240'
    file.write_text(f'{{{whole}, {text}}}\n' * 4)
  elif where == 'checkpoint':
    (file,) = workdir.rglob('*.safetensors')
    told = {'lstm_variants': f'{{"seconds": 1.0, {text}}}'}
    file.write_bytes(safetensors.numpy.save({}, told))
  else:
    name = 'study.json' if where == 'study' else 'runs.jsonl'
    (file,) = workdir.rglob(name)
    old = '"updates": 100' if where == 'study' else '"seconds_per_update": 0.5'
    file.write_text(file.read_text().replace(old, text))
    assert text in file.read_text()
  read = status.read(str(workdir))
  assert read.seconds_left is None or status.duration(read.seconds_left)


def test_who_trains_is_told_while_they_live(workdir):
  assert status.read(str(workdir)).holder == ''
  with lock.hold(workdir, print):
    held = status.read(str(workdir)).holder
  assert held.startswith(f'process {os.getpid()} on ')
  assert status.read(str(workdir)).holder == ''
  ended = subprocess.Popen([sys.executable, '-c', ''])
  ended.wait()
  host = os.uname().nodename
  (workdir / '.lock').write_text(f'{host} {ended.pid} 2026-01-01T00:00:00')
  assert status.read(str(workdir)).holder == ''
  (workdir / '.lock').write_text('elsewhere 12 2026-01-01T00:00:00')
  assert status.read(str(workdir)).holder == (
    'process 12 on elsewhere, since 2026-01-01T00:00:00'
  )


def test_a_directory_that_holds_no_study_is_refused(tmp_path):
  with pytest.raises(results.WorkdirError, match='holds no study'):
    status.read(str(tmp_path))


# The command.


def _status(workdir, tmp_path) -> list[str]:
  """Return what the command says where there is no jax to import."""
  (tmp_path / 'without').mkdir(exist_ok=True)
  for name in ('jax', 'flax', 'optax', 'matplotlib'):
    (tmp_path / 'without' / f'{name}.py').write_text('raise SystemExit("no")')
  paths = f'{tmp_path}/without:{conftest.REPOSITORY}'
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.status', f'--workdir={workdir}'],
    env={**os.environ, 'PYTHONPATH': paths},
    cwd=conftest.REPOSITORY,
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert (done.returncode, done.stderr) == (0, '')
  return done.stdout.splitlines()


def test_the_command_needs_no_jax_and_says_what_is_next(workdir, tmp_path):
  lines = _status(workdir, tmp_path)
  assert lines[0].startswith('tiny: 9 runs, begun 20')
  assert lines[1:2] == [
    'done: 2 runs in 1 populations (1 solved, 1 unsolved, 0 diverged)'
  ]
  assert lines[2].startswith(
    'interrupted: now: 4 runs, update 40/100, loss gru 0.75, gru+x 0.75, saved '
    'at 20, last written 0:00:'
  )
  assert lines[3:] == [
    'not begun: 3 runs',
    'time left: 0:03:48, compiling not counted',
    'trained by: nobody',
    'next: repeat the command that made it with --resume',
  ]


def test_a_population_that_compiles_is_not_said_to_be_begun(workdir, tmp_path):
  with writer_lib.PopulationWriter(str(workdir), 'next') as writer:
    writer.start()
    before_rows = 'next: before its first row'
    lines = _status(workdir, tmp_path)
    assert f'interrupted: {before_rows}' in lines
    assert 'not begun: 3 runs' in lines and 'trained by: nobody' in lines
    with lock.hold(workdir, print):
      lines = _status(workdir, tmp_path)
  compiling = 'next: compiling, or ended before its first row'
  assert f'in training: {compiling}' in lines
  assert 'not begun, or compiling: 3 runs' in lines
  assert not [line for line in lines if line.startswith('interrupted')]


def test_who_shares_a_study_is_told_with_what_it_trains_and_says(
  workdir, tmp_path, monkeypatch
):
  monkeypatch.setenv(lease.LOG_VARIABLE, 'workers/me.log')
  with lease.join(workdir) as worker, worker.claim('next'):
    stale = worker.claim('now')
    with stale:
      os.utime(workdir / 'leases/now', (1e9, 1e9))
      read = status.read(str(workdir))
      lines = _status(workdir, tmp_path)
    assert {e.name: read.state(e) for e in read.training} == {
      'next': 'in training',
      'now': 'stale',
    }
  me = f'process {os.getpid()} on {os.uname().nodename}, since 20'
  compiling = 'in training: next: compiling, or ended before its first row'
  begun = lines.index(compiling)
  assert lines[begun + 1].startswith(f'  by {me}')
  assert lines[begun + 1].endswith(', workers/me.log')
  assert lines[begun + 2].startswith('stale: now: 4 runs, update 40/100')
  told = lines.index('trained by: 1 processes that share it')
  assert lines[told + 1].startswith(f'  {me}')
  assert 'status' in lines[-1]
  assert not status.read(str(workdir)).is_trained


def test_who_shares_a_study_lives_by_the_clock_of_its_file_system(
  workdir, tmp_path, monkeypatch
):
  with lease.join(workdir) as worker, worker.claim('next'):
    before = sorted(workdir.rglob('*'))
    monkeypatch.setattr(lease.time, 'time', lambda: 4e9)
    assert status.read(str(workdir)).is_trained
    assert sorted(workdir.rglob('*')) == before  # nothing stays
    assert not status.read(str(workdir)).workers[0].own_clock

    def refused(*unused, **options):
      raise PermissionError

    monkeypatch.undo()
    monkeypatch.setattr(lease, '_now', refused)
    read = status.read(str(workdir))
    assert read.is_trained and read.workers[0].own_clock
    who = status._who(read.workers[0])
    assert who.endswith(" ago by this host's clock")


def test_what_a_terminal_would_obey_is_not_printed(workdir, tmp_path):
  (file,) = workdir.rglob('now.partial/metrics.jsonl')
  row = _evaluation('\x1b]0;me\x07_seed0_0a1b', 60, 0.5)
  file.write_bytes(files.json_line(row))
  assert not [line for line in _status(workdir, tmp_path) if '\x1b' in line]
