"""What is submitted to SLURM, by a stand-in of its commands; no SLURM needed.

A real one: `make cluster`.
"""

import os
import pathlib
import shlex
import subprocess
from typing import Any

import pytest

from lstm_variants.launch import engine, slurm
from lstm_variants.training import interrupt

# A command that notes how it was called, and does what FAKE_NAME says.
_FAKE = """\
#!/bin/sh
echo "$(basename "$0") $*" >> {log}
eval "$FAKE_{name}"
"""


@pytest.fixture
def fakes(tmp_path, monkeypatch) -> pathlib.Path:
  """Put stand-ins on PATH; return the file in which they note their calls."""
  looks = iter(range(20))  # so that who looks for ever fails
  monkeypatch.setattr(slurm.time, 'sleep', lambda seconds: next(looks))
  log, folder = tmp_path / 'calls', tmp_path / 'bin'
  folder.mkdir()
  log.touch()
  for name in ('sbatch', 'srun', 'squeue', 'scontrol', 'scancel'):
    path = folder / name
    path.write_text(_FAKE.format(log=shlex.quote(str(log)), name=name))
    path.chmod(0o755)
  monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
  script = shlex.quote(str(tmp_path / 'script'))
  monkeypatch.setenv('FAKE_sbatch', f'cat > {script}; echo 7')
  return log


def _job(workdir, *options: str, **more) -> engine.Job:
  arguments = ['sweep', '--config=a b.py', '--share']
  return engine.Job(arguments, str(workdir), 3, options, **more)


def test_the_script_that_is_submitted_is_the_one_that_a_dry_run_prints(
  fakes, tmp_path, capsys
):
  workdir = tmp_path / 'runs'
  slurm.launch(_job(workdir, 'time=1:00:00', 'exclusive', dry_run=True))
  printed = capsys.readouterr().out
  assert not workdir.exists() and not fakes.read_text()
  assert not slurm.launch(_job(workdir, 'time=1:00:00', 'exclusive'))
  assert fakes.with_name('script').read_text() == printed
  assert fakes.read_text() == 'sbatch --parsable\n'
  assert 'job 7: 3 workers; scancel 7 ends it' in capsys.readouterr().out
  assert (workdir / 'workers').is_dir()  # SLURM makes none, and loses the log
  lines = printed.splitlines()
  assert {
    '#SBATCH --array=1-3',
    '#SBATCH --time=1:00:00',
    '#SBATCH --exclusive',
    f'#SBATCH --chdir={pathlib.Path.cwd()}',
    f'#SBATCH --output={workdir}/workers/slurm-%A_%a.log',
    # Queued again, an element goes on with its log.
    '#SBATCH --open-mode=append',
    '#SBATCH --requeue',
    '#SBATCH --signal=TERM@120',
  } <= set(lines)


@pytest.mark.parametrize(
  ('workdir', 'option'),
  [('a\\b', 'time=1'), ('a\nb', 'time=1'), ('runs', 'comment=a\\b')],
)
def test_what_sbatch_would_read_otherwise_is_refused(
  fakes, tmp_path, workdir, option
):
  """Tried with sbatch 22.05: of a\\b it makes ab, and a quote ends its line."""
  for dry_run in (True, False):
    with pytest.raises(engine.EngineError, match=r'--launch=slurm: --.*a\\'):
      slurm.launch(_job(tmp_path / workdir, option, dry_run=dry_run))
  assert not (tmp_path / workdir).exists() and not fakes.read_text()


def test_an_option_replaces_a_default_of_the_script(fakes, tmp_path, capsys):
  slurm.launch(_job(tmp_path, '--signal=USR1@60', dry_run=True))
  printed = capsys.readouterr().out
  assert '--signal=USR1@60' in printed and 'TERM@120' not in printed


@pytest.mark.parametrize(
  ('option', 'line'),
  [
    ('array=1-9', 'array: is set by --workers'),
    ('output=here', 'output: is set by'),
    ('time=1\n#SBATCH --wrap=x', 'is no NAME=VALUE'),
    ('=3', 'is no NAME=VALUE'),
    ('$(x)', 'is no NAME=VALUE'),
  ],
)
def test_options_that_cannot_be_passed_on_are_refused_and_nothing_is_written(
  fakes, tmp_path, option, line
):
  with pytest.raises(engine.EngineError, match=line.replace('$', '.')):
    slurm.launch(_job(tmp_path / 'runs', option))
  assert not (tmp_path / 'runs').exists() and not fakes.read_text()


def test_an_option_that_is_given_twice_is_refused(tmp_path):
  with pytest.raises(engine.EngineError, match='time: is given twice'):
    slurm.launch(_job(tmp_path, 'time=1', 'time=2', dry_run=True))


def test_without_sbatch_one_line_says_where_to_start_and_nothing_is_written(
  tmp_path, monkeypatch
):
  monkeypatch.setenv('PATH', str(tmp_path))
  with pytest.raises(engine.EngineError, match='no sbatch here; .*--dry_run'):
    slurm.launch(_job(tmp_path / 'runs'))
  assert not (tmp_path / 'runs').exists()


def test_what_sbatch_refuses_is_told_in_one_line(fakes, tmp_path, monkeypatch):
  refusal = 'echo "sbatch: error: invalid partition\nfailed" >&2; exit 1'
  monkeypatch.setenv('FAKE_sbatch', refusal)
  with pytest.raises(engine.EngineError) as error:
    slurm.launch(_job(tmp_path / 'runs'))
  assert str(error.value) == (
    '--launch=slurm: sbatch: error: invalid partition failed'
  )


@pytest.mark.parametrize(
  ('status', 'state', 'restarts', 'requeued'),
  [
    (0, 'RUNNING', None, False),
    (2, 'RUNNING', None, False),
    (6, 'RUNNING', '1', False),
    (143, 'RUNNING', None, True),
    (143, 'RUNNING', '9', True),
    (143, 'COMPLETING', None, False),  # cancelled
    # Of several clusters, as by SLURM_CLUSTERS, some versions name it first.
    (143, 'CLUSTER: other; echo RUNNING', None, True),
    (143, 'CLUSTER: RUNNING; echo COMPLETING', None, False),
    (137, 'RUNNING', '4', True),
    (137, 'RUNNING', '5', False),
  ],
)
def test_what_was_killed_or_saved_is_queued_again_and_nothing_else(
  fakes, tmp_path, monkeypatch, capsys, status, state, restarts, requeued
):
  slurm.launch(_job(tmp_path, dry_run=True))
  script = capsys.readouterr().out
  monkeypatch.setenv('FAKE_srun', f'exit {status}')
  monkeypatch.setenv('FAKE_squeue', f'echo {state}')
  monkeypatch.setenv('SLURM_ARRAY_JOB_ID', '7')
  monkeypatch.setenv('SLURM_ARRAY_TASK_ID', '2')
  monkeypatch.setenv('SLURM_JOB_ID', '7')  # as of the last element
  monkeypatch.setenv('SLURM_CPUS_ON_NODE', '4')
  if restarts:
    monkeypatch.setenv('SLURM_RESTART_COUNT', restarts)
  assert subprocess.run(['bash', '-c', script]).returncode == status
  calls = fakes.read_text().splitlines()
  assert calls[0].startswith('srun --ntasks=1 --cpus-per-task=4 ')
  assert calls[0].endswith(' --wait') == bool(restarts)
  assert ('scontrol requeue 7_2' in calls) == requeued


def test_a_worker_gets_its_log_its_cores_and_its_arguments_as_they_are(
  fakes, tmp_path, monkeypatch, capsys
):
  workdir = tmp_path / "it's 10 %a"
  slurm.launch(_job(workdir, "comment=it's; $HOME", dry_run=True))
  script = capsys.readouterr().out
  lines = [
    shlex.split(line, comments=False)
    for line in script.splitlines()[1:]
    if line.startswith('#SBATCH')
  ]
  assert ['#SBATCH', "--comment=it's; $HOME"] in lines
  # A percent sign of the path is none of SLURM's own.
  output = str(workdir).replace('%', '%%') + '/workers/slurm-%A_%a.log'
  assert ['#SBATCH', f'--output={output}'] in lines
  monkeypatch.setenv(
    'FAKE_srun',
    'printf "%s\\n" "$LSTM_VARIANTS_LOG" "$JAX_NUM_CPU_DEVICES" "$@"',
  )
  monkeypatch.setenv('SLURM_ARRAY_JOB_ID', '7')
  monkeypatch.setenv('SLURM_ARRAY_TASK_ID', '2')
  monkeypatch.setenv('SLURM_CPUS_ON_NODE', '4')
  for cores, has in ('', '4'), ('3', '3'):
    monkeypatch.setenv('JAX_NUM_CPU_DEVICES', cores)
    done = subprocess.run(
      ['bash', '-c', script], capture_output=True, text=True
    )
    log, devices, *words = done.stdout.splitlines()
    assert log == f'{workdir}/workers/slurm-7_2.log'
    assert devices == has
    assert words[-3:] == ['sweep', '--config=a b.py', '--share']
    # Or srun does as sbatch was told, as by export=NONE: srun(1).
    assert '--export=ALL' in words


def test_a_waiting_launcher_ends_by_what_the_directory_has(
  fakes, tmp_path, monkeypatch
):
  monkeypatch.setenv('FAKE_squeue', 'echo 7_1')
  looks = iter([False, False, True])
  pauses: list[float] = []
  monkeypatch.setattr(slurm, '_LOOK', 1.5)
  monkeypatch.setattr(slurm.time, 'sleep', pauses.append)
  job = _job(tmp_path, wait=True, is_trained=lambda: next(looks))
  assert slurm.launch(job)
  assert pauses == [1.5] * 3  # the controller serves others, too
  calls = fakes.read_text().splitlines()
  assert [call.split()[0] for call in calls] == [
    *('sbatch', 'squeue', 'squeue', 'squeue'),
    'scancel',
  ]
  assert calls[-1] == 'scancel --state=PENDING 7'


@pytest.mark.parametrize(
  'queue',
  [
    *('true', 'echo CLUSTER: here'),
    'echo slurm_load_jobs error: Invalid job id >&2; exit 1',
  ],
)
def test_a_job_that_ended_before_all_was_trained_is_an_error(
  fakes, tmp_path, monkeypatch, queue
):
  monkeypatch.setenv('FAKE_squeue', queue)
  with pytest.raises(engine.UntrainedError, match='not trained to the end'):
    slurm.launch(_job(tmp_path, wait=True))


def test_a_job_that_ended_as_it_was_to_be_cancelled_is_no_error(
  fakes, tmp_path, monkeypatch
):
  refusal = 'echo "Kill job error: completed" >&2; exit 1'
  monkeypatch.setenv('FAKE_scancel', refusal)
  assert slurm.launch(_job(tmp_path, wait=True, is_trained=lambda: True))
  assert fakes.read_text().splitlines()[-1].startswith('scancel')


def test_a_signal_to_a_waiting_launcher_cancels_all_elements(
  fakes, tmp_path, monkeypatch
):
  monkeypatch.setenv('FAKE_squeue', 'echo 7_1')
  monkeypatch.setattr(interrupt._State, 'requested', 2)
  with pytest.raises(engine.StoppedError) as error:
    slurm.launch(_job(tmp_path, wait=True))
  assert error.value.exit_status == 130
  assert fakes.read_text().splitlines()[-1] == 'scancel 7'


@pytest.mark.parametrize('queue', ['true', 'echo 7_1'])
def test_a_signal_is_told_where_the_job_has_ended_and_not_where_it_goes_on(
  fakes, tmp_path, monkeypatch, queue
):
  refusal = 'echo "Kill job error: refused" >&2; exit 1'
  monkeypatch.setenv('FAKE_scancel', refusal)
  monkeypatch.setenv('FAKE_squeue', queue)
  monkeypatch.setattr(interrupt._State, 'requested', 2)
  monkeypatch.setattr(slurm.engine, 'stay', _stopped)
  with pytest.raises(engine.errors.Error) as error:
    slurm.launch(_job(tmp_path, wait=True))
  has_ended = queue == 'true'
  assert error.value.exit_status == (130 if has_ended else 2)
  assert has_ended or 'Kill job error: refused' in str(error.value)


def test_a_job_of_another_cluster_is_asked_for_and_cancelled_there(
  fakes, tmp_path, monkeypatch, capsys
):
  """Here the number may be that of another job of the same user."""
  monkeypatch.setenv('FAKE_sbatch', 'cat > /dev/null; echo "7;other"')
  monkeypatch.setenv('FAKE_squeue', 'echo 7_1')
  looks: Any = iter([False, True])
  job = _job(tmp_path, 'clusters=other', wait=True)
  slurm.launch(job._replace(is_trained=lambda: next(looks)))
  assert 'scancel --clusters=other 7 ends it' in capsys.readouterr().out
  monkeypatch.setattr(interrupt._State, 'requested', 2)
  with pytest.raises(engine.StoppedError):
    slurm.launch(job)
  _, *calls = fakes.read_text().splitlines()
  assert calls == [
    *['squeue --noheader --clusters=other --jobs=7'] * 2,
    'scancel --state=PENDING --clusters=other 7',
    'sbatch --parsable',
    'squeue --noheader --clusters=other --jobs=7',
    'scancel --clusters=other 7',
  ]


def test_the_number_of_a_job_comes_behind_what_a_site_says(
  fakes, tmp_path, monkeypatch, capsys
):
  """A job was left whose number nobody knew."""
  said = 'echo "The disk is full on Friday; see 3"; echo "7;here"'
  monkeypatch.setenv('FAKE_sbatch', f'cat > /dev/null; {said}')
  slurm.launch(_job(tmp_path))
  assert 'scancel --clusters=here 7 ends it' in capsys.readouterr().out


@pytest.mark.parametrize('said', ['', 'Job 7 to start at noon'])
def test_where_an_option_has_no_job_submitted_none_is_waited_for(
  fakes, tmp_path, monkeypatch, said
):
  """As test-only; of squeue without a number all jobs are asked for."""
  monkeypatch.setenv('FAKE_sbatch', f'cat > /dev/null; echo {said}')
  monkeypatch.setenv('FAKE_squeue', 'echo 5_1')
  with pytest.raises(engine.EngineError, match='tells no number of a job'):
    slurm.launch(_job(tmp_path, 'test-only', wait=True))
  assert fakes.read_text() == 'sbatch --parsable\n'


def test_sbatch_waits_for_no_job(fakes, tmp_path):
  """Nobody would know the number until then, and no signal be answered."""
  with pytest.raises(engine.EngineError, match='nearest: --wait'):
    slurm.launch(_job(tmp_path, 'wait'))
  assert not fakes.read_text()


def _stopped(*unused) -> None:
  raise engine.StoppedError(130)


@pytest.mark.parametrize('wait', [True, False])
def test_a_signal_while_a_job_is_submitted_waits_for_its_number_and_cancels_it(
  fakes, tmp_path, monkeypatch, wait
):
  call = slurm._call

  def interrupted(*words: str, stdin: str = '') -> str:
    if words[0] == 'sbatch':
      assert interrupt._State.deferred  # else it would have ended right here
      interrupt._State.requested = 2
    return call(*words, stdin=stdin)

  monkeypatch.setenv('FAKE_squeue', 'echo 7_1')
  monkeypatch.setattr(interrupt._State, 'requested', None)
  monkeypatch.setattr(slurm, '_call', interrupted)
  with pytest.raises(engine.StoppedError):
    slurm.launch(_job(tmp_path, wait=wait))
  assert fakes.read_text().splitlines()[-1] == 'scancel 7'
  assert not interrupt._State.deferred


def test_a_controller_that_does_not_answer_ends_no_launcher(
  fakes, tmp_path, monkeypatch
):
  monkeypatch.setenv('FAKE_squeue', 'echo Unable to contact >&2; exit 1')
  looks = iter([False, False, True])
  slurm.launch(_job(tmp_path, wait=True, is_trained=lambda: next(looks)))


def test_a_ctrl_c_is_for_the_launcher_alone(fakes, tmp_path, monkeypatch):
  """Or sbatch ends, and its job goes on with nobody knowing the number."""
  session = 'cut -d " " -f 6 /proc/$$/stat'
  monkeypatch.setenv('FAKE_sbatch', f'cat > /dev/null; echo $$ $({session})')
  process, session = slurm._call('sbatch').split()
  assert process == session


def test_a_command_that_is_not_there_is_told_in_a_line(
  fakes, tmp_path, monkeypatch
):
  monkeypatch.setenv('PATH', str(tmp_path))
  assert slurm._is_queued(['7'])  # as far as anybody knows
  with pytest.raises(engine.EngineError, match='slurm: scancel: No such file'):
    slurm._cancel(['7'])
