"""Beck et al., NeurIPS 2024, arXiv:2405.04517: state tracking."""

from lstm_variants.config import experiment

EXPERIMENTS = {
  'parity': experiment.Experiment(
    {
      'task.name': 'parity',
      'task.dialect': 'xlstm24',
      # As theirs: 40 to 256, every T of them; 100 % of LSTM and sLSTM.
      'task.evaluation_length': 256,
      'task.evaluation_shortest_length': 40,
      'task.success_limit': 0.0,
      'optimizer.learning_rate': 5e-3,
      'training.updates': 4000,
      'training.evaluation_interval': 250,
      'training.evaluation_batches': 16,
    },
    [
      {'model.variant': 'slstm'},
      {'model.variant': 'vanilla'},
      {'model.variant': 'minlstm'},
    ],
    5,
  )
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
