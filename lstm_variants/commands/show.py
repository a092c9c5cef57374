"""Show a task: a few sequences, its chance level, its rule, what was published.

    lstm-variants show --task=adding_hs97 --config.task.length=20

Prints the sequences step by step and writes a picture of them. --task is a
task, or a task and a dialect, of docs/tasks.md; the fields of --config.task
choose among what the dialect leaves open.
"""

import bisect
import pathlib
import sys
from typing import Any

from absl import flags
import jax
import numpy as np

from lstm_variants import console, tasks
from lstm_variants import names as names_lib
from lstm_variants.commands import command, config_file
from lstm_variants.config import fields as fields_lib
from lstm_variants.config import rules, schema, task_fields
from lstm_variants.plots import samples, theme
from lstm_variants.runs import files
from lstm_variants.tasks import base
from lstm_variants.training import backend

# Of a batch: what is drawn in some seconds, and held in memory.
MOST_MARKS = 4 * 10**5
MOST_NUMBERS = 10**7
_CONFIG = command.define_config(default='base')
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
  fields = _chosen_fields()
  task = task_fields.make_task(task_fields.resolve_task(fields), held_out=False)
  out = pathlib.Path(_OUT.value or f'runs/show/{task.label}.svg')
  if out.suffix not in ('.svg', '.png'):
    raise config_file.UsageError(
      f'--out={out}: must end in .svg or .png; nearest: {out}.svg'
    )
  _check_room(fields, task)
  backend.check()
  with files.refusals(out.parent):
    out.parent.mkdir(parents=True, exist_ok=True)
  batch = jax.jit(task.sample, static_argnums=1)(
    jax.random.key(_SEED.value), _SAMPLES.value
  )
  sequences = [_sample(task, batch, n) for n in range(_SAMPLES.value)]
  drawing = samples.draw(f'{task.label}: {task.summary}', sequences)
  files.write(
    out,
    theme.png(drawing)
    if out.suffix == '.png'
    else theme.svg(drawing, task.label).encode(),
  )
  parts = [_describe(task), *map(samples.as_text, sequences), '']
  console.say('\n\n'.join(parts))
  chosen = (
    f'--config.task.name={task.name} --config.task.dialect={task.dialect}'
  )
  console.end(
    out,
    f'{console.command_line("train")} --config=base {chosen} '
    f'--workdir=runs/{task.name}',
  )


def _chosen_fields() -> dict[str, Any]:
  """Return the fields of the task of --task, or of the config.

  Raises:
    UsageError: an unknown task, or one that is named twice.
    InputError: a choice that the task does not have.
  """
  config = _CONFIG.value.to_dict()
  if _TASK.value is not None:
    try:
      name, dialect = tasks.TASKS.choice(_TASK.value)
    except KeyError:
      raise config_file.UsageError(
        f'--task={_TASK.value}: unknown'
        + names_lib.tail(_TASK.value, tasks.TASKS)
      ) from None
    given = {field for field, _ in config_file.overrides(sys.argv)}
    for field in ('task.name', 'task.dialect'):
      if field in given:
        raise config_file.UsageError(
          f'--config.{field} and --task={_TASK.value}: both name the task; '
          'leave one out'
        )
    config['task'] |= {'name': name, 'dialect': dialect}
  schema.check(dict(fields_lib.flatten(config)), schema.table())
  task_fields.check_task(task_fields.resolve_task(config['task']))
  return config['task']


def _check_room(fields: dict[str, Any], task: base.Task) -> None:
  """Refuse what is too much to draw.

  Raises:
    UsageError: with the samples, or the length, that can be drawn.
  """
  count, fits = _SAMPLES.value, _drawable(task)
  if count <= fits:
    return
  much = f'of {task.num_steps:,} steps: too much to draw'
  if fits:
    raise config_file.UsageError(
      f'--samples={count}: {much}; nearest: --samples={fits}'
    )
  lengths = range(1, task.length)
  longest = bisect.bisect(
    lengths, False, key=lambda n: _drawable_at(fields, n) == 0
  )
  raise config_file.UsageError(
    f'--config.task.length={task.length}: {much}; nearest: '
    f'--config.task.length={longest} --samples=1'
  )


def _drawable(task: base.Task) -> int:
  """Return how many sequences of a task can be drawn."""
  sides = task.inputs, task.outputs
  marks = sum(1 if one_hot else len(names) for names, one_hot in sides)
  numbers = task.in_features + task.out_features
  return min(
    MOST_MARKS // (task.num_steps * marks),
    MOST_NUMBERS // (task.num_steps * numbers),
  )


def _drawable_at(fields: dict[str, Any], length: int) -> int | None:
  """Return how many can be drawn at a T; None if the task needs a longer."""
  unset = dict.fromkeys((n for n in fields if n.endswith('length')), 0)
  try:
    chosen = task_fields.resolve_task({**fields, **unset, 'length': length})
  except rules.InputError:
    return None
  return _drawable(task_fields.make_task(chosen, held_out=False))


def _describe(task: base.Task) -> str:
  """Return what there is to know of a task, a line each."""
  chance = ', '.join(f'{k} {v:.4g}' for k, v in task.baselines.items())
  facts = [
    ('from', task.reference),
    ('time axis', f'{task.num_steps:,} steps'),
    ('features', f'{task.in_features} in, {task.out_features} out'),
    ('without memory', chance),
    ('solved', str(task.success)),
    *(('published', str(result)) for result in task.published),
  ]
  lines = [f'  {name:16}{fact}' for name, fact in facts if fact]
  return '\n'.join([f'{task.label}: {task.summary}', *lines])


def _sample(task: base.Task, batch: base.Batch, n: int) -> samples.Sample:
  return samples.Sample(
    np.asarray(batch.inputs[n]),
    np.asarray(batch.targets[n]),
    np.asarray(batch.mask[n]),
    samples.Axis(*task.inputs),
    samples.Axis(*task.outputs),
  )
