"""Adding problem of Arjovsky et al. (2016) at T = 100; about … on two cores."""

from ml_collections import config_dict

from configs import base


def get_config() -> config_dict.ConfigDict:
  """Return the config of a vanilla LSTM on the adding problem."""
  config = base.get_config()
  config.optimizer.learning_rate = 1e-2
  return config
