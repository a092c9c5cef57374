"""From a config to checked, frozen settings; `ml_collections` stops here."""

import dataclasses
from typing import Any, NamedTuple

from ml_collections import config_dict

from lstm_variants import models
from lstm_variants.config import checks, combinations, naming
from lstm_variants.tasks import base
from lstm_variants.training import memory


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

  Fields are those of configs/base.py; `cell` comes from `model.variant`,
  `cell_settings` from `model.cell`, and `task_fields` are those of `task`.
  `noisy`: there is zoneout or recurrent dropout; `noisy_inputs`: noise is added
  to the inputs; `penalised`: there is a penalty.
  """

  task_fields: TaskFields
  cell: str
  cell_settings: Any
  num_layers: int
  hidden_features: int
  recurrent_init: str
  layer_norm: bool
  learned_carry: bool
  residual: bool
  bidirectional: bool
  noisy: bool
  noisy_inputs: bool
  penalised: bool
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
      self.cell_settings,
      self.layer_norm,
      self.learned_carry,
      self.residual,
      self.bidirectional,
    )

  @property
  def segment(self) -> int | None:
    """Steps that the gradient computes again together; None: it keeps all."""
    if self.remat == 'none' or self.bidirectional:
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
  zoneout_c: Any
  zoneout_h: Any
  recurrent_dropout: Any
  gradient_penalty: Any
  input_noise: Any


class Run(NamedTuple):
  """One run: its static settings, its hyper-parameters, its name and config."""

  settings: Settings
  hyperparams: Hyperparams
  model: str
  config: dict[str, Any]


# Config fields by what becomes of them.
_STATIC = {
  'model': (
    'num_layers',
    'hidden_features',
    'recurrent_init',
    'layer_norm',
    'learned_carry',
    'residual',
    'bidirectional',
    'dtype',
  ),
  'optimizer': ('nesterov', 'b1', 'b2', 'eps'),
}
_TRACED = {
  'model': ('forget_bias', 'chrono_t_max', *checks.RATES),
  'optimizer': (
    'learning_rate',
    'momentum',
    'clip_norm',
    'clip_value',
    'gradient_penalty',
  ),
  'training': ('input_noise',),
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
  combinations.check(fields)
  task, model = fields['task'], fields['model']
  optimizer, training = fields['optimizer'], fields['training']
  chosen = naming.choose(model)
  naming.check_penalty(chosen, fields)
  settings = Settings(
    task_fields=TaskFields(**task),
    cell=chosen.cell,
    cell_settings=chosen.cell_settings,
    noisy=any(model[rate] for rate in checks.RATES),
    noisy_inputs=training['input_noise'] > 0,
    penalised=optimizer['gradient_penalty'] > 0,
    optimizer=optimizer['name'],
    **{key: model[key] for key in _STATIC['model']},
    **{key: optimizer[key] for key in _STATIC['optimizer']},
    **{k: v for k, v in training.items() if k not in _TRACED['training']},
  )
  hyperparams = Hyperparams(
    seed=fields['seed'],
    toggles=chosen.toggles,
    **{key: model[key] for key in _TRACED['model']},
    **{key: optimizer[key] for key in _TRACED['optimizer']},
    **{key: training[key] for key in _TRACED['training']},
  )
  memory.check_memory([settings])
  return Run(settings, hyperparams, chosen.name, fields)
