"""Train a study: every run of its grid, those of equal shape in one program.

    python -m experiments.sweep --config=configs/studies/variants.py \\
        --workdir=runs/variants

The config file states the grid in get_hyper(hyper), see
lstm_variants/sweeps/hyper.py. Interrupted, repeat the command with --resume.
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from experiments import command, config_file
from lstm_variants.sweeps import study
from lstm_variants.training import backend

_CONFIG = command.define_config()
_WORKDIR = command.define_workdir()
_MODE = command.define_mode()


def main() -> None:
  """Check every run, then train them."""
  mode = _MODE()
  backend.use_every_core()
  flag = flags.FLAGS[_CONFIG.name]
  path = config_flags.get_config_filename(flag).partition(':')[0]
  module = config_file.load_module(path)
  if not hasattr(module, 'get_hyper'):
    raise study.GridError(
      f'--config={path}: has no get_hyper(hyper) to state a grid; nearest: '
      'configs/studies/quickstart.py, or experiments.train for one run'
    )
  runs = study.expand(_CONFIG.value, module.get_hyper)
  name = pathlib.Path(path).stem
  backend.check()
  study.train(_WORKDIR.value, name, _CONFIG.value, runs, mode)


if __name__ == '__main__':
  command.run(main, backend.BackendError, *study.ERRORS)
