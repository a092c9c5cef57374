"""Delétang et al., ICLR 2023, arXiv:2207.02098: the regular languages."""

from configs.published import experiment

# task -> learning rate, updates.
_TASKS = {
  'parity': (5e-3, 3000),
  'even_pairs': (5e-3, 1500),
  'cycle_navigation': (5e-3, 6000),
  'modular_arithmetic': (5e-3, 6000),
}
EXPERIMENTS = {
  task: experiment.Experiment(
    {
      'task.name': task,
      'task.dialect': 'deletang23',
      'task.evaluation_length': 400,
      'optimizer.learning_rate': rate,
      'training.updates': updates,
      'training.evaluation_interval': 250,
      'training.evaluation_batches': 16,
    },
    [{'model.variant': 'vanilla'}, {'model.variant': 'simple_rnn'}],
    5,
  )
  for task, (rate, updates) in _TASKS.items()
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
