"""From a config to a run: what its program is made for, and its numbers.

`from_config` checks a config and divides it by the roles of its fields:
`Settings` are static (the compiled program depends on them), `Hyperparams` are
traced (arguments of the program). `ml_collections` is not needed any more from
here on.
"""

import collections
from collections.abc import Iterator, Mapping
import dataclasses
import re
from typing import Any, NamedTuple

from lstm_variants import models, optimizers
from lstm_variants.config import (
  combinations,
  fields,
  model_fields,
  schema,
  task_fields,
)
from lstm_variants.optimizers import schedules
from lstm_variants.tasks import base

# `config.task`: its fields by their last word.
TaskFields = collections.namedtuple(  # pyrefly: ignore[bad-class-definition]
  'TaskFields',
  [
    row.name.removeprefix('task.')
    for row in fields.ROWS
    if row.name.startswith('task.')
  ],
)
# The fields from which the task and the cell with its toggles are made. These
# are attributes of a run's settings and hyper-parameters; the fields are not.
_OF_COMPONENTS = (
  'task.',
  'model.toggles.',
  'model.cell.',
  'model.variant',
  'model.recurrence',
)
_PARTS = ('model', 'optimizer', 'training', 'study')
# What a held-out set's label has beside its lengths.
_JUDGED = r'(-below[-+.e\d]+)?(-spread)?'


class Values(Mapping[str, Any]):
  """A hashable, immutable mapping from dotted field names to values."""

  def __init__(self, values: Mapping[str, Any]):
    self._values = dict(values)
    self._hash = hash(tuple(sorted(self._values.items())))

  def __getitem__(self, name: str) -> Any:
    return self._values[name]

  def __iter__(self) -> Iterator[str]:
    return iter(self._values)

  def __len__(self) -> int:
    return len(self._values)

  def __hash__(self) -> int:
    return self._hash

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Values) and self._values == other._values

  def __repr__(self) -> str:
    return f'Values({self._values!r})'


def _field(values: Mapping[str, Any], attribute: str) -> str:
  """Return the dotted field that is read as an attribute by its last part.

  Raises:
    AttributeError: there is no such field.
  """
  for part in _PARTS:
    if f'{part}.{attribute}' in values:
      return f'{part}.{attribute}'
  raise AttributeError(attribute)


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is static in a run; runs with equal settings share a program.

  Settings are hashable. Each field with another role than RUN is an
  attribute by the last part of its name: `settings.batch_size` is
  `training.batch_size`.

  Attributes:
    values: these fields, by dotted name.
    task_fields: the fields of `config.task`.
    cell: the cell's name in `cells.CELLS`.
    cell_settings: the settings of a cell that is no LSTM; None if it has none.
    switches: which optional parts the program has, by the names that the rows
      have as `Field.switch`. They can be read as attributes too: `noisy`
      (zoneout or recurrent dropout), `dropped` (dropout between the layers),
      `noisy_inputs`, `penalised` (a penalty on gradients).
    scheduled: whether the learning rate changes while a run trains.
    without_data: the task of a recorded run whose data are not there any more
      (`tasks.recorded`); None: they are.
  """

  values: Values
  task_fields: Any
  cell: str
  cell_settings: Any
  switches: Values
  scheduled: bool
  without_data: base.Task | None = dataclasses.field(
    default=None, compare=False
  )

  def __getattr__(self, name: str) -> Any:
    if name.startswith('_') or name in ('values', 'switches'):
      raise AttributeError(name)  # as in `copy`, before these are set
    if name in self.switches:
      return self.switches[name]
    return self.values[_field(self.values, name)]

  def replace(self, **changes: Any) -> 'Settings':
    """Return settings in which some attributes have other values."""
    own = {field.name for field in dataclasses.fields(self)}
    values = dict(self.values)
    for name in changes.keys() - own:
      values[_field(values, name)] = changes.pop(name)
    return dataclasses.replace(self, values=Values(values), **changes)

  @property
  def optimizer(self) -> str:
    """The name of the optimizer."""
    return self.values['optimizer.name']

  @property
  def sequences_per_update(self) -> int:
    """How many training sequences an update consumes."""
    return self.batch_size * self.accumulation

  @property
  def task(self) -> base.Task:
    """The task that is trained."""
    if self.without_data is not None:
      return self.without_data
    return task_fields.make_task(self.task_fields._asdict(), held_out=False)

  @property
  def held_out_task(self) -> base.Task:
    """The task of the held-out set: other data, lengths of its own."""
    if self.without_data is not None:
      return self.without_data
    return task_fields.make_task(self.task_fields._asdict(), held_out=True)

  @property
  def task_label(self) -> str:
    """The task in one word, with the lengths of the held-out set."""
    label, held_out = self.task.label, self.held_out_task.label
    if re.fullmatch(re.escape(label) + _JUDGED, held_out):
      return held_out
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
      self.embedding_features,
      self.direct_connections,
    )


class Hyperparams(NamedTuple):
  """What is traced: numbers that may differ between the runs of a program.

  Each field with the role RUN is an attribute by the last part of its name:
  `hyperparams.learning_rate` is `optimizer.learning_rate`. In a population
  every leaf is an array `[population]`; a toggle that is the same in all its
  runs stays a Python bool (`population.stack`).

  Attributes:
    seed: the seed of the run.
    toggles: the toggles of an LSTM; None for another cell.
    values: the other fields, by dotted name.
  """

  seed: Any
  toggles: Any
  values: dict[str, Any]

  def __getattr__(self, name: str) -> Any:
    if name.startswith('_'):
      raise AttributeError(name)
    return self.values[_field(self.values, name)]

  def replace(self, **changes: Any) -> 'Hyperparams':
    """Return hyper-parameters in which some attributes have other values."""
    values = dict(self.values)
    for name in changes.keys() - set(self._fields):
      values[_field(values, name)] = changes.pop(name)
    return self._replace(**{'values': values, **changes})


class Run(NamedTuple):
  """One run of a study.

  Attributes:
    settings: what is static in it.
    hyperparams: what is traced in it.
    model: the model's name, such as 'vanilla+peephole_i'.
    config: all of its fields, nested, as the run directory records them.
  """

  settings: Settings
  hyperparams: Hyperparams
  model: str
  config: dict[str, Any]


def from_config(config: Any) -> Run:
  """Check a config and split it into what is static and what is traced.

  Args:
    config: a `ConfigDict`, as `lv.default_config()`; or a dict, nested or by
      dotted name.

  Returns:
    A `Run`.

  Raises:
    InputError: if a value is out of its range, a name is unknown, a field is
      set that the chosen component does not read, toggles or settings
      contradict each other, or the task is too short.
  """
  rows = schema.table()
  values = schema.check(_flat(config), rows)
  run, chosen = _make(values)
  schema.check_read(values, rows, chosen, readers)
  task_fields.check_set(values['task.evaluation_set'], run.config['task'])
  task_fields.check_limit(run.config['task'])
  return run


def readers() -> dict[str, Mapping[str, frozenset[str]]]:
  """Return choosing field -> each of its choices -> the fields that it reads.

  Only fields that not every choice reads are listed, those with a `Field.by`.
  """
  return {
    'optimizer.name': {
      name: _reads_of(optimizer)
      for name, optimizer in optimizers.OPTIMIZERS.items()
    },
    'optimizer.schedule': {
      name: _reads_of(schedule)
      for name, schedule in optimizers.SCHEDULES.items()
    },
    'model.variant': model_fields.readers(),
  }


def from_record(record: Any, without_data: base.Task | None = None) -> Run:
  """Return the run that a run directory recorded, perhaps long ago.

  What was trained once stays readable: a field that is missing in the record
  had the value that `Field.unrecorded` tells, and a field that nothing reads,
  which `from_config` refuses today, changed nothing.

  Args:
    record: the run's config, as a nested dict.
    without_data: its task, where the data are not there any more.

  Raises:
    InputError: if this version does not know a field, or no program can be
      made of a value.
  """
  values = {**schema.unrecorded(), **_flat(record)}
  values = schema.check(values, schema.table(), rounded=False)
  return _make(values, without_data)[0]


def _flat(config: Any) -> dict[str, Any]:
  nested = config if isinstance(config, dict) else config.to_dict()
  return dict(fields.flatten(nested))


def _reads_of(
  component: optimizers.Optimizer | optimizers.Schedule,
) -> frozenset[str]:
  own = (row.name for row in component.fields)
  return frozenset((*component.reads, *own))


def _components(
  optimizer: Mapping[str, Any], choice: model_fields.Choice
) -> dict[str, schema.Component]:
  """Return choosing field -> the component that a config chooses with it.

  Args:
    optimizer: the fields of `config.optimizer`.
    choice: what `config.model` chooses.
  """
  name, schedule = optimizer['name'], optimizer['schedule']
  return {
    'optimizer.name': schema.Component(
      name, _reads_of(optimizers.OPTIMIZERS[name])
    ),
    'optimizer.schedule': schema.Component(
      schedule, _reads_of(optimizers.SCHEDULES[schedule])
    ),
    'model.variant': schema.Component(choice.name, choice.reads),
  }


def _all_read(chosen: Mapping[str, schema.Component]) -> frozenset[str]:
  """Return the fields that some chosen component reads."""
  return frozenset().union(*(component.reads for component in chosen.values()))


def unread(run: Run) -> frozenset[str]:
  """Return the fields that a run has and that nothing in it reads."""
  choice = model_fields.choose(run.config['model'])
  read = _all_read(_components(run.config['optimizer'], choice))
  return frozenset(
    name for name, row in schema.table().items() if row.by and name not in read
  )


def _switches(hyperparams: Mapping[str, float]) -> dict[str, bool]:
  """Return which parts a program has, by the rows with a `Field.switch`."""
  rows = [row for row in schema.table().values() if row.switch]
  switches = {row.switch: False for row in rows}
  for row in rows:
    switches[row.switch] |= hyperparams.get(row.name, 0) > 0
  return switches


def _make(
  values: Mapping[str, Any], without_data: base.Task | None = None
) -> tuple[Run, dict[str, schema.Component]]:
  """Return the run of a config whose values are each valid by themselves.

  Returns:
    The run; and choosing field -> the component that it chooses.

  Raises:
    InputError: if values contradict each other.
  """
  config = fields.nest(values)
  task = without_data
  if task is None:
    config['task'] = task_fields.resolve_task(config['task'])
    task = task_fields.check_task(config['task'])
  combinations.check(config, task.inputs)
  choice = model_fields.choose(config['model'])
  model_fields.check_penalty(config)
  chosen = _components(config['optimizer'], choice)
  # The record of a run has the fields of those extensions alone that it uses.
  omitted = schema.extension_fields() - _all_read(chosen)
  kept = {k: v for k, v in fields.flatten(config) if k not in omitted}
  config = fields.nest(kept)

  rows = schema.table()
  static, traced = {}, {}
  for name, value in kept.items():
    if name == 'seed' or name.startswith(_OF_COMPONENTS):
      continue
    place = traced if rows[name].role is fields.RUN else static
    place[name] = value
  settings = Settings(
    values=Values(static),
    task_fields=TaskFields(**config['task']),
    cell=choice.cell,
    cell_settings=choice.cell_settings,
    switches=Values(_switches(traced)),
    scheduled=schedules.varies(config['optimizer']),
    without_data=without_data,
  )
  hyperparams = Hyperparams(config['seed'], choice.toggles, traced)
  return Run(settings, hyperparams, choice.name, config), chosen
