"""A lag of a thousand steps: experiment 2c of 1997, LSTM against simple RNN.

    lstm-variants sweep --config=studies/thousand_steps \\
        --workdir=runs/thousand_steps

q = 1,000 distractors at least, of p = 1,000 symbols, stand between the symbol
that tells the classes apart and the answer. Published: 49,000 sequences to
success (Hochreiter & Schmidhuber 1997, table 3).
"""

from ml_collections import config_dict

import lstm_variants as lv

T = 1000


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.task.name = 'long_lag'
  config.task.dialect = 'hs97_2c'
  config.task.length = T
  config.model.hidden_features = 8
  config.optimizer.learning_rate = 5e-3
  config.training.batch_size = 16
  config.training.updates = 2000
  config.training.evaluation_interval = 200
  config.training.evaluation_batches = 16
  # Sequences to success in steps of 160.
  config.training.success_interval = 10
  return config


def get_hyper(hyper):
  """Return two cells × three seeds."""
  models = hyper.zipit(
    [
      hyper.sweep('config.model.variant', ['vanilla', 'simple_rnn']),
      # A simple RNN has no gate that keeps its state.
      hyper.sweep('config.model.chrono_t_max', [1.1 * T, 0.0]),
    ]
  )
  return hyper.product([models, hyper.sweep('config.seed', range(3))])
