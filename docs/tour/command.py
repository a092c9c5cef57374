"""Draw the ten pictures of docs/tour.md, from the simple RNN to the LSTM.

    python -m experiments.sweep --config=configs/studies/tour.py \\
        --workdir=runs/tour
    python -m experiments.tour --workdir=runs/tour --only=gates

Reads the trained models of that study, trains nothing. Writes NAME.svg, and the
numbers behind it as NAME.csv. --list tells the names.
"""

import pathlib

from absl import flags

from docs import tour
from lstm_variants import console
from lstm_variants import names as names_lib
from lstm_variants.commands import command, config_file
from lstm_variants.evidence import subjects
from lstm_variants.runs import files
from lstm_variants.training import backend

_WORKDIR = flags.DEFINE_string('workdir', 'runs/tour', 'The run directory.')
_ONLY = flags.DEFINE_list('only', [], 'Names of pictures; none: all.')
_OUT = flags.DEFINE_string(
  'out', None, 'Where they go; nothing: WORKDIR/figures/tour.'
)
_LIST = flags.DEFINE_bool('list', False, 'Tell the names and draw nothing.')


def main() -> None:
  """Tell what there is, or draw what is wanted."""
  names = _chosen()
  if _LIST.value:
    console.say('\n'.join(map(_line, names)))
    console.say(f'next: {console.command_line("tour")} --only={names[0]}')
    return
  study = subjects.read(_WORKDIR.value)
  backend.check()
  out = pathlib.Path(_OUT.value or '')
  if not _OUT.value:
    out = pathlib.Path(_WORKDIR.value) / 'figures' / 'tour'
    for folder in (out.parent, out):
      files.make_directory(folder)
  for path in tour.write(study, names, out):
    console.say(f'{path.stem}: {path}')
  console.end(
    out,
    f'{console.command_line("analyse")} '
    f'{command.workdir_flags(_WORKDIR.value)}',
  )


def _chosen() -> list[str]:
  """Return the names of --only in the order of the tour.

  Raises:
    UsageError: there is no such picture.
  """
  known = list(tour.PICTURES)
  for name in _ONLY.value:
    if name not in known:
      raise config_file.UsageError(
        f'--only={name}: no such picture{names_lib.tail(name, known)}'
      )
  return [name for name in known if not _ONLY.value or name in _ONLY.value]


def _line(name: str) -> str:
  return f'{name:<15} {tour.PICTURES[name].sentence}'
