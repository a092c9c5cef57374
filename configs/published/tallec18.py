"""Tallec & Ollivier, ICLR 2018, arXiv:1804.11188: chrono initialisation."""

from lstm_variants.config import experiment

_TRAINING = {
  'optimizer.name': 'rmsprop',
  'optimizer.learning_rate': 1e-3,
  'optimizer.b2': 0.9,
  'training.evaluation_batches': 16,
  'task.dialect': 'tallec18',
}
EXPERIMENTS = {
  'copy': experiment.Experiment(
    {
      **_TRAINING,
      'task.name': 'copy',
      'task.length': 50,
      'model.hidden_features': 64,
      'training.updates': 4000,
      'training.evaluation_interval': 200,
    },
    [{'model.chrono_t_max': 75.0}, {'model.forget_bias': 1.0}],
    4,
  ),
  'adding': experiment.Experiment(
    {
      **_TRAINING,
      'task.name': 'adding',
      'task.length': 200,
      'model.hidden_features': 32,
      'training.updates': 4000,
      'training.evaluation_interval': 200,
    },
    [{'model.chrono_t_max': 200.0}, {'model.forget_bias': 1.0}],
    6,
  ),
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
