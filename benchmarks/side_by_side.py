"""Many recurrent networks trained side by side on one device, by each library.

An update is forward, backward and SGD of every run; all runs see the same
batch, which costs none of them anything. What has no way to do many at once, as
cuDNN, trains one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import networks, peers
from benchmarks.networks import Problem
import lstm_variants as lv
from lstm_variants.cells import lstm, toggles
from lstm_variants.training import compiling

VANILLA, MIXED = 'ours, vanilla', 'ours, all variants'
FLAX, CUDNN, TORCH = 'flax linen', 'cuDNN', 'torch'
# Those that train many at once, and those that train one.
MANY, ONE = (VANILLA, MIXED, FLAX), (CUDNN, TORCH)


def build(
  name: str, problem: Problem, runs: int, updates: int
) -> peers.Contestant:
  """Build a contestant by its name.

  Args:
    name: of `MANY` or `ONE`.
    problem: what each run is trained on.
    runs: how many are trained together; those of `ONE` train one.
    updates: that a call makes.

  Raises:
    ImportError: its library is not installed.
    RuntimeError: the device has not what it needs.
  """
  if name == TORCH:
    return peers.torch(problem, updates, _torch_device())
  make: dict[str, Callable[[], networks.Model]] = {
    VANILLA: lambda: copies(networks.ours(problem), runs),
    MIXED: lambda: mixed(problem, runs),
    FLAX: lambda: copies(networks.flax_linen(problem), runs),
    CUDNN: lambda: _cudnn(problem),
  }
  return peers.compile_training(make[name](), problem, updates)


def copies(model: networks.Model, runs: int) -> networks.Model:
  """Return a model that is many, with outputs `[B, T, runs]`.

  Each has weights of its own; that they begin as the same costs nothing.
  """
  params = jax.tree.map(lambda leaf: jnp.stack([leaf] * runs), model.params)

  def apply(params: Any, inputs: jax.Array) -> jax.Array:
    outputs = jax.vmap(model.apply, in_axes=(0, None))(params, inputs)
    return jnp.moveaxis(outputs[..., 0], 0, -1)

  return networks.Model(params, apply, model.options)


def mixed(problem: Problem, runs: int) -> networks.Model:
  """Return LSTMs that are the variants in turn, as `copies` does.

  Toggles are numbers of each run, but for gate recurrence, with which a step
  has another product.
  """
  variants = [
    variant.toggles
    for variant in lv.VARIANTS.values()
    if not variant.toggles.gate_recurrence
  ]
  chosen = [variants[number % len(variants)] for number in range(runs)]
  # All of them, so that they are numbers also where few are trained.
  static, traced = toggles.split(toggles.stack([*chosen, *variants]))
  own = jax.tree.map(lambda leaf: jnp.asarray(leaf[:runs]), traced)
  sizes = problem.in_features, problem.hidden_features

  def draw(toggled: lstm.Toggles) -> Any:
    return lv.init_params(
      jax.random.key(0),
      *sizes,
      toggles=toggles.join(static, toggled),
      recurrent_init='uniform',
    )

  def unroll(params: Any, toggled: lstm.Toggles, inputs: jax.Array) -> Any:
    weights, readout = params
    every = toggles.join(static, toggled)
    return lv.unroll(weights, every, inputs)[1] @ readout

  def apply(params: Any, inputs: jax.Array) -> jax.Array:
    outputs = jax.vmap(unroll, in_axes=(0, 0, None))(params, own, inputs)
    return jnp.moveaxis(outputs[..., 0], 0, -1)

  readout = jnp.full((runs, sizes[1], 1), 1 / sizes[1])
  params = jax.jit(jax.vmap(draw))(own), readout
  return networks.Model(params, apply, compiling.options())


def _cudnn(problem: Problem) -> networks.Model:
  """Return cuDNN's LSTM as jax has it, of one run.

  Raises:
    RuntimeError: this is no GPU.
  """
  if jax.default_backend() != 'gpu':
    raise RuntimeError('needs a GPU')
  # There is no other way to cuDNN's.
  from jax.experimental import rnn  # noqa: TID251

  sizes = problem.in_features, problem.hidden_features, 1
  key = jax.random.key(0)
  weights = rnn.init_lstm_weight(key, *sizes, bidirectional=False)
  readout = jax.random.normal(key, (sizes[1], 1)) / sizes[1]
  zeros = jnp.zeros((1, problem.batch, sizes[1]))
  lengths = jnp.full((problem.batch,), problem.steps, jnp.int32)

  def apply(params: Any, inputs: jax.Array) -> jax.Array:
    weights, readout = params
    hiddens, *_ = rnn.lstm(
      inputs, zeros, zeros, weights, lengths, *sizes, 0.0, False
    )
    return hiddens @ readout

  return networks.Model((weights, readout), apply)


def _torch_device() -> str:
  """Return the device of jax, as torch calls it.

  Raises:
    ImportError: torch is not installed.
    RuntimeError: torch has not that device.
  """
  import torch

  if jax.default_backend() != 'gpu':
    return 'cpu'
  if not torch.cuda.is_available():
    raise RuntimeError('torch is one for CPUs')
  return 'cuda'


def peak_bytes() -> int | None:
  """Return the most memory that was in use, None if the device cannot tell."""
  statistics = jax.devices()[0].memory_stats() or {}
  return statistics.get('peak_bytes_in_use')
