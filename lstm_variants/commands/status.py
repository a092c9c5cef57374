"""Tell how far a study is: done, in training, left, and the time that takes.

    lstm-variants status --workdir=runs/variants

Reads the run directory alone, also while another process trains there; nothing
is locked. Nothing is written either but, where several processes share the
study, a file that tells the time of its file system, for a moment.
"""

import shlex

from lstm_variants import console
from lstm_variants.commands import command
from lstm_variants.runs import status

_WORKDIR = command.define_workdir()


def main() -> None:
  """Print the lines, and the command that is next."""
  workdir = _WORKDIR.value
  read = status.read(workdir)
  for line in status.lines(read):
    console.note(console.printable(line))
  console.say_next(console.printable(_next(read, shlex.quote(workdir))))


def _next(read: status.Status, workdir: str) -> str:
  begun, wanted = read.search or (0, 0)
  if not read.training and not read.pending and begun == wanted:
    return f'{console.command_line("compare")} --workdir={workdir}'
  if read.is_trained:
    return f'{console.command_line("status")} --workdir={workdir}, later'
  return 'repeat the command that made it with --resume'
