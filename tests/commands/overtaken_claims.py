"""Reproduces claims, and is overtaken on the way: its lock is another's.

    python -m tests.commands.overtaken_claims 3 --budget=0 --workdir=…

As `reproduce`, once so many claims were read. Its process slept, one on another
host took it for ended, and it wakes.
"""

import pathlib
import sys
from typing import Any

from lstm_variants import __main__ as program
from lstm_variants.claims import budget
from lstm_variants.runs import lock

read = budget.read


def overtaken(wanted: Any, workdir: pathlib.Path) -> budget.Outcome:
  """Judge a claim; take the lock before one of them."""
  global left
  left -= 1
  if left == 0:
    (workdir.parent / lock.NAME).unlink()
    (workdir.parent / lock.NAME).write_text('{"pid": 1, "host": "other"}')
  return read(wanted, workdir)


if __name__ == '__main__':
  left = int(sys.argv[1])
  budget.read = overtaken
  program.run('reproduce', sys.argv[2:])
