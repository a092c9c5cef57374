"""From a config to checked, frozen settings; `ml_collections` stops here."""

import collections
from collections.abc import Iterator, Mapping
import dataclasses
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
TaskFields = collections.namedtuple(
  'TaskFields',
  [
    row.name.removeprefix('task.')
    for row in fields.ROWS
    if row.name.startswith('task.')
  ],
)
# Fields of which the cell with its toggles (`model_fields`) and the task
# (`task_fields`) are made; they are no attributes of `Settings` by themselves.
_CHOSEN = (
  *('task.', 'model.toggles.', 'model.cell.'),
  *('model.variant', 'model.recurrence'),
)
_PARTS = ('model', 'optimizer', 'training')


class Values(Mapping[str, Any]):
  """Values by dotted field that do not change: a mapping that is hashable."""

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


def _find(values: Mapping[str, Any], word: str) -> str:
  """Return the field whose last word is `word`.

  Raises:
    AttributeError: there is none.
  """
  for part in _PARTS:
    if f'{part}.{word}' in values:
      return f'{part}.{word}'
  raise AttributeError(word)


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a compiled program is specialised to: runs that share it can share it.

  A field of the config with the role PROGRAM or CONDUCT is an attribute by its
  last word: `settings.batch_size` is training.batch_size. Beside them:

  Attributes:
    values: those fields, by dotted name.
    task_fields: `config.task`.
    cell: a name from `cells.CELLS`.
    cell_settings: of a cell that is no LSTM; None if it has none.
    switches: name -> whether the program has it, of the rows with a `switch`,
      also as attributes: noisy (zoneout or recurrent dropout), noisy_inputs,
      penalised (gradients), dropped (between the layers).
    scheduled: the learning rate changes while a run trains.
  """

  values: Values
  task_fields: Any
  cell: str
  cell_settings: Any
  switches: Values
  scheduled: bool

  def __getattr__(self, word: str) -> Any:
    if word.startswith('_') or word in ('values', 'switches'):
      raise AttributeError(word)
    if word in self.switches:
      return self.switches[word]
    return self.values[_find(self.values, word)]

  def replace(self, **changes: Any) -> 'Settings':
    """Return settings with other values, by attribute."""
    own = {field.name for field in dataclasses.fields(self)}
    values = {
      _find(self.values, word): value
      for word, value in changes.items()
      if word not in own
    }
    others = {word: changes[word] for word in changes if word in own}
    return dataclasses.replace(
      self, values=Values({**self.values, **values}), **others
    )

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
    return task_fields.make_task(self.task_fields._asdict(), held_out=False)

  @property
  def held_out_task(self) -> base.Task:
    """The task of the held-out set: other data, lengths of its own."""
    return task_fields.make_task(self.task_fields._asdict(), held_out=True)

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
      self.embedding_features,
    )


class Hyperparams(NamedTuple):
  """What may differ between the runs of one compiled program.

  A field of the config with the role RUN is an attribute by its last word:
  `hyperparams.learning_rate` is optimizer.learning_rate. In a population every
  leaf is an array `[population]`; toggles that are the same in all its runs
  stay Python bools (`population.stack`).

  Attributes:
    seed: of the run.
    toggles: of an LSTM, else None.
    values: dotted field -> number.
  """

  seed: Any
  toggles: Any
  values: dict[str, Any]

  def __getattr__(self, word: str) -> Any:
    if word.startswith('_'):
      raise AttributeError(word)
    return self.values[_find(self.values, word)]

  def replace(self, **changes: Any) -> 'Hyperparams':
    """Return hyper-parameters with other values, by attribute."""
    own = {word: changes[word] for word in changes if word in self._fields}
    values = {
      _find(self.values, word): value
      for word, value in changes.items()
      if word not in own
    }
    return self._replace(values={**self.values, **values})._replace(**own)


class Run(NamedTuple):
  """One run: its static settings, its hyper-parameters, its name and config."""

  settings: Settings
  hyperparams: Hyperparams
  model: str
  config: dict[str, Any]


def from_config(config: Any) -> Run:
  """Check a config and split it into what is static and what is traced.

  Args:
    config: a `ConfigDict` or a nested dict, of the form of configs/base.py.

  Returns:
    A `Run`.

  Raises:
    InputError: a value out of its range, an unknown name, a field that the
      chosen component does not read, toggles or settings that contradict each
      other, a task too short.
  """
  rows = schema.table()
  values = schema.check(_flat(config), rows)
  run, choice = _make(values)
  able = readers()
  chosen = {
    **{
      field: (values[field], able[field][values[field]])
      for field in ('optimizer.name', 'optimizer.schedule')
    },
    'model.variant': (run.model, choice.reads),
  }
  schema.check_read(values, rows, chosen, able)
  return run


def readers() -> dict[str, Mapping[str, frozenset[str]]]:
  """Return choosing field -> every choice -> the fields that it reads.

  The fields are those that not all choices read (`Field.by`).
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


def from_record(record: Any) -> Run:
  """Return the run that a run directory recorded, maybe long ago.

  What was trained once stays readable: a field that the record lacks had its
  default, and one that nothing reads (refused today) changed nothing.

  Args:
    record: a nested dict.

  Raises:
    InputError: a field that this version does not know, or a value that no
      program can be made of.
  """
  values = {**schema.defaults(), **_flat(record)}
  values = schema.check(values, schema.table(), rounded=False)
  return _make(values)[0]


def _flat(config: Any) -> dict[str, Any]:
  nested = config if isinstance(config, dict) else config.to_dict()
  return dict(fields.flatten(nested))


def _reads_of(
  component: optimizers.Optimizer | optimizers.Schedule,
) -> frozenset[str]:
  own = (row.name for row in component.fields)
  return frozenset((*component.reads, *own))


def _reads(
  config: Mapping[str, Any], choice: model_fields.Choice
) -> frozenset[str]:
  """Return what the chosen components read, of what not all of them do."""
  able, optimizer = readers(), config['optimizer']
  return (
    choice.reads
    | able['optimizer.name'][optimizer['name']]
    | able['optimizer.schedule'][optimizer['schedule']]
  )


def unread(run: Run) -> frozenset[str]:
  """Return the fields that a run has and that nothing in it reads."""
  choice = model_fields.choose(run.config['model'])
  read = _reads(run.config, choice)
  return frozenset(
    name for name, row in schema.table().items() if row.by and name not in read
  )


def _switches(values: Mapping[str, Any]) -> dict[str, bool]:
  """Return what a program has, of the rows that switch something on."""
  rows = [row for row in schema.table().values() if row.switch]
  switches = {row.switch: False for row in rows}
  for row in rows:
    switches[row.switch] |= values.get(row.name, 0) > 0
  return switches


def _make(values: Mapping[str, Any]) -> tuple[Run, model_fields.Choice]:
  """Return the run of values that are each checked by themselves.

  Raises:
    InputError: values that contradict each other.
  """
  config = fields.nest(values)
  config['task'] = task_fields.resolve_task(config['task'])
  task_fields.check_task(config['task'])
  combinations.check(config)
  choice = model_fields.choose(config['model'])
  model_fields.check_penalty(config)
  unused = schema.foreign() - _reads(config, choice)
  config = fields.nest(
    {k: v for k, v in fields.flatten(config) if k not in unused}
  )
  roles = {name: row.role for name, row in schema.table().items()}
  chosen = {
    name: value
    for name, value in fields.flatten(config)
    if not name.startswith(_CHOSEN)
  }
  settings = Settings(
    values=Values(
      {k: v for k, v in chosen.items() if roles[k] is not fields.RUN}
    ),
    task_fields=TaskFields(**config['task']),
    cell=choice.cell,
    cell_settings=choice.cell_settings,
    switches=Values(_switches(chosen)),
    scheduled=schedules.varies(config['optimizer']),
  )
  hyperparams = Hyperparams(
    seed=config['seed'],
    toggles=choice.toggles,
    values={
      k: v for k, v in chosen.items() if roles[k] is fields.RUN and k != 'seed'
    },
  )
  return Run(settings, hyperparams, choice.name, config), choice
