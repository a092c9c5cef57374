"""The adding problem of Arjovsky et al. (2016), T = 50, as in the quickstart.

    python -m experiments.train --config=configs/adding.py --workdir=runs/adding

Solved (held-out MSE below 0.001) by about 1,000 updates; see docs/results.md.
"""

from ml_collections import config_dict

from configs import base


def get_config() -> config_dict.ConfigDict:
  """Return the config of a vanilla LSTM on the adding problem."""
  config = base.get_config()
  config.task.length = 50
  config.optimizer.learning_rate = 1e-2
  return config
