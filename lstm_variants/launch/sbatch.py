"""What sbatch is given: the script of an array job, and its options.

Each element of the array is one worker.
"""

import pathlib
import shlex

from lstm_variants.launch import engine
from lstm_variants.runs import lease

# What a user may give otherwise; a worker is told to save two minutes before
# its time is up.
_DEFAULTS = {'job-name': 'lstm-variants', 'requeue': '', 'signal': 'TERM@120'}
# SLURM signals steps, so that the worker is one, with all that its element has,
# and the script's variables, also where the job has not the launcher's
# (--launch_option=export=NONE). What was killed, or asked to save, is queued
# again; crashes not for ever; what was cancelled, and so runs no longer, not at
# all. It is named by its element: SLURM_JOB_ID may be that of the whole array.
# Begun again, a worker waits for what it held when its node died, which is free
# after a while.
_SCRIPT = """\
#!/bin/bash
{options}
element=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
export {log_variable}={logs}/slurm-$element.log
export JAX_NUM_CPU_DEVICES=${{JAX_NUM_CPU_DEVICES:-$SLURM_CPUS_ON_NODE}}
srun --ntasks=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" --export=ALL \\
  {worker} ${{SLURM_RESTART_COUNT:+--wait}}
status=$?
[ $status -gt 128 ] &&
  {{ [ $status = 143 ] || [ "${{SLURM_RESTART_COUNT:-0}}" -lt 5 ]; }} &&
  squeue --noheader --jobs="$element" --format=%T | grep -qx RUNNING &&
  scontrol requeue "$element"
exit $status
"""


def script(job: engine.Job) -> str:
  """Return the script of the job.

  Raises:
    EngineError: an option cannot be passed on.
  """
  given = engine.options(job)
  ours = {
    'array': f'1-{job.workers}',
    'chdir': str(pathlib.Path.cwd()),
    'output': str(job.logs).replace('%', '%%') + '/slurm-%A_%a.log',
    'open-mode': 'append',
  }
  for name in ours.keys() & given.keys():
    raise engine.EngineError(
      f'--launch_option={name}: is set by --workers and --workdir; leave it out'
    )
  if 'wait' in given:  # sbatch would tell the number at the end
    raise engine.EngineError(
      '--launch_option=wait: no signal would be answered meanwhile; nearest: '
      '--wait'
    )
  values = {**_DEFAULTS, **given, **ours}
  lines = [_line(name, value) for name, value in values.items()]
  return _SCRIPT.format(
    options='\n'.join(lines),
    log_variable=lease.LOG_VARIABLE,
    logs=shlex.quote(str(job.logs)),
    worker=shlex.join(job.command),
  )


def _line(name: str, value: str) -> str:
  """Return the line of a script that gives sbatch an option.

  Raises:
    EngineError: sbatch would read another value.
  """
  if '\\' in value or not value.isprintable():
    raise engine.EngineError(
      f'--launch=slurm: --{name}={value!r}: sbatch drops a backslash, and ends '
      'at a line break; nearest: a directory, or a value, without'
    )
  return f'#SBATCH --{name}' + (f'={shlex.quote(value)}' if value else '')
