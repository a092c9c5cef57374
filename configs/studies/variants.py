"""Every variant on the adding problem: one compiled program of 64 runs.

lstm-variants sweep --config=studies/variants --workdir=runs/variants
"""

from ml_collections import config_dict

import lstm_variants as lv

# All names of docs/variants.md. np and cifg are other names of vanilla and
# coupled_peephole: equal rows in the table are a check, not a finding.
VARIANTS = (
  'vanilla',
  'peephole',
  'peephole_i',
  'peephole_f',
  'peephole_o',
  'coupled',
  'coupled_peephole',
  'nig',
  'nfg',
  'nog',
  'niaf',
  'noaf',
  'np',
  'cifg',
  'fgr',
  'janet',
)


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.task.length = 50
  config.training.updates = 1500
  # Sequences to success in steps of 320.
  config.training.success_interval = 10
  config.training.stop_when_solved = False
  return config


def get_hyper(hyper):
  """Return variants × two learning rates × two seeds."""
  return hyper.product(
    [
      hyper.sweep('config.model.variant', VARIANTS),
      hyper.sweep('config.optimizer.learning_rate', [3e-3, 1e-2]),
      hyper.sweep('config.seed', range(2)),
    ]
  )
