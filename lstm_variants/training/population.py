"""Many runs in one compiled program, spread over the devices.

The devices form a mesh of two axes: each row of it trains some of the runs, and
the devices of a row share the batches (`training.batch_devices`, mostly 1).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
import random
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np

from lstm_variants import registry
from lstm_variants.cells import lstm, toggles
from lstm_variants.config import fields, rules, schema
from lstm_variants.config import settings as settings_lib
from lstm_variants.training import (
  agreement,
  chunk,
  compiling,
  kept_programs,
  step,
)

# From this width on a run is faster with its batch shared by CPU devices.
_WIDE = 64
# Conduct on which a program depends: how its loops are written.
_READ_CONDUCT = 'training.success_interval'


class Compiled(NamedTuple):
  """The compiled program of a population, and its state.

  Attributes:
    places: where each run is in the leading axis of the state.
    state: the `step.State` before the first update. Every leaf has a leading
      axis for the runs, which is padded to a multiple of the rows of devices.
    advance: `(state, updates) -> (state, record)`, the compiled chunk; it
      reuses the memory of the state that it is given.
    place: `state -> state`, pads a state of all runs, in their order, and puts
      it on the devices.
    compile_seconds: the time spent on compiling.
    text: `() -> str | None`, the compiled program as text, if it has one.
  """

  places: Sequence[int]
  state: step.State
  advance: Any
  place: Any
  compile_seconds: float
  text: Callable[[], str | None]

  @property
  def size(self) -> int:
    """The number of runs."""
    return len(self.places)


class _Kept:
  """What was made, each once for all equal keys.

  Args:
    most: so many are kept. To make room one of them goes at random: where more
      shapes than that come in one order again and again, as the generations of
      a search, the oldest would always go just before it is asked for.
  """

  def __init__(self, most: int):
    self._most = most
    self._made: dict[Any, Any] = {}
    self._random = random.Random(0)

  def get(self, key: Any, make: Callable[[], Any]) -> Any:
    """Return what is kept under a key, or make it and keep that."""
    if key not in self._made:
      if len(self._made) == self._most:
        del self._made[self._random.choice(list(self._made))]
      self._made[key] = make()
    return self._made[key]


class Programs:
  """Programs that were compiled, each once for all equal populations.

  Hyper-parameters are arguments of a program: populations of as many runs, of
  the same settings and with the same toggles traced, share it. How long they
  train and when they are saved is no part of it either.

  Args:
    most: so many are kept.
  """

  def __init__(self, most: int):
    self.most = most
    # Each drops its own. Processes that train a population together compile
    # its chunks together; but the first of them draws states alone, too, where
    # it looks at checkpoints.
    self._chunks, self._inits = _Kept(most), _Kept(most)

  def chunk(
    self,
    settings: settings_lib.Settings,
    static: lstm.Toggles | None,
    mesh: jax.sharding.Mesh,
    stacked: settings_lib.Hyperparams,
    state: step.State,
  ) -> jax.stages.Compiled:
    """Return the compiled `_make_chunk` for these arguments."""
    settings = _decisive(settings)
    program = self._chunks.get(
      (settings, static, mesh, _meaning(settings)),
      lambda: _make_chunk(settings, static, mesh),
    )
    # Of a function that is kept jax keeps what it compiled.
    return program.lower(stacked, state, jnp.int32(0)).compile()

  def init(
    self, settings: settings_lib.Settings, static: lstm.Toggles | None
  ) -> Any:
    """Return `stacked -> state`, which draws the states of a population."""
    settings = _decisive(settings)
    return self._inits.get(
      (settings, static, _meaning(settings)),
      lambda: _make_init(settings, static, None),
    )


# Of this process, whatever it trains: the populations of a study that is cut
# into equal ones, the generations of a search, what a notebook resumes. One
# that is kept holds about 30 MB.
RECENT = Programs(most=8)


def _meaning(settings: settings_lib.Settings) -> tuple[Any, ...]:
  """Return what the names and the files of settings stand for, hashable."""
  tasks = settings.task, settings.held_out_task
  # How random numbers are drawn: jax does not look at it again.
  drawn = getattr(jax.config, 'jax_default_prng_impl', None)
  return *map(registry.Same, tasks), schema.registered(), drawn


def _decisive(settings: settings_lib.Settings) -> settings_lib.Settings:
  """Return settings whose conduct is the default, where no program reads it."""
  usual = {
    row.name.rpartition('.')[2]: row.default
    for row in fields.ROWS
    if row.role is fields.CONDUCT and row.name != _READ_CONDUCT
  }
  return settings.replace(**usual)


def stack(
  runs: Sequence[settings_lib.Hyperparams],
) -> tuple[lstm.Toggles | None, settings_lib.Hyperparams]:
  """Stack the hyper-parameters of runs along a new leading axis.

  A toggle that is the same in all runs stays static, so that nothing is
  computed that no run needs; the other toggles are traced.

  Args:
    runs: the hyper-parameters of the runs, which all have the same cell.

  Returns:
    The static toggles, with None for each traced one; and the stacked
    hyper-parameters, whose toggles have None for each static one. For a cell
    without toggles both toggles are None.
  """
  columns = settings_lib.Hyperparams._make(zip(*runs, strict=True))
  stacked = settings_lib.Hyperparams(
    seed=np.asarray(columns.seed, np.uint32),
    toggles=None,
    values={
      name: np.asarray([run.values[name] for run in runs], np.float32)
      for name in runs[0].values
    },
  )
  if columns.toggles[0] is None:
    return None, stacked
  static, traced = toggles.split(toggles.stack(columns.toggles))
  return static, stacked._replace(toggles=traced)


def compile_population(
  settings: settings_lib.Settings,
  runs: Sequence[settings_lib.Hyperparams],
  given: Mapping[str, np.ndarray] | None = None,
) -> Compiled:
  """Compile the training of `runs` and draw their initial states.

  What is compiled is a chunk: a number of updates, then an evaluation. The
  number is an argument, 0 for the first evaluation, so that all chunks are
  calls of one program, which populations of equal shape share (`RECENT`).

  Args:
    settings: the settings of all runs.
    runs: the hyper-parameters of each run.
    given: parameters, by path, with which all runs begin.

  Raises:
    InputError: if there are fewer devices than are to share a batch.
  """
  check_devices(settings)
  mesh = _make_mesh(settings, len(runs))
  order = _deal(settings, runs, mesh.shape[step.POPULATION])
  static, stacked = stack([runs[number] for number in order])
  sharding = jax.NamedSharding(mesh, PartitionSpec(step.POPULATION))
  started = time.monotonic()
  kept_programs.share()
  # The states come from the host: to spread an array from one device over many,
  # jax would compile a program for every shape.
  state = _place(order, sharding, init_states(settings, runs, given))
  stacked = agreement.spread(stacked, sharding)
  compiled = RECENT.chunk(settings, static, mesh, stacked, state)
  kept_programs.share()
  seconds = time.monotonic() - started

  def advance(state: step.State, updates: int) -> tuple[step.State, Any]:
    with agreement.communicating():
      return compiled(stacked, state, jnp.int32(updates))

  return Compiled(
    places=_places(order, len(runs)),
    state=state,
    advance=advance,
    place=functools.partial(_place, order, sharding),
    compile_seconds=seconds,
    text=compiled.as_text,
  )


def _make_chunk(
  settings: settings_lib.Settings,
  static: lstm.Toggles | None,
  mesh: jax.sharding.Mesh,
) -> Any:
  """Return `(stacked, state, updates) -> (state, record)`, spread over a mesh.

  Runs are independent. With `shard_map`, unlike with a sharded `jit`, XLA
  cannot insert communication between them; that between the devices that share
  a batch is in `step`.
  """

  def advance(hyperparams, state, start, updates):
    merged = merge(static, hyperparams)
    return chunk.run_chunk(settings, merged, state, start, updates)

  program = jax.shard_map(
    functools.partial(_over_runs, advance, settings.lanes),
    mesh=mesh,
    in_specs=(
      PartitionSpec(step.POPULATION),
      PartitionSpec(step.POPULATION),
      PartitionSpec(),
    ),
    out_specs=PartitionSpec(step.POPULATION),
    check_vma=False,
  )
  return jax.jit(
    program, donate_argnums=1, compiler_options=compiling.options()
  )


def init_states(
  settings: settings_lib.Settings,
  runs: Sequence[settings_lib.Hyperparams],
  given: Mapping[str, np.ndarray] | None = None,
) -> step.State:
  """Return the states before the first update, `[runs, ...]` on the host."""
  static, stacked = stack(runs)
  init = RECENT.init(settings, static)
  if given is not None:
    init = _make_init(settings, static, given)
  return jax.tree.map(np.asarray, init(stacked))


def _make_init(settings, static, given) -> Any:
  """Return the compiled `stacked -> state` before the first update."""
  return jax.jit(jax.vmap(functools.partial(_init, settings, static, given)))


def _init(settings, static, given, hyperparams) -> step.State:
  return step.init_state(settings, merge(static, hyperparams), given)


def check_devices(settings: settings_lib.Settings) -> None:
  """Refuse a batch that is to be shared by more devices than there are.

  Of several processes each is to have a device that trains.
  """
  wanted, available = settings.batch_devices, jax.device_count()
  if wanted > available:
    raise rules.InputError(
      'training.batch_devices',
      wanted,
      f'only {available} device(s) are there (JAX_NUM_CPU_DEVICES makes more '
      f'of a CPU); nearest: {_divisor(settings, available)}',
    )
  if len(_processes(_rows(settings))) < jax.process_count():
    raise rules.InputError(
      'training.batch_devices',
      wanted,
      f'leaves one of {jax.process_count()} processes without a device; '
      f'nearest: {_divisor(settings, jax.local_device_count())}',
    )


def idle_devices_hint(settings: settings_lib.Settings, runs: int) -> str | None:
  """Tell how the CPU devices that so few runs leave idle could be used."""
  available, used = jax.device_count(), settings.batch_devices
  most = _divisor(settings, max(available // runs, used))
  narrow = settings.hidden_features < _WIDE
  if most == used or narrow or jax.default_backend() != 'cpu':
    return None
  return (
    f'{runs * used} of {available} devices are used; '
    f'--config.training.batch_devices={most} is faster'
  )


def _divisor(settings: settings_lib.Settings, most: int) -> int:
  """Return the largest number up to `most` that divides the batch size."""
  return max(n for n in range(1, most + 1) if settings.batch_size % n == 0)


def _make_mesh(settings: settings_lib.Settings, runs: int) -> jax.sharding.Mesh:
  """Lay out the devices: a row for each run, or for many that take turns."""
  rows = _rows_at_work(_rows(settings), runs)
  return jax.make_mesh(
    (len(rows), settings.batch_devices),
    (step.POPULATION, step.BATCH),
    axis_types=(jax.sharding.AxisType.Auto,) * 2,
    devices=[one for row in rows for one in row],
  )


def _rows(settings: settings_lib.Settings) -> list[Sequence[jax.Device]]:
  """Return all devices by rows that share batches; few may be left over."""
  devices, width = jax.devices(), settings.batch_devices
  return [
    devices[start : start + width]
    for start in range(0, len(devices) - width + 1, width)
  ]


def _rows_at_work(
  rows: Sequence[Sequence[jax.Device]], runs: int
) -> list[Sequence[jax.Device]]:
  """Return the rows for so many runs: as many of each process.

  A process without any could not call the program; so there may be more rows
  than runs.
  """
  of_process: dict[int, list[Sequence[jax.Device]]] = {}
  for row in rows:
    of_process.setdefault(row[0].process_index, []).append(row)
  each = -(-runs // len(of_process))
  some = [row for own in of_process.values() for row in own[:each]]
  return some if len(_processes(some)) == jax.process_count() else [*rows]


def _processes(rows: Iterable[Iterable[jax.Device]]) -> set[int]:
  """Return the processes that have a device in rows."""
  return {one.process_index for row in rows for one in row}


def _deal(
  settings: settings_lib.Settings,
  runs: Sequence[settings_lib.Hyperparams],
  rows: int,
) -> list[int]:
  """Return the numbers of the runs in the order of the devices, padded.

  Where a device takes its runs in turn, those with gate recurrence take several
  times as long as the others: they are dealt out first. What pads is computed
  too, so it is one of the others.
  """
  costly = [
    run.toggles is not None and run.toggles.gate_recurrence for run in runs
  ]
  each, order = -(-len(runs) // rows), list(range(len(runs)))
  differ = any(costly) and not all(costly)
  if rows > 1 and differ and _lanes(settings.lanes, each) == 1:
    order.sort(key=lambda number: not costly[number])
    hands = [order[row::rows] for row in range(rows)]
    last = order[-1:]
    return [
      number for hand in hands for number in hand + last * (each - len(hand))
    ]
  return order + order[-1:] * (each * rows - len(order))


def _places(order: Sequence[int], count: int) -> Sequence[int]:
  """Return where each run is; what is there again, behind it, is padding."""
  if list(order[:count]) == list(range(count)):
    return range(count)
  first = {number: place for place, number in reversed([*enumerate(order)])}
  return [first[number] for number in range(count)]


def _place(
  order: Sequence[int], sharding: jax.sharding.Sharding, state: step.State
) -> step.State:
  """Order and pad as `compile_population` does, and spread."""
  ordered = jax.tree.map(lambda leaf: leaf[np.asarray(order)], state)
  return agreement.spread(ordered, sharding)


def _lanes(lanes: int, count: int) -> int:
  """Return how many of `count` runs a device computes side by side."""
  return lanes or (1 if jax.default_backend() == 'cpu' else count)


def _over_runs(advance: Any, lanes: int, hyperparams, state, updates):
  """Advance the runs of one row of devices, `lanes` of them at a time.

  With 0 lanes a CPU takes one run at a time, which then has the caches to
  itself, and an accelerator takes all of them as one batch.

  Args:
    advance: `(hyperparams, state, start, updates) -> (state, record)` of one
      run, where `start` is the number of updates done.
    lanes: how many runs are vectorized by `vmap`; 0: as the device needs it.
    hyperparams: the hyper-parameters, every leaf `[runs]`.
    state: the states, every leaf `[runs, ...]`.
    updates: the number of updates, a traced integer.
  """
  count = state.update.shape[0]
  # The same of all runs; as a number of its own it has no axis of theirs.
  start = state.update[0]
  lanes = _lanes(lanes, count)
  if lanes >= count > 1:
    return jax.vmap(advance, in_axes=(0, 0, None, None))(
      hyperparams, state, start, updates
    )
  if lanes == 1:
    advance = functools.partial(_branch, advance)
  return jax.lax.map(
    lambda run: advance(run[0], run[1], start, updates),
    (hyperparams, state),
    batch_size=None if lanes == 1 else lanes,
  )


def _branch(advance: Any, hyperparams, state, start, updates):
  """Advance one run, with the product of gate recurrence only if it has that.

  If the toggle `gate_recurrence` differs between runs, the program has a branch
  for each value: with it the product of a step is [4H, 4H], without [H, 4H].
  """
  traced = hyperparams.toggles
  if traced is None or traced.gate_recurrence is None:
    return advance(hyperparams, state, start, updates)

  def with_recurrence(on):
    known = hyperparams._replace(toggles=traced._replace(gate_recurrence=on))
    return lambda: advance(known, state, start, updates)

  return jax.lax.cond(
    traced.gate_recurrence, with_recurrence(True), with_recurrence(False)
  )


def describe_state(
  settings: settings_lib.Settings, runs: Sequence[settings_lib.Hyperparams]
) -> step.State:
  """Return shapes and dtypes of the state of `runs`, without padding."""
  static, stacked = stack(runs)
  return RECENT.init(settings, static).eval_shape(stacked)


def merge(
  static: lstm.Toggles | None, hyperparams: settings_lib.Hyperparams
) -> settings_lib.Hyperparams:
  """Put static and traced toggles together again."""
  if static is None or hyperparams.toggles is None:
    return hyperparams._replace(toggles=static)
  joined = toggles.join(static, hyperparams.toggles)
  return hyperparams._replace(toggles=joined)
