"""Clipping alone, or with the penalty Ω: temporal order by a simple RNN.

    lstm-variants sweep --config=studies/gradient_penalty \\
        --workdir=runs/gradient_penalty

Pascanu, Mikolov & Bengio (ICML 2013, section 4.1) report that a tanh RNN of 50
units with clipped gradients fails as the sequences get longer, and succeeds
with Ω up to 200 steps: SGD, learning rate 0.01, clipping at norm 1, batches of
20, up to 5,000,000 updates.
"""

from ml_collections import config_dict

import lstm_variants as lv


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.task.name = 'temporal_order'
  config.task.dialect = 'pascanu13'
  config.model.variant = 'simple_rnn'
  config.model.hidden_features = 50
  config.model.recurrent_init = 'uniform'
  config.optimizer.name = 'sgd'
  config.optimizer.learning_rate = 0.01
  config.training.batch_size = 20
  config.training.updates = 30_000
  config.training.evaluation_interval = 1000
  config.training.evaluation_batches = 50
  # Sequences to success in steps of 1,000.
  config.training.success_interval = 50
  return config


def get_hyper(hyper):
  """Return lengths × weights of the penalty × five seeds."""
  return hyper.product(
    [
      hyper.sweep('config.task.length', [50, 100]),
      hyper.sweep('config.optimizer.gradient_penalty', [0.0, 2.0]),
      hyper.sweep('config.seed', range(5)),
    ]
  )
