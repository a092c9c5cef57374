"""Compare the models of a study with a baseline.

    lstm-variants compare --workdir=runs/study --baseline=vanilla

Prints a table per task and writes compare.csv, figures/ and report.html into
the run directory. Needs the run directory alone: nothing is trained.
"""

import sys

from absl import flags

from lstm_variants.commands import command
from lstm_variants.report import tables
from lstm_variants.report import write as report
from lstm_variants.runs import results

_WORKDIR = command.define_workdir()
_BASELINE = flags.DEFINE_string(
  'baseline', 'vanilla', 'The model that the others are compared with.'
)


def main() -> None:
  """Write the report, then print its tables."""
  workdir = _WORKDIR.value
  study, runs = results.read_study(workdir), results.read_runs(workdir)
  written = report.write(workdir, _BASELINE.value)
  tables.show(study, written.rows, sys.stdout)
  if len(runs) < len(study['runs']):
    print(f'{len(runs)} of {len(study["runs"])} runs are finished')
  print(f'report: {written.html}')
