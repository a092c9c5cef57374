"""What programs say: progress on stdout, warnings on stderr, their own name."""

from collections.abc import Iterator
import contextlib
import os
import shutil
import sys
import textwrap
from typing import TextIO


def command_line(name: str) -> str:
  """Return how a user starts a command, in the way this process was started.

  Args:
    name: of the command, as 'train'.

  Returns:
    'lstm-variants train', or 'python -m experiments.train' in a clone.
  """
  spec = getattr(sys.modules['__main__'], '__spec__', None)
  module = spec.name if spec else ''
  if module.startswith('experiments.'):
    return f'python -m experiments.{name}'
  if module == 'lstm_variants.__main__':
    return f'python -m lstm_variants {name}'
  return f'lstm-variants {name}'


def entry(name: str, sentence: str, width: int) -> str:
  """Return a line of a list, or more of them: at most 80 characters wide.

  Args:
    name: at the left.
    sentence: that says what it is.
    width: of the column of names.
  """
  return textwrap.fill(
    sentence,
    80,
    initial_indent=f'{name:<{width}} ',
    subsequent_indent=' ' * (width + 1),
    break_long_words=False,
    break_on_hyphens=False,
  )


def printable(text: str) -> str:
  """Return a line without what a terminal would obey: it may be another's."""
  return ''.join(one if one.isprintable() else '?' for one in text)


class _State:
  """State of the process: whether progress is shown."""

  quiet = False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Show no progress until the block ends; warnings are shown."""
  before, _State.quiet = _State.quiet, True
  try:
    yield
  finally:
    _State.quiet = before


def is_quiet() -> bool:
  """Tell whether no progress is to be shown."""
  return _State.quiet


def end(place: object, next_command: str) -> None:
  """Print the last lines of a command: where its results are, what is next.

  Args:
    place: of the results.
    next_command: from `command_line`, with its flags.
  """
  say(f'results: {place}')
  say(f'next: {next_command}')


def say(text: str) -> None:
  """Print a line of progress; training does not end where nobody can read it.

  A full disk or a closed pipe behind stdout is where logs end, not runs.
  """
  if _State.quiet:
    return
  try:
    print(text, flush=True)
  except OSError:
    sys.stdout = open(os.devnull, 'w')


def note(text: str) -> None:
  """Print a sentence as `say` does, folded on a terminal."""
  say(_folded(text, sys.stdout))


def warn(text: str) -> None:
  """Print a sentence that asks for attention, folded on a terminal."""
  try:
    print(_folded(text, sys.stderr), file=sys.stderr, flush=True)
  except OSError:
    sys.stderr = open(os.devnull, 'w')


def _folded(text: str, stream: TextIO) -> str:
  """Return a sentence in lines of a terminal, elsewhere in one line."""
  try:
    if not stream.isatty():
      return text
  except ValueError:  # closed
    return text
  return textwrap.fill(
    text,
    shutil.get_terminal_size().columns,
    break_long_words=False,
    break_on_hyphens=False,
  )
