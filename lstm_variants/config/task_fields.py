"""From `config.task` to tasks, with what was left to the paper."""

from collections.abc import Callable
from typing import Any, TypeVar

from lstm_variants import tasks
from lstm_variants.config.rules import Choice, InputError
from lstm_variants.tasks import base
from lstm_variants.tasks import held_out as held_out_lib

# A task, or its spec.
_Made = TypeVar('_Made')


def resolve_task(task: dict[str, Any]) -> dict[str, Any]:
  """Return the fields of `config.task` with what was left to the paper.

  One name for it in every record, whether the default was chosen or left.

  Raises:
    InputError: an unknown dialect, lengths that contradict each other, or an
      option that the dialect does not have or allow.
  """
  dialects = tasks.DIALECTS[task['name']]
  name = task['dialect'] or next(iter(dialects))
  Choice(tuple(dialects)).check('task.dialect', name, '')
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
  return {**resolved, **options, 'evaluation_set': _choose_set(resolved)}


def _choose_set(task: dict[str, Any]) -> str:
  """Return what the held-out set has: spread if it may be and can."""
  if task['evaluation_set'] == 'drawn':
    return 'drawn'
  trained = _of_task(tasks.make_task, task, held_out=False)
  spec = base.Spec(
    task['evaluation_length'], task['evaluation_shortest_length']
  )
  return 'spread' if held_out_lib.can_spread(trained, spec) else 'drawn'


def check_set(wanted: str | None, task: dict[str, Any]) -> None:
  """Refuse to spread what is neither a range nor a list.

  Args:
    wanted: `task.evaluation_set` as it was given.
    task: the fields of `config.task`, resolved.

  Raises:
    InputError: the held-out set cannot be spread.
  """
  if wanted == 'spread' and task['evaluation_set'] != wanted:
    raise InputError(
      'task.evaluation_set',
      wanted,
      f'the held-out set of {task["name"]} ({task["dialect"]}) has a single T, '
      'and its sequences cannot be listed; nearest: drawn',
    )


def check_limit(task: dict[str, Any]) -> None:
  """Refuse to allow no mistake where it is a loss that is judged.

  Args:
    task: the fields of `config.task`, resolved.

  Raises:
    InputError: the limit is 0, which no loss of real numbers comes to.
  """
  if task['success_limit'] != 0:
    return
  usual = make_task({**task, 'success_limit': None}, held_out=True).success
  if isinstance(usual, base.HeldOut) and usual.metric == 'loss':
    raise InputError(
      'task.success_limit',
      task['success_limit'],
      f'{task["name"]} ({task["dialect"]}) is judged by its loss, which has no '
      f'mistakes to count and is never 0; nearest: {usual.below:g}',
    )


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
  length, shortest, spread = 'length', 'shortest_length', False
  if held_out:
    length, shortest = 'evaluation_length', 'evaluation_shortest_length'
    spread = task['evaluation_set'] == 'spread'
  try:
    return make(
      task['name'],
      task['dialect'],
      task[length],
      shortest=task[shortest],
      held_out=held_out,
      spread=spread,
      success_limit=task['success_limit'],
      **{option: task[option] for option in base.OPTIONS},
    )
  except base.SpecError as error:
    fields = {'length': length, 'shortest': shortest}
    field = fields.get(error.field, error.field)
    raise InputError(f'task.{field}', error.value, error.rule) from error


def check_task(task: dict[str, Any]) -> base.Task:
  """Refuse a held-out set that the model of the training cannot read.

  Args:
    task: the fields of `config.task`, checked and resolved.

  Returns:
    The task of the training.

  Raises:
    InputError: the alphabet grows with the length.
  """
  trained, judged = (make_task(task, held_out) for held_out in (False, True))
  if (trained.inputs, trained.outputs) != (judged.inputs, judged.outputs):
    raise InputError(
      'task.evaluation_length',
      task['evaluation_length'],
      f'the alphabet of {task["name"]} grows with its length, and the model '
      f'knows that of {task["length"]}; nearest: {task["length"]}',
    )
  return trained
