"""Arjovsky, Shah & Bengio, ICML 2016, arXiv:1511.06464: the LSTM there."""

from lstm_variants.config import experiment

_TRAINING = {
  'optimizer.name': 'rmsprop',
  'optimizer.learning_rate': 1e-3,
  'optimizer.b2': 0.9,
  'training.evaluation_batches': 16,
}
EXPERIMENTS = {
  'copy': experiment.Experiment(
    {
      **_TRAINING,
      'task.name': 'copy',
      'task.dialect': 'urnn16',
      'task.length': 200,
      'model.hidden_features': 40,
      'training.batch_size': 20,
      # Half of theirs: with less, that it fails says nothing.
      'training.updates': 25_000,
      'training.evaluation_interval': 500,
    },
    [{}],
    4,
  ),
  'adding': experiment.Experiment(
    {
      **_TRAINING,
      'task.name': 'adding',
      'task.dialect': 'urnn16',
      'task.length': 100,
      'model.hidden_features': 64,
      'training.batch_size': 50,
      'training.updates': 6000,
      'training.evaluation_interval': 250,
    },
    [{'model.variant': 'vanilla'}, {'model.variant': 'simple_rnn'}],
    4,
  ),
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
