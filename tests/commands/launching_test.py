"""--launch on the command line, where no engine is needed."""

import os
import pathlib

from absl import command_name
import pytest

from lstm_variants.commands import command, launching
from lstm_variants.launch import engine
from lstm_variants.runs import directory, results

CONFIG = 'studies/quickstart'


def _sweep(fork, workdir: pathlib.Path, *flags: str):
  return fork('sweep', f'--config={CONFIG}', f'--workdir={workdir}', *flags)


def test_a_dry_run_prints_the_job_and_writes_nothing(fork, tmp_path):
  done = _sweep(
    *(fork, tmp_path / 'runs', '--launch', 'slurm', '--workers=3'),
    *('--launch_option', 'partition=gpu', '--launch_option=time=60'),
    *('--dry_run', '--wait', '--config.seed=-1'),
  )
  assert (done['status'], done['stderr']) == (0, '')
  lines = done['stdout'].splitlines()
  assert {'#SBATCH --array=1-3', '#SBATCH --partition=gpu'} < set(lines)
  (worker,) = [line for line in lines if ' sweep ' in line]
  given = f'--config={CONFIG} --workdir={tmp_path / "runs"} --config.seed=-1'
  assert f'-m lstm_variants sweep {given} --share $' in worker
  assert not (tmp_path / 'runs').exists()


@pytest.mark.parametrize(
  ('flags', 'line'),
  [
    (('--workers=3',), '--workers: is of --launch; nearest: --launch='),
    (('--dry_run',), '--dry_run: is of --launch; nearest: --launch='),
    (('--launch=slrum',), 'nearest: --launch=slurm; choices: '),
    (('--launch=slurm', '--overwrite'), 'would remove what others train'),
    (('--launch=slurm', '--config.seed=x'), '--config.seed=x: '),
  ],
)
def test_what_cannot_be_launched_is_refused_before_anything_is_written(
  fork, tmp_path, flags, line
):
  done = _sweep(fork, tmp_path / 'runs', *flags)
  assert done['status'] == 2
  assert line in done['stderr'] and done['stderr'].count('\n') == 1
  assert not (tmp_path / 'runs').exists()


@pytest.mark.parametrize(
  'line',
  ['--launch=slurm', '--workers=3', '-launch_option=x=y', '--nodry_run'],
)
def test_a_file_of_flags_that_the_workers_would_read_too_launches_nothing(
  fork, tmp_path, line
):
  """Each would be refused, of a job that was submitted, for its --workers."""
  (tmp_path / 'flags').write_text(f'# ours\n--config.seed=1\n{line}\n')
  done = _sweep(
    *(fork, tmp_path / 'runs', f'--flagfile={tmp_path / "flags"}'),
    *(() if line.startswith('--launch=') else ('--launch=local', '--dry_run')),
  )
  assert done['status'] == 2 and 'give it on the command line' in done['stderr']
  name = line.strip('-').partition('=')[0]
  assert done['stderr'].startswith(f'error: --{name}: stands in a --flagfile')


def test_another_study_in_the_directory_is_refused_before_a_job_is_begun(
  fork, tmp_path
):
  (tmp_path / 'notes.txt').touch()
  done = _sweep(fork, tmp_path, '--launch=slurm', '--dry_run')
  assert done['status'] == 2 and 'holds no study' in done['stderr']


@pytest.mark.parametrize('given', ['--launch=local', '--share'])
def test_what_was_not_begun_is_not_gone_on_with_by_several(
  fork, tmp_path, given
):
  """A directory with another name would be begun, on a cluster perhaps."""
  done = _sweep(fork, tmp_path / 'runs', given, '--resume')
  assert done['status'] == 4
  assert 'holds nothing to go on with; leave out --resume' in done['stderr']
  assert not (tmp_path / 'runs').exists()


def test_a_worker_has_all_flags_but_those_of_its_launcher():
  words = (
    *('sweep', '--config', 'a b', '--launch', 'ray', '--workers=2', '-resume'),
    *('--launch_option=num_cpus=1', '--config.x', '-1', '--nowait', '--share'),
  )
  assert launching._worker(words) == [
    *('sweep', '--config', 'a b', '--config.x', '-1', '--share'),
  ]


def test_what_others_train_longer_is_not_taken_for_trained(tmp_path, capsys):
  """The directory has all of it, finished, of before."""
  workdir = str(tmp_path)
  job = engine.Job([], workdir, 2, is_trained=lambda: False)
  with directory.join_study(workdir, 'x', {}, {}, []) as other:
    with other.claim('x'):
      launching._end(job)
  assert '1 population is trained by others' in capsys.readouterr().out
  # Nobody does, by whom they were lost.
  with pytest.raises(engine.UntrainedError, match='its workers have ended'):
    launching._end(job)


def test_a_process_has_a_name_without_a_space(monkeypatch):
  """Of absl it has one; SLURM's linuxproc then finds no process to signal."""
  name = pathlib.Path('/proc/self/comm')
  before, during = name.read_text(), []
  monkeypatch.setattr(command.app, 'run', lambda main, **flags: main(['x']))
  monkeypatch.setattr(command.interrupt, 'install', lambda: None)
  command_name.set_kernel_process_name('python -m x')
  command.run(lambda: during.append(name.read_text()))
  command_name.set_kernel_process_name(before.strip())
  assert during and ' ' not in during[0]


def test_a_launcher_asks_the_server_for_what_others_have_finished(
  tmp_path, monkeypatch, capsys
):
  """It ended with status 1 where NFS told what this host remembered."""
  asked: list[pathlib.Path] = []
  monkeypatch.setattr(os, 'utime', asked.append)
  monkeypatch.setattr(results, 'is_all_diverged', lambda *names: False)
  monkeypatch.setattr(command, 'say_results', lambda workdir: None)
  (tmp_path / 'populations' / 'x').mkdir(parents=True)
  job = engine.Job(
    *([], str(tmp_path), 2),
    is_trained=lambda: tmp_path / 'populations' in asked,
  )
  launching._end(job)
