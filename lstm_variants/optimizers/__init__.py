"""Optimizers: one entry each, optax and the fields that it reads.

To add one: an entry here, or `register_optimizer` from a module of one's own.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_variants import registry
from lstm_variants.config.fields import Field


class Optimizer(NamedTuple):
  """What makes updates of gradients.

  Attributes:
    make: `options -> optax.GradientTransformation`; options by the last word of
      their field, 'learning_rate' among them. Numbers of fields with the role
      RUN are traced.
    summary: what it is, one line.
    reference: author, year and where.
    reads: the fields of `config.fields` that it reads, in full, beside the
      learning rate.
    fields: rows of its own, which it reads too.
  """

  make: Callable[[Mapping[str, Any]], optax.GradientTransformation]
  summary: str = ''
  reference: str = ''
  reads: tuple[str, ...] = ()
  fields: tuple[Field, ...] = ()


def _adam(options: Mapping[str, Any]) -> optax.GradientTransformation:
  return optax.adam(
    options['learning_rate'],
    b1=options['b1'],
    b2=options['b2'],
    eps=options['eps'],
  )


def _rmsprop(options: Mapping[str, Any]) -> optax.GradientTransformation:
  return optax.rmsprop(
    options['learning_rate'],
    decay=options['b2'],
    eps=options['eps'],
    momentum=options['momentum'],
  )


def _sgd(options: Mapping[str, Any]) -> optax.GradientTransformation:
  return optax.sgd(
    options['learning_rate'],
    momentum=options['momentum'],
    nesterov=options['nesterov'],
  )


OPTIMIZERS: registry.Registry[Optimizer] = registry.Registry(
  'optimizer',
  {
    'adam': Optimizer(
      _adam,
      'adaptive moments, bias-corrected',
      'Kingma & Ba, ICLR 2015, arXiv:1412.6980',
      ('optimizer.b1', 'optimizer.b2', 'optimizer.eps'),
    ),
    'rmsprop': Optimizer(
      _rmsprop,
      'the gradient over the root of its mean square',
      'Tieleman & Hinton 2012, lecture 6.5',
      ('optimizer.momentum', 'optimizer.b2', 'optimizer.eps'),
    ),
    'sgd': Optimizer(
      _sgd,
      'gradient descent, with momentum or without',
      'Robbins & Monro 1951; Polyak 1964; Nesterov 1983',
      ('optimizer.momentum', 'optimizer.nesterov'),
    ),
  },
)


def register_optimizer(name: str, optimizer: Optimizer) -> None:
  """Make an optimizer known as `--config.optimizer.name=NAME`.

  Raises:
    RegistryError: the name is taken, or it cannot make updates.
  """
  OPTIMIZERS.register(name, optimizer, check)


def check(optimizer: Optimizer) -> None:
  """Refuse what makes no updates of a small tree.

  Raises:
    ValueError: one line.
  """
  if not isinstance(optimizer, Optimizer):
    raise ValueError(
      f'a {type(optimizer).__name__}, must be an lv.Optimizer; nearest: '
      'lv.Optimizer(make=lambda options: optax.sgd(options["learning_rate"]))'
    )
  from lstm_variants.config import fields  # rows of the house, for defaults

  rows = {row.name: row for row in (*fields.ROWS, *optimizer.fields)}
  unknown = [name for name in optimizer.reads if name not in rows]
  if unknown:
    raise ValueError(
      f'reads {unknown[0]!r}, which is no field; nearest: bring it among '
      '`fields`'
    )
  options = {
    name.rpartition('.')[2]: rows[name].default
    for name in ('optimizer.learning_rate', *optimizer.reads)
  }
  options |= {
    row.name.rpartition('.')[2]: row.default for row in optimizer.fields
  }

  def update(params):
    transformation = optimizer.make(options)
    state = transformation.init(params)
    return transformation.update(params, state, params)[0]

  params = {'kernel': jax.ShapeDtypeStruct((2, 3), jnp.float32)}
  try:
    changes = jax.eval_shape(update, params)
  except Exception as error:  # whatever code from outside raises
    raise ValueError(
      f'its update fails: {type(error).__name__}: {error}'
    ) from error
  if jax.tree.structure(changes) != jax.tree.structure(params):
    raise ValueError('its updates are of another tree than the parameters')
