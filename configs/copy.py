"""The copy task of Arjovsky et al. (2016), T = 25, as in the quickstart.

    lstm-variants train --config=copy --workdir=runs/copy

After 2,000 updates clearly below the memoryless loss, not solved; see
docs/results.md.
"""

from ml_collections import config_dict

import lstm_variants as lv


def get_config() -> config_dict.ConfigDict:
  """Return the config of a vanilla LSTM on the copy task."""
  config = lv.default_config()
  config.task.name = 'copy'
  config.task.length = 25
  config.model.hidden_features = 64
  config.optimizer.learning_rate = 5e-3
  return config
