"""The copy task of Arjovsky et al. (2016), 3 symbols, T = 20: the quickstart's.

    lstm-variants train --config=copy --workdir=runs/copy

Solved (fewer than 1 % of the symbols wrong) by about 2,000 updates; see
docs/results.md.
"""

from ml_collections import config_dict

import lstm_variants as lv


def get_config() -> config_dict.ConfigDict:
  """Return the config of a vanilla LSTM on the copy task."""
  config = lv.default_config()
  config.task.name = 'copy'
  config.task.length = 20
  config.task.items = 3
  config.model.hidden_features = 64
  config.optimizer.learning_rate = 1e-2
  return config
