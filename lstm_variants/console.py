"""What programs say: progress on stdout, warnings on stderr."""

import os
import sys


def say(text: str) -> None:
  """Print a line of progress; training does not end where nobody can read it.

  A full disk or a closed pipe behind stdout is where logs end, not runs.
  """
  try:
    print(text, flush=True)
  except OSError:
    sys.stdout = open(os.devnull, 'w')


def warn(text: str) -> None:
  """Print a line that asks for attention."""
  try:
    print(text, file=sys.stderr, flush=True)
  except OSError:
    sys.stderr = open(os.devnull, 'w')
