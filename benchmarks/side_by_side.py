"""Many recurrent networks trained side by side on one device, by each library.

An update is forward, backward and SGD of every run; all runs see the same
batch, which costs none of them anything. What has no way to do many at once, as
cuDNN, trains one.

    python -m benchmarks.side_by_side --hidden=64 --together=132

prints a line of JSON for each library; a process for each size, as the memory
of a device comes back with its end alone.
"""

from collections.abc import Callable, Sequence
import concurrent.futures
import json
import time
from typing import Any

from absl import app, flags
import jax
import jax.numpy as jnp

from benchmarks import networks, pages, peers, timing
from benchmarks.networks import Problem
import lstm_variants as lv
from lstm_variants.cells import lstm, toggles
from lstm_variants.training import compiling

_HIDDEN = flags.DEFINE_integer('hidden', 64, 'Units.')
_RUNS = flags.DEFINE_integer('together', 132, 'Runs trained together.')
STEPS, BATCH, FEATURES, UPDATES = 100, 32, 2, 10
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


def measure(
  problem: Problem, runs: int, updates: int, repeats: int
) -> list[dict[str, Any]]:
  """Time those that can train so many runs, in turn.

  Args:
    problem: what each run is trained on.
    runs: how many are trained together.
    updates: of a call.
    repeats: calls of each, after one call alone.

  Returns:
    A row for each: µs per time step of all runs and of one, or why it is
    skipped or has failed; and one for all, with the seconds until they were
    compiled and the memory that the device had in use at most, in bytes.
  """
  names = MANY + (ONE if runs == 1 else ())
  started = time.monotonic()
  rows, built = _build_all(names, problem, runs, updates)
  seconds = time.monotonic() - started
  for name, contestant in list(built.items()):
    try:
      contestant.run()
    except Exception as error:  # memory: the others go on without it
      rows.append({'name': name, 'failed': pages.failure(error)})
      del built[name]
  timings = timing.measure(
    {name: contestant.run for name, contestant in built.items()},
    *(repeats, updates * problem.steps * timing.MICRO),
  )
  for name, found in timings.items():
    rows.append(
      {
        'name': name,
        'us_per_step': found.median,
        'us_per_step_and_run': found.median / runs,
        'quartiles': [found.low, found.high],
        'temporary_bytes': built[name].temp_bytes,
      }
    )
  memory = jax.devices()[0].memory_stats() or {}
  peak = memory.get('peak_bytes_in_use')
  return [*rows, {'all_compiled_seconds': seconds, 'peak_bytes': peak}]


def _build_all(
  names: Sequence[str], problem: Problem, runs: int, updates: int
) -> tuple[list[dict[str, Any]], dict[str, peers.Contestant]]:
  """Build contestants, those of jax at once; a row for each that cannot be."""

  def tried(name: str) -> peers.Contestant | str:
    try:
      return build(name, problem, runs, updates)
    except Exception as error:  # its library, its device, memory
      return pages.failure(error)

  # torch looks how many threads serve it best: when all else is done.
  threaded = [name for name in names if name != TORCH]
  with concurrent.futures.ThreadPoolExecutor() as pool:
    made: dict[str, peers.Contestant | str] = dict(
      zip(threaded, pool.map(tried, threaded), strict=True)
    )
  made |= {name: tried(name) for name in names if name == TORCH}
  rows: list[dict[str, Any]] = []
  built = {}
  for name, one in made.items():
    if isinstance(one, str):
      rows.append({'name': name, 'skipped': one})
    else:
      built[name] = one
  return rows, built


def main(argv: Sequence[str]) -> None:
  """Measure one size, and print the lines."""
  del argv
  quick = pages.QUICK.value
  steps, updates = (5, 2) if quick else (STEPS, UPDATES)
  problem = Problem(steps, BATCH, FEATURES, _HIDDEN.value, True)
  for row in measure(problem, _RUNS.value, updates, min(pages.repeats(), 5)):
    print(json.dumps(row), flush=True)


if __name__ == '__main__':
  app.run(main)
