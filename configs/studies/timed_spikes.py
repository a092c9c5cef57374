"""Do timed spikes need peepholes? With one cell, as in 2002, and with many.

    lstm-variants sweep --config=studies/timed_spikes \\
        --workdir=runs/timed_spikes

Gers, Schraudolph & Schmidhuber (2002) report that an LSTM of one cell generates
timed spikes (GTS) with peepholes only, trained online.
"""

from ml_collections import config_dict

import lstm_variants as lv


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.task.name = 'timed_spikes'
  # The streams of the paper do not end: are those right that go on?
  config.task.evaluation_length = 1000
  config.optimizer.learning_rate = 1e-2
  config.training.updates = 3000
  config.training.evaluation_batches = 16
  # Sequences to success in steps of 320.
  config.training.success_interval = 10
  return config


def get_hyper(hyper):
  """Return cells × widths × intervals × five seeds."""
  return hyper.product(
    [
      hyper.sweep('config.task.period', [10, 30]),
      hyper.sweep('config.model.hidden_features', [1, 4]),
      hyper.sweep(
        'config.model.variant', ['vanilla', 'peephole', 'simple_rnn']
      ),
      hyper.sweep('config.seed', range(5)),
    ]
  )
