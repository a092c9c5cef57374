"""From a config to checked, frozen settings; `ml_collections` stops here."""

import dataclasses
from typing import Any, NamedTuple

from ml_collections import config_dict

from lstm_variants import models
from lstm_variants.cells import lstm, variants
from lstm_variants.tasks import base
from lstm_variants.training import checks, memory
from lstm_variants.training.checks import InputError, LSTM


class TaskFields(NamedTuple):
  """`config.task`; configs/base.py explains the fields."""

  name: str
  dialect: str
  length: int
  shortest_length: int
  evaluation_length: int
  evaluation_shortest_length: int
  symbols: int
  items: int
  period: int
  horizon: int
  path: str
  column: str


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a compiled program is specialised to: runs that share it can share it.

  Fields are those of configs/base.py; `cell` comes from `model.variant`, and
  `task_fields` are those of `task`.
  """

  task_fields: TaskFields
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
    """The task that is trained."""
    return checks.make_task(self.task_fields._asdict(), held_out=False)

  @property
  def held_out_task(self) -> base.Task:
    """The task of the held-out set: other data, lengths of its own."""
    return checks.make_task(self.task_fields._asdict(), held_out=True)

  @property
  def task_label(self) -> str:
    """The task in one word, with the lengths of the held-out set."""
    label, held_out = self.task.label, self.held_out_task.label
    if held_out == label:
      return label
    prefix = f'{self.task.name}-{self.task.dialect}-'
    return f'{label}-evaluated-{held_out.removeprefix(prefix)}'

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
    if self.remat == 'none':
      return None
    if self.remat == 'auto' and not memory.is_much(self):
      return None
    return memory.root(self.task.num_steps)


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
  fields = checks.check_fields(config.to_dict())
  task, model = fields['task'], fields['model']
  optimizer, training = fields['optimizer'], fields['training']
  toggles, name = _toggles(model)
  settings = Settings(
    task_fields=TaskFields(**task),
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
  memory.check_memory([settings])
  return Run(settings, hyperparams, name, fields)


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
