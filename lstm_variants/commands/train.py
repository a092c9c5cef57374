"""Train one run.

    lstm-variants train --config=adding \\
        --config.model.variant=peephole --config.optimizer.learning_rate=1e-3 \\
        --workdir=runs/adding

This trains one run; of a config that states a grid in get_hyper, which `sweep`
trains, it is one of the base config. The results are in
WORKDIR/populations/NAME/: metrics.jsonl, runs.jsonl, params.npz
(lstm_variants/runs/results.py describes them). If it was interrupted, repeat
the command with --resume.

--from=WORKDIR:RUN begins with the trained weights of another run, whose shapes
must be the same, and with a new state of the optimizer:

    lstm-variants train --config=adding \\
        --from=runs/adding:peephole_seed0_0a1b2c3d --workdir=runs/further
"""

import pathlib
import sys

from lstm_variants import console
from lstm_variants.commands import (
  command,
  config_file,
  distributed,
  first_weights,
)
from lstm_variants.config import source
from lstm_variants.launch import local, shared
from lstm_variants.training import (
  backend,
  kept_programs,
  profiling,
  watching,
)

_CONFIG = command.define_config()
_WORKDIR = command.define_workdir()
_MODE = command.define_mode()
_WAIT = command.define_wait()
_PROFILE = command.define_profile()
_FIRST_WEIGHTS = first_weights.define_from()
_CHECK_PROCESSES = distributed.define()


def main() -> None:
  """Check everything, then train."""
  _CHECK_PROCESSES()
  mode, wait = _MODE(), _WAIT()
  traced = _PROFILE() if distributed.is_first() else None
  backend.use_every_core()
  weights = _FIRST_WEIGHTS(_CONFIG.value, _WORKDIR.value, mode)
  records = local.recorded(_WORKDIR.value, mode)  # with --resume
  record = records[0] if len(records) == 1 else None
  run = local.check(_CONFIG.value, record)
  backend.check()
  kept_programs.keep()
  path = config_file.value_of('--config', sys.argv) or 'train'
  _tell_of_grid(path)
  profile = profiling.Profile(traced) if traced else None
  watch = watching.Watch(profile=profile)
  name = pathlib.Path(source.split_argument(path)[0]).stem
  others = shared.train_as(
    *(_WORKDIR.value, name, _CONFIG.value, [run], mode, weights, watch),
    wait=wait,
  )
  if profile:
    profile.tell()
  if others:
    command.say_taken(_WORKDIR.value, others)
  else:
    command.say_results(_WORKDIR.value)


def _tell_of_grid(path: str) -> None:
  """Say that the config states a grid, of which no run is trained here."""
  if source.load_grid(path) is not None:
    console.warn(
      f'--config={path} states a grid: this is one run of its base config; all '
      f'of it: {console.command_line("sweep")} --config={path} --workdir=…'
    )
