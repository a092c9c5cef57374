"""From a config to checked, frozen settings; `ml_collections` stops here."""

import bisect
from collections.abc import Sequence
import dataclasses
import functools
import math
import os
import sys
from typing import Any, NamedTuple

from ml_collections import config_dict

from lstm_variants import models, tasks
from lstm_variants.cells import lstm, variants
from lstm_variants.tasks import base
from lstm_variants.training import checks
from lstm_variants.training.checks import InputError, LSTM


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a compiled program is specialised to: runs that share it can share it.

  Fields are those of configs/base.py; `cell` comes from `model.variant`.
  """

  task_name: str
  dialect: str
  length: int
  cell: str
  num_layers: int
  hidden_features: int
  recurrent_init: str
  dtype: str
  optimizer: str
  nesterov: bool
  b1: float
  b2: float
  eps: float
  batch_size: int
  updates: int
  evaluation_interval: int
  evaluation_batches: int
  evaluation_seed: int
  remat: str
  lanes: int
  batch_devices: int
  stop_when_solved: bool
  save_interval: int
  save_minutes: float
  keep_checkpoints: int
  tensorboard: bool

  @property
  def task(self) -> base.Task:
    """The task these settings name."""
    return tasks.make_task(self.task_name, self.dialect, self.length)

  @property
  def architecture(self) -> models.Architecture:
    """The shapes of the model."""
    task = self.task
    return models.Architecture(
      self.cell,
      self.num_layers,
      task.in_features,
      self.hidden_features,
      task.out_features,
      self.recurrent_init,
    )

  @property
  def segment(self) -> int | None:
    """Steps that the gradient computes again together; None: it keeps all."""
    steps = self.task.num_steps
    if self.remat == 'none':
      return None
    if self.remat == 'auto' and _kept_bytes(self, steps) <= _MUCH:
      return None
    return root(steps)


class Hyperparams(NamedTuple):
  """What may differ between the runs of one compiled program.

  In a population every leaf is an array `[population]`; toggles that are the
  same in all its runs stay Python bools (`population.stack`).
  """

  seed: Any
  toggles: Any
  learning_rate: Any
  momentum: Any
  clip_norm: Any
  clip_value: Any
  forget_bias: Any
  chrono_t_max: Any


class Run(NamedTuple):
  """One run: its static settings, its hyper-parameters, its name and config."""

  settings: Settings
  hyperparams: Hyperparams
  model: str
  config: dict[str, Any]


# Bytes of one run that the gradient may keep before `auto` saves them.
_MUCH = 2**30
# Config fields by what becomes of them.
_STATIC = {
  'model': ('num_layers', 'hidden_features', 'recurrent_init', 'dtype'),
  'optimizer': ('nesterov', 'b1', 'b2', 'eps'),
}
_TRACED = {
  'model': ('forget_bias', 'chrono_t_max'),
  'optimizer': ('learning_rate', 'momentum', 'clip_norm', 'clip_value'),
}


def from_config(config: config_dict.ConfigDict) -> Run:
  """Check a config and split it into what is static and what is traced.

  Args:
    config: of the form of configs/base.py.

  Returns:
    A `Run`.

  Raises:
    InputError: a value out of its range, an unknown name, a toggle that
      contradicts another, a task too short, a size beyond the memory.
  """
  fields = config.to_dict()
  checks.check_fields(fields)
  task, model = fields['task'], fields['model']
  optimizer, training = fields['optimizer'], fields['training']
  toggles, name = _toggles(model)
  settings = Settings(
    task_name=task['name'],
    dialect=task['dialect'],
    length=task['length'],
    cell=LSTM if toggles is not None else model['variant'],
    optimizer=optimizer['name'],
    **{key: model[key] for key in _STATIC['model']},
    **{key: optimizer[key] for key in _STATIC['optimizer']},
    **training,
  )
  hyperparams = Hyperparams(
    seed=fields['seed'],
    toggles=toggles,
    **{key: model[key] for key in _TRACED['model']},
    **{key: optimizer[key] for key in _TRACED['optimizer']},
  )
  check_memory([settings])
  return Run(settings, hyperparams, name, fields)


def estimate_bytes(settings: Settings, runs: int = 1) -> int:
  """Estimate the memory of training `runs` runs in one program, in bytes.

  Parameters ten times over (values, gradient and two moments, before and after
  an update, and what the update puts between; at least 32 bits), for every run
  and every device that shares it. What the gradient keeps only for those side
  by side: `lanes` a device, of which a CPU has one for each core. It is the
  memory of a CPU that is meant; an accelerator, of another size, is not looked
  at.
  """
  sizes = settings.architecture
  width = sizes.hidden_features
  inputs = sizes.in_features + width * (2 * sizes.num_layers - 1)
  weights = 4 * width * inputs + 9 * width**2 * sizes.num_layers
  number = max(checks.DTYPES[settings.dtype], 4)
  rows = max(cores() // settings.batch_devices, 1)
  together = min(runs, (settings.lanes or 1) * rows)
  steps = settings.task.num_steps
  kept = _kept_bytes(settings, settings.segment or steps)
  # Inputs and outputs of every step, of the whole batch on each device.
  ends = 3 * steps * (sizes.in_features + sizes.out_features)
  kept += settings.batch_size * ends * settings.batch_devices * number
  if settings.segment:
    # The states between the segments.
    states = 4 * width * sizes.num_layers * -(-steps // settings.segment)
    kept += settings.batch_size * states * number
  copies = runs * settings.batch_devices
  return 10 * weights * number * copies + together * kept


def root(steps: int) -> int:
  """Return √steps, rounded up: the segment that needs the least memory."""
  return math.isqrt(steps - 1) + 1


def cores() -> int:
  """Return how many CPU cores this process may use."""
  if sys.platform == 'linux':
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _kept_bytes(settings: Settings, steps: int) -> int:
  """Estimate what the gradient of `steps` steps keeps of one run.

  About twelve arrays of the hidden size for each step, sequence and layer.
  """
  sizes = settings.architecture
  kept = 12 * sizes.hidden_features * sizes.num_layers
  kept += sizes.in_features + sizes.out_features
  number = checks.DTYPES[settings.dtype]
  return settings.batch_size * steps * kept * number


def check_memory(population: Sequence[Settings]) -> None:
  """Refuse runs that together exceed the memory of this machine.

  Args:
    population: the settings of each run, all equal.

  Raises:
    InputError: naming the estimate, the memory, and the batch size, length or
      width to change.
  """
  settings, runs = population[0], len(population)
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  needed = estimate_bytes(settings, runs)
  if needed <= memory:
    return
  shortest = tasks.DIALECTS[settings.task_name][settings.dialect].shortest
  # Where it is in the config, smallest and usual: of the sizes that could mend
  # it, the most unusual one is named.
  sizes = {
    'batch_size': ('training', 1, 256),
    'length': ('task', shortest, 1000),
    'hidden_features': ('model', 1, 512),
  }
  values = {name: getattr(settings, name) for name in sizes}
  name, nearest = '', 1
  for name in sorted(
    sizes, key=lambda name: values[name] / sizes[name][2], reverse=True
  ):
    fits = functools.partial(_fits, settings, runs, name, memory)
    smallest, step = sizes[name][1], 1
    if name == 'batch_size':
      smallest = step = settings.batch_devices
    choices = range(smallest, values[name], step)
    if choices and fits(choices[0]):
      too_large = bisect.bisect(choices, False, key=lambda n, f=fits: not f(n))
      nearest = choices[too_large - 1]
      break
  raise InputError(
    f'{sizes[name][0]}.{name}',
    values[name],
    f'{runs} run(s) of width {settings.hidden_features}, '
    f'{settings.task.num_steps} steps and batch_size {settings.batch_size} '
    f'need about {needed / 2**30:,.0f} GiB, this machine has '
    f'{memory / 2**30:,.0f}; nearest: {nearest}',
  )


def _fits(settings, runs: int, name: str, memory: int, size: int) -> bool:
  changed = dataclasses.replace(settings, **{name: size})
  return estimate_bytes(changed, runs) <= memory


def _toggles(model: dict[str, Any]) -> tuple[lstm.Toggles | None, str]:
  """Return the toggles, None for another cell, and the model's name."""
  variant = model['variant']
  changes = {k: v for k, v in model['toggles'].items() if v is not None}
  if variant not in variants.VARIANTS:
    for key, value in changes.items():
      raise InputError(
        f'model.toggles.{key}',
        value,
        f'{variant} has no toggles; nearest: --config.model.variant=vanilla, '
        'or leave the toggle out',
      )
    return None, variant
  before = variants.VARIANTS[variant].toggles
  toggles = before._replace(**changes)
  shift = toggles.coupling_shift
  if not abs(shift) <= checks.LARGEST:
    raise InputError(
      'model.toggles.coupling_shift',
      shift,
      'must be finite in float32; for example 1',
    )
  key, value = next(iter(changes.items()), ('', None))
  try:
    lstm.check_toggles(toggles)
  except ValueError as error:
    raise InputError(
      f'model.toggles.{key}', value, f'with {variant}: {error}'
    ) from error
  return toggles, variant + ''.join(_differences(before, toggles))


def _differences(before: lstm.Toggles, after: lstm.Toggles) -> list[str]:
  """Return what tells a model from its variant, as '+peephole_i'."""
  names = []
  for key, value in after._asdict().items():
    if value == getattr(before, key):
      continue
    if key == 'coupling_shift':
      names.append(f'+{key}={value:g}')
    else:
      names.append(('+' if value else '-') + key)
  return names
