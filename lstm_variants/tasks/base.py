"""What a task is: a sampler, a loss, a chance level and a rule of success."""

from collections.abc import Callable, Mapping
import dataclasses
import inspect
import math
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants import arguments, errors
from lstm_variants.tasks.published import Published as Published

# T in steps; traced where it is drawn for each batch.
Length = int | jax.Array


class Batch(NamedTuple):
  """A batch of sequences.

  Attributes:
    inputs: `[batch, time, in_features]`.
    targets: `[batch, time, out_features]`, or class indices `[batch, time]`.
    mask: the weight of each step in the loss, `[batch, time]`; 0 for steps
      without an error signal and for padding, which always comes last.
  """

  inputs: jax.Array
  targets: jax.Array
  mask: jax.Array


class Mean(NamedTuple):
  """A mean over a batch that can be added up over batches: total / weight."""

  total: jax.Array
  weight: jax.Array


def means(measured: Mapping[str, Mean]) -> dict[str, jax.Array]:
  """Return the value of each metric, over all batches that were measured.

  Args:
    measured: metric -> its `Mean`, whose leaves may have an axis of batches.
  """
  return {
    name: jnp.sum(mean.total) / jnp.sum(mean.weight)
    for name, mean in measured.items()
  }


class Features(NamedTuple):
  """What the last axis of inputs or outputs stands for.

  Attributes:
    names: of each feature.
    one_hot: the features are the classes of one symbol (of outputs: logits);
      otherwise each is a channel of its own.
  """

  names: tuple[str, ...]
  one_hot: bool


def symbols(*names: str | int) -> Features:
  """Return features that are the classes of one symbol.

  Args:
    *names: of the classes; or how many there are, which are then numbered.

  Raises:
    ArgumentError: other names, or none.
  """
  return Features(_named(names), one_hot=True)


def channels(*names: str | int) -> Features:
  """Return features that are numbers, one channel each.

  Args:
    *names: of the channels; or how many there are, which are then numbered.

  Raises:
    ArgumentError: other names, or none.
  """
  return Features(_named(names), one_hot=False)


def _named(names: tuple[str | int, ...]) -> tuple[str, ...]:
  """Return names; one number stands for as many."""
  match names:
    case (int(count),):
      return tuple(map(str, range(arguments.integer('names', count))))
  if not names or not all(isinstance(name, str | int) for name in names):
    raise arguments.ArgumentError(
      f'names={names}: must be texts, or how many there are; nearest: 2'
    )
  return tuple(map(str, names))


class HeldOut(NamedTuple):
  """Success: `metric` on the held-out set is below `below`.

  Judged at every evaluation, and every `training.success_interval` updates in
  between; the first time that it is met counts.

  Attributes:
    metric: of the task's metrics.
    below: its limit.
    also: further metrics and their limits, to be met at the same time.
    solves: whether a run that meets it has solved the task, so that training
      may stop (`training.stop_when_solved`). False: it is a mark on the way,
      such as being better than a simple predictor, and training goes on.
  """

  metric: str
  below: float
  also: tuple[tuple[str, float], ...] = ()
  solves: bool = True

  @property
  def limits(self) -> tuple[tuple[str, float], ...]:
    """Every metric with its limit."""
    return ((self.metric, self.below), *self.also)

  def __str__(self) -> str:
    limits = (f'{metric} below {below:.4g}' for metric, below in self.limits)
    rule = f'held-out {" and ".join(limits)}'
    return rule if self.solves else f'{rule} (a mark: training goes on)'


class LastSequences(NamedTuple):
  """Success: the rule of 1997, on the stream of training sequences.

  Of the last `window` sequences all but `allowed` have an error below
  `tolerance`, and their mean error is below `mean`. Judged after every update,
  on the errors made before it.
  """

  window: int
  tolerance: float
  mean: float = math.inf
  allowed: int = 0

  def __str__(self) -> str:
    but = f'all but {self.allowed}' if self.allowed else 'all'
    mean = f', mean error below {self.mean:g}'
    return (
      f'last {self.window:,} training sequences {but} within '
      f'{self.tolerance:g}{mean if self.mean < math.inf else ""}'
    )


class Cases(NamedTuple):
  """All the sequences that there are, where they can be listed.

  Attributes:
    number: of them.
    pick: returns the batch of some of them, by their numbers `[batch]`.
  """

  number: int
  pick: Callable[[jax.Array], Batch]


class Unjudged(NamedTuple):
  """Success: no rule says when it is met, so no run is ever called solved."""

  def __str__(self) -> str:
    return 'no rule'


def stops_training(success: HeldOut | LastSequences | Unjudged) -> bool:
  """Tell whether a run that meets a rule has nothing left to be trained for."""
  return not isinstance(success, HeldOut) or success.solves


def no_errors(outputs: jax.Array, batch: Batch) -> jax.Array:
  """Return zeros, `[batch]`: what a task has whose sequences nothing judges."""
  return jnp.zeros(batch.mask.shape[:1], outputs.dtype)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
  """One paper's version of a task at one length.

  For a task that is registered, `tasks.make_task` sets name, dialect, length
  and summary if they are not given.

  Attributes:
    sample: `(key, batch_size, length=None) -> Batch`, pure and jittable;
      `batch_size` is static. With a `length`, which may be traced, every
      sequence has that T, on the same time axis. A sampler without `length` is
      allowed: its lengths cannot be drawn, and figures of lengths omit it.
    measure: `(outputs, batch) -> {name: Mean}` for outputs `[batch, time,
      out_features]`; 'loss' is what training minimises. For a task that is
      registered it may return scalars, as means over the batch, or the loss
      alone in place of the dict.
    num_steps: the size of the time axis of a batch.
    inputs: what the features of the inputs stand for.
    outputs: what the features of the model's outputs stand for.
    name: the name of the task.
    dialect: the name of this version.
    length: T as the paper counts it, in steps; the longest one if it is drawn.
    sequence_errors: `(outputs, batch) -> [batch]`, the errors that
      `LastSequences` judges.
    baselines: metric -> its value for the best predictor without memory.
    success: the rule by which a run is solved.
    criterion: what solves the task in the paper, and where it says so; '': the
      paper has no such rule.
    summary: one line that describes the task.
    reference: author, year and where it was published.
    published: results to compare with.
    variation: for the label, what differs from the dialect's default.
    mean: of standardised data, the value that 0 stands for, in their units.
    scale: of standardised data, how much 1 stands for, in their units.
    cases: its sequences, where they can be listed.
    spread: of a held-out set that has every T, or every case, equally often
      (`held_out`), the shortest and the longest T; None: it is drawn.
    nats_per: where 'loss' is a cross-entropy in nats per symbol of a text, what
      a symbol is, such as 'word': then the perplexity e^loss is measured too,
      and tables tell bits and perplexity. '': it is not.
  """

  sample: Callable[..., Batch]
  measure: Callable[[jax.Array, Batch], Any]
  num_steps: int
  inputs: Features
  outputs: Features
  name: str = ''
  dialect: str = ''
  length: int = 0
  sequence_errors: Callable[[jax.Array, Batch], jax.Array] = no_errors
  baselines: Mapping[str, float] = dataclasses.field(default_factory=dict)
  success: HeldOut | LastSequences | Unjudged = Unjudged()
  criterion: str = ''
  summary: str = ''
  reference: str = ''
  published: tuple[Published, ...] = ()
  variation: str = ''
  mean: float = 0.0
  scale: float = 1.0
  cases: Cases | None = None
  spread: tuple[int, int] | None = None
  nats_per: str = ''

  @property
  def in_features(self) -> int:
    """The size of the last axis of the inputs."""
    return len(self.inputs.names)

  @property
  def out_features(self) -> int:
    """The size of the last axis of the outputs."""
    return len(self.outputs.names)

  @property
  def label(self) -> str:
    """Name, dialect, length and variation, without spaces."""
    return f'{self.name}-{self.dialect}-T{self.length}{self.variation}'

  @property
  def takes_length(self) -> bool:
    """Whether `sample` takes the T of all its sequences."""
    return 'length' in inspect.signature(self.sample).parameters

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Return the scalar that training minimises."""
    mean = self.measure(outputs, batch)['loss']
    return mean.total / mean.weight


class Spec(NamedTuple):
  """What is chosen of a dialect; `Dialect.options` tells which of it there is.

  Attributes:
    length: T, the longest.
    shortest: T of each batch is drawn from U{shortest, …, length}.
    symbols: how many symbols the alphabet has, as the dialect counts them.
    items: how many things are to be remembered.
    period: F of the timing tasks, in steps.
    horizon: how far ahead is forecast, in steps.
    path: of a file or directory with data; '': what comes with the dialect.
    column: of a CSV file.
    held_out: of data, the part that is not trained on.
    spread: of a held-out set, that it has every T, or every case, equally
      often; see `held_out`.
    success_limit: what the metric of the rule of success must be below, 0: it
      must be 0; None: the dialect's.
  """

  length: int
  shortest: int
  symbols: int = 0
  items: int = 0
  period: int = 0
  horizon: int = 0
  path: str = ''
  column: str = ''
  held_out: bool = False
  spread: bool = False
  success_limit: float | None = None

  @property
  def mean_length(self) -> float:
    """The mean of T over batches, in steps."""
    return (self.shortest + self.length) / 2


# What a dialect may leave open, beside the lengths.
OPTIONS = ('symbols', 'items', 'period', 'horizon', 'path', 'column')


class SpecError(errors.Error, ValueError):
  """A choice is refused.

  Attributes:
    field: of `Spec`.
    value: that was given.
    rule: that it breaks, with the nearest valid choice.
  """

  def __init__(self, field: str, value: Any, rule: str):
    super().__init__(f'{field} {value!r}: {rule}')
    self.field, self.value, self.rule = field, value, rule


class Option(NamedTuple):
  """A choice that a dialect leaves open.

  Attributes:
    default: the paper's.
    smallest: of a number.
    largest: of a number.
    meaning: one phrase.
  """

  default: int | str
  smallest: int
  largest: int
  meaning: str


def _unchanged(spec: Spec) -> Spec:
  return spec


class Dialect(NamedTuple):
  """How to build one paper's version of a task.

  Attributes:
    build: makes the task, or raises `SpecError`; every option is set.
    shortest: the smallest T for which the definition makes sense.
    why: what sets `shortest`.
    drawn: the paper draws T, from `shortest` on, for each batch or sequence.
    options: field of `Spec` -> `Option`.
    usual: T where none is chosen, in steps.
    needs_files: of the user's, by the option `path`.
    stride: so many T in a row, from `shortest` on, make sequences alike.
    causal: later inputs tell the answer, so a model must not look ahead.
    resolve: sets the options whose default, 0 or '', stands for something that
      the lengths, other options or data decide.
  """

  build: Callable[[Spec], Task]
  shortest: int = 1
  why: str = 'no sequence is empty'
  drawn: bool = False
  options: Mapping[str, Option] = types.MappingProxyType({})
  usual: int = 100
  needs_files: bool = False
  stride: int = 1
  causal: bool = False
  resolve: Callable[[Spec], Spec] = _unchanged

  def usual_shortest(self, length: int) -> int:
    """Return from where T is drawn, as the paper has it."""
    return min(self.shortest, length) if self.drawn else length

  def first_unseen(self, length: int) -> int:
    """Return the smallest T whose sequences are longer than those of T."""
    return length + self.stride - (length - self.shortest) % self.stride


def sampler(
  draw: Callable[..., Batch], spec: Spec, num_steps: int, **choices: Any
) -> Callable[..., Batch]:
  """Return `(key, batch_size, length=None) -> Batch` that draws T of a batch.

  Args:
    draw: `(key, batch_size, length, num_steps, **choices) -> Batch`; `length`,
      T in steps, may be traced, `num_steps` is the static time axis.
    spec: T is U{spec.shortest, …, spec.length}, a constant if they are equal.
    num_steps: the time axis that the longest T needs.
    **choices: passed on to `draw`. Where `shortest` is among them, T is drawn
      by the sequence, from there on.
  """

  def sample(
    key: jax.Array, batch_size: int, length: Length | None = None
  ) -> Batch:
    if length is not None:
      alike = {'shortest': length} if 'shortest' in choices else {}
      given = choices | alike
      return draw(key, batch_size, length=length, num_steps=num_steps, **given)
    length = spec.length
    if spec.shortest < spec.length:
      key, length_key = jax.random.split(key)
      length = jax.random.randint(
        length_key, (), spec.shortest, spec.length + 1
      )
    return draw(key, batch_size, length=length, num_steps=num_steps, **choices)

  return sample
