"""Rows of fields that optimizers and schedules bring.

The rows that Adam, RMSProp and SGD read stand in `config.fields`. No jax here.
"""

from lstm_variants.config import fields
from lstm_variants.config.fields import Field, PROGRAM, RUN
from lstm_variants.config.rules import Integer, Real, Registered

_LONGEST = 10**9

# Each read by several optimizers, by several schedules, or always.
SHARED: tuple[Field, ...] = (
  Field(
    'optimizer.weight_decay',
    0.0,
    Real(0.01, least=0),
    RUN,
    'λ of decoupled weight decay: every parameter, biases too, shrinks by '
    'learning rate · λ of itself at each update; 0: off.',
    by='optimizer.name',
  ),
  Field(
    'optimizer.schedule',
    'constant',
    Registered('schedule'),
    PROGRAM,
    'How the learning rate falls after the warm-up: constant (not at all), '
    'linear, cosine, exponential.',
  ),
  Field(
    'optimizer.warmup_updates',
    0,
    Integer(0, _LONGEST),
    RUN,
    'Updates in which the learning rate rises by equal steps from 0; the last '
    'of them is the first with the whole of it. 0: none.',
  ),
  Field(
    'optimizer.decay_updates',
    0,
    Integer(0, _LONGEST),
    RUN,
    'Updates, after the warm-up, in which the learning rate falls to '
    'final_factor of itself, where it stays; must be given. It is no part of '
    'training.updates, so that a study can be trained further.',
    by='optimizer.schedule',
  ),
  Field(
    'optimizer.final_factor',
    0.0,
    Real(0.1, least=0),
    RUN,
    'What is left of the learning rate when the schedule is over, as a '
    'factor; above 0 for exponential.',
    by='optimizer.schedule',
  ),
  Field(
    'optimizer.accumulation',
    1,
    Integer(1, 2**20),
    PROGRAM,
    'Batches whose gradients are averaged before each update. An update is '
    'then one of the parameters; sequences count what was consumed: '
    'updates · accumulation · batch_size.',
  ),
)

# Each of one optimizer.
FIRST_ACCUMULATOR = Field(
  'optimizer.first_accumulator',
  0.1,
  Real(0.1, least=0),
  RUN,
  'The sum of squared gradients with which adagrad begins.',
  by='optimizer.name',
)
FACTORED_FROM = Field(
  'optimizer.factored_from',
  128,
  Integer(1, 2**20),
  PROGRAM,
  'The smallest side from which on adafactor keeps the second moment of a '
  'matrix as the means of its rows and columns.',
  by='optimizer.name',
)
MUON_MOMENTUM = Field(
  'optimizer.muon_momentum',
  0.95,
  Real(0.95, least=0, below=1),
  RUN,
  'Decay of the mean of the gradient that muon makes orthogonal.',
  by='optimizer.name',
)


def shared() -> dict[str, Field]:
  """Return the rows of 'optimizer' that are no component's own, by name."""
  rows = (*fields.ROWS, *SHARED)
  return {row.name: row for row in rows if row.name.startswith('optimizer.')}


def option(name: str) -> str:
  """Return the short name of a field: 'b1' of 'optimizer.b1'."""
  return name.rpartition('.')[2]
