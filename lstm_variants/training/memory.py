"""How much memory a run needs, and whether this machine has it."""

import bisect
from collections.abc import Mapping, Sequence
import functools
import math
import os
import resource
import sys
from typing import Any

import jax
import jax.numpy as jnp

from lstm_variants import cells, models, registry, tasks
from lstm_variants.cells import check_cell, contract, lstm
from lstm_variants.config import fields, rules, task_fields
from lstm_variants.config.settings import Settings

# Bytes of one run that the gradient may keep before `auto` saves them.
_MUCH = 2**30


def segment(settings: Settings) -> int | None:
  """Return the steps that the gradient computes again together.

  None: it keeps every step. See training.remat.
  """
  if settings.remat == 'none' or settings.bidirectional:
    return None
  steps = settings.task.num_steps
  if settings.remat == 'auto' and _kept_bytes(settings, steps) <= _MUCH:
    return None
  return root(steps)


def root(steps: int) -> int:
  """Return √steps, rounded up: the segment that needs the least memory."""
  return math.isqrt(steps - 1) + 1


def cores() -> int:
  """Return how many CPU cores this process may use."""
  if sys.platform == 'linux':
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def estimate_bytes(settings: Settings, runs: int = 1) -> int:
  """Estimate the memory of training `runs` runs in one program, in bytes.

  Parameters ten times over (values, gradient and two moments, before and after
  an update, and what the update puts between; at least 32 bits), for every run
  and every device that shares it. What the gradient keeps only for those side
  by side: `lanes` a device, of which a CPU has one for each core. It is the
  memory of a CPU that is meant; an accelerator, of another size, is not looked
  at.

  Raises:
    InputError: a cell from outside that fails at the sizes of the run.
  """
  check_outside(settings)
  sizes = settings.architecture
  width = sizes.hidden_features
  first = sizes.embedding_features or sizes.in_features
  inputs = first + width * (2 * sizes.num_layers - 1)
  # Of every LSTM, gate recurrence included.
  most = 4 * width * inputs + 9 * width**2 * sizes.num_layers
  weights = (_cell_weights(settings) or most) * (1 + sizes.bidirectional)
  weights += sizes.in_features * sizes.embedding_features
  if sizes.direct_connections:
    weights += first * sizes.out_features
  number = max(fields.DTYPES[settings.dtype], 4)
  rows = max(cores() // settings.batch_devices, 1)
  together = min(runs, (settings.lanes or 1) * rows)
  steps = settings.task.num_steps
  again = segment(settings)
  kept = _kept_bytes(settings, again or steps)
  kept += _ends_bytes(settings, steps) + _penalty_bytes(settings)
  if again:
    # The states between the segments.
    states = 2 * _states_a_unit(settings) * width * sizes.num_layers
    states *= -(-steps // again)
    kept += settings.batch_size * states * number
  # An evaluation keeps about two arrays of the hidden size in place of twelve.
  steps = settings.held_out_task.num_steps
  evaluated = _kept_bytes(settings, steps) // 6 + _ends_bytes(settings, steps)
  copies = runs * settings.batch_devices
  return 10 * weights * number * copies + together * max(kept, evaluated)


def address_limit() -> int | None:
  """Return the bytes of addresses that a process may have, None without end."""
  limit, _ = resource.getrlimit(resource.RLIMIT_AS)
  return None if limit == resource.RLIM_INFINITY else limit


def check_memory(population: Sequence[Settings]) -> None:
  """Refuse runs that together exceed the memory of this machine.

  Args:
    population: the settings of each run, all equal.

  Raises:
    InputError: naming the estimate, the memory, and the batch size, length or
      width to change; or a cell from outside that fails at these sizes.
  """
  settings, runs = population[0], len(population)
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  memory = min(memory, address_limit() or memory)
  needed = estimate_bytes(settings, runs)
  if needed <= memory:
    return
  task_choice = settings.task_fields
  dialect = tasks.find_dialect(task_choice.name, task_choice.dialect)
  shortest = dialect.shortest
  # Where it is in the config, smallest and usual: of the sizes that could mend
  # it, the most unusual one is named.
  sizes = {
    'batch_size': ('training', 1, 256),
    'length': ('task', shortest, 1000),
    'evaluation_length': ('task', shortest, 1000),
    'hidden_features': ('model', 1, 512),
  }
  values = {
    'batch_size': settings.batch_size,
    'hidden_features': settings.hidden_features,
    'length': task_choice.length,
    'evaluation_length': task_choice.evaluation_length,
  }
  name, nearest = _find_cure(settings, runs, sizes, values, memory)
  judged = name == 'evaluation_length'
  task = settings.held_out_task if judged else settings.task
  raise rules.InputError(
    f'{sizes[name][0]}.{name}',
    values[name],
    f'{runs} run(s) of width {settings.hidden_features}, '
    f'{task.num_steps} steps and batch_size {settings.batch_size} '
    f'need about {needed / 2**30:,.0f} GiB, this machine has '
    f'{memory / 2**30:,.0f}; nearest: {nearest}',
  )


def _find_cure(
  settings: Settings,
  runs: int,
  sizes: Mapping[str, tuple[str, int, int]],
  values: Mapping[str, int],
  memory: int,
) -> tuple[str, int]:
  """Return the size to change, and to what: the largest value that fits."""
  order = sorted(sizes, key=lambda n: values[n] / sizes[n][2], reverse=True)
  for name in order:
    needs = functools.partial(_needed_bytes, settings, runs, name)
    smallest, step = sizes[name][1], 1
    if name == 'batch_size':
      smallest = step = settings.batch_devices
    choices = range(smallest, values[name], step)
    # What is too short for the task needs nothing: so lengths are in order.
    count = bisect.bisect(
      choices, False, key=lambda n, f=needs: (f(n) or 0) > memory
    )
    if count and needs(choices[count - 1]) is not None:
      return name, choices[count - 1]
  # No one size will do: the most unusual one is to be changed first.
  for name in order:
    if values[name] > sizes[name][1]:
      return name, min(values[name] - 1, sizes[name][2])
  return order[0], sizes[order[0]][1]


def _needed_bytes(
  settings: Settings, runs: int, name: str, size: int
) -> int | None:
  """Estimate the memory with another size; None if too short for the task."""
  try:
    return estimate_bytes(_resized(settings, name, size), runs)
  except rules.InputError:
    return None


def _resized(settings: Settings, name: str, size: int) -> Settings:
  """Return settings with another size; lengths are not drawn."""
  before = settings.task_fields
  if name not in before._fields:
    return settings.replace(**{name: size})
  lengths = {'length': before.length}
  lengths['evaluation_length'] = before.evaluation_length
  if before.evaluation_length == before.length:
    lengths = dict.fromkeys(lengths, size)
  lengths[name] = size
  lengths['shortest_length'] = lengths['length']
  lengths['evaluation_shortest_length'] = lengths['evaluation_length']
  # A period that follows from T follows from the other T.
  base = before._replace(period=0)
  if task_fields.resolve_task(base._asdict())['period'] != before.period:
    base = before
  task = task_fields.resolve_task(base._replace(**lengths)._asdict())
  return settings.replace(task_fields=type(before)(**task))


def _ends_bytes(settings: Settings, steps: int) -> int:
  """Estimate the inputs and outputs of the whole batch on each device."""
  sizes = settings.architecture
  number = max(fields.DTYPES[settings.dtype], 4)
  ends = 3 * steps * (sizes.in_features + sizes.out_features)
  return settings.batch_size * ends * settings.batch_devices * number


def check_outside(settings: Settings) -> None:
  """Refuse a cell from outside that fails at the sizes of a run.

  It was tried at other sizes when it was registered.

  Raises:
    InputError: it fails.
  """
  sizes = settings.architecture
  if cells.CELLS.module_of(sizes.cell) == registry.HOUSE:
    return
  chosen, width = _settings_of(settings), sizes.hidden_features
  inputs = {sizes.embedding_features or sizes.in_features}
  if sizes.num_layers > 1:
    inputs.add(width * (1 + sizes.bidirectional))
  for features in sorted(inputs):
    try:
      check_cell.check_sizes(cells.CELLS[sizes.cell], chosen, features, width)
    except ValueError as error:
      raise rules.InputError(
        'model.variant',
        sizes.cell,
        f'its {error}; nearest: another width, or another cell',
      ) from error


def _states_a_unit(settings: Settings) -> int:
  """Return how many numbers a layer hands on, for each hidden unit."""
  sizes = settings.architecture
  cell = cells.CELLS[sizes.cell]
  chosen = lstm.Toggles() if cell.toggled else _settings_of(settings)
  numbers = _carry_size(cell, chosen, sizes.hidden_features)
  return -(-numbers // sizes.hidden_features)


@functools.lru_cache(maxsize=4096)
def _carry_size(cell: contract.Cell, chosen: Any, width: int) -> int:
  """Return how many numbers the state of a layer has, of one sequence."""
  carry = jax.eval_shape(
    lambda: cell.init_carry(chosen, (1,), width, jnp.float32)
  )
  return sum(leaf.size for leaf in jax.tree.leaves(carry))


@functools.lru_cache(maxsize=4096)
def _layer_weights(
  cell: contract.Cell, chosen: Any, features: int, width: int
) -> int:
  """Return the parameters of one layer, by their shapes."""
  return cell.count_params(chosen, features, width)


def _settings_of(settings: Settings) -> Any:
  """Return the settings of a cell without toggles."""
  return models.settings_of(settings.architecture, None)


def _cell_weights(settings: Settings) -> int:
  """Return the parameters of the layers of one direction, by their shapes.

  0 of the LSTM, of which the formula for every cell has them all, and at a
  width that the cell refuses.
  """
  sizes = settings.architecture
  cell, width = cells.CELLS[sizes.cell], sizes.hidden_features
  if cell.toggled:
    return 0
  chosen = _settings_of(settings)
  first = sizes.embedding_features or sizes.in_features
  above = width * (1 + sizes.bidirectional)
  inputs = [first, *(above for _ in range(sizes.num_layers - 1))]
  try:
    return sum(
      _layer_weights(cell, chosen, features, width) for features in inputs
    )
  except contract.SettingError:
    return 0


def _kept_a_unit(settings: Settings) -> int:
  """Estimate the arrays of the hidden size that the gradient keeps of a step.

  As measured on CPU: 12 where the cell has a gradient of its own, up to 7 for
  each number of its state where that is the one of its products, up to 16
  elsewhere, but 24 of a state of one number, all steps of which may be made at
  once; 40 with remedies; of both directions.
  """
  remedied = settings.layer_norm or settings.noisy
  cell, states = cells.CELLS[settings.cell], _states_a_unit(settings)
  kept = max(24, 16 * states)
  if cell.fused and not remedied:
    kept = 12 if cell.scan is not None else max(12, 7 * states)
  elif remedied:
    kept = max(kept, 40)
  return kept * (1 + settings.bidirectional)


def _penalty_bytes(settings: Settings) -> int:
  """Estimate what the gradient penalty keeps, of all the steps at once."""
  if not settings.penalised:
    return 0
  sizes = settings.architecture
  kept = 20 * _states_a_unit(settings) * sizes.hidden_features
  number = max(fields.DTYPES[settings.dtype], 4)
  steps = settings.task.num_steps * sizes.num_layers
  return settings.batch_size * steps * kept * number


def _kept_bytes(settings: Settings, steps: int) -> int:
  """Estimate what the gradient of `steps` steps keeps of one run."""
  sizes = settings.architecture
  kept = _kept_a_unit(settings) * sizes.hidden_features * sizes.num_layers
  kept += sizes.in_features + sizes.embedding_features + sizes.out_features
  number = fields.DTYPES[settings.dtype]
  return settings.batch_size * steps * kept * number
