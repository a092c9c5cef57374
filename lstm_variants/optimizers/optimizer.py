"""What an optimizer is, and which options it is made from."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_variants.config.fields import Field
from lstm_variants.optimizers import rows

# Option by its short name, as 'learning_rate' or 'b1' -> its value.
Options = Mapping[str, Any]


class Optimizer(NamedTuple):
  """A rule that turns gradients into changes of the parameters.

  Attributes:
    make: `options -> optax.GradientTransformation`. The options are those of
      `reads` and of `fields` by the last part of their names, and
      'learning_rate': a number, or a schedule, a function from the updates
      done to a number. What is of the role RUN is traced where runs are
      trained: Python cannot branch on it.
    summary: what it is, in one line.
    reference: author, year and where.
    reads: names of the shared rows (`rows.shared`) that it reads beside the
      learning rate, as 'optimizer.b1'; set, any other is refused.
    fields: rows of its own, which no other optimizer reads.
  """

  make: Callable[[Options], optax.GradientTransformation]
  summary: str = ''
  reference: str = ''
  reads: tuple[str, ...] = ()
  fields: tuple[Field, ...] = ()


def defaults(optimizer: Optimizer) -> dict[str, Any]:
  """Return the options of an optimizer where nobody says anything."""
  known = rows.shared()
  read = ('optimizer.learning_rate', *optimizer.reads)
  fields = (*(known[name] for name in read), *optimizer.fields)
  return {rows.option(field.name): field.default for field in fields}


def check(optimizer: Optimizer) -> None:
  """Refuse an optimizer that cannot train.

  Raises:
    ValueError: it is none, it reads a row that is not shared, its own rows
      have names that are not theirs to have, it cannot be made from its
      defaults, or it changes the shapes of what it is given.
  """
  if not isinstance(optimizer, Optimizer):
    raise ValueError(
      f'a {type(optimizer).__name__}, must be an lv.Optimizer; nearest: '
      "lv.Optimizer(lambda options: optax.sgd(options['learning_rate']))"
    )
  shared = rows.shared()
  for name in optimizer.reads:
    if name not in shared:
      raise ValueError(
        f'reads {name!r}, which is no shared field; choices: '
        f'{", ".join(sorted(shared))}'
      )
  for field in optimizer.fields:
    part, _, option = field.name.partition('.')
    if part != 'optimizer' or not option.isidentifier():
      raise ValueError(
        f'field {field.name!r}: must be named optimizer.NAME; nearest: '
        f'optimizer.{rows.option(field.name)}'
      )
    if field.name in shared:
      raise ValueError(
        f'field {field.name!r}: is shared already; nearest: reads='
        f'({field.name!r},)'
      )
  _check_update(optimizer)


def _check_update(optimizer: Optimizer) -> None:
  """Refuse what does not turn gradients into changes of the same shapes."""
  # Shapes alone: an array would start XLA, and with it end the choice of its
  # devices, when a module is imported.
  layer = {
    'kernel': jax.ShapeDtypeStruct((2, 3), jnp.float32),
    'bias': jax.ShapeDtypeStruct((3,), jnp.float32),
  }
  params = {'layers': (layer,), 'readout': layer}

  def change(params: Any) -> Any:
    made = optimizer.make(defaults(optimizer))
    return made.update(params, made.init(params), params)[0]

  try:
    changes = jax.eval_shape(change, params)
  except Exception as error:  # whatever the code of somebody else raises
    text = ' '.join(str(error).split())
    raise ValueError(
      f'makes no update from its defaults ({type(error).__name__}: {text})'
    ) from error
  if changes != params:
    raise ValueError('its updates have other shapes than the parameters')
