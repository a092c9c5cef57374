"""Every cell with the same number of parameters, on four tasks.

    lstm-variants sweep --config=studies/cells --workdir=runs/cells

As many parameters in use as a vanilla LSTM of 32 units on the same task, or as
near to it as a width can come: 4,513 on adding, 5,801 on copy, 5,512 on
selective copying, 4,674 on parity. Three are apart. The echo state network
has 256 units, as its matrix is fixed, and only its readout has parameters. The
delta rule and the mLSTM have 64 units in 4 heads: without recurrent weights
they would need hundreds, and their state grows as the square. Two learning
rates, three seeds.
"""

from ml_collections import config_dict

import lstm_variants as lv

# task -> what differs from the base config.
TASKS = {
  'adding': {'task.dialect': 'urnn16', 'task.length': 50},
  'copy': {'task.dialect': 'urnn16', 'task.length': 25},
  'selective_copying': {
    'task.dialect': 'mamba23',
    'task.length': 30,
    'task.items': 4,
    'task.symbols': 8,
  },
  'parity': {
    'task.dialect': 'deletang23',
    'task.length': 40,
    'task.evaluation_length': 256,
  },
}
# model -> its width on each of these.
WIDTHS = {
  'vanilla': (32, 32, 32, 32),
  'peephole': (32, 32, 32, 32),
  'coupled': (37, 37, 37, 37),
  'janet': (46, 47, 46, 46),
  'diagonal': (265, 102, 115, 212),
  'lstm_1997': (22, 23, 23, 22),
  'lstmp': (14, 13, 13, 14),
  'mult_lstm': (29, 28, 28, 29),
  'depth_gated': (18, 19, 18, 18),
  'slstm': (32, 32, 32, 32),
  'mlstm': (64, 64, 64, 64),
  'gru': (37, 37, 37, 37),
  'gru_reset_before': (37, 37, 37, 37),
  'mgu': (46, 47, 46, 46),
  'highway': (27, 28, 28, 27),
  'mut1': (45, 44, 44, 45),
  'mut3': (37, 37, 37, 37),
  'lem': (32, 32, 32, 32),
  'mingru': (645, 187, 212, 467),
  'minlstm': (451, 138, 157, 334),
  'lru': (45, 44, 44, 45),
  'rg_lru': (46, 48, 48, 46),
  's6': (72, 73, 72, 72),
  'delta_rule': (64, 64, 64, 64),
  'simple_rnn': (65, 67, 66, 65),
  'irnn': (65, 67, 66, 65),
  'indrnn': (902, 276, 306, 667),
  'cornn': (47, 49, 48, 47),
  'clockwork': (80, 80, 80, 80),
  'echo_state': (256, 256, 256, 256),
}
LEARNING_RATES = (1e-2, 2e-3)
SEEDS = range(3)


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.training.updates = 2000
  # Sequences to success in steps of 320.
  config.training.success_interval = 10
  config.training.evaluation_batches = 16
  return config


def get_hyper(hyper):
  """Return tasks × models, each with its width, × rates × seeds."""
  runs = [
    hyper.sweep('config.optimizer.learning_rate', LEARNING_RATES),
    hyper.sweep('config.seed', SEEDS),
  ]
  grids = []
  for place, (task, fields) in enumerate(TASKS.items()):
    for model, widths in WIDTHS.items():
      chosen = {'task.name': task, **fields, **_model(model)}
      chosen['model.hidden_features'] = widths[place]
      fixed = [
        hyper.fixed(f'config.{field}', value) for field, value in chosen.items()
      ]
      grids.append(hyper.product([*fixed, *runs]))
  return hyper.chainit(grids)


def _model(name: str) -> dict[str, str | int]:
  """Return the fields that choose a model."""
  if name == 'diagonal':
    return {'model.variant': 'vanilla', 'model.recurrence': 'diagonal'}
  if name in ('delta_rule', 'mlstm'):
    return {'model.variant': name, 'model.cell.heads': 4}
  return {'model.variant': name}
