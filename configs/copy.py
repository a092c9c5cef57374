"""Copy task of Arjovsky et al. (2016) at T = 10."""

from ml_collections import config_dict

from configs import base


def get_config() -> config_dict.ConfigDict:
  """Return the config of a vanilla LSTM on the copy task."""
  config = base.get_config()
  config.task.name = 'copy'
  config.task.length = 10
  config.model.hidden_features = 64
  config.optimizer.learning_rate = 5e-3
  return config
