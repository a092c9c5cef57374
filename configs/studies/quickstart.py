"""The main job: three LSTMs and a simple RNN on adding and copy, five seeds."""

from ml_collections import config_dict

from configs import base

MODELS = ('vanilla', 'peephole', 'coupled', 'simple_rnn')
SEEDS = range(5)


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  return base.get_config()


def get_hyper(hyper):
  """Return models × seeds on both tasks."""
  adding = [
    hyper.fixed('config.task.name', 'adding'),
    hyper.fixed('config.task.length', 50),
    hyper.fixed('config.optimizer.learning_rate', 1e-2),
    hyper.fixed('config.training.updates', 2000),
  ]
  copy = [
    hyper.fixed('config.task.name', 'copy'),
    hyper.fixed('config.task.length', 10),
    hyper.fixed('config.model.hidden_features', 64),
    hyper.fixed('config.optimizer.learning_rate', 5e-3),
    hyper.fixed('config.training.updates', 2000),
  ]
  runs = hyper.product(
    [
      hyper.sweep('config.model.variant', MODELS),
      hyper.sweep('config.seed', SEEDS),
    ]
  )
  return hyper.chainit(
    [hyper.product([*adding, runs]), hyper.product([*copy, runs])]
  )
