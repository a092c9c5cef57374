"""From a config to checked, frozen settings; `ml_collections` stops here."""

import dataclasses
import difflib
import importlib.util
import math
import numbers
import os
from typing import Any, NamedTuple

from ml_collections import config_dict

from lstm_variants import cells, models, tasks
from lstm_variants.cells import initializers, lstm, variants
from lstm_variants.tasks import base

OPTIMIZERS = ('adam', 'rmsprop', 'sgd')
DTYPES = {'float32': 4, 'bfloat16': 2, 'float64': 8}  # bytes
LSTM = 'lstm'
# What `config.model.variant` may name: variants of the LSTM and other cells.
MODELS = (*variants.VARIANTS, *(name for name in cells.CELLS if name != LSTM))


class InputError(ValueError):
  """A setting is refused: one line with field, value, rule, valid choice."""

  def __init__(self, field: str, value: Any, rule: str):
    super().__init__(f'--config.{field}={value!r}: {rule}')


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
  stop_when_solved: bool
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


# field -> (smallest, largest); integers.
_INTEGERS = {
  'seed': (0, 2**32 - 1),
  'task.length': (1, 10**7),
  'model.hidden_features': (1, 2**16),
  'model.num_layers': (1, 64),
  'training.batch_size': (1, 2**20),
  'training.updates': (0, 10**9),
  'training.evaluation_interval': (1, 10**9),
  'training.evaluation_batches': (1, 2**20),
  'training.evaluation_seed': (0, 2**32 - 1),
}
# field -> (test, rule, nearest valid value to show); finite unless the test
# says otherwise.
_REALS = {
  'optimizer.learning_rate': (lambda x: 0 < x < math.inf, '> 0', 0.001),
  'optimizer.momentum': (lambda x: 0 <= x < 1, 'at least 0 and below 1', 0.9),
  'optimizer.b1': (lambda x: 0 <= x < 1, 'at least 0 and below 1', 0.9),
  'optimizer.b2': (lambda x: 0 <= x < 1, 'at least 0 and below 1', 0.999),
  'optimizer.eps': (lambda x: 0 < x < math.inf, '> 0', 1e-8),
  'optimizer.clip_norm': (lambda x: x > 0, '> 0, or inf for none', 1.0),
  'optimizer.clip_value': (lambda x: x > 0, '> 0, or inf for none', 1.0),
  'model.forget_bias': (lambda x: -math.inf < x < math.inf, 'finite', 1.0),
  'model.chrono_t_max': (
    lambda x: x == 0 or 3 <= x < math.inf,
    '0 (off) or at least 3 steps',
    3.0,
  ),
}


# field -> its choices.
_NAMES = {
  'task.name': tasks.DIALECTS,
  'model.variant': MODELS,
  'model.recurrent_init': initializers.RECURRENT,
  'model.dtype': DTYPES,
  'optimizer.name': OPTIMIZERS,
}
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
  task, model = fields['task'], fields['model']
  optimizer, training = fields['optimizer'], fields['training']
  for field, bounds in _INTEGERS.items():
    _check_integer(field, _get(fields, field), *bounds)
  for field, rule in _REALS.items():
    _check_real(field, _get(fields, field), *rule)
  for field, names in _NAMES.items():
    _check_name(field, _get(fields, field), names)
  _check_task(task)
  _check_optimizer(optimizer)
  _check_tensorboard(training['tensorboard'])

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


def nearest(value: Any, names: Any) -> str:
  """Name the choice closest to `value`, then all of them."""
  names = list(names)
  close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
  prefix = f'nearest: {close[0]!r}; ' if close else ''
  return f'{prefix}choices: {", ".join(names)}'


def estimate_bytes(settings: Settings) -> int:
  """Estimate the memory of training one run, in bytes.

  Parameters four times over (values, gradient, two moments), and for each step,
  sequence and layer about twelve hidden-sized arrays kept for the gradient.
  """
  sizes = settings.architecture
  width = sizes.hidden_features
  rows = sizes.in_features + width * (2 * sizes.num_layers - 1)
  weights = 4 * width * rows + 9 * width**2 * sizes.num_layers
  kept = 12 * width * sizes.num_layers + sizes.in_features + sizes.out_features
  steps = settings.task.num_steps * settings.batch_size
  return (4 * weights + steps * kept) * DTYPES[settings.dtype]


def check_memory(population: list[Settings]) -> None:
  """Refuse runs that together exceed the memory of this machine.

  Raises:
    InputError: naming the estimate and the memory.
  """
  needed = sum(estimate_bytes(settings) for settings in population)
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  if needed <= memory:
    return
  settings = population[0]
  share = memory / needed
  raise InputError(
    'model.hidden_features',
    settings.hidden_features,
    f'{len(population)} run(s) with batch_size {settings.batch_size} and '
    f'{settings.task.num_steps} steps need about {needed / 2**30:,.0f} GiB, '
    f'this machine has {memory / 2**30:,.0f}; nearest batch_size: '
    f'{max(1, math.floor(settings.batch_size * share))}',
  )


def _get(fields: dict[str, Any], field: str) -> Any:
  value: Any = fields
  for key in field.split('.'):
    value = value[key]
  return value


def _check_integer(field: str, value: Any, smallest: int, largest: int) -> None:
  if not isinstance(value, int) or isinstance(value, bool):
    raise InputError(field, value, f'not an integer; nearest: {smallest}')
  if not smallest <= value <= largest:
    bound = smallest if value < smallest else largest
    raise InputError(
      field, value, f'must be {smallest} to {largest}; nearest: {bound}'
    )


def _check_real(field: str, value: Any, test, rule: str, example: float):
  if not isinstance(value, numbers.Real) or isinstance(value, bool):
    raise InputError(field, value, f'not a number; for example {example:g}')
  if not test(value):
    raise InputError(field, value, f'must be {rule}; for example {example:g}')


def _check_name(field: str, value: Any, names: Any) -> None:
  if value not in names:
    raise InputError(field, value, f'unknown; {nearest(value, names)}')


def _check_task(task: dict[str, Any]) -> None:
  dialects = tasks.DIALECTS[task['name']]
  _check_name('task.dialect', task['dialect'], dialects)
  dialect = dialects[task['dialect']]
  if task['length'] < dialect.shortest:
    raise InputError(
      'task.length',
      task['length'],
      f'{task["name"]} in dialect {task["dialect"]} needs at least '
      f'{dialect.shortest} steps ({dialect.why}); nearest: {dialect.shortest}',
    )


def _check_optimizer(optimizer: dict[str, Any]) -> None:
  """Refuse knobs that the optimizer does not have."""
  for knob, users in (('momentum', ('sgd', 'rmsprop')), ('nesterov', ('sgd',))):
    if optimizer[knob] and optimizer['name'] not in users:
      raise InputError(
        f'optimizer.{knob}',
        optimizer[knob],
        f'{optimizer["name"]} has none; nearest: --config.optimizer.name='
        f'{users[0]}, or --config.optimizer.{knob}=0',
      )


def _check_tensorboard(wanted: bool) -> None:
  if wanted and importlib.util.find_spec('tensorboardX') is None:
    raise InputError(
      'training.tensorboard',
      wanted,
      "needs an extra: pip install 'lstm-variants[tensorboard]'",
    )


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
  if not math.isfinite(shift):
    raise InputError(
      'model.toggles.coupling_shift', shift, 'must be finite; for example 1'
    )
  try:
    lstm.check_toggles(toggles)
  except ValueError as error:
    raise InputError(
      'model.variant', variant, f'with its toggles {error}'
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
