"""Draw what a study's models do with gradients, gates and lengths.

    lstm-variants analyse --workdir=runs/quickstart --figure=all

Reads the trained parameters of the finished runs, trains nothing. Writes a
picture and its numbers as CSV into figures/, and shows them in report.html.

    gradient_flow   how much of the loss's gradient arrives at every step, and
                    what a state still does to a later one
    gates           what gates and states do in a sequence, and on average
    lengths         errors on sequences longer than those of training
    importance      which hyper-parameter of a random search mattered
    survival        runs not yet solved against sequences, with statistics
"""

from absl import flags

from lstm_variants import console, evidence
from lstm_variants.commands import command, config_file
from lstm_variants.evidence import gallery, subjects
from lstm_variants.report import write as report
from lstm_variants.runs import grouping
from lstm_variants.training import backend, kept_programs

ALL = 'all'
_WORKDIR = command.define_workdir()
_FIGURE = flags.DEFINE_enum(
  'figure', ALL, [*evidence.KINDS, ALL], 'What to draw.'
)
_TASKS = flags.DEFINE_list(
  'tasks', [], 'Labels of tasks, as in the report; none: all.'
)
_MODELS = flags.DEFINE_list('models', [], 'Names of models; none: all.')
_BASELINE = flags.DEFINE_string(
  'baseline',
  None,
  'The model that the others are compared with; nothing: vanilla, or else the '
  'first one.',
)


def main() -> None:
  """Draw what is wanted, then write the report."""
  workdir, wanted = _WORKDIR.value, _FIGURE.value
  study = subjects.read(workdir, _TASKS.value, _MODELS.value)
  baseline = grouping.choose_baseline(
    study.every_row, _BASELINE.value, console.note
  )
  # As the training had: so it is the same program that draws its first weights.
  backend.use_every_core()
  backend.check()
  kept_programs.keep()
  kinds = list(evidence.KINDS) if wanted == ALL else [wanted]
  for kind in kinds:
    drawings = evidence.drawer(kind)(study, baseline)
    paths = gallery.write(workdir, drawings, study.every_row)
    if not paths and wanted != ALL:
      raise config_file.UsageError(
        f'--figure={kind}: no model of {workdir} has anything to show there; '
        f'nearest: --figure={ALL}'
      )
    for path in paths:
      console.say(f'{kind}: {path}')
  written = report.write(workdir, baseline)
  console.end(
    written.html,
    f'{console.command_line("export")} {command.workdir_flags(workdir)} '
    '--run=best --out=model.onnx',
  )
