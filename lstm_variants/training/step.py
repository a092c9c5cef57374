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
from lstm_variants.tasks import base
from lstm_variants.training import memory
from lstm_variants.training import success as success_lib

# Streams of random numbers derived from one seed.
PARAMS, DATA, HELD_OUT, NOISE, INPUT_NOISE, DROPOUT = range(6)
# The mesh axis of the devices that share a batch, if there are several.
BATCH = 'batch'


class State(NamedTuple):
  """Everything that training changes.

  Attributes:
    params: of the model.
    opt_state: of the optimizer.
    update: updates done, an integer.
    recent: errors of the latest training sequences, oldest first, `[window]`;
      infinite until filled. None when success is judged on held-out data.
    solved_at: updates done when the success criterion was first met, −1 before.
    diverged_at: the update whose loss, or whose new parameters, were not
      finite, −1 if none. From then on params and opt_state do not change.
  """

  params: Any
  opt_state: Any
  update: jax.Array
  recent: jax.Array | None
  solved_at: jax.Array
  diverged_at: jax.Array


class Totals(NamedTuple):
  """Sums over the updates of one chunk, of runs that are not frozen."""

  loss: jax.Array
  grad_norm: jax.Array
  updates: jax.Array


def make_optimizer(
  settings: settings_lib.Settings, hyperparams: settings_lib.Hyperparams
) -> optax.GradientTransformation:
  """Return clipping by global norm, then by value, then the optimizer.

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
    settings: static.
    hyperparams: of the run.
    given: parameters by path, as 'layers/0/kernel', which take the place of
      those that are drawn.
  """
  key = jax.random.key(hyperparams.seed)
  params = models.init_model(
    jax.random.fold_in(key, PARAMS),
    settings.architecture,
    hyperparams.toggles,
    forget_bias=hyperparams.forget_bias,
    chrono_t_max=hyperparams.chrono_t_max,
    # bfloat16 is for the computation: small updates would be lost in it.
    dtype=jnp.promote_types(settings.dtype, jnp.float32),
  )
  params = _replaced(params, given or {})
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


def _replaced(params: Any, given: Mapping[str, Any]) -> Any:
  """Return parameters of which some are given, by path."""

  def leaf_of(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    return jnp.asarray(given[name], leaf.dtype) if name in given else leaf

  return jax.tree_util.tree_map_with_path(leaf_of, params)


def train_step(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: State,
) -> tuple[State, Totals]:
  """Make one update; its batches are a pure function of (seed, update).

  A run whose loss or new parameters are not finite keeps its last finite state
  and is marked; later updates leave it alone.

  Args:
    settings: static.
    hyperparams: of the run.
    state: before the update.

  Returns:
    The state after it, and loss and gradient norm (before clipping) counted
    once, all zero for a frozen run.
  """
  task = settings.task
  loss, errors, grads = _gradient(settings, hyperparams, state)
  changes, opt_state = make_optimizer(settings, hyperparams).update(
    grads, state.opt_state, state.params
  )
  params = optax.apply_updates(state.params, changes)

  active = state.diverged_at < 0
  healthy = active & jnp.isfinite(loss) & _all_finite(params)
  params, opt_state, recent = jax.tree.map(
    lambda new, old: jnp.where(healthy, new, old),
    (params, opt_state, success_lib.push(state.recent, errors)),
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
  return state, totals


def evaluate(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: State,
) -> tuple[State, dict[str, jax.Array]]:
  """Measure a run on the held-out set, which is the same for all runs.

  Args:
    settings: static.
    hyperparams: of the run.
    state: `solved_at` is set if held-out success is met for the first time.

  Returns:
    The state, and the task's metrics as means over the held-out set.
  """
  task = settings.held_out_task
  key = jax.random.fold_in(jax.random.key(settings.evaluation_seed), HELD_OUT)

  def measure(index):
    batch = task.sample(jax.random.fold_in(key, index), settings.batch_size)
    batch = _cast(batch, settings)
    outputs = _outputs(settings, hyperparams, state.params, batch, None)
    return task.measure(_gather(settings, outputs), batch)

  means = jax.lax.map(measure, jnp.arange(settings.evaluation_batches))
  metrics = {
    name: jnp.sum(mean.total) / jnp.sum(mean.weight)
    for name, mean in means.items()
  }
  success = task.success
  if isinstance(success, base.HeldOut):
    below = jnp.stack([metrics[name] < limit for name, limit in success.limits])
    reached = jnp.all(below) & (state.diverged_at < 0)
    state = state._replace(
      solved_at=success_lib.first(state.solved_at, reached, state.update)
    )
  return state, metrics


def _gradient(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: State,
) -> tuple[jax.Array, jax.Array, Any]:
  """Return loss, errors of the sequences, and gradient of an update.

  Of k accumulated batches the loss and the gradient are means, and update u has
  the batches k u … k u + k − 1 of the stream that k = 1 takes one by one.
  """
  count = settings.accumulation
  if count == 1:
    return _of_batch(settings, hyperparams, state.params, state.update)

  def add(total: Any, number: jax.Array) -> tuple[Any, jax.Array]:
    loss, errors, grads = _of_batch(settings, hyperparams, state.params, number)
    return jax.tree.map(jnp.add, total, (loss, grads)), errors

  dtype = jnp.promote_types(settings.dtype, jnp.float32)
  zero = jnp.zeros((), dtype), jax.tree.map(jnp.zeros_like, state.params)
  numbers = state.update.astype(jnp.uint32) * count
  total, errors = jax.lax.scan(
    add, zero, numbers + jnp.arange(count, dtype=jnp.uint32)
  )
  loss, grads = jax.tree.map(lambda leaf: leaf / count, total)
  return loss, errors.reshape(-1), grads


def _of_batch(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  params: Any,
  number: jax.Array,
) -> tuple[jax.Array, jax.Array, Any]:
  """Return loss, errors and gradient of a batch.

  Args:
    settings: static.
    hyperparams: of the run.
    params: at which the gradient is taken.
    number: of the batch in the run's stream; it decides all that is drawn.
  """
  batch = _cast(
    settings.task.sample(_key(hyperparams, DATA, number), settings.batch_size),
    settings,
  )
  if settings.noisy_inputs:
    inputs = _disturb(hyperparams, number, batch.inputs)
    batch = batch._replace(inputs=inputs)
  return _differentiate(settings, hyperparams, params, batch, number)


def _key(
  hyperparams: settings_lib.Hyperparams, stream: int, number: jax.Array
) -> jax.Array:
  """Return the key of what is random with a batch, by stream and number."""
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
  """Return loss, errors of the sequences, and gradient.

  Where several devices share the batch, each unrolls its part of it. All of
  them take the loss of the whole, as one device would, and the sum of the
  gradients.
  """
  task = settings.task

  def loss_fn(outputs):
    return task.loss(outputs, batch), task.sequence_errors(outputs, batch)

  part, pull_back = jax.vjp(
    lambda params: _outputs(settings, hyperparams, params, batch, number),
    params,
  )
  outputs = _gather(settings, part)
  (loss, errors), slopes = jax.value_and_grad(loss_fn, has_aux=True)(outputs)
  (grads,) = pull_back(_part(settings, slopes))
  if settings.batch_devices > 1:
    grads = jax.lax.psum(grads, BATCH)
  if settings.penalised:
    _, others = penalty.gradient(
      params,
      settings.architecture,
      hyperparams.toggles,
      batch.inputs,
      lambda outputs: task.loss(outputs, batch),
    )
    weight = hyperparams.gradient_penalty
    grads = jax.tree.map(lambda g, p: g + weight * p, grads, others)
  return loss, errors, grads


def _outputs(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  params: Any,
  batch: base.Batch,
  number: jax.Array | None,
) -> jax.Array:
  """Return the outputs of this device's part of a batch.

  With the number of a training batch, what is left out at random is drawn;
  without, it has its mean.
  Computed in the dtype of the settings; losses are taken in 32 bits or 64.
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
  """Return the sequences of this device, of those of a batch."""
  if settings.batch_devices == 1:
    return sequences
  size = settings.batch_size // settings.batch_devices
  start = jax.lax.axis_index(BATCH) * size
  return jax.lax.dynamic_slice_in_dim(sequences, start, size)


def _gather(settings: settings_lib.Settings, part: jax.Array) -> jax.Array:
  """Return the whole batch, of which each device has its part."""
  if settings.batch_devices == 1:
    return part
  return jax.lax.all_gather(part, BATCH, tiled=True)


def _cast(batch: base.Batch, settings: settings_lib.Settings) -> base.Batch:
  return batch._replace(inputs=batch.inputs.astype(settings.dtype))


def _all_finite(tree: Any) -> jax.Array:
  finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
  return jnp.all(jnp.stack(finite))
