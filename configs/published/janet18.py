"""van der Westhuizen & Lasenby 2018, arXiv:1804.04849: JANET and the LSTM."""

from lstm_variants.config import experiment

_MODELS = [{'model.variant': 'janet'}, {'model.variant': 'vanilla'}]
EXPERIMENTS = {
  'adding': experiment.Experiment(
    {
      'task.name': 'adding',
      'task.dialect': 'janet18',
      'task.length': 100,
      'model.chrono_t_max': 100.0,
      'optimizer.learning_rate': 5e-3,
      'optimizer.clip_norm': 5.0,
      'training.batch_size': 50,
      'training.updates': 2000,
      'training.success_interval': 10,
      'training.evaluation_batches': 16,
    },
    _MODELS,
    8,
  )
}


def get_config(name=''):
  """Return the base config of an experiment."""
  return experiment.get_config(EXPERIMENTS, name)


def get_hyper(hyper, name=''):
  """Return the arms of an experiment × its seeds."""
  return experiment.get_hyper(EXPERIMENTS, name, hyper)
