"""Long-lag tasks, synthetic ones and data, each paper's version by its name.

To add a task: a module with `TASKS`, name -> dialect -> how to build it, and
its name in `MODULES`; from outside the house, `register_task`.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import numbers
import os
import types
from typing import Any

from lstm_variants import arguments
from lstm_variants import names as names_lib
from lstm_variants.registry import Registry, RegistryError, UnknownError
from lstm_variants.tasks import (
  adding,
  base,
  binary_addition,
  bucket_sort,
  copy,
  counting,
  data,
  denoise,
  digits,
  forecasting,
  from_outside,
  group_words,
  long_lag,
  measures,
  missing_duplicate,
  modular_arithmetic,
  multiplication,
  reber,
  recall,
  selective_copying,
  spike_delays,
  state_tracking,
  temporal_order,
  text,
  timed_spikes,
  transduction,
  two_sequence,
  warping,
  waveforms,
)
from lstm_variants.tasks import held_out as held_out_lib

# In the order in which they are listed.
MODULES = (
  adding,
  copy,
  reber,
  long_lag,
  two_sequence,
  multiplication,
  temporal_order,
  spike_delays,
  timed_spikes,
  waveforms,
  counting,
  state_tracking,
  group_words,
  modular_arithmetic,
  bucket_sort,
  transduction,
  missing_duplicate,
  binary_addition,
  denoise,
  selective_copying,
  warping,
  recall,
  digits,
  text,
  forecasting,
)
# name -> dialect -> how to build it; the first dialect is the default.
DIALECTS: Registry[Mapping[str, base.Dialect]] = Registry(
  'task',
  {
    name: dialects
    for module in MODULES
    for name, dialects in module.TASKS.items()
  },
)
# Of the names that a refusal lists.
_LISTED = 8
# What was registered from outside, as it was given.
_given: dict[str, from_outside.Entry] = {}


def register_task(name: str, dialects: from_outside.Entry) -> None:
  """Add a task: from then on it is trained, swept and compared as any other.

      def majority(length):
        ...
        return lv.Task(
          sample=sample,
          measure=measure,
          num_steps=length,
          inputs=lv.symbols('0', '1'),
          outputs=lv.symbols('no', 'yes'),
        )

      lv.register_task('majority', majority)

  Args:
    name: a letter, then letters, digits or underscores.
    dialects: a function of T, in steps, that returns the `Task`; where its
      `sample` takes a `length`, T is drawn for it if a config wants that. Or a
      `Dialect`, whose `build` takes a `Spec` and so has options, data, and
      lengths of its own. Or several, by their names, the default first.

  Raises:
    RegistryError: a name that is taken, or a task that cannot be trained: its
      batch is not of the shapes that it states, its loss no scalar, ….
  """
  if name in DIALECTS and _given.get(name) is dialects:
    return  # its module is imported again
  try:
    entry = from_outside.dialects(name, dialects)
  except from_outside.TaskError as error:
    raise RegistryError(f'task {name!r}: {error}') from error
  DIALECTS.register(name, entry, functools.partial(_check_new, name))
  _given[name] = dialects
  _build.cache_clear()  # of what was built under this name before


def _check_new(name: str, dialects: Mapping[str, base.Dialect]) -> None:
  """Refuse a task that cannot be trained, or that is mistaken for another."""
  for key in (name, *(f'{name}_{dialect}' for dialect in dialects)):
    if key in TASKS.choices() and TASKS.choice(key)[0] != name:
      raise ValueError(
        f'{key} is a dialect of {TASKS.choice(key)[0]}; nearest: my_{name}'
      )
  for dialect in dialects.values():
    from_outside.check(dialect)


def make_task(
  name: str,
  dialect: str | None = None,
  length: int | None = None,
  *,
  shortest: int | None = None,
  held_out: bool = False,
  spread: bool = False,
  success_limit: float | None = None,
  **options: Any,
) -> base.Task:
  """Build a task.

  Args:
    name: a key of `DIALECTS`.
    dialect: whose version; None or '' is the first of the task's dialects.
    length: T in steps, as the dialect's paper counts it; None is the
      dialect's `usual`, mostly 100.
    shortest: draw T of each batch from U{shortest, …, length}, on one time
      axis; None is as the dialect's paper has it, mostly T = length.
    held_out: of a task with data, the part that is not trained on.
    spread: as a held-out set it has every T, or every sequence of a list,
      equally often; see `held_out`.
    success_limit: what the metric of the rule of success must be below in place
      of the dialect's limit; 0: below 1e-9, which is not one mistake where it
      is the share of wrong answers.
    **options: those of the dialect (`Dialect.options`); 0 or '' is the paper's.

  Returns:
    A `Task`.

  Raises:
    lv.Error: an unknown name or dialect; as `SpecError`, a choice that the
      dialect does not have, or a value out of its range.
  """
  kinds = {'spread': spread, 'success_limit': success_limit}
  return _make(name, dialect, length, shortest, held_out, kinds, options)[1]


def resolve(
  name: str,
  dialect: str | None = None,
  length: int | None = None,
  *,
  shortest: int | None = None,
  held_out: bool = False,
  spread: bool = False,
  success_limit: float | None = None,
  **options: Any,
) -> base.Spec:
  """Return what `make_task` builds, with what was left to the paper."""
  kinds = {'spread': spread, 'success_limit': success_limit}
  return _make(name, dialect, length, shortest, held_out, kinds, options)[0]


def find_dialect(name: str, dialect: str | None = None) -> base.Dialect:
  """Return how a task is built.

  Raises:
    lv.Error: an unknown name or dialect, with the nearest known one.
  """
  dialects = DIALECTS[name]
  if dialect is None or (isinstance(dialect, str) and not dialect):
    dialect = next(iter(dialects))
  if not isinstance(dialect, str) or dialect not in dialects:
    raise arguments.ArgumentError(
      f'dialect {dialect!r} of {name} is not one of {", ".join(dialects)}'
      + names_lib.hint(dialect, dialects, repr)
    )
  return dialects[dialect]


def _make(
  name: str,
  dialect_name: str | None,
  length: int | None,
  shortest: int | None,
  held_out: bool,
  kinds: Mapping[str, Any],
  options: Mapping[str, Any],
) -> tuple[base.Spec, base.Task]:
  """Check what was chosen, complete it, and build the task, or find it."""
  dialect = find_dialect(name, dialect_name)
  dialect_name = dialect_name or next(iter(DIALECTS[name]))
  length = dialect.usual if length is None else length
  length = _check_integer('length', length, dialect.usual)
  if shortest is None:
    shortest = dialect.usual_shortest(length)
  shortest = _check_integer('shortest', shortest, dialect.usual)
  label = f'{name} in dialect {dialect_name}'
  _check_lengths(label, dialect, length, shortest)
  chosen = _check_options(label, dialect, options)
  _check_limit(kinds['success_limit'])
  given: dict[str, Any] = {'length': length, 'shortest': shortest}
  spec = base.Spec(**given, held_out=held_out, **kinds, **chosen)
  return _build(name, dialect_name, spec, data.identity(spec.path))


@functools.lru_cache(maxsize=256)
def _build(
  name: str, dialect_name: str, spec: base.Spec, identity: tuple
) -> tuple[base.Spec, base.Task]:
  """Complete a checked spec and build the task; anew for files that changed."""
  del identity  # of the path, beside which files are found again
  dialect = DIALECTS[name][dialect_name]
  spec = dialect.resolve(spec)
  task = _judge(dialect.build(spec), spec)
  return spec, _vary(task, dialect, spec)


def _judge(task: base.Task, spec: base.Spec) -> base.Task:
  """Return the task with the held-out set and the limit that are chosen.

  Raises:
    SpecError: a limit where nothing is judged on a held-out set.
  """
  changes: dict[str, Any] = {}
  if spec.spread and held_out_lib.can_spread(task, spec):
    changes['spread'] = spec.shortest, spec.length
  limit, rule = spec.success_limit, task.success
  if limit is not None:
    if not isinstance(rule, base.HeldOut):
      raise base.SpecError(
        'success_limit',
        limit,
        f'{task.name} ({task.dialect}) is not judged on a held-out set '
        f'(success: {rule}); leave it out',
      )
    changes['success'] = rule._replace(below=limit or measures.NONE)
  return dataclasses.replace(task, **changes) if changes else task


def _vary(task: base.Task, dialect: base.Dialect, spec: base.Spec) -> base.Task:
  """Return the task with what differs from the default in its label.

  Data name themselves: a path says nothing of what is in the file. The task is
  kept for whoever asks again, so that nobody may change its baselines.
  """
  shortest = dialect.usual_shortest(spec.length)
  parts = [f'-from{spec.shortest}'] if spec.shortest != shortest else []
  defaults: dict[str, Any] = {
    name: option.default
    for name, option in dialect.options.items()
    if isinstance(option.default, int)
  }
  usual = dialect.resolve(spec._replace(**defaults))
  parts += [
    f'-{name}{getattr(spec, name)}'
    for name in defaults
    if getattr(spec, name) != getattr(usual, name)
  ]
  if spec.held_out and spec.success_limit is not None:
    parts.append(f'-below{spec.success_limit:g}')
  if task.spread is not None:
    parts.append('-spread')
  return dataclasses.replace(
    task,
    variation=task.variation + ''.join(parts),
    baselines=types.MappingProxyType(dict(task.baselines)),
  )


def _check_lengths(
  label: str, dialect: base.Dialect, length: int, shortest: int
) -> None:
  for field, value in (('length', length), ('shortest', shortest)):
    if value < dialect.shortest:
      raise base.SpecError(
        field,
        value,
        f'{label} needs at least {dialect.shortest} steps ({dialect.why}); '
        f'nearest: {dialect.shortest}',
      )
  if shortest > length:
    raise base.SpecError(
      'shortest', shortest, f'above length={length}; nearest: {length}'
    )


def _check_options(
  label: str, dialect: base.Dialect, options: Mapping[str, Any]
) -> dict[str, Any]:
  """Return all options of the dialect, as chosen or by default."""
  chosen: dict[str, Any] = {
    option: known.default for option, known in dialect.options.items()
  }
  for option, value in options.items():
    if option not in base.OPTIONS:
      tail = names_lib.tail(option, base.OPTIONS)
      raise base.SpecError(option, value, f'unknown{tail}')
    if value is None or (isinstance(value, str | int) and not value):
      continue
    if option not in dialect.options:
      usable = ', '.join(dialect.options) or 'none'
      raise base.SpecError(
        option, value, f'{label} has no such option (it has: {usable})'
      )
    chosen[option] = _check_option(option, value, dialect.options[option])
  return chosen


def _check_option(name: str, value: Any, option: base.Option) -> Any:
  if isinstance(option.default, str):
    return _check_text(name, value)
  value = _check_integer(name, value, option.default)
  if not option.smallest <= value <= option.largest:
    nearest = min(max(value, option.smallest), option.largest)
    raise base.SpecError(
      name,
      value,
      f'{option.meaning}: must be {option.smallest} to {option.largest}; '
      f'nearest: {nearest}',
    )
  return value


def _check_integer(field: str, value: Any, usual: int) -> int:
  if isinstance(value, numbers.Integral) and not isinstance(value, bool):
    return int(value)
  raise base.SpecError(field, value, f'not an integer; nearest: {usual}')


def _check_limit(limit: Any) -> None:
  """Refuse what no metric can be below."""
  is_number = isinstance(limit, numbers.Real) and not isinstance(limit, bool)
  if limit is not None and not (is_number and float(limit) >= 0):
    raise base.SpecError(
      'success_limit', limit, 'not a number of at least 0; nearest: None'
    )


def _check_text(field: str, value: Any) -> str:
  text = os.fspath(value) if isinstance(value, os.PathLike) else value
  if isinstance(text, str):
    return text
  raise base.SpecError(field, value, f"not text; nearest: '{value}'")


class _Tasks(Mapping[str, base.Task]):
  """Tasks by name, built when asked for.

  What needs files of the user's is not among them; `choice` knows its name.
  """

  def choices(self) -> dict[str, tuple[str, str]]:
    """Return the task and the dialect of every key, listed or not."""
    choices: dict[str, tuple[str, str]] = {}
    for name, dialects in DIALECTS.items():
      choices[name] = name, next(iter(dialects))
      for dialect in dialects:
        choices[f'{name}_{dialect}'] = name, dialect
    return choices

  def choice(self, key: str) -> tuple[str, str]:
    """Return the name and the dialect that a key stands for.

    Raises:
      KeyError: it is no name, not even of a task that needs files.
    """
    return self.choices()[key]

  def __getitem__(self, key: str) -> base.Task:
    if key not in self:
      raise UnknownError(
        f'task {key!r}: unknown{names_lib.tail(key, self, repr, _LISTED)}'
      )
    return make_task(*self.choice(key))

  def __iter__(self) -> Iterator[str]:
    for key, (name, dialect) in self.choices().items():
      if not DIALECTS[name][dialect].needs_files:
        yield key

  def __len__(self) -> int:
    return sum(1 for _ in self)

  def __contains__(self, key: object) -> bool:
    return isinstance(key, str) and key in set(self)

  def __repr__(self) -> str:
    return f'TASKS({", ".join(self)})'


# Every task by name in its default dialect, and every dialect as name_dialect,
# at its usual T.
TASKS = _Tasks()
