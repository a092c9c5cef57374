"""One run: its initial state, one update, one evaluation; all pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_variants import models, optimizers
from lstm_variants.cells import remedies
from lstm_variants.config import fields
from lstm_variants.config import settings as settings_lib
from lstm_variants.models import penalty
from lstm_variants.optimizers import schedules
from lstm_variants.tasks import base, held_out
from lstm_variants.training import drawing, memory
from lstm_variants.training import success as success_lib

# Streams of random numbers derived from one seed.
PARAMS, DATA, HELD_OUT, NOISE, INPUT_NOISE, DROPOUT = range(6)
# The axes of the mesh of devices: along the first the runs are spread, those
# along the second share a batch.
POPULATION, BATCH = 'population', 'batch'


class State(NamedTuple):
  """Everything that training changes.

  Attributes:
    params: the parameters of the model.
    opt_state: the state of the optimizer.
    update: the number of updates done.
    recent: the errors of the latest training sequences, oldest first,
      `[window]`; infinite until it is filled. None if success is judged on
      held-out data.
    solved_at: the number of updates done when the rule of success was first
      met; −1 before.
    diverged_at: the first update whose loss or new parameters were not finite;
      −1 before. From then on params and opt_state do not change.
  """

  params: Any
  opt_state: Any
  update: jax.Array
  recent: jax.Array | None
  solved_at: jax.Array
  diverged_at: jax.Array


class Totals(NamedTuple):
  """Sums over the updates of a chunk, without those after a divergence."""

  loss: jax.Array
  grad_norm: jax.Array
  updates: jax.Array


class Judged(NamedTuple):
  """What is seen of success in the batch, or batches, of an update.

  Attributes:
    errors: of the sequences, `[sequences]`.
    metrics: those that a rule on held-out data limits, in its order,
      `[limits]`; `[0]` where nobody asks (`is_watched`).
  """

  errors: jax.Array
  metrics: jax.Array


def make_optimizer(
  settings: settings_lib.Settings, hyperparams: settings_lib.Hyperparams
) -> optax.GradientTransformation:
  """Return an optimizer that clips by global norm, by value, then updates.

  The hyper-parameters may be traced: each run of a population has its own.
  """
  optimizer = optimizers.OPTIMIZERS[settings.optimizer]
  values = {**settings.values, **hyperparams.values}
  options = {
    name.removeprefix('optimizer.'): value
    for name, value in values.items()
    if name.startswith('optimizer.')
  }
  if settings.scheduled:
    rate = schedules.learning_rate(options)
    options = {**options, 'learning_rate': rate}
  return optax.chain(
    optax.clip_by_global_norm(hyperparams.clip_norm),
    optax.clip(hyperparams.clip_value),
    optimizer.make(options),
  )


def init_state(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  given: Mapping[str, Any] | None = None,
) -> State:
  """Draw the state before the first update from the run's seed.

  Args:
    settings: the run's settings, static.
    hyperparams: the run's hyper-parameters.
    given: parameters by path, such as 'layers/0/kernel', that replace the drawn
      ones.
  """
  key = drawing.quickly_compiled(jax.random.key(hyperparams.seed))
  params = models.init_model(
    jax.random.fold_in(key, PARAMS),
    settings.architecture,
    hyperparams.toggles,
    forget_bias=hyperparams.forget_bias,
    chrono_t_max=hyperparams.chrono_t_max,
    # bfloat16 is for the computation: small updates would be lost in it.
    dtype=jnp.promote_types(settings.dtype, jnp.float32),
  )
  params = _replace_given(params, given or {})
  success = settings.task.success
  recent = None
  if isinstance(success, base.LastSequences):
    recent = jnp.full((success.window,), jnp.inf, jnp.float32)
  never = jnp.asarray(-1, jnp.int32)
  return State(
    params=params,
    opt_state=make_optimizer(settings, hyperparams).init(params),
    update=jnp.asarray(0, jnp.int32),
    recent=recent,
    solved_at=never,
    diverged_at=never,
  )


def _replace_given(params: Any, given: Mapping[str, Any]) -> Any:
  """Replace the parameters that are given, by path."""

  def leaf_of(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    return jnp.asarray(given[name], leaf.dtype) if name in given else leaf

  return jax.tree_util.tree_map_with_path(leaf_of, params)


def train_step(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: State,
) -> tuple[State, Totals]:
  """Make one update; see `watched_step`."""
  state, totals, _ = watched_step(settings, hyperparams, state)
  return state, totals


def watched_step(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: State,
) -> tuple[State, Totals, jax.Array]:
  """Make one update; its batches are a pure function of (seed, update).

  If the loss or a new parameter is not finite, the run has diverged: it keeps
  its last finite parameters, and later updates do not change them.

  Args:
    settings: the run's settings, static.
    hyperparams: the run's hyper-parameters.
    state: the state before the update.

  Returns:
    The state after the update; its loss, its gradient norm before clipping and
    the count 1, all 0 if the run has diverged; and `Judged.metrics` of its
    batch, before the update.
  """
  task = settings.task
  loss, judged, grads = _gradient(settings, hyperparams, state)
  changes, opt_state = make_optimizer(settings, hyperparams).update(
    grads, state.opt_state, state.params
  )
  params = optax.apply_updates(state.params, changes)

  active = state.diverged_at < 0
  healthy = active & jnp.isfinite(loss) & _all_finite(params)
  params, opt_state, recent = jax.tree.map(
    lambda new, old: jnp.where(healthy, new, old),
    (params, opt_state, success_lib.push(state.recent, judged.errors)),
    (state.params, state.opt_state, state.recent),
  )
  update = state.update + 1
  state = State(
    params=params,
    opt_state=opt_state,
    update=update,
    recent=recent,
    solved_at=success_lib.first(
      state.solved_at, success_lib.is_met(task, recent), update
    ),
    diverged_at=success_lib.first(state.diverged_at, ~healthy, update),
  )
  grad_norm = optax.tree.norm(grads).astype(jnp.float32)
  totals = Totals(
    *(jnp.where(healthy, x, 0.0) for x in (loss, grad_norm, jnp.float32(1)))
  )
  return state, totals, judged.metrics


def is_watched(settings: settings_lib.Settings) -> bool:
  """Tell whether success is looked for between the evaluations."""
  held_out = isinstance(settings.task.success, base.HeldOut)
  return settings.success_interval > 0 and held_out


def evaluate(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: State,
) -> tuple[State, dict[str, jax.Array]]:
  """Evaluate a run on the held-out set, which is the same for all runs.

  Args:
    settings: the run's settings, static.
    hyperparams: the run's hyper-parameters.
    state: the state that is evaluated.

  Returns:
    The state, with `solved_at` set if a rule of success on held-out data is met
    for the first time; and the task's metrics as means over the held-out set.
  """
  task = settings.held_out_task
  batches = held_out.count_batches(
    task, settings.batch_size, settings.evaluation_batches
  )
  key = jax.random.fold_in(jax.random.key(settings.evaluation_seed), HELD_OUT)

  def measure(index):
    of_batch = jax.random.fold_in(key, index)
    size = settings.batch_size
    batch = held_out.sample(task, of_batch, size, index, batches)
    batch = _cast(batch, settings)
    outputs = _outputs(settings, hyperparams, state.params, batch, None)
    return task.measure(_gather(settings, outputs), batch)

  metrics = base.means(jax.lax.map(measure, jnp.arange(batches)))
  if task.nats_per:
    metrics['perplexity'] = jnp.exp(metrics['loss'])
  success = task.success
  if isinstance(success, base.HeldOut):
    below = success_lib.is_within(
      success, success_lib.limited(success, metrics)
    )
    reached = below & (state.diverged_at < 0)
    state = state._replace(
      solved_at=success_lib.first(state.solved_at, reached, state.update)
    )
  return state, metrics


def _gradient(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: State,
) -> tuple[jax.Array, Judged, Any]:
  """Return loss, what is seen of success, and gradient of an update.

  With `optimizer.accumulation` = k the loss and the gradient are means over k
  batches; those of update u are the batches k u … k u + k − 1 of the run.
  """
  count = settings.accumulation
  if count == 1:
    return _batch_gradient(settings, hyperparams, state.params, state.update)

  def add(total: Any, number: jax.Array) -> tuple[Any, Any]:
    loss, judged, grads = _batch_gradient(
      settings, hyperparams, state.params, number
    )
    return jax.tree.map(jnp.add, total, (loss, grads)), judged

  dtype = jnp.promote_types(settings.dtype, jnp.float32)
  zero = jnp.zeros((), dtype), jax.tree.map(jnp.zeros_like, state.params)
  numbers = state.update.astype(jnp.uint32) * count
  total, judged = jax.lax.scan(
    add, zero, numbers + jnp.arange(count, dtype=jnp.uint32)
  )
  loss, grads = jax.tree.map(lambda leaf: leaf / count, total)
  joined = Judged(judged.errors.reshape(-1), jnp.mean(judged.metrics, axis=0))
  return loss, joined, grads


def _batch_gradient(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  params: Any,
  number: jax.Array,
) -> tuple[jax.Array, Judged, Any]:
  """Draw a batch; return its loss, what is seen of success, and gradient.

  Args:
    settings: the run's settings, static.
    hyperparams: the run's hyper-parameters.
    params: the parameters at which the gradient is taken.
    number: the number of the batch in the run; all random numbers depend on it.
  """
  key = _key(hyperparams, DATA, number)
  batch = _cast(settings.task.sample(key, settings.batch_size), settings)
  if settings.noisy_inputs:
    inputs = _disturb(hyperparams, number, batch.inputs)
    batch = batch._replace(inputs=inputs)
  return _differentiate(settings, hyperparams, params, batch, number)


def _key(
  hyperparams: settings_lib.Hyperparams, stream: int, number: jax.Array
) -> jax.Array:
  """Return the random key of a stream, such as DATA, for a numbered batch."""
  key = jax.random.fold_in(jax.random.key(hyperparams.seed), stream)
  return jax.random.fold_in(key, number)


def _disturb(
  hyperparams: settings_lib.Hyperparams, number: jax.Array, inputs: jax.Array
) -> jax.Array:
  """Return inputs with Gaussian noise."""
  key = _key(hyperparams, INPUT_NOISE, number)
  noise = jax.random.normal(key, inputs.shape, inputs.dtype)
  return inputs + jnp.asarray(hyperparams.input_noise, inputs.dtype) * noise


def _differentiate(settings, hyperparams, params, batch: base.Batch, number):
  """Return loss, what is seen of success, and gradient of a batch.

  If several devices share the batch, each unrolls the model over its part, all
  of them compute the loss of the whole batch, and their gradients are added.
  With one device `_part` and `_gather` return their argument.
  """
  task = settings.task

  def loss_fn(outputs):
    metrics = jnp.zeros(0)
    if is_watched(settings):
      metrics = success_lib.limited(
        task.success, base.means(task.measure(outputs, batch))
      )
    errors = task.sequence_errors(outputs, batch)
    return task.loss(outputs, batch), Judged(errors, metrics)

  part, pull_back = jax.vjp(
    lambda params: _outputs(settings, hyperparams, params, batch, number),
    params,
  )
  outputs = _gather(settings, part)
  loss_and_grad = jax.value_and_grad(loss_fn, has_aux=True)
  (loss, judged), output_grads = loss_and_grad(outputs)
  (grads,) = pull_back(_part(settings, output_grads))
  if settings.batch_devices > 1:
    grads = jax.lax.psum(grads, BATCH)
  if settings.penalised:
    _, penalty_grads = penalty.gradient(
      params,
      settings.architecture,
      hyperparams.toggles,
      batch.inputs,
      lambda outputs: task.loss(outputs, batch),
    )
    weight = hyperparams.gradient_penalty
    grads = jax.tree.map(lambda g, p: g + weight * p, grads, penalty_grads)
  return loss, judged, grads


def _outputs(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  params: Any,
  batch: base.Batch,
  number: jax.Array | None,
) -> jax.Array:
  """Return the model's outputs for this device's part of a batch.

  They are computed in the dtype of the settings, and returned in at least 32
  bits for the loss. In training, `number` is that of the batch, and zoneout and
  dropout are drawn; in evaluation it is None, and they have their means.
  """
  params = jax.tree.map(lambda leaf: leaf.astype(settings.dtype), params)
  noise = dropout = None
  if settings.noisy:
    rates = (getattr(hyperparams, rate) for rate in fields.RATES)
    key = None if number is None else _key(hyperparams, NOISE, number)
    noise = remedies.Noise(key, *rates)
  if settings.dropped and number is not None:
    key = _key(hyperparams, DROPOUT, number)
    dropout = models.Dropout(key, hyperparams.dropout)
  _, outputs = models.apply_model(
    params,
    settings.architecture,
    hyperparams.toggles,
    _part(settings, batch.inputs),
    segment=memory.segment(settings),
    noise=noise,
    dropout=dropout,
  )
  return outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))


def _part(settings: settings_lib.Settings, sequences: jax.Array) -> jax.Array:
  """Return this device's part of the sequences of a batch."""
  if settings.batch_devices == 1:
    return sequences
  size = settings.batch_size // settings.batch_devices
  start = jax.lax.axis_index(BATCH) * size
  return jax.lax.dynamic_slice_in_dim(sequences, start, size)


def _gather(settings: settings_lib.Settings, part: jax.Array) -> jax.Array:
  """Return the sequences of the whole batch, from the parts of all devices."""
  if settings.batch_devices == 1:
    return part
  return jax.lax.all_gather(part, BATCH, tiled=True)


def _cast(batch: base.Batch, settings: settings_lib.Settings) -> base.Batch:
  return batch._replace(inputs=batch.inputs.astype(settings.dtype))


def _all_finite(tree: Any) -> jax.Array:
  finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
  return jnp.all(jnp.stack(finite))
