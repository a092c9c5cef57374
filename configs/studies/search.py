"""A search: learning rate, forget bias and clipping of an LSTM on adding.

    lstm-variants search --config=studies/search --workdir=runs/search

About half a minute on two cores: 48 trials in three generations, each of which
trains side by side in one compiled program, the same for all of them.
"""

from ml_collections import config_dict

import lstm_variants as lv


def get_config() -> config_dict.ConfigDict:
  """Return what all trials share."""
  config = lv.default_config()
  config.task.length = 20
  config.model.hidden_features = 16
  config.training.updates = 300
  # Losses are compared at the end, of equal training.
  config.training.stop_when_solved = False
  return config


def get_search(search):
  """Return fields, distributions, and how they are searched."""
  return search.space(
    {
      'config.optimizer.learning_rate': search.log_uniform(1e-4, 1e-1),
      'config.model.forget_bias': search.uniform(-2.0, 4.0),
      'config.optimizer.clip_norm': search.log_uniform(0.1, 10.0),
    },
    objective='loss',
    sampler='tpe',
    trials=48,
    batch=16,
  )
