"""A search of two random draws, halved once."""

from configs import base


def get_config():
  config = base.get_config()
  config.task.length = 6
  config.model.hidden_features = 2
  config.model.recurrent_init = 'uniform'
  config.training.batch_size = 2
  config.training.updates = 4
  config.training.evaluation_interval = 2
  config.training.evaluation_batches = 1
  config.training.save_interval = 2
  config.training.keep_checkpoints = 1
  config.training.stop_when_solved = False
  return config


def get_search(search):
  return search.space(
    {'config.optimizer.learning_rate': search.log_uniform(1e-3, 1e-1)},
    sampler='random',
    trials=2,
    batch=2,
    halving=search.halving(2),
  )
