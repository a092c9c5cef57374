"""The same LSTM and readout in every JAX library.

T steps, batch B, F inputs, H units, a linear readout to 1.
"""

from collections.abc import Callable
import functools
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import lstm_variants as lv
from lstm_variants import models
from lstm_variants.training import compiling

OURS = 'ours'


class Problem(NamedTuple):
  """What is trained: T, B, F, H, and the steps that have an error."""

  steps: int
  batch: int
  in_features: int
  hidden_features: int
  every_step: bool = False

  @property
  def label(self) -> str:
    """T, B, F, H as they stand in tables."""
    return ', '.join(f'{size:,}' for size in self[:4])


class Model(NamedTuple):
  """A forward pass, `(params, [B, T, F]) -> [B, T, 1]`, and its parameters.

  `options` are XLA's, given to the compiler.
  """

  params: Any
  apply: Callable[[Any, jax.Array], jax.Array]
  options: dict[str, bool | int | str] | None = None


def draw(problem: Problem) -> tuple[jax.Array, jax.Array]:
  """Return normal inputs `[B, T, F]` and targets `[B, T, 1]`."""
  steps, batch, in_features = problem[:3]
  inputs_key, targets_key = jax.random.split(jax.random.key(0))
  inputs = jax.random.normal(inputs_key, (batch, steps, in_features))
  return inputs, jax.random.normal(targets_key, (batch, steps, 1))


def ours(
  problem: Problem, variant: str = 'vanilla', segment: int | None = None
) -> Model:
  """Return ours with static toggles, compiled with our compiler options.

  `segment` is that of `models.apply_model`.
  """
  toggles = lv.VARIANTS[variant].toggles
  sizes = problem.in_features, problem.hidden_features
  # Uniform weights are quicker to draw; their values cost nothing later.
  architecture = models.Architecture('lstm', 1, *sizes, 1, 'uniform')
  init = jax.jit(lambda key: models.init_model(key, architecture, toggles))
  params = init(jax.random.key(0))

  def apply(params, inputs):
    return models.apply_model(
      params, architecture, toggles, inputs, segment=segment
    )[1]

  return Model(params, apply, compiling.options())


def flax_nnx(problem: Problem) -> Model:
  """Return flax's nnx.RNN(OptimizedLSTMCell)."""
  from flax import nnx

  size, rngs = problem.hidden_features, nnx.Rngs(0)
  rnn = nnx.RNN(nnx.OptimizedLSTMCell(problem.in_features, size, rngs=rngs))
  modules = nnx.List([rnn, nnx.Linear(size, 1, rngs=rngs)])
  graph, params, rest = nnx.split(modules, nnx.Param, ...)

  def apply(params, inputs):
    merged: Any = nnx.merge(graph, params, rest)
    rnn, readout = merged
    # Inside a trace nnx.RNN cannot draw its own zeros.
    zeros = jnp.zeros((inputs.shape[0], size))
    return readout(rnn(inputs, initial_carry=(zeros, zeros)))

  return Model(params, apply)


def flax_linen(problem: Problem) -> Model:
  """Return flax's linen.RNN(OptimizedLSTMCell)."""
  from flax import linen

  rnn = linen.RNN(linen.OptimizedLSTMCell(problem.hidden_features))
  model: Any = linen.Sequential([rnn, linen.Dense(1)])
  params = jax.jit(model.init)(jax.random.key(0), draw(problem)[0])
  return Model(params, model.apply)


def haiku(problem: Problem) -> Model:
  """Return haiku's LSTM in dynamic_unroll."""
  import haiku as hk

  def forward(inputs):
    core = hk.LSTM(problem.hidden_features)
    start = core.initial_state(inputs.shape[0])
    hiddens, _ = hk.dynamic_unroll(core, inputs, start, time_major=False)
    return hk.BatchApply(hk.Linear(1))(hiddens)

  model = hk.without_apply_rng(hk.transform(forward))
  params = jax.jit(model.init)(jax.random.key(0), draw(problem)[0])
  return Model(params, model.apply)


def equinox(problem: Problem) -> Model:
  """Return equinox's LSTMCell in lax.scan, vmapped over the batch."""
  import equinox as eqx

  size = problem.hidden_features
  cell_key, readout_key = jax.random.split(jax.random.key(0))
  cell = eqx.nn.LSTMCell(problem.in_features, size, key=cell_key)
  readout = eqx.nn.Linear(size, 1, key=readout_key)
  params, static = eqx.partition((cell, readout), eqx.is_array)

  def advance(cell, carry, x_t):
    carry = cell(x_t, carry)
    return carry, carry[0]

  def apply(params, inputs):
    cell, readout = eqx.combine(params, static)
    start = (jnp.zeros(size), jnp.zeros(size))
    unroll = functools.partial(jax.lax.scan, functools.partial(advance, cell))
    hiddens = jax.vmap(lambda sequence: unroll(start, sequence)[1])(inputs)
    return jax.vmap(jax.vmap(readout))(hiddens)

  return Model(params, apply)


def keras(problem: Problem) -> Model:
  """Return keras's LSTM on its jax backend, by stateless_call."""
  os.environ.setdefault('KERAS_BACKEND', 'jax')
  import keras

  if keras.backend.backend() != 'jax':
    raise ImportError(f'keras is on its backend {keras.backend.backend()}')
  model = keras.Sequential(
    [
      keras.Input((problem.steps, problem.in_features)),
      keras.layers.LSTM(problem.hidden_features, return_sequences=True),
      keras.layers.Dense(1),
    ]
  )
  params = [jnp.array(v.value) for v in model.trainable_variables]
  rest = [v.value for v in model.non_trainable_variables]

  def apply(params, inputs):
    return model.stateless_call(params, rest, inputs, training=True)[0]

  return Model(params, apply)


JAX_PEERS: dict[str, Callable[[Problem], Model]] = {
  'flax nnx': flax_nnx,
  'flax linen': flax_linen,
  'haiku': haiku,
  'equinox': equinox,
  'keras': keras,
}
# Ours too.
BUILDERS = {OURS: ours, **JAX_PEERS}
