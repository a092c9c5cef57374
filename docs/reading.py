"""Write the reading order of docs/architecture.md, with its line counts.

The core, from a flag to a trained run on disk: files, or the parts of a file
that the first reading needs. Part of `make docs`.
"""

import ast
import pathlib
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'architecture.md'
BEGIN, END = '<!-- reading order: make docs -->', '<!-- end -->'


class Part(NamedTuple):
  """A file, or the functions and classes of it that are to be read.

  Attributes:
    file: below `lstm_variants/`, or from the root of the repository.
    names: read in this order, after the file's docstring; a method is named as
      `Class.method`. None: the whole file is read.
    about: what the reader learns there.
  """

  file: str
  names: tuple[str, ...]
  about: str


READING = (
  Part('configs/adding.py', (), 'what a user writes'),
  Part('commands/train.py', (), 'the program'),
  Part(
    'commands/command.py',
    ('define_config', 'start', 'run'),
    'how its command line is read',
  ),
  Part(
    'config/fields.py',
    ('Role', 'Field'),
    'what a field is; then glance at the rows',
  ),
  Part(
    'config/schema.py',
    ('table', '_table', 'check', 'Component', 'check_read'),
    'the table of all fields, and what is refused by it',
  ),
  Part(
    'config/settings.py',
    ('from_config', 'Settings', 'Hyperparams', 'Run', '_components', '_make'),
    'a config becomes what is static and what is traced',
  ),
  Part('runs/record.py', ('Format',), 'what makes two runs the same'),
  Part(
    'config/populations.py',
    ('Population', 'split'),
    'runs that share a program',
  ),
  Part(
    'launch/local.py', ('check', 'train', 'train_populations'), 'a study trains'
  ),
  Part(
    'runs/directory.py',
    ('open_study',),
    'its directory is created, and locked',
  ),
  Part(
    'training/loop.py',
    (
      *('train_population', '_compile', '_train'),
      *('_status', '_observe'),
    ),
    'the loop over chunks and evaluations',
  ),
  Part(
    'training/population.py',
    (
      *('Compiled', 'stack', 'compile_population', '_make_chunk'),
      '_over_runs',
    ),
    'the compiled program: many runs, many updates',
  ),
  Part('training/chunk.py', ('run_chunk',), 'updates, then an evaluation'),
  Part(
    'training/step.py',
    (
      *('State', 'init_state', 'watched_step', 'make_optimizer'),
      *('_gradient', '_batch_gradient', '_differentiate', '_outputs'),
      'evaluate',
    ),
    'one run: an update, an evaluation',
  ),
  Part('optimizers/__init__.py', ('_adam',), 'an optimizer'),
  Part('tasks/base.py', ('Batch', 'Task'), 'what a task is'),
  Part('tasks/adding.py', ('sample_urnn16', '_build_sum'), 'one of them'),
  Part(
    'models/apply.py',
    ('apply_model', '_run'),
    'layers and a readout; `cell.unroll` runs a layer',
  ),
  Part('cells/toggles.py', ('Toggles', 'select'), 'the switches of the LSTM'),
  Part(
    'cells/lstm.py',
    ('Params', 'unroll', 'project', 'apply_gates', 'reveal'),
    'the cell: its unroll, its equations',
  ),
  Part(
    'training/records.py',
    ('metric_rows', 'run_rows'),
    'what is written to the disk',
  ),
  Part(
    'runs/writer.py',
    ('PopulationWriter.append_metrics', 'PopulationWriter.finish'),
    'and how',
  ),
)


def place(file: str) -> pathlib.Path:
  """Return where a file of the reading order, or of the page, is."""
  inside = ROOT / 'lstm_variants' / file
  return inside if inside.is_file() else ROOT / file


def count(part: Part) -> int:
  """Return how many lines a part has, blank ones and docstrings included."""
  text = place(part.file).read_text()
  if not part.names:
    return len(text.splitlines())
  body = ast.parse(text).body
  return _lines(body[0]) + sum(_lines(_find(body, n)) for n in part.names)


def _find(body: list[ast.stmt], name: str) -> ast.stmt:
  """Return the function, class or method of a name."""
  first, _, rest = name.partition('.')
  node = next(node for node in body if getattr(node, 'name', '') == first)
  return _find(getattr(node, 'body', []), rest) if rest else node


def _lines(node: ast.stmt) -> int:
  first = min(
    [node.lineno, *(one.lineno for one in getattr(node, 'decorator_list', ()))]
  )
  return (node.end_lineno or first) - first + 1


def table() -> list[str]:
  """Return the reading order as lines of Markdown."""
  lines = ['| | read | lines | for |', '| --- | --- | --- | --- |']
  for number, part in enumerate(READING, 1):
    names = ', '.join(f'`{name}`' for name in part.names)
    read = f'`{part.file}`: {names}' if names else f'`{part.file}`'
    lines.append(f'| {number} | {read} | {count(part)} | {part.about} |')
  total = sum(map(count, READING))
  return [*lines, f'| | all of it | {total:,} | |']


def main() -> None:
  """Write the table into the page."""
  before, _, rest = PAGE.read_text().partition(BEGIN)
  _, _, after = rest.partition(END)
  middle = '\n'.join((BEGIN, '', *table(), '', END))
  PAGE.write_text(before + middle + after)
  print(f'wrote {PAGE}')


if __name__ == '__main__':
  main()
