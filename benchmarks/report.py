"""Run every benchmark and write docs/performance.md.

    python -m benchmarks.report

A page that is in --output already is kept: remove it to measure it anew.
benchmarks/introduction.md comes first, by hand.
"""

from collections.abc import Sequence
import pathlib
import subprocess
import sys

from absl import app, flags

from benchmarks import pages

_PAGE = flags.DEFINE_string(
  'page', 'docs/performance.md', 'Where the report is written.'
)
# The scripts and what they are run with, in the order of the report.
SCRIPTS: tuple[tuple[str, tuple[str, ...]], ...] = (
  ('first_update', ('--repeats=7',)),
  ('step_time', ('--repeats=7',)),
  ('population', ('--grid', '--repeats=5')),
  ('memory', ('--repeats=5',)),
  ('time_to_solve', ()),
  ('sampling', ('--repeats=3',)),
  ('cells', ('--repeats=61', '--csv=docs/cost.csv')),
  ('newton', ('--repeats=3',)),
  ('widths', ('--repeats=3',)),
  ('sizes', ()),
  ('opening', ('--repeats=5',)),
)
INTRODUCTION = pathlib.Path(__file__).parent / 'introduction.md'


def measure(folder: pathlib.Path) -> None:
  """Run the scripts whose pages are not there yet."""
  for name, arguments in SCRIPTS:
    if (folder / f'{name}.md').exists():
      pages.progress(f'{name}: kept')
      continue
    pages.progress(f'{name}: measuring')
    command = [sys.executable, '-m', f'benchmarks.{name}', *arguments]
    command += [f'--output={folder}']
    if pages.QUICK.value:
      command.append('--quick')
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def assemble(folder: pathlib.Path) -> str:
  """Return the report: introduction, machine, the page of every script."""
  parts = [
    INTRODUCTION.read_text(),
    '## Machine\n\n' + (folder / pages.MACHINE).read_text(),
    *((folder / f'{name}.md').read_text() for name, _ in SCRIPTS),
  ]
  return '\n'.join(part.strip() + '\n' for part in parts)


def main(argv: Sequence[str]) -> None:
  """Measure, then write."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected argument {argv[1]!r}')
  folder = pathlib.Path(pages.OUTPUT.value or 'runs/benchmarks')
  measure(folder)
  pathlib.Path(_PAGE.value).write_text(assemble(folder))
  print(f'wrote {_PAGE.value}')


if __name__ == '__main__':
  app.run(main)
