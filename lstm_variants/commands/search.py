"""Search hyper-parameters: generations of trials, each trained side by side.

    lstm-variants search --config=studies/search --workdir=runs/search

The config file states fields, distributions and the objective in
get_search(search), see docs/searching.md. The run directory is that of a study:
compare, status, analyse, export work on it. Interrupted, repeat the command
with --resume: the same trials are asked for as if nothing had happened. With
--share any number of processes train it together, and stay to its end.

    lstm-variants search --config=studies/search --workdir=runs/search \\
        --resume --mirror=runs/search.log
    optuna-dashboard runs/search.log
"""

import pathlib
import sys

from absl import flags

from lstm_variants.commands import command, config_file
from lstm_variants.config import source
from lstm_variants.search import check, space, train
from lstm_variants.training import backend, kept_programs

_CONFIG = command.define_config()
_WORKDIR = command.define_workdir()
_MODE = command.define_mode()
_MIRROR = flags.DEFINE_string(
  'mirror',
  None,
  'A file, or the URL of a database, in which a study of Optuna follows, for '
  'its dashboard.',
)
config_file.define_stated('get_search', ('objective', *space.Search._fields))


def main() -> None:
  """Check the search, then train it."""
  mode = _MODE()
  backend.use_every_core()
  path = config_file.value_of('--config', sys.argv) or ''
  search = _load(path)
  backend.check()
  kept_programs.keep()
  name = pathlib.Path(source.split_argument(path)[0]).stem
  train.train(
    _WORKDIR.value, name, _CONFIG.value, search, mode, mirror_to=_MIRROR.value
  )
  command.say_results(_WORKDIR.value)


def _load(path: str) -> space.Search:
  """Return what the `get_search` of a config file states."""
  get_search = source.load_search(path)
  if get_search is None:
    raise space.SpaceError(
      f'--config={source.split_argument(path)[0]} has none; nearest: '
      '--config=studies/search'
    )
  return check.read(get_search)
