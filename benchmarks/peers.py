"""The same training update in every library: an LSTM, a readout, SGD.

The mean squared error of the last step or of every step, its gradient, SGD. The
JAX libraries share one program around their forward pass: any number of updates
in one jitted loop, parameters donated. torch runs its usual Python loop.
"""

from collections.abc import Callable, Iterable
import functools
import math
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
import numpy as np

from benchmarks import machine, networks, timing
from benchmarks.networks import OURS, Problem

LEARNING_RATE = 1e-3
# After a name: the batch is shared by as many of the CPU's devices (one for
# each core) as divide it.
SHARED = ', shared'


class Contestant(NamedTuple):
  """A training program; `run` makes its updates and waits for them.

  Tracing counts as compiling; torch has neither. None: memory unknown.
  """

  run: Callable[[], None]
  compile_seconds: float
  temp_bytes: int | None


def compile_training(
  model: networks.Model, problem: Problem, updates: int, devices: int = 1
) -> Contestant:
  """Compile the training of a model, its batch shared by `devices`."""

  def loss(params, inputs, targets):
    outputs = model.apply(params, inputs)
    kept = slice(None) if problem.every_step else slice(-1, None)
    return jnp.mean((outputs[:, kept] - targets[:, kept]) ** 2)

  def update(inputs, targets, _, params):
    grads = jax.grad(loss)(params, inputs, targets)
    if devices > 1:
      grads = jax.lax.pmean(grads, 'batch')
    return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, grads)

  def train(params, inputs, targets, updates):
    body = functools.partial(update, inputs, targets)
    return jax.lax.fori_loop(0, updates, body, params)

  arguments = (model.params, *networks.draw(problem), jnp.int32(updates))
  if devices > 1:
    mesh = jax.make_mesh((devices,), ('batch',))
    specs = (P(), P('batch'), P('batch'), P())
    train = jax.shard_map(
      train, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False
    )
    arguments = tuple(
      jax.device_put(argument, jax.NamedSharding(mesh, spec))
      for argument, spec in zip(arguments, specs, strict=True)
    )
  params, *rest = arguments
  jitted = jax.jit(
    train, donate_argnums=0, compiler_options=model.options or None
  )
  started = time.perf_counter()
  compiled = jitted.lower(params, *rest).compile()
  seconds = time.perf_counter() - started
  analysis = compiled.memory_analysis()
  latest = [jax.tree.map(jnp.copy, params)]

  def run() -> None:
    latest[0] = jax.block_until_ready(compiled(latest[0], *rest))

  return Contestant(run, seconds, getattr(analysis, 'temp_size_in_bytes', None))


def torch(problem: Problem, updates: int, device: str = 'cpu') -> Contestant:
  """Return torch's nn.LSTM in a Python loop, denormals flushed as in XLA.

  It has one thread or one for each core, whichever makes the quicker update:
  at small sizes its threads cost more than they bring. On a GPU ('cuda') it is
  cuDNN's.
  """
  import torch

  torch.set_flush_denormal(True)
  inputs, targets = (
    torch.tensor(np.asarray(x)).to(device) for x in networks.draw(problem)
  )
  sizes = problem.in_features, problem.hidden_features
  rnn = torch.nn.LSTM(*sizes, batch_first=True).to(device)
  readout = torch.nn.Linear(problem.hidden_features, 1).to(device)
  weights = [*rnn.parameters(), *readout.parameters()]
  optimizer = torch.optim.SGD(weights, lr=LEARNING_RATE)
  kept = slice(None) if problem.every_step else slice(-1, None)

  def update() -> None:
    optimizer.zero_grad()
    outputs = readout(rnn(inputs)[0])
    loss = ((outputs[:, kept] - targets[:, kept]) ** 2).mean()
    loss.backward()
    optimizer.step()

  threads = torch_threads(update)

  def run() -> None:
    torch.set_num_threads(threads)
    for _ in range(updates):
      update()
    if device != 'cpu':
      torch.cuda.synchronize()

  return Contestant(run, 0.0, None)


def torch_threads(update: Callable[[], None]) -> int:
  """Return how many torch threads make the quicker update: one, or all."""
  import torch

  seconds = {}
  for threads in sorted({1, machine.cores()}):
    torch.set_num_threads(threads)
    seconds[threads] = min(timing.interleave({'': update}, 3)[''])
  return min(seconds, key=seconds.__getitem__)


NAMES = (*networks.BUILDERS, 'torch')
SHARERS = (OURS + SHARED, 'flax nnx' + SHARED)


def names(problem: Problem) -> tuple[str, ...]:
  """Return the contestants, with those that share a batch where it can be."""
  return NAMES + (SHARERS if _sharers(problem) > 1 else ())


def _sharers(problem: Problem) -> int:
  return math.gcd(problem.batch, jax.device_count())


def build(name: str, problem: Problem, updates: int) -> Contestant:
  """Build a contestant by its name.

  Raises:
    ImportError: its library is not installed.
  """
  if name == 'torch':
    return torch(problem, updates)
  library = name.removesuffix(SHARED)
  devices = 1 if name == library else _sharers(problem)
  model = networks.BUILDERS[library](problem)
  return compile_training(model, problem, updates, devices)


def build_all(
  problem: Problem, updates: int, names: Iterable[str] = NAMES
) -> tuple[dict[str, Contestant], dict[str, str]]:
  """Build the contestants whose library is there.

  Returns:
    The contestants, and why each of the others is skipped.
  """
  built, skipped = {}, {}
  for name in names:
    try:
      built[name] = build(name, problem, updates)
    except ImportError as error:
      skipped[name] = str(error)
  return built, skipped
