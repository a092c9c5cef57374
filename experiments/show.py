"""Show a task: a few sequences, its chance level, its rule, what was published.

    python -m experiments.show --task=adding_hs97 --config.task.length=20

Prints the sequences step by step and writes a picture of them. --task is a
task, or a task and a dialect, of docs/tasks.md; the fields of --config.task
choose among what the dialect leaves open.
"""

import difflib
import pathlib
import sys

from absl import flags
import jax
import numpy as np

from experiments import command, config_file
from lstm_variants import console, storage, tasks
from lstm_variants.analysis import figures, samples
from lstm_variants.tasks import base
from lstm_variants.training import backend, checks

# What a picture can hold, and somebody read.
MOST_NUMBERS = 10**7
_CONFIG = command.define_config(default='configs/base.py')
_TASK = flags.DEFINE_string(
  'task', None, 'NAME or NAME_DIALECT; nothing: the task of the config.'
)
_SAMPLES = flags.DEFINE_integer(
  'samples', 3, 'How many sequences.', lower_bound=1, upper_bound=100
)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'What they are drawn from.', lower_bound=0, upper_bound=2**32 - 1
)
_OUT = flags.DEFINE_string(
  'out', None, 'The picture, .svg or .png; nothing: runs/show/TASK.svg.'
)


def main() -> None:
  """Check everything, draw, print."""
  task = _chosen_task()
  out = pathlib.Path(_OUT.value or f'runs/show/{task.label}.svg')
  if out.suffix not in ('.svg', '.png'):
    raise config_file.UsageError(
      f'--out={out}: must end in .svg or .png; nearest: {out}.svg'
    )
  numbers = task.num_steps * (task.in_features + task.out_features)
  if numbers * _SAMPLES.value > MOST_NUMBERS:
    raise config_file.UsageError(
      f'--config.task.length={task.length}: {_SAMPLES.value} sequence(s) of '
      f'{task.num_steps:,} steps are too much to draw; nearest: a shorter '
      'length, or --samples=1'
    )
  backend.check()
  with storage.refusals(out.parent):
    out.parent.mkdir(parents=True, exist_ok=True)
  batch = jax.jit(task.sample, static_argnums=1)(
    jax.random.key(_SEED.value), _SAMPLES.value
  )
  shown = [_sample(task, batch, n) for n in range(_SAMPLES.value)]
  drawing = samples.draw(f'{task.label}: {task.summary}', shown)
  storage.write(
    out,
    figures.png(drawing)
    if out.suffix == '.png'
    else figures.svg(drawing, task.label).encode(),
  )
  parts = [_describe(task), *map(samples.as_text, shown), f'picture: {out}']
  console.say('\n\n'.join(parts))


def _chosen_task() -> base.Task:
  """Return the task of --task, or of the config.

  Raises:
    UsageError: an unknown task, or one that is named twice.
    InputError: a choice that the task does not have.
  """
  fields = _CONFIG.value.to_dict()
  if _TASK.value is not None:
    if _TASK.value not in tasks.TASKS:
      close = difflib.get_close_matches(_TASK.value, tasks.TASKS, 1, 0.4)
      nearest = f'nearest: {close[0]}; ' if close else ''
      raise config_file.UsageError(
        f'--task={_TASK.value}: unknown; {nearest}choices: '
        f'{", ".join(tasks.TASKS)}'
      )
    given = {field for field, _ in config_file.overrides(sys.argv)}
    for field in ('task.name', 'task.dialect'):
      if field in given:
        raise config_file.UsageError(
          f'--config.{field} and --task={_TASK.value}: both name the task; '
          'leave one out'
        )
    name, dialect = tasks.TASKS.choice(_TASK.value)
    fields['task'] |= {'name': name, 'dialect': dialect}
  return checks.make_task(checks.check_fields(fields)['task'], held_out=False)


def _describe(task: base.Task) -> str:
  """Return what there is to know of a task, a line each."""
  chance = ', '.join(f'{k} {v:.4g}' for k, v in task.baselines.items())
  lines = [
    f'{task.label}: {task.summary}',
    f'  from            {task.reference}',
    f'  time axis       {task.num_steps:,} steps',
    f'  features        {task.in_features} in, {task.out_features} out',
    f'  without memory  {chance}',
    f'  solved          {task.success}',
  ]
  lines += [f'  published       {result}' for result in task.published]
  return '\n'.join(lines)


def _sample(task: base.Task, batch: base.Batch, n: int) -> samples.Sample:
  return samples.Sample(
    np.asarray(batch.inputs[n]),
    np.asarray(batch.targets[n]),
    np.asarray(batch.mask[n]),
    samples.Axis(*task.inputs),
    samples.Axis(*task.outputs),
  )


if __name__ == '__main__':
  command.run(main, backend.BackendError, checks.InputError)
