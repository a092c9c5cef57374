"""What the benchmarks share: their flags, their tables, where pages go."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import logging
import pathlib
import shlex
import sys

from absl import app, flags

from benchmarks import machine

flags.disclaim_key_flags()

OUTPUT = flags.DEFINE_string(
  'output', None, 'Directory to write the page into as <script>.md.'
)
QUICK = flags.DEFINE_bool(
  'quick', False, 'Smoke version: tiny shapes, figures without meaning.'
)
REPEATS = flags.DEFINE_integer(
  'repeats', 11, 'Rounds over the contestants.', lower_bound=1
)
MACHINE = 'machine.md'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
  """Return the lines of a Markdown table, with blank lines around it."""
  lines = [header, ('---',) * len(header), *rows]
  return ['', *(f'| {" | ".join(cells)} |' for cells in lines), '']


def skipped_lines(skipped: Mapping[str, str]) -> list[str]:
  """Return a line for each contestant that could not take part."""
  return [f'- skipped: {name} ({why})' for name, why in skipped.items()]


def progress(text: str) -> None:
  """Tell what is measured now."""
  print(text, file=sys.stderr, flush=True)


def failure(error: Exception) -> str:
  """Return in a line why something could not be measured."""
  return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]


def repeats() -> int:
  """Return the rounds asked for; two in the smoke version."""
  return 2 if QUICK.value else REPEATS.value


def run(name: str, page: Callable[[], list[str]]) -> None:
  """Parse the flags, make the page, print it and write it.

  Args:
    name: of the script.
    page: its lines, from the heading on.
  """

  def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
      raise app.UsageError(f'unexpected argument {argv[1]!r}')
    measured = machine.commit()  # before: it may change meanwhile
    heading, *lines = page()
    where = machine.describe()
    text = [heading, '', '```bash', command(name, sys.argv[1:]), '```', '']
    text += [measured, '', *lines]
    text = without_double_blanks(text)
    print('\n'.join((*where, '', *text)))
    if OUTPUT.value:
      folder = pathlib.Path(OUTPUT.value)
      folder.mkdir(parents=True, exist_ok=True)
      (folder / f'{name}.md').write_text('\n'.join((*text, '')))
      (folder / MACHINE).write_text('\n'.join((*where, '')))

  # jax tells which of its platforms are missing.
  logging.getLogger('jax').setLevel(logging.WARNING)
  app.run(main)


def write_between_marks(page: pathlib.Path, name: str, text: str) -> None:
  """Write what a script made into a page that is written by hand.

  Args:
    page: with a line `<!-- NAME -->`, and one `<!-- end -->` below it.
    name: of the script.
    text: what stands between these lines from now on.
  """
  begin, end = f'<!-- {name} -->\n', '<!-- end -->\n'
  before, begun, rest = page.read_text().partition(begin)
  _, ended, after = rest.partition(end)
  assert begun and ended, f'{page}: has no such lines'
  page.write_text(before + begin + text + end + after)
  print(f'wrote {page}')


def without_double_blanks(lines: Sequence[str]) -> list[str]:
  """Return the lines with one blank line where there are more."""
  pairs = zip(lines, ['', *lines], strict=False)
  return [line for line, before in pairs if line or before]


def command(name: str, arguments: Iterable[str]) -> str:
  """Return the command that makes a page, without where it is written."""
  kept = [word for word in arguments if not word.startswith('--output=')]
  return shlex.join(['python', '-m', f'benchmarks.{name}', *kept])
