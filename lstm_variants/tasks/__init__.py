"""Synthetic long-lag tasks, each paper's version under its name.

To add a task: a module with `DIALECTS`, the first of which is the default, and
a line in `DIALECTS` here.
"""

from collections.abc import Mapping
import types

from lstm_variants.tasks import adding, base, copy

# name -> dialect -> how to build it; the first dialect is the default.
DIALECTS: Mapping[str, Mapping[str, base.Dialect]] = types.MappingProxyType(
  {'adding': adding.DIALECTS, 'copy': copy.DIALECTS}
)

DEFAULT_LENGTH = 100


def make_task(
  name: str, dialect: str | None = None, length: int = DEFAULT_LENGTH
) -> base.Task:
  """Build a task.

  Args:
    name: a key of `DIALECTS`.
    dialect: whose version; None is the first of the task's dialects.
    length: T in steps, as the dialect's paper counts it.

  Returns:
    A `Task`.

  Raises:
    ValueError: an unknown name or dialect, or a length below the shortest.
  """
  if name not in DIALECTS:
    raise ValueError(f'task {name!r} is not one of {", ".join(DIALECTS)}')
  dialects = DIALECTS[name]
  dialect = next(iter(dialects)) if dialect is None else dialect
  if dialect not in dialects:
    raise ValueError(
      f'dialect {dialect!r} of {name} is not one of {", ".join(dialects)}'
    )
  build, shortest, why = dialects[dialect]
  if length < shortest:
    raise ValueError(
      f'length {length} of {name} in dialect {dialect} is below {shortest} '
      f'({why})'
    )
  return build(length)


def _registry() -> dict[str, base.Task]:
  tasks = {name: make_task(name) for name in DIALECTS}
  for name, dialects in DIALECTS.items():
    for dialect in dialects:
      tasks[f'{name}_{dialect}'] = make_task(name, dialect)
  return tasks


# Every task by name in its default dialect, and every dialect as name_dialect,
# at T = 100.
TASKS: Mapping[str, base.Task] = types.MappingProxyType(_registry())
