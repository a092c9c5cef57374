"""What the processes of one training tell each other: `jax.distributed`.

All of them run the same program, each on its own devices. Only the first one
has the run directory: it alone reads, writes and says. Between two calls of a
compiled program they meet (`meet`): each tells in a few bytes which signal it
received, and whether it failed. So all of them stop at the same update and end
with the same status, whichever it was that was asked to.

Whoever fails tells so in place of what it would have told next (`tell`). It
follows that what may fail on one process alone comes right before a meeting,
with no compiled program of all processes in between.

A process alone meets nobody, and pays nothing.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from lstm_variants import console, errors
from lstm_variants.training import interrupt

# Bytes that each process tells at a meeting, and characters of a refusal.
_BYTES, _LINE = 4096, 900
# Bytes that the first process passes on at a time, by one compiled program.
_BLOCK = 2**20
_REFUSAL, _STATUS, _SIGNAL = 'refusal', 'status', 'signal'
# As that of a process which the runtime of jax ends for the same reason.
ABORTED = 134


class OtherError(errors.Error):
  """What another process was refused; the message is that one line."""

  def __init__(self, line: str, status: int):
    super().__init__(line)
    self.exit_status = status


class GoneError(errors.Error):
  """What all do together fails, mostly as one has ended; a line."""

  exit_status = ABORTED


# What XLA raises; where it computes at once, that is a ValueError.
_OF_XLA = jax.errors.JaxRuntimeError, ValueError
# What all processes know of when it is raised, or none can be told of.
_TOLD = OtherError, GoneError, interrupt.Interrupted


class _State:
  """The signal that all processes know of."""

  signal: int | None = None


def count() -> int:
  """Return the number of processes; XLA is not started for it."""
  return jax.process_count() if jax.distributed.is_initialized() else 1


def is_first() -> bool:
  """Tell whether this process has the run directory."""
  return count() == 1 or jax.process_index() == 0


@contextlib.contextmanager
def together() -> Iterator[None]:
  """Have all processes end a block with the error that ends one of them.

  Those that are not the first one say nothing in it, and the first signal waits
  in all of them for `check`.
  """
  if count() == 1:
    yield
    return
  _State.signal = None
  quiet = contextlib.nullcontext() if is_first() else console.silent()
  with quiet, interrupt.deferred():
    try:
      yield
    except Exception as error:
      tell(error)
      raise


def tell(error: Exception) -> None:
  """Tell the other processes that this one ends.

  Args:
    error: why.

  Raises:
    OtherError: one before this one ends too, and its error counts.
  """
  if count() == 1 or isinstance(error, _TOLD):
    return
  number = jax.process_index()
  line = console.printable(' '.join(str(error).split()))
  told = {
    _REFUSAL: line[:_LINE] or type(error).__name__,
    _STATUS: getattr(error, 'exit_status', 1),
  }
  rows = _exchange(told)
  if any(_REFUSAL in row for row in rows[:number]):
    raise _refusal(rows)


def meet(told: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
  """Wait for all processes, and return what each of them tells.

  Args:
    told: by this one: a few values that JSON has.

  Raises:
    OtherError: one of them ends.
    GoneError: one of them is gone.
  """
  if count() == 1:
    return [dict(told or {})]
  rows = _exchange({**(told or {}), _SIGNAL: interrupt.requested_number()})
  if any(_REFUSAL in row for row in rows):
    raise _refusal(rows)
  if _State.signal is None:
    signals = [row[_SIGNAL] for row in rows if row[_SIGNAL] is not None]
    _State.signal = signals[0] if signals else None
  return rows


def wants_saving(due: bool) -> bool:
  """Tell whether all processes save now.

  Args:
    due: whether it is time to; that of the first process counts.
  """
  if count() == 1:
    return due or interrupt.requested()
  return meet({'due': due})[0]['due'] or _State.signal is not None


def check(saved: bool) -> None:
  """End the program in order if one of its processes was signalled.

  Args:
    saved: whether there is a checkpoint.

  Raises:
    Interrupted: one was, and all knew of it when they last met.
  """
  if count() == 1:
    interrupt.check(saved)
  elif _State.signal is not None:
    raise interrupt.Interrupted(_State.signal, saved)


def check_same(facts: Mapping[str, str]) -> None:
  """Refuse processes that do not do the same.

  Args:
    facts: what -> a short text, which is to be that of the first process.

  Raises:
    OtherError: naming the first process that differs, and in what.
  """
  rows = [row['facts'] for row in meet({'facts': dict(facts)})]
  for number, row in enumerate(rows):
    for name, ours in rows[0].items():
      if row.get(name) != ours:
        raise OtherError(
          f'process {number}: its {name} ({row.get(name)}) is not that of '
          f'process 0 ({ours}); start the same command and code everywhere',
          2,
        )


def value_of_first(make: Callable[[], Any]) -> Any:
  """Return a value of the first process, which others cannot make.

  Args:
    make: `() -> value` that JSON has; called by the first process alone.
  """
  if count() == 1:
    return make()
  value = make() if is_first() else None
  data = _bytes_of_first(json.dumps(value).encode())
  return value if is_first() else json.loads(data)


def arrays_of_first(
  make: Callable[[], Mapping[str, np.ndarray] | None],
) -> Mapping[str, np.ndarray] | None:
  """Return named arrays of the first process, bit for bit; or None.

  Args:
    make: called by the first process alone.
  """
  if count() == 1:
    return make()
  arrays = make() if is_first() else None
  data = b'' if arrays is None else safetensors.numpy.save(dict(arrays))
  data = _bytes_of_first(data)
  if is_first():
    return arrays
  return safetensors.numpy.load(data) if data else None


def to_host(tree: Any) -> Any:
  """Copy arrays that are spread over all devices to the host.

  It is a copy, no view, and each process has all of it.
  """
  shared: list[Any] = [
    leaf
    for leaf in jax.tree.leaves(tree)
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
  ]
  if not shared:
    return jax.tree.map(np.array, tree)
  mesh = shared[0].sharding.mesh
  everywhere = jax.NamedSharding(mesh, jax.sharding.PartitionSpec())
  with communicating():
    whole = jax.jit(_same, out_shardings=everywhere)(tree)
    return jax.tree.map(np.array, whole)


def spread(tree: Any, sharding: jax.sharding.Sharding) -> Any:
  """Put arrays of the host, the same in each process, on the devices."""
  if sharding.is_fully_addressable:
    return jax.device_put(tree, sharding)

  def put(leaf: Any) -> jax.Array:
    leaf = np.asarray(leaf)
    return jax.make_array_from_callback(
      leaf.shape, sharding, lambda index: leaf[index]
    )

  return jax.tree.map(put, tree)


@contextlib.contextmanager
def communicating() -> Iterator[None]:
  """Say in a line that what all processes do together has failed in one.

  Raises:
    GoneError: mostly another one is gone.
  """
  try:
    yield
  except _OF_XLA as error:
    if count() == 1:
      raise
    reason = ' '.join(str(error).split())[:200]
    raise GoneError(
      f'process {jax.process_index()} cannot go on with the others: {reason}; '
      'what was saved before is whole: start all of them again with --resume'
    ) from error


def _same(tree: Any) -> Any:
  return tree


def _sum(rows: jax.Array) -> jax.Array:
  return jnp.sum(rows, axis=0, dtype=rows.dtype)


def _bytes_of_first(data: bytes) -> bytes:
  """Return the bytes of the first process; those of the others do not count."""
  size = meet({'size': len(data)})[0]['size']
  passed = []
  for start in range(0, size, _BLOCK):
    block = np.zeros(_BLOCK, np.uint8)
    if is_first():
      piece = np.frombuffer(data[start : start + _BLOCK], np.uint8)
      block[: len(piece)] = piece
    passed.append(_among_processes(_sum, block).tobytes())
  return b''.join(passed)[:size]


def _exchange(told: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Return what each process tells, in their order."""
  text = json.dumps(told, ensure_ascii=False).encode('utf-8', 'replace')
  row = np.zeros(_BYTES, np.uint8)
  row[: len(text)] = np.frombuffer(text, np.uint8)
  rows = _among_processes(_same, row)
  return [json.loads(row.tobytes().rstrip(b'\0')) for row in rows]


def _among_processes(
  combine: Callable[[jax.Array], jax.Array], row: np.ndarray
) -> np.ndarray:
  """Return what becomes of the rows of all processes, by one device of each.

  Args:
    combine: of `[processes, ...]`, computed by all of them.
    row: of this process.
  """
  owners = {one.process_index: one for one in reversed(jax.devices())}
  mesh = jax.make_mesh(
    (len(owners),),
    ('process',),
    axis_types=(jax.sharding.AxisType.Auto,),
    devices=[owners[number] for number in sorted(owners)],
  )
  by_process = jax.NamedSharding(mesh, jax.sharding.PartitionSpec('process'))
  everywhere = jax.NamedSharding(mesh, jax.sharding.PartitionSpec())
  with communicating():
    rows = jax.make_array_from_callback(
      (len(owners), *row.shape), by_process, lambda index: row[None]
    )
    return np.array(jax.jit(combine, out_shardings=everywhere)(rows))


def _refusal(rows: list[dict[str, Any]]) -> OtherError:
  """Return the error of the first process that ends."""
  number, row = next(
    (number, row) for number, row in enumerate(rows) if _REFUSAL in row
  )
  # Of the first one it is what it says itself.
  place = f'process {number}: ' if number else ''
  return OtherError(place + row[_REFUSAL], row[_STATUS])
