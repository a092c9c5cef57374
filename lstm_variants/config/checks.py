"""The rules that each field of a config must keep."""

from collections.abc import Callable
import math
from typing import Any, TypeVar

from lstm_variants import cells, tasks
from lstm_variants.cells import initializers, lstm, variants
from lstm_variants.config import rules as fields_lib
from lstm_variants.config.rules import InputError
from lstm_variants.runs import directory
from lstm_variants.tasks import base

# A task, or its spec.
_Made = TypeVar('_Made')
OPTIMIZERS = ('adam', 'rmsprop', 'sgd')
REMAT = ('auto', 'none', 'sqrt')
# Of what is left out at random.
RATES = ('zoneout_c', 'zoneout_h', 'recurrent_dropout')
DTYPES = {'float32': 4, 'bfloat16': 2, 'float64': 8}  # bytes
# `config.model.recurrence` of a variant of the LSTM -> its cell.
LSTMS = {'full': 'lstm', 'diagonal': 'diagonal_lstm'}
# What `config.model.variant` may name: variants of the LSTM and other cells.
OTHERS = tuple(name for name in cells.CELLS if name not in LSTMS.values())
MODELS = (*variants.VARIANTS, *OTHERS)


# field -> (smallest, largest); integers.
_INTEGERS = {
  'seed': (0, 2**32 - 1),
  'task.length': (0, 10**7),
  'task.shortest_length': (0, 10**7),
  'task.evaluation_length': (0, 10**7),
  'task.evaluation_shortest_length': (0, 10**7),
  'task.symbols': (0, 2**20),
  'task.items': (0, 2**20),
  'task.period': (0, 10**7),
  'task.horizon': (0, 10**7),
  'model.hidden_features': (1, 2**16),
  'model.num_layers': (1, 64),
  'training.batch_size': (1, 2**20),
  'training.updates': (0, 10**9),
  'training.evaluation_interval': (1, 10**9),
  'training.evaluation_batches': (1, 2**20),
  'training.evaluation_seed': (0, 2**32 - 1),
  'training.lanes': (0, 2**20),
  'training.batch_devices': (1, 2**20),
  'training.save_interval': (0, 10**9),
  'training.keep_checkpoints': (1, 1000),
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
  'optimizer.gradient_penalty': (
    lambda x: 0 <= x < math.inf,
    'at least 0',
    1.0,
  ),
  'model.forget_bias': (lambda x: -math.inf < x < math.inf, 'finite', 1.0),
  'model.chrono_t_max': (
    lambda x: x == 0 or 3 <= x < math.inf,
    '0 (off) or at least 3 steps',
    3.0,
  ),
  **{
    f'model.{rate}': (lambda x: 0 <= x < 1, 'at least 0 and below 1', 0.1)
    for rate in RATES
  },
  'training.input_noise': (lambda x: 0 <= x < math.inf, 'at least 0', 0.1),
  'training.save_minutes': (
    lambda x: 0 <= x < math.inf,
    'at least 0, or 0 for never',
    5.0,
  ),
}


# field -> its choices.
_NAMES = {
  'task.name': tasks.DIALECTS,
  'model.variant': MODELS,
  'model.recurrence': LSTMS,
  'model.recurrent_init': initializers.RECURRENT,
  'model.dtype': DTYPES,
  'optimizer.name': OPTIMIZERS,
  'training.remat': REMAT,
}
_TEXTS = ('task.dialect', 'task.path', 'task.column')
_BOOLEANS = (
  'model.layer_norm',
  'model.learned_carry',
  'model.residual',
  'model.bidirectional',
  'optimizer.nesterov',
  'training.stop_when_solved',
  'training.tensorboard',
)


def check_fields(fields: dict[str, Any]) -> dict[str, Any]:
  """Refuse a config with a field missing, unknown or out of its range.

  Args:
    fields: nested, of the form of configs/base.py.

  Returns:
    The fields, those of the task resolved (`resolve_task`).

  Raises:
    InputError: for the first field that breaks a rule.
  """
  _check_names_of_fields(fields)
  for field, bounds in _INTEGERS.items():
    fields_lib.check_integer(field, _get(fields, field), *bounds)
  for field, rule in _REALS.items():
    fields_lib.check_real(field, _get(fields, field), *rule)
  for field in _BOOLEANS:
    fields_lib.check_boolean(field, _get(fields, field))
  for field in _TEXTS:
    fields_lib.check_text(field, _get(fields, field))
  for field, names in _NAMES.items():
    fields_lib.check_name(field, _get(fields, field), names)
  task = resolve_task(fields['task'])
  _check_task(task)
  return {**fields, 'task': task}


def _check_names_of_fields(fields: dict[str, Any]) -> None:
  """Refuse a config that lacks a field, or has one that nothing reads."""
  found = {field for field, _ in directory.flatten(fields)}
  known = {
    *(*_INTEGERS, *_REALS, *_NAMES, *_BOOLEANS, *_TEXTS),
    *(f'model.toggles.{toggle}' for toggle in lstm.Toggles._fields),
    *(
      f'model.cell.{name}'
      for cell in cells.CELLS.values()
      for name in cell.ranges
    ),
  }
  for field in sorted(known - found):
    raise InputError(field, None, 'missing; start from configs/base.py')
  for field in sorted(found - known):
    raise InputError(
      field,
      _get(fields, field),
      f'unknown; {fields_lib.nearest_field(field, sorted(known))}',
    )


def _get(fields: dict[str, Any], field: str) -> Any:
  value: Any = fields
  for key in field.split('.'):
    value = value[key]
  return value


def resolve_task(task: dict[str, Any]) -> dict[str, Any]:
  """Return the fields of `config.task` with what was left to the paper.

  One name for it in every record, whether the default was chosen or left.

  Raises:
    InputError: an unknown dialect, lengths that contradict each other, or an
      option that the dialect does not have or allow.
  """
  dialects = tasks.DIALECTS[task['name']]
  name = task['dialect'] or next(iter(dialects))
  fields_lib.check_name('task.dialect', name, dialects)
  dialect = dialects[name]
  length = task['length'] or dialect.usual
  shortest = task['shortest_length'] or dialect.usual_shortest(length)
  if not task['evaluation_length'] and task['evaluation_shortest_length']:
    raise InputError(
      'task.evaluation_shortest_length',
      task['evaluation_shortest_length'],
      'needs --config.task.evaluation_length, the longest',
    )
  longest = task['evaluation_length'] or length
  smallest = task['evaluation_shortest_length']
  resolved = {
    **task,
    'dialect': name,
    'length': length,
    'shortest_length': shortest,
    'evaluation_length': longest,
    'evaluation_shortest_length': smallest
    or _first_judged(dialect, length, shortest, longest),
  }
  spec = _of_task(tasks.resolve, resolved, held_out=False)
  options = {option: getattr(spec, option) for option in dialect.options}
  return {**resolved, **options}


def _first_judged(
  dialect: base.Dialect, length: int, shortest: int, longest: int
) -> int:
  """Return from where T of the held-out set is drawn, up to `longest`."""
  if longest <= length:
    return min(shortest, longest)
  if shortest == length:
    return longest
  # Of a task that draws its lengths, those that were never trained on.
  return min(dialect.first_unseen(length), longest)


def make_task(task: dict[str, Any], held_out: bool) -> base.Task:
  """Build the task of a config.

  Args:
    task: the fields of `config.task`, checked and resolved.
    held_out: the one of the held-out set: with its lengths and its data.

  Raises:
    InputError: a choice that the dialect does not have or allow.
  """
  return _of_task(tasks.make_task, task, held_out)


def _of_task(
  make: Callable[..., _Made], task: dict[str, Any], held_out: bool
) -> _Made:
  """Return what is made of the choices of a config."""
  length, shortest = 'length', 'shortest_length'
  if held_out:
    length, shortest = 'evaluation_length', 'evaluation_shortest_length'
  try:
    return make(
      task['name'],
      task['dialect'],
      task[length],
      shortest=task[shortest],
      held_out=held_out,
      **{option: task[option] for option in base.OPTIONS},
    )
  except base.SpecError as error:
    fields = {'length': length, 'shortest': shortest}
    field = fields.get(error.field, error.field)
    raise InputError(f'task.{field}', error.value, error.rule) from error


def _check_task(task: dict[str, Any]) -> None:
  trained, judged = (make_task(task, held_out) for held_out in (False, True))
  if (trained.inputs, trained.outputs) != (judged.inputs, judged.outputs):
    raise InputError(
      'task.evaluation_length',
      task['evaluation_length'],
      f'the alphabet of {task["name"]} grows with its length, and the model '
      f'knows that of {task["length"]}; nearest: {task["length"]}',
    )
