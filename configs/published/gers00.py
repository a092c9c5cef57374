"""Gers, Schmidhuber & Cummins, Neural Computation 12(10), 2000.

Streams of embedded Reber strings without a reset: with forget gates, and the
LSTM of 1997 without.
"""

from lstm_variants.config import experiment

EXPERIMENTS = {
  'continual_reber': experiment.Experiment(
    {
      'task.name': 'continual_reber',
      'task.dialect': 'gers00',
      'task.evaluation_length': 1000,
      'model.hidden_features': 8,
      'optimizer.learning_rate': 1e-2,
      'training.batch_size': 16,
      'training.updates': 3000,
      'training.evaluation_interval': 200,
      'training.success_interval': 10,
      'training.evaluation_batches': 4,
    },
    [{'model.variant': 'np'}, {'model.variant': 'lstm_1997'}],
    10,
  )
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
