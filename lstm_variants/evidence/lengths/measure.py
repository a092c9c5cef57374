"""Length generalisation: trained up to T, measured far beyond.

All lengths are measured by one compiled program. It draws the sequences of each
length with a traced T on the time axis of the longest, and stops after the last
step that counts: a loop over segments of steps with a traced end, which has no
gradient. So the cost is the sum of the lengths, not their number times the
longest, beside the drawing.
"""

from collections.abc import Sequence
import statistics
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from lstm_variants import models, registry, tasks
from lstm_variants.cells import remedies
from lstm_variants.cells import toggles as toggles_lib
from lstm_variants.evidence import compiling
from lstm_variants.models.architecture import Architecture, settings_of
from lstm_variants.tasks import base

CONFIDENCE = 0.95
# Steps between two looks at whether the sequences are over.
_SEGMENT = 32
_DATA = 0x6C656E  # a stream of keys


class Curve(NamedTuple):
  """A metric against the length, `[runs, lengths]` each.

  NaN stands where a value cannot be computed.

  Attributes:
    mean: total / weight over all sequences, as in training.
    low: the lower end of its confidence interval over sequences.
    high: the upper end.
  """

  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray


def measure_lengths(
  runs: Sequence[dict[str, Any]],
  architecture: Architecture,
  toggles: Any,
  task: base.Task,
  lengths: Sequence[int],
  *,
  key: jax.Array,
  batch_size: int = 100,
  batches: int = 1,
  noise: remedies.Noise | None = None,
) -> dict[str, Curve]:
  """Measure trained models on sequences of several lengths.

  The sequences of a length are the same for every run, and others than those of
  another length. What pads a sequence is not run: the last step that counts is
  the last of a batch; of a bidirectional model, which begins there, the last of
  each sequence.

  Args:
    runs: parameters of models alike, see `models.init_model`; of one variant,
      one for each seed.
    architecture: of the models.
    toggles: of the cell.
    task: built with T the longest of `lengths`, and with the options that the
      models were trained with; where T chooses them, that is another task.
    lengths: T of each point, in steps as the dialect counts them.
    key: a PRNG key.
    batch_size: sequences drawn at once.
    batches: how often; `batch_size` · `batches` sequences of each length.
    noise: None, or zoneout at test time: its key is None.

  Returns:
    Every metric of the task, and the interval that `interval` gives.

  Raises:
    ValueError: no runs, a length that the task does not have, models of other
      features, a task that cannot draw one length.
  """
  _check(runs, architecture, task, lengths, batch_size, batches)
  # By NumPy: nothing is compiled for it.
  stacked = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *runs)
  static, traced = toggles_lib.split(toggles) if toggles else (None, None)
  means = _over(
    *(architecture, static, registry.Same(task), batch_size, batches),
    *(traced, stacked, jnp.asarray(lengths, jnp.int32), key, noise),
  )
  return {
    name: interval(_by_run(mean.total), _by_run(mean.weight))
    for name, mean in means.items()
  }


@compiling.program(0, 1, 2, 3, 4)
def _over(
  architecture: Architecture,
  static: Any,
  held: registry.Same,
  batch_size: int,
  batches: int,
  traced: Any,
  stacked: Any,
  lengths: jax.Array,
  key: jax.Array,
  noise: remedies.Noise | None,
) -> dict[str, base.Mean]:
  """Return what every batch gives, `[lengths, batches, runs, batch_size]`."""
  task = held.value
  toggles = toggles_lib.join(static, traced) if static else None

  def of_batch(length, index):
    batch_key = jax.random.fold_in(jax.random.fold_in(key, _DATA), length)
    batch_key = jax.random.fold_in(batch_key, index)
    batch = task.sample(batch_key, batch_size, length)
    outputs = jax.vmap(
      lambda one: _outputs(one, architecture, toggles, batch, noise)
    )(stacked)
    return jax.vmap(lambda one: _per_sequence(task, one, batch))(outputs)

  return lax.map(
    lambda length: lax.map(
      lambda index: of_batch(length, index), jnp.arange(batches)
    ),
    lengths,
  )


def _by_run(sums: jax.Array) -> np.ndarray:
  """Return `[lengths, batches, runs, n]` as `[runs, lengths, batches · n]`."""
  array = np.moveaxis(np.asarray(sums, float), 2, 0)
  return array.reshape(*array.shape[:2], -1)


def chance(
  name: str, dialect: str | None, lengths: Sequence[int], **options: Any
) -> dict[str, np.ndarray]:
  """Return the metrics of the best predictor without memory, `[lengths]` each.

  Args:
    name: of the task.
    dialect: of the task.
    lengths: T of each point, in steps.
    **options: of `tasks.make_task`.
  """
  levels = [
    tasks.make_task(name, dialect, length, shortest=length, **options).baselines
    for length in map(int, lengths)
  ]
  return {
    metric: np.array([level[metric] for level in levels])
    for metric in levels[0]
  }


def interval(
  total: np.ndarray, weight: np.ndarray, confidence: float = CONFIDENCE
) -> Curve:
  """Return Σ total / Σ weight over sequences, with its interval.

  The steps of a sequence are not independent, sequences are: the standard error
  is that of a ratio of two sums over n sequences,

      s² = n / (n − 1) · Σ e² / (Σ weight)²,   e = total − mean · weight

  As few sequences have most of the errors, e is skewed, by γ = Σ e³ / n over
  (Σ e² / n)^(3/2), and mean ± z s covers 89 to 92 % of the time in place of
  95 % with 128 sequences. Hall's bounds take the skewness away:

      mean − s h(z)   to   mean − s h(−z),   g = γ / √n,
      h(y) = 3 / g · ((1 + g (y − g / 6))^(1/3) − 1)

  They cover 93 % or more (docs/statistics.md). A share (totals that are whole
  numbers up to the weight) of sequences that are all right or all wrong each,
  as those of one answer are, has Wilson's interval of n instead.

  Args:
    total: of each sequence, `[..., sequences]`.
    weight: of each sequence, the same shape.
    confidence: of the interval, two-sided.

  Returns:
    `[...]` each; the bounds of one sequence's mean are NaN, those of a share
    are not.

  Reference:
    Cochran, Sampling Techniques, 1977, section 2.11 (ratio); Hall, Journal of
    the Royal Statistical Society B 54(1), 1992; Wilson, JASA 22(158), 1927.
  """
  z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
  count, weights = total.shape[-1], weight.sum(axis=-1)
  with np.errstate(divide='ignore', invalid='ignore'):
    mean = total.sum(axis=-1) / weights
    rest = total - mean[..., None] * weight
    squares = np.sum(rest**2, axis=-1)
    error = np.sqrt(squares * np.divide(count, count - 1)) / weights
    skewness = np.mean(rest**3, axis=-1) / (squares / count) ** 1.5
    g = np.where(squares > 0, skewness, 0) / np.sqrt(count)
    low, high = mean - error * _hall(z, g), mean - error * _hall(-z, g)
    low, high = np.minimum(low, mean), np.maximum(high, mean)
    # Of what is no share it is not asked, nor real.
    least, most = _wilson(mean, np.minimum(count, weights), z)
  share = np.all(
    (total == np.round(total)) & (total >= 0) & (total <= weight), axis=-1
  )
  whole = np.all((total == 0) | (total == weight), axis=-1)
  single = share & (whole | (squares == 0))
  return Curve(
    mean,
    np.where(single, least, np.where(share, np.maximum(low, 0), low)),
    np.where(single, most, np.where(share, np.minimum(high, 1), high)),
  )


def _hall(quantile, g):
  """Return what a quantile is without the skewness; itself where that is 0."""
  safe = np.where(np.abs(g) > 1e-9, g, 1)
  moved = 3 / safe * (np.cbrt(1 + safe * (quantile - safe / 6)) - 1)
  return np.where(np.abs(g) > 1e-9, moved, quantile)


def _wilson(share, count, z):
  """Return the ends of Wilson's interval of a share of `count`."""
  centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
  spread = share * (1 - share) / count + z**2 / (4 * count**2)
  half = z / (1 + z**2 / count) * np.sqrt(spread)
  return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def _outputs(params, architecture, toggles, batch, noise):
  """Run a model over a batch up to the last step that counts.

  Returns:
    `[batch, time, out_features]`; what follows is zero, or anything.
  """
  time = batch.inputs.shape[1]
  number = jnp.arange(1, time + 1)
  ends = jnp.max(jnp.where(batch.mask > 0, number, 0), axis=1)
  run = jax.tree_util.Partial(models.apply_model, params)
  if architecture.bidirectional:
    inside = number <= ends[:, None]
    return run(architecture, toggles, batch.inputs, mask=inside, noise=noise)[1]
  segment = min(_SEGMENT, time)
  count = -(-time // segment)
  inputs = jnp.pad(batch.inputs, ((0, 0), (0, count * segment - time), (0, 0)))
  carries = models.first_carries(
    params, architecture, settings_of(architecture, toggles), inputs
  )
  shape = *inputs.shape[:2], architecture.out_features
  dtype = jnp.result_type(inputs, params['readout']['kernel'])

  def body(state):
    start, carries, outputs = state
    part = lax.dynamic_slice_in_dim(inputs, start, segment, axis=1)
    new, answers = run(architecture, toggles, part, carries, noise=noise)
    new = jax.tree.map(lambda n, o: n.astype(o.dtype), new, carries)
    outputs = lax.dynamic_update_slice_in_dim(
      outputs, answers.astype(dtype), start, axis=1
    )
    return start + segment, new, outputs

  _, _, outputs = lax.while_loop(
    lambda state: state[0] < jnp.max(ends),
    body,
    (jnp.asarray(0, jnp.int32), carries, jnp.zeros(shape, dtype)),
  )
  return outputs[:, :time]


def _per_sequence(task, outputs, batch):
  """Return each metric of every sequence as a batch of its own, `[batch]`."""
  wide = jnp.promote_types(outputs.dtype, jnp.float32)

  def of_one(outputs, batch):
    return task.measure(*jax.tree.map(lambda x: x[None], (outputs, batch)))

  return jax.vmap(of_one)(outputs.astype(wide), batch)


def _check(runs, architecture, task, lengths, batch_size, batches):
  """Refuse what cannot be measured; see `measure_lengths`."""
  if not len(runs):
    raise ValueError('no runs to measure; give the parameters of at least one')
  if not len(lengths):
    raise ValueError('no lengths; give at least one T')
  if min(batch_size, batches) < 1:
    raise ValueError(
      f'batch_size={batch_size}, batches={batches}: both must be at least 1'
    )
  if not task.takes_length:
    raise ValueError(
      f'{task.label} cannot draw sequences of one given length; build it with '
      'base.sampler'
    )
  known = tasks.DIALECTS.get(task.name, {}).get(task.dialect)
  smallest = known.shortest if known else 1
  for length in lengths:
    if not smallest <= length <= task.length:
      nearest = min(max(smallest, length), task.length)
      raise ValueError(
        f'length {length} of {task.label}: must be {smallest} to '
        f'{task.length}, the T of the task; nearest: {nearest}'
      )
  for field in ('in_features', 'out_features'):
    ours, theirs = getattr(architecture, field), getattr(task, field)
    if ours != theirs:
      raise ValueError(
        f'{field}={ours} of the model, {theirs} of {task.label}: what it is '
        'made of may grow with T; choose the options it was trained with'
      )
