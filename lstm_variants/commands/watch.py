"""Show a study in a browser while it trains.

    lstm-variants watch --workdir=runs/variants

Serves the page that `compare` writes, with what is finished by now, and above
it the curves of what is in training; it follows the study, whoever trains it,
here or on other machines. Nothing is written. Only this machine is answered,
unless --host says otherwise; Ctrl-C ends it.
"""

from absl import flags

from lstm_variants import console, results
from lstm_variants.commands import command
from lstm_variants.report import live, serve
from lstm_variants.runs import grouping
from lstm_variants.runs import results as runs_lib

_WORKDIR = command.define_workdir()
_BASELINE = flags.DEFINE_string(
  'baseline', None, 'The model that the others are compared with.'
)
_HOST = flags.DEFINE_string(
  'host',
  '127.0.0.1',
  'Where to listen: 0.0.0.0 shows the directory to whoever reaches this '
  'machine.',
)
_PORT = flags.DEFINE_integer('port', 8765, 'Where to listen; 0: any free port.')


def main() -> None:
  """Serve until a signal ends the program."""
  workdir = _WORKDIR.value
  _check(workdir)
  study = live.Study(workdir, _BASELINE.value, results.in_training)
  server = serve.Server(workdir, study, _HOST.value, _PORT.value)
  console.note(f'{server.url}  (Ctrl-C ends it)')
  with server:
    server.serve_forever()


def _check(workdir: str) -> None:
  """Refuse what the page would miss once runs of the study are in training."""
  rows = runs_lib.read_rows(workdir)
  finished = len(rows) >= len(runs_lib.read_study(workdir)['runs'])
  if finished and _BASELINE.value is None:
    return
  from lstm_variants import model

  planned = list(model.planned(workdir).values())
  if _BASELINE.value is not None:
    grouping.check_baseline([*rows, *planned], _BASELINE.value)
