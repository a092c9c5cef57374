"""A run of ours in flax nnx: same weights, data, optimizer, rule of success."""

from collections.abc import Callable
import time
from typing import Any, NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
import optax

from lstm_variants.config import settings as settings_lib
from lstm_variants.tasks import base
from lstm_variants.training import step


class State(NamedTuple):
  """What changes in training; `recent` and `solved_at` as in `step.State`."""

  params: Any
  opt_state: Any
  update: jax.Array
  recent: jax.Array | None
  solved_at: jax.Array


class Trainer(NamedTuple):
  """A run that is ready to train.

  Attributes:
    state: with `update` and `solved_at`.
    advance: `(state, updates) -> state`; it takes the memory of the state.
    compile_seconds: 0 where nothing is compiled.
  """

  state: Any
  advance: Callable[[Any, int], Any]
  compile_seconds: float


class Model(nnx.Module):
  """nnx.RNN over an OptimizedLSTMCell, and a readout; weights to be set."""

  def __init__(self, in_features: int, hidden_features: int, out: int):
    rngs = nnx.Rngs(0)
    cell = nnx.OptimizedLSTMCell(
      in_features,
      hidden_features,
      recurrent_kernel_init=nnx.initializers.zeros_init(),
      rngs=rngs,
    )
    self.rnn: Any = nnx.RNN(cell)
    self.readout = nnx.Linear(hidden_features, out, rngs=rngs)

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Return the outputs, `[batch, time, out]`."""
    size = self.readout.in_features
    zeros = jnp.zeros((inputs.shape[0], size), inputs.dtype)
    return self.readout(self.rnn(inputs, initial_carry=(zeros, zeros)))


def make_model(settings: settings_lib.Settings, params: Any) -> Model:
  """Build the model with the weights of ours: both order gates i, f, g, o."""
  sizes = settings.architecture
  model = Model(sizes.in_features, sizes.hidden_features, sizes.out_features)
  (layer,), readout = params['layers'], params['readout']
  cell = model.rnn.cell
  cell.dense_i.kernel[...] = layer.kernel
  cell.dense_h.kernel[...] = layer.recurrent_kernel
  cell.dense_h.bias[...] = layer.bias
  theirs: Any = model.readout
  theirs.kernel[...] = readout['kernel']
  theirs.bias[...] = readout['bias']
  return model


def compile_run(
  settings: settings_lib.Settings, hyperparams: settings_lib.Hyperparams
) -> Trainer:
  """Compile the training of a vanilla run, any number of updates a call.

  Args:
    settings: of one layer.
    hyperparams: of the run.

  Returns:
    A `Trainer`; compiling includes tracing, not the drawing of weights.
  """
  start = jax.jit(lambda: step.init_state(settings, hyperparams))()
  model = make_model(settings, start.params)
  graph, params, rest = nnx.split(model, nnx.Param, ...)
  optimizer = step.make_optimizer(settings, hyperparams)
  task = settings.task
  key = jax.random.fold_in(jax.random.key(hyperparams.seed), step.DATA)

  def loss(params, batch):
    outputs = nnx.merge(graph, params, rest)(batch.inputs)
    return task.loss(outputs, batch), task.sequence_errors(outputs, batch)

  def update(_, state: State) -> State:
    batch = task.sample(
      jax.random.fold_in(key, state.update), settings.batch_size
    )
    grads, errors = jax.grad(loss, has_aux=True)(state.params, batch)
    changes, opt_state = optimizer.update(grads, state.opt_state)
    params: Any = optax.apply_updates(state.params, changes)
    return judge(task, state, params, opt_state, errors)

  def train(state, updates):
    return jax.lax.fori_loop(0, updates, update, state)

  state = State(
    params,
    optimizer.init(params),
    jnp.int32(0),
    start.recent,
    jnp.int32(-1),
  )
  started = time.perf_counter()
  compiled = (
    jax.jit(train, donate_argnums=0).lower(state, jnp.int32(0)).compile()
  )
  seconds = time.perf_counter() - started
  return Trainer(state, lambda s, n: compiled(s, jnp.int32(n)), seconds)


def judge(task, state: State, params, opt_state, errors) -> State:
  """Return the state after an update, judged as ours is on the last errors."""
  recent, solved_at = state.recent, state.solved_at
  if recent is not None and isinstance(task.success, base.LastSequences):
    recent = jnp.concatenate((recent[errors.shape[0] :], errors))
    within = jnp.all(recent < task.success.tolerance)
    solved = within & (jnp.mean(recent) < task.success.mean)
    solved_at = jnp.where((solved_at < 0) & solved, state.update + 1, solved_at)
  return State(params, opt_state, state.update + 1, recent, solved_at)
