"""What a task is: a sampler, a loss, a chance level and a rule of success."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import NamedTuple

import jax


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


class HeldOut(NamedTuple):
  """Success: `metric` on the held-out set is below `below`.

  Judged at every evaluation; the first that meets it counts.
  """

  metric: str
  below: float

  def __str__(self) -> str:
    return f'held-out {self.metric} below {self.below:g}'


class LastSequences(NamedTuple):
  """Success: the rule of 1997, on the stream of training sequences.

  The last `window` sequences all have an error below `tolerance`, and their
  mean error is below `mean`. Judged after every update, on the errors made
  before it.
  """

  window: int
  tolerance: float
  mean: float

  def __str__(self) -> str:
    return (
      f'last {self.window:,} training sequences all within {self.tolerance:g}, '
      f'mean error below {self.mean:g}'
    )


class Published(NamedTuple):
  """A result from the literature, for the same task and rule."""

  length: int
  value: float
  unit: str
  source: str


@dataclasses.dataclass(frozen=True)
class Task:
  """One paper's version of a task at one length.

  Attributes:
    name: of the task.
    dialect: of the version.
    length: T as the paper counts it, in steps.
    num_steps: the time axis of a batch, in steps.
    in_features: of the inputs.
    out_features: of the model's outputs.
    sample: `(key, batch_size) -> Batch`, pure and jittable; `batch_size` is
      static.
    measure: `(outputs, batch) -> {name: Mean}`; 'loss' is what training
      minimises. `outputs` are `[batch, time, out_features]`.
    sequence_errors: `(outputs, batch) -> [batch]`, what `LastSequences` judges.
    baselines: metric -> its value for the best predictor without memory.
    success: the criterion.
    summary: one line.
    reference: author, year and where.
    published: results to compare with.
  """

  name: str
  dialect: str
  length: int
  num_steps: int
  in_features: int
  out_features: int
  sample: Callable[[jax.Array, int], Batch]
  measure: Callable[[jax.Array, Batch], dict[str, Mean]]
  sequence_errors: Callable[[jax.Array, Batch], jax.Array]
  baselines: Mapping[str, float]
  success: HeldOut | LastSequences
  summary: str
  reference: str
  published: tuple[Published, ...] = ()

  @property
  def label(self) -> str:
    """Name, dialect and length in one word."""
    return f'{self.name}-{self.dialect}-T{self.length}'

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Return the scalar that training minimises."""
    mean = self.measure(outputs, batch)['loss']
    return mean.total / mean.weight


class Dialect(NamedTuple):
  """How to build one paper's version of a task.

  Attributes:
    build: length T -> `Task`.
    shortest: the smallest T for which the definition makes sense.
    why: what sets `shortest`.
  """

  build: Callable[[int], Task]
  shortest: int
  why: str
