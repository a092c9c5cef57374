"""The adding problem of Arjovsky et al. (2016), T = 50, as in the quickstart.

    lstm-variants train --config=adding --workdir=runs/adding

Solved (held-out MSE below 0.001) by about 1,000 updates; see docs/results.md.
"""

from ml_collections import config_dict

import lstm_variants as lv


def get_config() -> config_dict.ConfigDict:
  """Return the config of a vanilla LSTM on the adding problem."""
  config = lv.default_config()
  config.task.length = 50
  config.optimizer.learning_rate = 1e-2
  return config
