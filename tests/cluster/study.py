"""A small study to be shared and disturbed: eight populations, four models."""

from configs import base


def get_config():
  """Return the base config; chunks are short, and each is saved."""
  config = base.get_config()
  config.update_from_flattened_dict(
    {
      'study.population_size': 1,
      'task.length': 20,
      'model.hidden_features': 8,
      'model.recurrent_init': 'uniform',
      'optimizer.learning_rate': 1e-2,
      'training.batch_size': 8,
      'training.updates': 300,
      'training.evaluation_interval': 10,
      # A chunk takes a while, so that what disturbs a worker finds it.
      'training.evaluation_batches': 1500,
      'training.save_interval': 10,
      'training.stop_when_solved': False,
    }
  )
  return config


def get_hyper(hyper):
  """Return four models, each with two seeds."""
  models = ['vanilla', 'peephole', 'coupled', 'simple_rnn']
  return hyper.product(
    [
      hyper.sweep('config.model.variant', models),
      hyper.sweep('config.seed', [0, 1]),
    ]
  )
