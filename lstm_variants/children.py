"""Programs of the house that this one starts, and that do not outlive it.

A child reads from a pipe into which nobody writes. Its other end belongs to the
parent alone, and the system closes it when that ends, by whatever: also by
SIGKILL, which nothing can pass on, and on every system that has pipes.
"""

from collections.abc import Callable, Mapping, Sequence
import os
import pathlib
import subprocess
import sys
import threading
import types
from typing import IO

# Set for a child, whose stdin is the pipe; not for what a child starts.
_IS_CHILD = 'LSTM_VARIANTS_CHILD'
_STDIN = 0
# In which Python finds this package.
_ROOT = pathlib.Path(__file__).parents[1]


def command(arguments: Sequence[str]) -> list[str]:
  """Return the command line by which this Python starts `lstm-variants`.

  Args:
    arguments: the name of a command and its flags.
  """
  # A file copy.py where this process works hides nothing of Python's own; only
  # in a clone the package itself may have to be found there.
  safely = () if pathlib.Path.cwd() == _ROOT else ('-P',)
  return [sys.executable, *safely, '-m', 'lstm_variants', *arguments]


def start(
  arguments: Sequence[str],
  output: IO[bytes],
  environ: Mapping[str, str] = types.MappingProxyType({}),
) -> subprocess.Popen[bytes]:
  """Start `lstm-variants` with arguments; when this process ends, it does.

  Args:
    arguments: the name of a command and its flags.
    output: gets what it writes to stdout and stderr.
    environ: variables that it has beside those of this process.

  Returns:
    The child; used as a context, it is waited for, and its pipe closed.
  """
  return subprocess.Popen(
    command(arguments),
    stdin=subprocess.PIPE,
    stdout=output,
    stderr=subprocess.STDOUT,
    env={**os.environ, **environ, _IS_CHILD: 'yes'},
    # A session of its own: a Ctrl-C is passed on once, by the parent.
    start_new_session=True,
  )


def watch_parent(ended: Callable[[], None]) -> None:
  """In a child, have a function called when its parent has ended.

  Args:
    ended: called by a thread of its own; never in what is no child.
  """
  if os.environ.pop(_IS_CHILD, None) is None:
    return

  def wait() -> None:
    while os.read(_STDIN, 1):
      pass
    ended()

  threading.Thread(target=wait, daemon=True).start()
