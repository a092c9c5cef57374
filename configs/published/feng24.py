"""Feng et al. 2024, arXiv:2410.01201: minGRU and minLSTM."""

from lstm_variants.config import experiment

EXPERIMENTS = {
  'selective_copying': experiment.Experiment(
    {
      'task.name': 'selective_copying',
      'task.dialect': 'mamba23',
      'task.length': 30,
      'task.items': 4,
      'task.symbols': 8,
      'model.num_layers': 3,
      'model.hidden_features': 64,
      'optimizer.learning_rate': 3e-3,
      'training.updates': 3000,
      # Solved is 1 % wrong, the paper has half of that.
      'training.stop_when_solved': False,
      'training.evaluation_interval': 250,
      'training.evaluation_batches': 16,
    },
    [{'model.variant': 'mingru'}, {'model.variant': 'minlstm'}],
    3,
  )
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
