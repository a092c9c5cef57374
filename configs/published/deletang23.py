"""Delétang et al., ICLR 2023, arXiv:2207.02098: the regular languages."""

from lstm_variants.config import experiment

# task -> learning rate, updates, seeds.
_TASKS = {
  'parity': (5e-3, 3000, 5),
  'even_pairs': (5e-3, 1500, 5),
  'cycle_navigation': (2e-3, 20_000, 3),
  'modular_arithmetic': (2e-3, 20_000, 3),
}
EXPERIMENTS = {
  task: experiment.Experiment(
    {
      'task.name': task,
      'task.dialect': 'deletang23',
      # As theirs: 41 to 500, every T of them; 100 % in every seed.
      'task.evaluation_length': 500,
      'task.success_limit': 0.0,
      'optimizer.learning_rate': rate,
      'training.updates': updates,
      'training.evaluation_interval': 250,
      'training.evaluation_batches': 16,
    },
    [{'model.variant': 'vanilla'}, {'model.variant': 'simple_rnn'}],
    seeds,
  )
  for task, (rate, updates, seeds) in _TASKS.items()
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
