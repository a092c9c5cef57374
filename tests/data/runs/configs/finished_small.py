"""Four cells, two seeds, twenty updates."""

from configs import base


def get_config():
  config = base.get_config()
  config.task.length = 8
  config.model.hidden_features = 4
  config.model.recurrent_init = 'uniform'
  config.training.batch_size = 4
  config.training.updates = 20
  config.training.evaluation_interval = 10
  config.training.evaluation_batches = 2
  config.training.save_interval = 10
  config.training.keep_checkpoints = 3
  config.training.stop_when_solved = False
  return config


def get_hyper(hyper):
  models = ('vanilla', 'fgr', 'simple_rnn', 'gru')
  return hyper.product(
    [
      hyper.sweep('config.model.variant', models),
      hyper.sweep('config.seed', (0, 1)),
    ]
  )
