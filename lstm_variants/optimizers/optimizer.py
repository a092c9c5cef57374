"""What an optimizer is, and which options it is made from."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_variants.config import fields, rules
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
    fields: rows of its own, named 'optimizer.…' and read by='optimizer.name';
      another optimizer may have the equal row.
    elementwise: each weight changes by its own value and gradients alone. One
      that looks at whole arrays (norms, singular values) is not: runs whose
      toggles differ then train in programs of their own, since the arrays of
      a shared one also hold weights that a run does not use.
  """

  make: Callable[[Options], optax.GradientTransformation]
  summary: str = ''
  reference: str = ''
  reads: tuple[str, ...] = ()
  fields: tuple[Field, ...] = ()
  elementwise: bool = False


def defaults(optimizer: Optimizer) -> dict[str, Any]:
  """Return the options of an optimizer where nobody says anything."""
  known = rows.shared()
  read = ('optimizer.learning_rate', *optimizer.reads)
  fields = (*(known[name] for name in read), *optimizer.fields)
  return {rows.option(field.name): field.default for field in fields}


def check(optimizer: Optimizer, taken: Iterable[Field] = ()) -> None:
  """Refuse an optimizer that cannot train.

  Args:
    optimizer: to be registered.
    taken: the rows that the others and the schedules bring.

  Raises:
    ValueError: it is none, it reads a row that is not shared, its own rows
      have names that are not theirs to have or defaults that their rules
      refuse, it cannot be made from its defaults, or it changes the shapes of
      what it is given.
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
  others = {field.name: field for field in taken}
  for field in optimizer.fields:
    _check_name(field, others)
    _check_default(field)
    others[field.name] = field
  _check_update(optimizer)


def _check_name(field: Field, others: Mapping[str, Field]) -> None:
  """Refuse a row whose name is another row's, or that is read by others."""
  if not isinstance(field, Field):
    raise ValueError(f'fields has a {type(field).__name__}, must be lv.Field')
  part, _, option = str(field.name).partition('.')
  if part != 'optimizer' or not option.isidentifier():
    raise ValueError(
      f'field {field.name!r}: must be named optimizer.NAME; nearest: '
      f'optimizer.{rows.option(str(field.name))}'
    )
  if field.name in rows.shared():
    raise ValueError(
      f'field {field.name!r}: is shared already; nearest: reads='
      f'({field.name!r},)'
    )
  taken = {rows.option(row.name): row.name for row in fields.ROWS}
  if option in taken:
    raise ValueError(
      f'field {field.name!r}: {taken[option]} has the same last word, by which '
      f'programs read it; nearest: optimizer.my_{option}'
    )
  if others.get(field.name, field) != field:
    raise ValueError(
      f'field {field.name!r}: the name is that of another row; nearest: '
      f'optimizer.my_{option}, or the equal row'
    )
  if field.by != 'optimizer.name':
    raise ValueError(
      f'field {field.name!r}: by={field.by!r}, must be read by one optimizer; '
      "nearest: by='optimizer.name'"
    )


def _check_default(field: Field) -> None:
  """Refuse a default that would break every config of the process."""
  if isinstance(field.rule, rules.Registered):
    raise ValueError(
      f'field {field.name!r}: its rule is of the registries of the house; '
      'nearest: rules.Choice'
    )
  if field.role not in (fields.PROGRAM, fields.RUN):
    raise ValueError(
      f'field {field.name!r}: role={field.role!r}, must be lv.PROGRAM or '
      'lv.RUN; nearest: lv.PROGRAM'
    )
  if field.switch:
    raise ValueError(
      f'field {field.name!r}: switch={field.switch!r} is of the parts of a '
      "model; nearest: switch=''"
    )
  if not isinstance(field.default, (type(None), bool, int, float, str)):
    raise ValueError(
      f'field {field.name!r}: its default is a {type(field.default).__name__}, '
      'a field holds a number, a text or a boolean'
    )
  if field.default is None and not isinstance(field.rule, rules.Open):
    raise ValueError(
      f'field {field.name!r}: has no default; nearest: one, or '
      'rules.Open around its rule'
    )
  try:
    field.rule.check(field.name, field.default, 'float32')
  except Exception as error:  # whatever a rule of somebody else raises
    text = ' '.join(str(error).split())
    raise ValueError(
      f'field {field.name!r}: its rule refuses its default '
      f'({type(error).__name__}: {text})'
    ) from error
  traced = field.role is fields.RUN
  if traced and not isinstance(field.rule, (rules.Real, rules.Integer)):
    raise ValueError(
      f'field {field.name!r}: a traced one is a number, whose rule is '
      f'{type(field.rule).__name__}; nearest: lv.Real, or the role lv.PROGRAM'
    )


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
