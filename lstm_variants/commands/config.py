"""List the configs of the house, or copy one out to change it.

    lstm-variants config
    lstm-variants config --copy=adding
    lstm-variants config --copy=published/hs97 --out=configs/mine.py

Each is found by its name from any directory: --config=adding. A copy goes to
configs/NAME.py, and is then --config=configs/NAME.py; a file that is there
stays as it is. One with experiments by name is copied whole, also as
published/hs97:reber, and is then --config=configs/published/hs97.py:reber.
"""

import pathlib
import types

from absl import flags

from lstm_variants import console
from lstm_variants import names as names_lib
from lstm_variants.commands import config_file
from lstm_variants.config import builtin, source
from lstm_variants.runs import files

_COPY = flags.DEFINE_string('copy', None, 'The name of the config to copy.')
_OUT = flags.DEFINE_string(
  'out', None, 'Where the copy goes; nothing: configs/NAME.py.'
)


def main() -> None:
  """List the configs, or copy the one that is wanted."""
  if _COPY.value is None:
    if _OUT.value is not None:
      raise config_file.UsageError(
        f'--out={_OUT.value}: of what? nearest: --copy=adding --out=…'
      )
    for known in builtin.names():
      console.say(console.entry(known, builtin.sentence(known), 24))
    console.say(f'next: {console.command_line("config")} --copy=adding')
    return
  name, experiment = source.split_argument(_COPY.value)
  if name not in builtin.names():
    hint = names_lib.hint_at(builtin.nearest(name), '--copy={}'.format)
    raise config_file.UsageError(
      f'--copy={name}: no config of the house{hint}; '
      f'{console.command_line("config")} lists them'
    )
  module = source.load_module(name)
  experiment = _experiment(name, experiment, module)
  out = pathlib.Path(_OUT.value or f'configs/{name}.py')
  _copy(name, out)
  program = 'sweep' if hasattr(module, 'get_hyper') else 'train'
  config, workdir = str(out), f'runs/{out.stem}'
  if experiment:
    config, workdir = f'{config}:{experiment}', f'{workdir}_{experiment}'
  console.say(
    f'{out}: a copy of {name}\n'
    f'next: {console.command_line(program)} --config={config} '
    f'--workdir={workdir}'
  )


def _experiment(name: str, wanted: str, module: types.ModuleType) -> str:
  """Return the experiment of a config that comes next, '' if it has none.

  Args:
    name: of the config.
    wanted: the experiment that is named behind a colon; '': the first one.
    module: the config.

  Raises:
    UsageError: the config has no experiment of that name.
    SourceError: it refuses what is behind the colon.
  """
  known = list(getattr(module, 'EXPERIMENTS', ()))
  if not known and wanted and source.takes(module.get_config, wanted):
    source.load_config(f'{name}:{wanted}')
    return wanted
  if not known and wanted:
    raise config_file.UsageError(
      f'--copy={name}:{wanted}: it has no experiments by name; nearest: '
      f'--copy={name}'
    )
  if wanted and wanted not in known:
    raise config_file.UsageError(
      f'--copy={name}:{wanted}: no experiment of it'
      + names_lib.tail(wanted, known, f'--copy={name}:{{}}'.format)
    )
  return wanted or next(iter(known), '')


def _copy(name: str, out: pathlib.Path) -> None:
  """Copy a config of the house to a place where nothing is.

  Raises:
    UsageError: something is there, or it is no place for a config.
    StorageError: it cannot be written.
  """
  if out.suffix != '.py':
    raise config_file.UsageError(
      f'--out={out}: must end in .py; nearest: --out={out}.py'
    )
  with files.refusals(out.parent):
    if out.exists():
      raise config_file.UsageError(
        f'{out} is there already and stays as it is; nearest: '
        f'--out={out.with_stem(out.stem + "_2")}'
      )
    out.parent.mkdir(parents=True, exist_ok=True)
  files.write(out, (builtin.folder() / f'{name}.py').read_bytes())
