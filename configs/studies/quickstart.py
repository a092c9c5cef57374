"""The main job: three LSTMs and a simple RNN on adding and copy, five seeds.

    lstm-variants sweep --config=studies/quickstart --workdir=runs/quickstart

About a minute and a half on two cores. What was tried, and why these sizes:
docs/results.md.
"""

from ml_collections import config_dict

import lstm_variants as lv

MODELS = ('vanilla', 'peephole', 'coupled', 'simple_rnn')
SEEDS = range(5)


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.training.updates = 2000
  # Sequences to success in steps of 320.
  config.training.success_interval = 10
  # How the models were on their way, for `analyse`.
  config.training.save_interval = 400
  config.training.keep_checkpoints = 10
  return config


def get_hyper(hyper):
  """Return models × seeds on both tasks."""
  adding = [
    hyper.fixed('config.task.name', 'adding'),
    hyper.fixed('config.task.length', 50),
    hyper.fixed('config.model.hidden_features', 32),
    hyper.fixed('config.optimizer.learning_rate', 1e-2),
  ]
  copy = [
    hyper.fixed('config.task.name', 'copy'),
    hyper.fixed('config.task.length', 20),
    hyper.fixed('config.task.items', 3),
    hyper.fixed('config.model.hidden_features', 64),
    hyper.fixed('config.optimizer.learning_rate', 1e-2),
  ]
  runs = [
    hyper.sweep('config.model.variant', MODELS),
    hyper.sweep('config.seed', SEEDS),
  ]
  return hyper.chainit(
    [hyper.product([*adding, *runs]), hyper.product([*copy, *runs])]
  )
