"""Compare the models of a study with a baseline.

    lstm-variants compare --workdir=runs/study --baseline=vanilla

Prints a table per task and writes compare.csv, figures/ and report.html into
the run directory. Needs the run directory alone: nothing is trained.
"""

from collections.abc import Sequence
import sys

from absl import flags

from lstm_variants import console
from lstm_variants.commands import command
from lstm_variants.report import comparison, tables
from lstm_variants.report import write as report
from lstm_variants.runs import results

_WORKDIR = command.define_workdir()
_BASELINE = flags.DEFINE_string(
  'baseline',
  None,
  'The model that the others are compared with; nothing: vanilla, or else the '
  'first one.',
)


def main() -> None:
  """Print the tables, then write the report."""
  workdir = _WORKDIR.value
  written = report.write(workdir, _BASELINE.value, _show, console.note)
  console.end(
    written.html,
    f'{console.command_line("analyse")} {command.workdir_flags(workdir)}'
    + command.given_flag(_BASELINE),
  )


def _show(finished: results.Finished, rows: Sequence[comparison.Row]) -> None:
  """Print the tables, and how much of the study they are about."""
  tables.show(finished.study, rows, sys.stdout)
  runs, planned = len(finished.runs), len(finished.study['runs'])
  if runs < planned:
    print(f'{runs} of {planned} runs are finished')
