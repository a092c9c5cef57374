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
from lstm_variants.runs import grouping, results

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
  study, runs = results.read_study(workdir), results.read_runs(workdir)
  baseline = grouping.choose_baseline(runs, _BASELINE.value, console.note)

  def show(rows: Sequence[comparison.Row]) -> None:
    tables.show(study, rows, sys.stdout)
    if len(runs) < len(study['runs']):
      print(f'{len(runs)} of {len(study["runs"])} runs are finished')

  written = report.write(workdir, baseline, show)
  console.end(
    written.html,
    f'{console.command_line("analyse")} {command.workdir_flags(workdir)}'
    + command.given_flag(_BASELINE),
  )
