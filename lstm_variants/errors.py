"""What a user can mend: all that the house refuses, in Python or by command."""

from collections.abc import Iterator
import contextlib
import re

# Lines name the flags of the commands; what each is called from Python.
_IN_PYTHON = (
  (r'repeat the command that made it with --resume', 'train with resume=True'),
  (r'^get_hyper: (?:config\.)?', 'grid: '),
  (r'one of your own needs --import=MODULE', 'import the module of your own'),
  (r'--config\.', ''),
  (r'--(config|workdir|run|baseline|mirror)\b', r'\1'),
  (r'--(resume|overwrite|share|wait)\b', r'\1=True'),
)


class Error(Exception):
  """Something was refused; the message is the one line that a command prints.

  Attributes:
    exit_status: that a command ends with.
  """

  exit_status = 2

  def __str__(self) -> str:
    return ' '.join(super().__str__().split())


@contextlib.contextmanager
def told_in_python() -> Iterator[None]:
  """Name arguments and fields, no flags, in what is refused inside.

  Raises:
    Error: what was raised, in other words.
  """
  try:
    yield
  except Error as error:
    line = str(error)
    for flag, argument in _IN_PYTHON:
      line = re.sub(flag, argument, line)
    error.args = (line,)
    raise
