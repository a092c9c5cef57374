"""Jozefowicz, Zaremba & Sutskever, ICML 2015: the bias of the forget gate."""

from lstm_variants.config import experiment

EXPERIMENTS = {
  'forget_bias': experiment.Experiment(
    {
      'task.name': 'adding',
      'task.dialect': 'urnn16',
      'task.length': 50,
      'optimizer.learning_rate': 5e-3,
      'training.updates': 3000,
      'training.success_interval': 10,
      'training.evaluation_batches': 16,
    },
    [
      {'model.variant': 'vanilla', 'model.forget_bias': 1.0},
      {'model.variant': 'vanilla', 'model.forget_bias': 0.0},
      {'model.variant': 'gru'},
    ],
    8,
  )
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
