"""What programs say: progress on stdout, warnings on stderr, their own name.

In a program (`guarded`) nothing that is printed fails, whatever becomes of the
streams; and what came from a run directory, of which anybody may be the author,
commands no terminal.
"""

from collections.abc import Iterator
import contextlib
import errno
import io
import os
import re
import select
import shutil
import sys
import textwrap
from typing import NoReturn, TextIO

from lstm_variants import errors

# What a terminal obeys, or what turns the order of signs: all but the end of a
# line and a tab. Halves of characters stand for bytes of a name that are none.
_COMMANDS = (
  '\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e'
  '\u2066-\u2069\ud800-\udfff'
)
_OBEYED = re.compile(f'[{_COMMANDS}]')
# What rich draws with: colours, the cursor up, to the start of the line, hidden
# and shown, a line erased. What others wrote has none of it: `clean`.
_DRAWN = re.compile(
  rf'(\x1b\[(?:[\d;]*m|\d*[AG]|2K|\?25[lh])|\r)|[{_COMMANDS}]'
)
# A word of a command, with what is quoted in it; a quote that does not end
# stands for itself.
_SHELL_WORD = re.compile(
  r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|\S)+""", re.DOTALL
)


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


def clean(text: str) -> str:
  """Return a text without what a terminal would obey: it may be another's."""
  return _OBEYED.sub('?', text)


def printable(text: str) -> str:
  """Return a text as one line without what a terminal would obey."""
  return ''.join(one if one.isprintable() else '?' for one in text)


class _Descriptor(io.RawIOBase):
  """A descriptor of the system; what it does not take is dropped."""

  def __init__(self, descriptor: int):
    super().__init__()
    self._descriptor = descriptor
    # The first refusal; from then on all is dropped.
    self.refusal: OSError | None = None

  def writable(self) -> bool:
    return True

  def fileno(self) -> int:
    return self._descriptor

  def isatty(self) -> bool:
    return os.isatty(self._descriptor)

  def write(self, data, /) -> int:
    while self.refusal is None:
      try:
        return os.write(self._descriptor, data)
      except BlockingIOError:  # another program has it so
        select.select([], [self._descriptor], [])
      except OSError as error:
        self.refusal = error
    return len(data)


class _Output(io.TextIOWrapper):
  """A stream on which nothing fails, and that commands no terminal."""

  def __init__(self, descriptor: int, like: TextIO | None, by_line: bool):
    self.descriptor = _Descriptor(descriptor)
    super().__init__(
      io.BufferedWriter(self.descriptor),
      encoding=like.encoding if like else 'utf-8',
      errors='backslashreplace',
      line_buffering=by_line or self.descriptor.isatty(),
    )

  def write(self, text: str, /) -> int:
    if self.descriptor.isatty():
      super().write(_DRAWN.sub(lambda match: match[1] or '?', text))
    else:
      super().write(clean(text))
    return len(text)


class LostError(errors.Error):
  """What stdout was to take is lost; the message is one line."""

  exit_status = 6


def open_descriptors() -> None:
  """Open what is closed of stdin, stdout and stderr, on nothing.

  Otherwise the next file that is opened is taken for it. To be called before
  anything else is imported.
  """
  for descriptor in range(3):
    try:
      os.fstat(descriptor)
    except OSError:
      nothing = os.open(os.devnull, os.O_RDWR)
      if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)
      os.set_inheritable(descriptor, True)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
  """Have nothing fail for what is printed until the program ends.

  Whoever closed stdout, or reads no further (`| head`), wanted no more: the
  program does its work and ends with its own status. Where stdout refuses, as
  on a full disk, it does so too, and then says what was lost.

  Raises:
    SystemExit: as the block does; in place of success, with the status of
      `LostError`, where something that stdout was to take is lost.
  """
  if sys.stdout is not sys.__stdout__ or isinstance(sys.stdout, _Output):
    yield  # of a notebook or a test, or guarded already
    return
  open_descriptors()
  closed = os.open(os.devnull, os.O_WRONLY)
  out = _Output(1 if sys.stdout else closed, sys.stdout, False)
  sys.stdout = out
  sys.stderr = _Output(2 if sys.stderr else closed, sys.stderr, True)
  if sys.stdin is None:
    sys.stdin = open(os.devnull)
  end = None
  try:
    yield
  except SystemExit as error:
    end = error
  finally:
    out.flush()
  refusal, failed = out.descriptor.refusal, end is not None and end.code
  if refusal is not None and refusal.errno != errno.EPIPE and not failed:
    refuse(
      LostError(
        f'stdout: {refusal.strerror}: what was to be read there is lost; all '
        'else is done'
      )
    )
  if end is not None:
    raise end


def refuse(error: Exception) -> NoReturn:
  """Print an error as one line and exit with its status, 2 if it has none."""
  line = printable(' '.join(str(error).split()))
  if sys.stderr is not None:
    print(f'error: {line}', file=sys.stderr)
  sys.exit(getattr(error, 'exit_status', 2))


def is_terminal(stream: TextIO | None) -> bool:
  """Tell whether a stream is a terminal; one that is closed is none."""
  try:
    return stream is not None and stream.isatty()
  except (ValueError, AttributeError):  # closed, or one that only writes
    return False


class _State:
  """State of the process: whether progress is shown, whether anything is."""

  quiet = False
  silent = False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Show no progress until the block ends; warnings are shown."""
  before, _State.quiet = _State.quiet, True
  try:
    yield
  finally:
    _State.quiet = before


@contextlib.contextmanager
def silent() -> Iterator[None]:
  """Show nothing until the block ends, no warnings either: another says it."""
  before, _State.silent = _State.silent, True
  try:
    with quiet():
      yield
  finally:
    _State.silent = before


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
  say_next(next_command)


def say_next(command: str) -> None:
  """Print the command that is next; on a terminal continued over its lines."""
  say(continued(f'next: {command}'))


def continued(command: str, indent: str = '') -> str:
  """Return a command in lines of the terminal, elsewhere in one line.

  Its lines end with a backslash, so that it can be copied; what is quoted is
  not broken, where a backslash would be taken for itself.

  Args:
    command: with its flags.
    indent: before its first line; the others stand four blanks further right.
  """
  text = f'{indent}{command}'
  columns = _columns(sys.stdout)
  if columns is None or len(text) <= columns:
    return text
  first, *others = _SHELL_WORD.findall(command)
  lines = [f'{indent}{first}']
  for word in others:
    if len(f'{lines[-1]} {word}') <= columns - 2:
      lines[-1] += f' {word}'
    else:
      lines.append(f'{indent}    {word}')
  return ' \\\n'.join(lines)


def say(text: str) -> None:
  """Print a line of progress; training does not end where nobody can read it.

  A full disk or a closed pipe behind stdout is where logs end, not runs.
  """
  if _State.quiet:
    return
  try:
    print(clean(text), flush=True)
  except OSError:
    sys.stdout = open(os.devnull, 'w')
  except ValueError:  # closed, or without these signs
    pass


def note(text: str) -> None:
  """Print a sentence as `say` does, folded on a terminal."""
  say(_folded(text, sys.stdout))


def warn(text: str) -> None:
  """Print a sentence that asks for attention, folded on a terminal."""
  if _State.silent:
    return
  try:
    print(clean(_folded(text, sys.stderr)), file=sys.stderr, flush=True)
  except OSError:
    sys.stderr = open(os.devnull, 'w')
  except ValueError:
    pass


def _folded(text: str, stream: TextIO | None) -> str:
  """Return a sentence in lines of a terminal, elsewhere in one line."""
  columns = _columns(stream)
  if columns is None:
    return text
  return textwrap.fill(
    text, columns, break_long_words=False, break_on_hyphens=False
  )


def _columns(stream: TextIO | None) -> int | None:
  """Return the width of the terminal behind a stream, None where it is none."""
  if not is_terminal(stream):
    return None
  return shutil.get_terminal_size().columns
