"""Train one run.

    python -m experiments.train --config=configs/adding.py \\
        --config.model.variant=peephole --config.optimizer.learning_rate=1e-3 \\
        --workdir=runs/adding

The results are in the run directory: metrics.jsonl, runs.jsonl, params.npz
(see lstm_variants/results.py). Interrupted, repeat the command with --resume.
"""

from experiments import command
from lstm_variants.sweeps import study
from lstm_variants.training import backend, settings

_CONFIG = command.define_config()
_WORKDIR = command.define_workdir()
_MODE = command.define_mode()


def main() -> None:
  """Check everything, then train."""
  mode = _MODE()
  backend.use_every_core()
  run = settings.from_config(_CONFIG.value)
  backend.check()
  study.train(_WORKDIR.value, 'train', _CONFIG.value, [run], mode)


if __name__ == '__main__':
  command.run(main, backend.BackendError, *study.ERRORS)
