"""How the learning rate changes while a run trains.

    η_t = η · min(1, (t + 1) / W) · s(d_t)        d_t = clip((t − W) / D, 0, 1)

t updates are done before the one that takes η_t; η is `learning_rate`, W
`warmup_updates` (0: none), D `decay_updates`, and s, from s(0) = 1 to s(1) = φ,
`final_factor`, is the schedule. The first update takes η / W and not 0, which
would change nothing. After W + D updates η_t stays at φ η, however long a run
trains: a schedule does not depend on `training.updates`, which may change when
a study is gone on with.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants import registry
from lstm_variants.config import rules
from lstm_variants.config.fields import Field
from lstm_variants.optimizers.optimizer import Options


class Schedule(NamedTuple):
  """What becomes of the learning rate after the warm-up.

  Attributes:
    factor: `(options, done) -> s(done)`, the factor of the learning rate when
      the share `done`, from 0 to 1, of the decay is over; traced.
    summary: what it is, in one line.
    reference: author, year and where.
    reads: names of the shared rows that it reads beside `warmup_updates`.
    fields: rows of its own, which no other schedule reads.
    check: refuses options, by short name, that contradict each other, with a
      `rules.InputError`.
  """

  factor: Callable[[Options, jax.Array], Any]
  summary: str
  reference: str
  reads: tuple[str, ...] = ('optimizer.decay_updates', 'optimizer.final_factor')
  fields: tuple[Field, ...] = ()
  check: Callable[[Options], None] = lambda options: None


def _linear(options: Options, done: jax.Array) -> jax.Array:
  """Return s(d) = 1 − (1 − φ) d."""
  return 1 - (1 - options['final_factor']) * done


def _cosine(options: Options, done: jax.Array) -> jax.Array:
  """Return s(d) = φ + (1 − φ) (1 + cos πd) / 2."""
  final = options['final_factor']
  return final + (1 - final) * (1 + jnp.cos(jnp.pi * done)) / 2


def _exponential(options: Options, done: jax.Array) -> jax.Array:
  """Return s(d) = φ^d."""
  return jnp.power(options['final_factor'], done)


def _check_exponential(options: Options) -> None:
  if not options['final_factor'] > 0:
    raise rules.InputError(
      'optimizer.final_factor',
      options['final_factor'],
      'an exponential never gets to 0: must be > 0; for example 0.01',
    )


SCHEDULES: registry.Registry[Schedule] = registry.Registry(
  'schedule',
  {
    'constant': Schedule(
      lambda options, done: 1.0,
      'the learning rate as it is',
      '',
      reads=(),
    ),
    'linear': Schedule(_linear, 'falls by the same amount at every update', ''),
    'cosine': Schedule(
      _cosine,
      'falls along half a wave of the cosine',
      'Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983',
    ),
    'exponential': Schedule(
      _exponential,
      'falls by the same factor at every update',
      '',
      check=_check_exponential,
    ),
  },
)


def check(options: Options) -> None:
  """Refuse options of a schedule that contradict each other.

  Args:
    options: the fields of 'optimizer' by short name, each checked by itself.

  Raises:
    InputError: no length where the rate decays, or what the schedule refuses.
  """
  schedule = SCHEDULES[options['schedule']]
  length = options['decay_updates']
  if 'optimizer.decay_updates' in schedule.reads and not length:
    raise rules.InputError(
      'optimizer.decay_updates',
      length,
      f'{options["schedule"]} needs the updates that it takes, at least 1; for '
      'example --config.optimizer.decay_updates=2000',
    )
  schedule.check(options)


def varies(options: Options) -> bool:
  """Tell whether a run's learning rate changes: its program is another."""
  return options['schedule'] != 'constant' or options['warmup_updates'] > 0


def learning_rate(options: Options) -> Callable[[Any], jax.Array]:
  """Return the learning rate as a function of the updates done.

  Args:
    options: the fields of 'optimizer' by short name; numbers may be traced.
  """
  schedule = SCHEDULES[options['schedule']]

  def rate(updates: Any) -> jax.Array:
    t = jnp.asarray(updates, jnp.float32)
    warmup = options['warmup_updates']
    # Without a warm-up 1 at once, and never 0 / 0.
    warm = jnp.minimum(1, (t + 1) / jnp.maximum(warmup, 1))
    decay = jnp.maximum(options['decay_updates'], 1)
    done = jnp.clip((t - warmup) / decay, 0, 1)
    return options['learning_rate'] * warm * schedule.factor(options, done)

  return rate
