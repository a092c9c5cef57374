"""Gers, Schraudolph & Schmidhuber, JMLR 3, 2002: peepholes and timing.

A memory cell or two with peepholes, and without.
"""

from lstm_variants.config import experiment

_ONE_CELL = {
  'model.hidden_features': 1,
  'optimizer.learning_rate': 1e-2,
  'training.batch_size': 16,
  'training.updates': 8000,
  'training.evaluation_interval': 500,
}
_MODELS = [{'model.variant': 'peephole'}, {'model.variant': 'vanilla'}]
EXPERIMENTS = {
  'timed_spikes': experiment.Experiment(
    {
      **_ONE_CELL,
      'task.name': 'timed_spikes',
      # With one neither learns it.
      'model.hidden_features': 2,
    },
    _MODELS,
    10,
  ),
  'periodic_function': experiment.Experiment(
    {
      **_ONE_CELL,
      'task.name': 'periodic_function',
      'task.dialect': 'cosine',
      'task.period': 25,
    },
    _MODELS,
    10,
  ),
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
