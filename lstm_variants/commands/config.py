"""List the configs of the house, or copy one out to change it.

    lstm-variants config
    lstm-variants config --copy=adding
    lstm-variants config --copy=published/hs97 --out=configs/mine.py

Each is found by its name from any directory: --config=adding. A copy goes to
configs/NAME.py, and is then --config=configs/NAME.py; a file that is there
stays as it is.
"""

import pathlib

from absl import flags

from lstm_variants import console
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
  name = _COPY.value
  if name not in builtin.names():
    close = builtin.nearest(name)
    hint = f'; nearest: --copy={close}' if close else ''
    raise config_file.UsageError(
      f'--copy={name}: no config of the house{hint}; '
      f'{console.command_line("config")} lists them'
    )
  out = pathlib.Path(_OUT.value or f'configs/{name}.py')
  _copy(name, out)
  module = source.load_module(str(out))
  program = 'sweep' if hasattr(module, 'get_hyper') else 'train'
  console.say(
    f'{out}: a copy of {name}\n'
    f'next: {console.command_line(program)} --config={out} '
    f'--workdir=runs/{out.stem}'
  )


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
