"""A tiny random search with sgd and momentum."""

import random

from configs import base


def get_config():
  config = base.get_config()
  config.task.length = 8
  config.model.hidden_features = 2
  config.model.recurrent_init = 'uniform'
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.9
  config.training.batch_size = 4
  config.training.updates = 20
  config.training.evaluation_interval = 10
  config.training.evaluation_batches = 2
  config.training.save_interval = 20
  config.training.keep_checkpoints = 1
  config.training.stop_when_solved = False
  return config


def get_hyper(hyper):
  draw = random.Random(0)
  rates = [10 ** draw.uniform(-4, -1) for _ in range(2)]
  return hyper.product(
    [
      hyper.sweep('config.model.variant', ('vanilla', 'coupled')),
      hyper.sweep('config.optimizer.learning_rate', rates),
    ]
  )
