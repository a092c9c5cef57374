"""The adding problem of 1997 under its own rule: which start remembers enough?

    lstm-variants sweep --config=studies/adding_hs97 --workdir=runs/adding_hs97

Published: 74,000 sequences to success at T = 100 (Hochreiter & Schmidhuber
1997, table 7), with an LSTM that cannot forget, trained online.
"""

from ml_collections import config_dict

import lstm_variants as lv

T = 100


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.task.dialect = 'hs97'
  config.task.length = T
  config.model.hidden_features = 16
  config.optimizer.learning_rate = 5e-3
  config.training.batch_size = 16
  config.training.updates = 8000
  config.training.evaluation_interval = 200
  config.training.evaluation_batches = 64
  return config


def get_hyper(hyper):
  """Return three initial forget biases × ten seeds.

  σ(1)^50 = 2e-7: with bias 1 nothing of the marks is left at the sequence's
  end. σ(5)^50 = 0.7. Chrono spreads the time constants up to the longest
  sequence.
  """
  starts = hyper.chainit(
    [
      hyper.sweep('config.model.forget_bias', [1.0, 5.0]),
      hyper.sweep('config.model.chrono_t_max', [float(T + T // 10)]),
    ]
  )
  return hyper.product([starts, hyper.sweep('config.seed', range(10))])
