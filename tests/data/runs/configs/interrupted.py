"""A mixed population that is stopped in the middle."""

from configs import base


def get_config():
  config = base.get_config()
  config.task.length = 8
  config.model.hidden_features = 4
  config.model.recurrent_init = 'uniform'
  config.training.batch_size = 4
  config.training.updates = 1_000_000
  config.training.evaluation_interval = 200
  config.training.evaluation_batches = 2
  config.training.save_interval = 200
  config.training.keep_checkpoints = 2
  config.training.stop_when_solved = False
  return config


def get_hyper(hyper):
  return hyper.sweep('config.model.variant', ('vanilla', 'peephole'))
