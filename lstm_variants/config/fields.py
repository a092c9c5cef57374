"""Every field of a config: its name, default, rule, role and description.

    Field('optimizer.learning_rate', 1e-3, Real(1e-3, above=0), RUN, 'Step…')

The default config, the refusals, `Settings` and `Hyperparams`, docs/config.md
and what --help lists are made from these rows. A cell, an optimizer or a
schedule may define further rows that only it reads; `schema.table` joins them
to these. This module imports no jax, and of this package only the rules.
"""

from collections.abc import Iterator, Mapping
import enum
import functools
from typing import Any, NamedTuple

from lstm_variants.config import rules
from lstm_variants.config.rules import (
  Boolean,
  Choice,
  Integer,
  Real,
  Registered,
  Text,
)


class Role(enum.Enum):
  """What a field is to a run.

  PROGRAM: the compiled program depends on it, so that runs that differ in it
    are in different populations.
  RUN: a number that is traced; the runs of one population may differ in it.
  CONDUCT: for how long a run trains, and when it is evaluated and saved. Runs
    that differ in it are in different populations, but it is no part of a run's
    identity: it may change when a study is resumed. (Success on held-out data
    is noticed at evaluations, and so depends on their interval.)
  GROUPING: which of its runs a study trains together. It is no part of a run's
    identity, and a study that is resumed keeps it.
  """

  PROGRAM = 'program'
  RUN = 'run'
  CONDUCT = 'conduct'
  GROUPING = 'grouping'


PROGRAM, RUN, CONDUCT = Role.PROGRAM, Role.RUN, Role.CONDUCT
GROUPING = Role.GROUPING


# Of a field that is not older than its default.
SAME = object()


class Field(NamedTuple):
  """One configurable value.

  Attributes:
    name: the dotted name, such as 'optimizer.learning_rate'.
    default: the value that it has if it is not set. None: it is open, and the
      component that reads it has a default of its own.
    rule: one of `rules`, which knows the type of a value and refuses a bad one.
    role: see `Role`.
    doc: one line that says what it is, with its unit.
    by: for a field that only some components read, the field that chooses the
      component, such as 'optimizer.name'. If the chosen component does not
      read it, any value but the default is refused. '': it is always read.
    before: the value that a run had whose record lacks the field, where that is
      another than the default of today; `SAME`: it is the default.
    switch: for a number that is 0 if it is unused, the name of the part of the
      program that reads it, such as 'noisy'. A program has the part only for
      runs whose number is above 0, and `Settings` has the name as an attribute.
  """

  name: str
  default: Any
  rule: rules.Rule
  role: Role
  doc: str
  by: str = ''
  switch: str = ''
  before: Any = SAME

  @property
  def unrecorded(self) -> Any:
    """The value that a run has whose record lacks the field."""
    return self.default if self.before is SAME else self.before


# Of what is left out at random.
RATES = ('zoneout_c', 'zoneout_h', 'recurrent_dropout')
DTYPES = {'float32': 4, 'bfloat16': 2, 'float64': 8}  # bytes
# `config.model.recurrence` of a variant of the LSTM -> its cell.
LSTMS = {'full': 'lstm', 'diagonal': 'diagonal_lstm'}
_LONGEST, _MANY = 10**7, 2**20

_TASK = (
  Field(
    'task.name',
    'adding',
    Registered('task'),
    PROGRAM,
    'The task; docs/tasks.md lists them, `show --task=adding` draws one.',
  ),
  Field(
    'task.dialect',
    '',
    Text(),
    PROGRAM,
    "Whose version of the task; '' is the first of its dialects.",
  ),
  Field(
    'task.length',
    0,
    Integer(0, _LONGEST),
    PROGRAM,
    "T in steps, as the dialect's paper counts it; 0: the usual one, mostly "
    '100.',
  ),
  Field(
    'task.shortest_length',
    0,
    Integer(0, _LONGEST),
    PROGRAM,
    'T of each batch is drawn from U{shortest_length, …, length}; 0: as in '
    'the paper, which mostly has T = length.',
  ),
  Field(
    'task.evaluation_length',
    0,
    Integer(0, _LONGEST),
    PROGRAM,
    'T of the held-out set, the longest; 0: as in training. Of a task that '
    'draws T, a longer one is judged from the first T on that was never seen.',
  ),
  Field(
    'task.evaluation_shortest_length',
    0,
    Integer(0, _LONGEST),
    PROGRAM,
    'T of the held-out set, the shortest; 0: decided by evaluation_length.',
  ),
  Field(
    'task.evaluation_set',
    None,
    rules.Open(Choice(('spread', 'drawn'))),
    PROGRAM,
    'What the held-out set has. spread: every T of its range, or every string '
    'of a list, equally often; drawn: batches as in training; open: spread '
    'where there is a range or a list.',
    before='drawn',
  ),
  Field(
    'task.success_limit',
    None,
    rules.Open(Real(0.1, least=0)),
    PROGRAM,
    'What the metric of the rule of success must be below on the held-out set; '
    '0: not one mistake, where it is a share of wrong answers; open: the '
    "dialect's limit.",
  ),
  Field(
    'task.symbols',
    0,
    Integer(0, _MANY),
    PROGRAM,
    'Symbols in the alphabet, where the dialect leaves it open; 0: as in the '
    'paper.',
  ),
  Field(
    'task.items',
    0,
    Integer(0, _MANY),
    PROGRAM,
    "Things to remember, where the dialect leaves it open; 0: the paper's.",
  ),
  Field(
    'task.period',
    0,
    Integer(0, _LONGEST),
    PROGRAM,
    "F of the timing tasks, in steps; 0: the paper's.",
  ),
  Field(
    'task.horizon',
    0,
    Integer(0, _LONGEST),
    PROGRAM,
    "How far ahead is forecast, in steps; 0: the dialect's.",
  ),
  Field(
    'task.path',
    '',
    Text(),
    PROGRAM,
    "A file or directory with data; '': what comes with the dialect.",
  ),
  Field('task.column', '', Text(), PROGRAM, 'The column of a CSV file.'),
)

_MODEL = (
  Field(
    'model.variant',
    'vanilla',
    Registered('model'),
    PROGRAM,
    'A variant of the LSTM, or another cell; docs/variants.md lists them.',
  ),
  Field(
    'model.recurrence',
    'full',
    Choice(tuple(LSTMS)),
    PROGRAM,
    'The recurrence of an LSTM: full, or diagonal, where the units of a layer '
    'do not see each other.',
    by='model.variant',
  ),
  Field(
    'model.hidden_features',
    32,
    Integer(1, 2**16),
    PROGRAM,
    'Width of every recurrent layer, in units.',
  ),
  Field(
    'model.num_layers',
    1,
    Integer(1, 64),
    PROGRAM,
    'Recurrent layers below the linear readout.',
  ),
  Field(
    'model.forget_bias',
    1.0,
    Real(1.0),
    RUN,
    'The gate that keeps the state starts near σ(forget_bias).',
    by='model.variant',
  ),
  Field(
    'model.chrono_t_max',
    0.0,
    Real(3.0, least=3, off=0),
    RUN,
    'T_max of the chrono initialisation in steps, which replaces the forget '
    'bias; 0: off.',
    by='model.variant',
  ),
  Field(
    'model.recurrent_init',
    'orthogonal',
    Registered('initializer'),
    PROGRAM,
    'How weights begin: orthogonal (per gate; LeCun-normal input weights) or '
    'uniform (±1/√H). Peepholes and gate_kernel are uniform in both.',
    by='model.variant',
  ),
  Field(
    'model.layer_norm',
    False,
    Boolean(),
    PROGRAM,
    'Layer normalisation (Ba et al. 2016) of simple_rnn, gru and full LSTMs.',
    by='model.variant',
  ),
  Field(
    'model.zoneout_c',
    0.0,
    Real(0.1, least=0, below=1),
    RUN,
    'The share of cell states that stay as they were (zoneout, Krueger et al. '
    '2017); 0: off.',
    by='model.variant',
    switch='noisy',
  ),
  Field(
    'model.zoneout_h',
    0.0,
    Real(0.1, least=0, below=1),
    RUN,
    'The share of hidden states that stay as they were; 0: off.',
    by='model.variant',
    switch='noisy',
  ),
  Field(
    'model.recurrent_dropout',
    0.0,
    Real(0.1, least=0, below=1),
    RUN,
    'The share of candidates g left out (Semeniuta et al. 2016); 0: off.',
    by='model.variant',
    switch='noisy',
  ),
  Field(
    'model.dropout',
    0.0,
    Real(0.1, least=0, below=1),
    RUN,
    'The share of what a layer above the first gets that is left out in '
    'training (Zaremba et al. 2014); 0: off.',
    switch='dropped',
  ),
  Field(
    'model.learned_carry',
    False,
    Boolean(),
    PROGRAM,
    'The state before the first step is learned, from zero on.',
    by='model.variant',
  ),
  Field(
    'model.residual',
    False,
    Boolean(),
    PROGRAM,
    'What a layer above the first gets is added to what it puts out.',
  ),
  Field(
    'model.bidirectional',
    False,
    Boolean(),
    PROGRAM,
    'Each layer has a second cell that goes from the last step to the first.',
  ),
  Field(
    'model.embedding_features',
    0,
    Integer(0, 2**16),
    PROGRAM,
    'Inputs that are symbols go through a learned matrix to so many features '
    'before the first layer; 0: off.',
  ),
  Field(
    'model.direct_connections',
    False,
    Boolean(),
    PROGRAM,
    'The readout sees what the first layer gets, too, by weights of its own.',
  ),
  Field(
    'model.dtype',
    'float32',
    Choice(tuple(DTYPES)),
    PROGRAM,
    'What is computed in: float32, float64, or bfloat16 (parameters stay '
    'float32).',
  ),
)

_OPTIMIZER = (
  Field(
    'optimizer.name',
    'adam',
    Registered('optimizer'),
    PROGRAM,
    'The optimizer.',
  ),
  Field(
    'optimizer.learning_rate',
    1e-3,
    Real(1e-3, above=0),
    RUN,
    'Step size, at the top of the schedule.',
  ),
  Field(
    'optimizer.momentum',
    0.0,
    Real(0.9, least=0, below=1),
    RUN,
    'Share of the last step in the next; 0: off.',
    by='optimizer.name',
  ),
  Field(
    'optimizer.nesterov',
    False,
    Boolean(),
    PROGRAM,
    "Whether the momentum is Nesterov's.",
    by='optimizer.name',
  ),
  Field(
    'optimizer.b1',
    0.9,
    Real(0.9, least=0, below=1),
    PROGRAM,
    'Decay of the first moment.',
    by='optimizer.name',
  ),
  Field(
    'optimizer.b2',
    0.999,
    Real(0.999, least=0, below=1),
    PROGRAM,
    'Decay of the second moment.',
    by='optimizer.name',
  ),
  Field(
    'optimizer.eps',
    1e-8,
    Real(1e-8, above=0),
    PROGRAM,
    'Added to the denominator.',
    by='optimizer.name',
  ),
  Field(
    'optimizer.clip_norm',
    1.0,
    Real(1.0, above=0, infinite=True),
    RUN,
    'The gradient is scaled down to this global norm; inf: off.',
  ),
  Field(
    'optimizer.clip_value',
    float('inf'),
    Real(1.0, above=0, infinite=True),
    RUN,
    'Each component of the gradient is then cut to ± this; inf: off.',
  ),
  Field(
    'optimizer.gradient_penalty',
    0.0,
    Real(1.0, least=0),
    RUN,
    'α of the penalty αΩ on gradients that shrink or grow from step to step '
    '(Pascanu et al. 2013); 0: off.',
    by='model.variant',
    switch='penalised',
  ),
)

_TRAINING = (
  Field(
    'training.batch_size',
    32,
    Integer(1, _MANY),
    PROGRAM,
    'Sequences per batch; an update takes one, or optimizer.accumulation.',
  ),
  Field(
    'training.updates', 2000, Integer(0, 10**9), CONDUCT, 'Updates at most.'
  ),
  Field(
    'training.evaluation_interval',
    100,
    Integer(1, 10**9),
    CONDUCT,
    'Updates per compiled call, each followed by an evaluation.',
  ),
  Field(
    'training.evaluation_batches',
    32,
    Integer(1, _MANY),
    PROGRAM,
    'Batches in the held-out set; a list of strings takes its own number.',
  ),
  Field(
    'training.evaluation_seed',
    0,
    Integer(0, 2**32 - 1),
    PROGRAM,
    'Of the held-out set, which is the same for every run.',
  ),
  Field(
    'training.remat',
    'auto',
    Choice(('auto', 'none', 'sqrt')),
    PROGRAM,
    'What the gradient keeps of a sequence. none: every step. sqrt: √T '
    'states; the steps between are computed again. auto: sqrt where none '
    'would keep more than 1 GiB for one run.',
  ),
  Field(
    'training.lanes',
    0,
    Integer(0, _MANY),
    PROGRAM,
    'Runs that one device computes side by side; 0: one on a CPU, where a run '
    'with the caches to itself is the fastest, all on an accelerator.',
  ),
  Field(
    'training.batch_devices',
    1,
    Integer(1, _MANY),
    PROGRAM,
    'Devices that share the sequences of each batch of a run: more than 1 '
    'make a run alone faster, and its sums end in other roundings. Divides '
    'batch_size.',
  ),
  Field(
    'training.input_noise',
    0.0,
    Real(0.1, least=0),
    RUN,
    'Standard deviation of Gaussian noise that is added to the inputs in '
    'training (Greff et al. 2017); 0: off.',
    switch='noisy_inputs',
  ),
  Field(
    'training.start',
    '',
    Text(),
    PROGRAM,
    'The SHA-256 of the weights that a run begins with, which --from sets; '
    "'': those that its seed draws.",
  ),
  Field(
    'training.stop_when_solved',
    True,
    Boolean(),
    PROGRAM,
    "Stop once every run of the population has met the task's rule of success; "
    'no effect where the rule is but a mark on the way (characters, words, '
    'forecasting, digits) or there is none.',
  ),
  Field(
    'training.success_interval',
    0,
    Integer(0, 10**9),
    CONDUCT,
    'Success on held-out data is judged at evaluations; and every so many '
    'updates between them, of a run whose training batches since then meet the '
    'rule on average. 0: at evaluations alone.',
  ),
  Field(
    'training.patience',
    0,
    Integer(0, 10**9),
    CONDUCT,
    'A population stops at the first evaluation before which no held-out loss '
    'of its runs has become smaller for so many updates; 0: it does not.',
  ),
  Field(
    'training.save_interval',
    1000,
    Integer(0, 10**9),
    CONDUCT,
    'A checkpoint is saved after the first evaluation that is this many '
    'updates after the last checkpoint; 0: no matter how many.',
  ),
  Field(
    'training.save_minutes',
    5.0,
    Real(5.0, least=0),
    CONDUCT,
    'A checkpoint is saved after so many minutes; 0: no matter how many.',
  ),
  Field(
    'training.keep_checkpoints',
    2,
    Integer(1, 1000),
    CONDUCT,
    'Checkpoints kept; older ones serve where the newest is damaged.',
  ),
  Field(
    'training.tensorboard',
    False,
    Boolean(),
    CONDUCT,
    'The tracker tensorboard too, named this way.',
  ),
  Field(
    'training.trackers',
    '',
    Text(),
    CONDUCT,
    'Where the curves of each run go beside metrics.jsonl, separated by '
    'commas: csv, tensorboard, wandb, trackio, mlflow (docs/watching.md).',
  ),
)

_STUDY = (
  Field(
    'study.population_size',
    0,
    Integer(0, 100_000),
    GROUPING,
    'Runs that share a compiled program and are trained together, at most: a '
    'large grid becomes work for many processes (docs/many-machines.md); 0: as '
    'many as fit.',
  ),
)

# In the order of a config and of docs/config.md; the rows of components come
# behind those of their part.
ROWS: tuple[Field, ...] = (
  Field(
    'seed',
    0,
    Integer(0, 2**32 - 1),
    RUN,
    'Fixes the initial weights and the training data: runs with equal seeds '
    'are paired across variants.',
  ),
  *_TASK,
  *_MODEL,
  *_OPTIMIZER,
  *_TRAINING,
  *_STUDY,
)
_PLAIN = frozenset((bool, int, float, str, type(None)))
CONDUCT_FIELDS = tuple(row.name for row in ROWS if row.role is CONDUCT)
# Those that are no part of a run's identity.
OUTSIDE_IDENTITY = tuple(
  row.name for row in ROWS if row.role in (CONDUCT, GROUPING)
)


def flatten(config: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
  """Yield the fields of a nested config, by dotted name."""
  for key, value in config.items() if isinstance(config, Mapping) else ():
    # To ask a plain value whether it is a mapping takes most of the time.
    if type(value) not in _PLAIN and isinstance(value, Mapping):
      yield from flatten(value, f'{prefix}{key}.')
    else:
      yield f'{prefix}{key}', value


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
  """Return dotted fields as a nested config."""
  config: dict[str, Any] = {}
  for name, value in values.items():
    parts, last = _split(name)
    place = config
    for part in parts:
      place = place.setdefault(part, {})
    place[last] = value
  return config


@functools.lru_cache(maxsize=4096)
def _split(name: str) -> tuple[tuple[str, ...], str]:
  """Return the sections of a dotted name, and its last part."""
  *parts, last = name.split('.')
  return tuple(parts), last
