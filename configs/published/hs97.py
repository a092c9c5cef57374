"""The experiments of Hochreiter & Schmidhuber, Neural Computation 9(8), 1997.

    lstm-variants sweep --config=published/hs97:adding \\
        --workdir=runs/hs97_adding

Cells and blocks as in the paper (cell `lstm_1997`: no forget gate, gates shared
by the cells of a block, truncated gradient), an update after every sequence,
plain gradient descent without clipping. What is otherwise:
lstm_variants/claims/classics.py.
"""

import math

from lstm_variants.config import experiment

# One sequence an update; nothing is clipped.
_ONLINE = {
  'model.variant': 'lstm_1997',
  'model.cell.truncated_gradient': True,
  'optimizer.name': 'sgd',
  'optimizer.clip_norm': math.inf,
  'training.batch_size': 1,
  'training.evaluation_interval': 1000,
  'training.success_interval': 100,
  'training.evaluation_batches': 256,
  'training.save_interval': 20_000,
  # Ten networks of a few cells step together as fast as one.
  'training.lanes': 5,
}
# In the first experiment of the cells; in 2a to 2c of the gates, too.
_NO_CELL_BIAS = {'model.cell.cell_bias': False}
_NO_BIASES = {**_NO_CELL_BIAS, 'model.cell.gate_bias': False}
# Of 2a and 2b: no output gate, no recurrence but the state's, h the identity,
# and outputs that see the inputs.
_CELL_AND_INPUTS = {
  **_NO_BIASES,
  'model.cell.recurrent': False,
  'model.cell.output_gate': False,
  'model.cell.output_activation': False,
  'model.direct_connections': True,
}


def _experiment(task, dialect, blocks, size, rate, updates, more=()):
  """Return an experiment with blocks of `size` cells each."""
  fields = {
    **_ONLINE,
    'task.name': task,
    'task.dialect': dialect,
    'model.hidden_features': blocks * size,
    'model.cell.block_size': size,
    'optimizer.learning_rate': rate,
    'training.updates': updates,
    **dict(more),
  }
  return experiment.Experiment(fields, [{}], 10)


EXPERIMENTS = {
  'reber': _experiment(
    'embedded_reber', 'hs97', 3, 2, 2.0, 40_000, _NO_CELL_BIAS
  ),
  'long_lag_2a': _experiment(
    'long_lag', 'hs97_2a', 1, 1, 10.0, 40_000, _CELL_AND_INPUTS
  ),
  'long_lag_2b': _experiment(
    'long_lag', 'hs97_2b', 1, 1, 1.0, 40_000, _CELL_AND_INPUTS
  ),
  'long_lag_2c': _experiment(
    'long_lag', 'hs97_2c', 2, 1, 0.01, 100_000, _NO_BIASES
  ),
  'two_sequence_3a': _experiment('two_sequence', 'hs97_3a', 3, 1, 0.5, 80_000),
  'two_sequence_3b': _experiment('two_sequence', 'hs97_3b', 3, 1, 0.5, 150_000),
  'two_sequence_3c': _experiment(
    'two_sequence', 'hs97_3c', 3, 1, 0.05, 400_000
  ),
  'adding': _experiment('adding', 'hs97', 2, 2, 0.25, 150_000),
  'multiplication': _experiment(
    'multiplication', 'hs97_coarse', 2, 2, 0.05, 600_000
  ),
  'temporal_order_6a': _experiment(
    'temporal_order', 'hs97_6a', 2, 2, 0.5, 60_000
  ),
  'temporal_order_6b': _experiment(
    'temporal_order', 'hs97_6b', 3, 2, 0.1, 600_000
  ),
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the seeds of an experiment."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
