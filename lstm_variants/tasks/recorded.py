"""A task as a run directory recorded it, for models whose data are gone.

What a trained model needs of its task, the names of its symbols, their number,
the scale of its values, is plain data beside its weights: the model is loaded,
asked and exported also where the file that it learnt from has moved or grown.
"""

from collections.abc import Mapping
import functools
from typing import Any, NoReturn

from lstm_variants import errors
from lstm_variants.tasks import base

# Steps and sequences: more are none of ours.
_MOST = 10**7


class DataError(errors.Error):
  """The data of a task are not there any more; the message is one line."""


class DamagedError(ValueError):
  """It is not what `describe` returns; the message is one line."""


def describe(task: base.Task) -> dict[str, Any]:
  """Return what a trained model needs of its task, as plain data."""
  rule = task.success
  return {
    'num_steps': task.num_steps,
    # A checkpoint has the errors of so many sequences.
    'window': rule.window if isinstance(rule, base.LastSequences) else 0,
    'inputs': task.inputs._asdict(),
    'outputs': task.outputs._asdict(),
    'mean': task.mean,
    'scale': task.scale,
  }


def restore(
  known: Mapping[str, Any], config: Mapping[str, Any], label: str, reason: str
) -> base.Task:
  """Return a task without its data: it has features and draws no sequences.

  Its summary tells why.

  Args:
    known: what `describe` returned, from the run directory.
    config: the fields of `config.task`, as recorded.
    label: of the task and its held-out set, as recorded.
    reason: why its data cannot be used.

  Raises:
    DamagedError: `known` is not what `describe` returns.
  """
  name, dialect, length = (config[k] for k in ('name', 'dialect', 'length'))
  message = f'{label}: {reason}'
  refuse = functools.partial(_refuse, message)
  window = _integer(known, 'window')
  return base.Task(
    name=name,
    dialect=dialect,
    length=length,
    num_steps=_integer(known, 'num_steps'),
    inputs=_features(known.get('inputs')),
    outputs=_features(known.get('outputs')),
    success=base.LastSequences(window, 0.0) if window else base.Unjudged(),
    summary=message,
    mean=_number(known, 'mean'),
    scale=_number(known, 'scale'),
    variation=label.removeprefix(f'{name}-{dialect}-T{length}'),
    sample=refuse,
    measure=refuse,
  )


def _refuse(message: str, *unused: Any, **unused_too: Any) -> NoReturn:
  """Refuse to draw sequences.

  Raises:
    DataError: always.
  """
  raise DataError(message)


def _integer(known: Mapping[str, Any], name: str) -> int:
  value = known.get(name)
  if type(value) is not int or not 0 <= value <= _MOST:
    raise DamagedError(f'{name} is {value!r}'[:80])
  return value


def _number(known: Mapping[str, Any], name: str) -> float:
  value = known.get(name)
  if not isinstance(value, int | float) or isinstance(value, bool):
    raise DamagedError(f'{name} is {value!r}'[:80])
  return float(value)


def _features(value: Any) -> base.Features:
  match value:
    case {'names': [*names], 'one_hot': bool(one_hot)}:
      if names and all(isinstance(name, str) for name in names):
        return base.Features(tuple(names), one_hot)
  raise DamagedError(f'{value!r} are no features'[:80])
