"""Tasks from outside the house: what is left out is completed, and all checked.

Whoever registers a task (`tasks.register_task`) owes a sampler, a loss, and
what the features are. Here the rest gets its default, and what cannot be
trained is refused in one line, by the shapes alone: nothing is computed.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from lstm_variants import errors
from lstm_variants.tasks import base

# A task, by its length in steps.
ByLength = Callable[[int], base.Task]
# What may be registered under a name.
Entry = Mapping[str, base.Dialect] | base.Dialect | ByLength
# The dialect of a task that has only one.
OWN = 'own'
# Of the batch whose shapes are looked at; unlikely to be another axis's size.
_ROWS = 7


class TaskError(errors.Error, ValueError):
  """A task cannot be trained; the message is one line that tells why."""


def dialects(name: str, entry: Entry) -> dict[str, base.Dialect]:
  """Return what is registered as dialects whose tasks are complete and checked.

  Args:
    name: of the task.
    entry: dialect -> how to build it; or how to build the only one; or a
      function of T that builds it.

  Raises:
    TaskError: it is none of these.
  """
  if callable(entry) and not isinstance(entry, base.Dialect):
    entry = base.Dialect(functools.partial(_build_at, entry))
  if isinstance(entry, base.Dialect):
    entry = {OWN: entry}
  if not isinstance(entry, Mapping) or not entry:
    raise TaskError(
      f'{entry!r} builds no task; nearest: a function of the length that '
      'returns an lv.Task'
    )
  for key, dialect in entry.items():
    _check_dialect(key, dialect)
  return {
    key: dialect._replace(build=functools.partial(_build, name, key, dialect))
    for key, dialect in entry.items()
  }


def check(dialect: base.Dialect) -> None:
  """Build a dialect at its usual length, which checks it.

  What needs files of the user's is checked when they are named.

  Raises:
    TaskError: it cannot be trained.
  """
  if dialect.needs_files:
    return
  length = dialect.usual
  options: dict[str, Any] = {
    name: option.default for name, option in dialect.options.items()
  }
  spec = base.Spec(length, dialect.usual_shortest(length), **options)
  dialect.build(dialect.resolve(spec))


def _build_at(function: ByLength, spec: base.Spec) -> base.Task:
  """Build a task that only its length decides; lengths are drawn for it."""
  task = function(spec.length)
  if spec.shortest == spec.length or not isinstance(task, base.Task):
    return task
  if not task.takes_length:
    raise base.SpecError(
      'shortest',
      spec.shortest,
      'its sample takes no length, so that none is drawn; nearest: '
      f'{spec.length}',
    )
  sample = task.sample

  def draw(
    key: jax.Array, batch_size: int, length: base.Length, num_steps: int
  ) -> base.Batch:
    del num_steps  # it is the task's
    return sample(key, batch_size, length=length)

  return dataclasses.replace(
    task, sample=base.sampler(draw, spec, task.num_steps)
  )


def _build(
  name: str, key: str, dialect: base.Dialect, spec: base.Spec
) -> base.Task:
  """Build a task, complete it, and check it.

  Raises:
    SpecError: it cannot be built, or trained, with these choices.
  """
  try:
    task = dialect.build(spec)
    if not isinstance(task, base.Task):
      raise TaskError(
        f'what builds it returns {type(task).__name__}, not an lv.Task'
      )
    task = dataclasses.replace(
      task,
      name=name,
      dialect=key,
      length=spec.length,
      measure=functools.partial(_measure, task.measure),
      summary=task.summary or _first_line(dialect.build) or name,
    )
    _check_task(task)
  except base.SpecError:
    raise
  except ValueError as error:
    raise base.SpecError('length', spec.length, _line(error)) from error
  except Exception as error:  # whatever the code of others raises
    raise base.SpecError(
      'length',
      spec.length,
      f'{name} cannot be built: {type(error).__name__}: {_line(error)}',
    ) from error
  return task


def _measure(
  measure: Callable[[jax.Array, base.Batch], Any],
  outputs: jax.Array,
  batch: base.Batch,
) -> dict[str, base.Mean]:
  """Return metrics as means that can be added up; a loss alone is one of them.

  A scalar is the mean over its batch; batches are of one size.
  """
  metrics = measure(outputs, batch)
  if not isinstance(metrics, Mapping):
    metrics = {'loss': metrics}
  return {
    name: value
    if isinstance(value, base.Mean)
    else base.Mean(jnp.asarray(value), jnp.ones((), jnp.result_type(value)))
    for name, value in metrics.items()
  }


def _check_dialect(key: Any, dialect: Any) -> None:
  """Refuse what is no dialect, or has options that no config can set."""
  if not isinstance(key, str) or not (key.isascii() and key.isidentifier()):
    raise TaskError(
      f'dialect {key!r}: a name is a letter, then letters, digits or '
      f'underscores; nearest: {OWN}'
    )
  if not isinstance(dialect, base.Dialect):
    raise TaskError(
      f'dialect {key!r} is {type(dialect).__name__}, not an lv.Dialect; '
      'nearest: lv.Dialect(build)'
    )
  for option in dialect.options:
    if option not in base.OPTIONS:
      raise TaskError(
        f'dialect {key!r}: its option {option!r} is none of '
        f'{", ".join(base.OPTIONS)}'
      )


def _check_task(task: base.Task) -> None:
  """Refuse a task whose parts do not go together, by their shapes.

  Raises:
    TaskError: the first part that does not.
  """
  for side in ('inputs', 'outputs'):
    if not isinstance(getattr(task, side), base.Features):
      raise TaskError(
        f'its {side} are {getattr(task, side)!r}; nearest: lv.channels(2), or '
        'lv.symbols(2) for the classes of a symbol'
      )
  if not isinstance(task.num_steps, int) or task.num_steps < 1:
    raise TaskError(f'its num_steps is {task.num_steps!r}, not a number of it')
  batch = _shapes('sample', lambda key: task.sample(key, _ROWS), _key())
  _check_batch(task, batch)
  outputs = jax.ShapeDtypeStruct(
    (_ROWS, task.num_steps, task.out_features), jnp.float32
  )
  metrics = _shapes('measure', task.measure, outputs, batch)
  _check_metrics(task, metrics)
  if isinstance(task.success, base.LastSequences):
    if task.sequence_errors is base.no_errors:
      raise TaskError(
        'its success is judged by the errors of sequences; give '
        'sequence_errors, or nearest: success=lv.HeldOut(metric, below)'
      )
    errors = _shapes('sequence_errors', task.sequence_errors, outputs, batch)
    _check_shape('sequence_errors are', errors, (_ROWS,))


def _check_batch(task: base.Task, batch: Any) -> None:
  """Refuse a batch of other shapes than the task states."""
  if not isinstance(batch, base.Batch):
    raise TaskError(
      'its sample returns something else than an lv.Batch(inputs, targets, '
      'mask)'
    )
  axes = (_ROWS, task.num_steps)
  _check_shape('inputs are', batch.inputs, (*axes, task.in_features))
  _check_shape('mask is', batch.mask, axes)
  for part in ('inputs', 'mask'):
    dtype = getattr(batch, part).dtype
    if not jnp.issubdtype(dtype, jnp.floating):
      raise TaskError(
        f'its {part} are of dtype {dtype}; nearest: {part}.astype(float)'
      )
  if len(batch.targets.shape) == 2:
    _check_shape('targets are', batch.targets, axes)
    if not jnp.issubdtype(batch.targets.dtype, jnp.integer):
      raise TaskError(
        f'its targets, one a step, are of dtype {batch.targets.dtype}, not '
        'class indices; nearest: targets[..., None] for numbers'
      )
  else:
    _check_shape('targets are', batch.targets, (*axes, task.out_features))


def _check_metrics(task: base.Task, metrics: dict[str, base.Mean]) -> None:
  """Refuse a measure without a scalar loss, or that a rule finds lacking."""
  if 'loss' not in metrics:
    raise TaskError(
      f"its measure returns {', '.join(metrics) or 'nothing'}, no 'loss'"
    )
  for name, mean in metrics.items():
    _check_shape(f'{name} is', mean.total, ())
    _check_shape(f'weight of {name} is', mean.weight, ())
  if not jnp.issubdtype(metrics['loss'].total.dtype, jnp.floating):
    raise TaskError(
      f'its loss is of dtype {metrics["loss"].total.dtype}, which has no '
      'gradient'
    )
  judged = []
  if isinstance(task.success, base.HeldOut):
    judged = [metric for metric, _ in task.success.limits]
  for metric in (*judged, *task.baselines):
    if metric not in metrics:
      raise TaskError(
        f'{metric!r} of its success or baselines is not measured; it measures '
        f'{", ".join(metrics)}'
      )


def _check_shape(what: str, array: Any, wanted: tuple[int, ...]) -> None:
  if array.shape != wanted:
    raise TaskError(
      f'its {what} {list(array.shape)} of a batch of {_ROWS}, must be '
      f'{list(wanted)}'
    )


def _shapes(part: str, function: Callable[..., Any], *arguments: Any) -> Any:
  """Return the shapes of what a part of a task returns."""
  try:
    return jax.eval_shape(function, *arguments)
  except Exception as error:  # whatever the code of others raises
    raise TaskError(
      f'its {part} fails: {type(error).__name__}: {_line(error)}'
    ) from error


def _key() -> Any:
  return jax.eval_shape(lambda: jax.random.key(0))


def _first_line(function: Callable[..., Any]) -> str:
  """Return what a docstring says first, without its full stop."""
  while isinstance(function, functools.partial):
    builders = [a for a in function.args if inspect.isfunction(a)]
    function = builders[0] if builders else function.func
  text = inspect.getdoc(function) or ''
  return text.partition('\n')[0].strip().rstrip('.')


def _line(error: Exception) -> str:
  """Return the first line of a message; jax adds pages."""
  lines = str(error).strip().splitlines()
  return lines[0].strip() if lines else 'no message'
