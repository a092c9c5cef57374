"""A small study for several processes: six populations of four programs."""

from configs import base


def get_config(name: str = ''):
  """Return the base config; chunks are short, and each is saved.

  Args:
    name: 'brief' has one program, which a session compiles once.
  """
  del name
  config = base.get_config()
  config.update_from_flattened_dict(
    {
      'task.length': 10,
      'model.hidden_features': 4,
      'model.recurrent_init': 'uniform',
      'optimizer.learning_rate': 1e-2,
      'training.batch_size': 4,
      'training.updates': 40,
      'training.evaluation_interval': 10,
      'training.evaluation_batches': 2,
      'training.save_interval': 10,
      'training.stop_when_solved': False,
      'study.population_size': 1,
    }
  )
  return config


def get_hyper(hyper, name: str = ''):
  """Return three variants of the LSTM and another cell, two of them twice."""
  if name == 'brief':
    return hyper.sweep('config.seed', range(6))
  models = ['vanilla', 'peephole', 'coupled', 'simple_rnn']
  twice = hyper.product(
    [
      hyper.sweep('config.model.variant', ['vanilla', 'simple_rnn']),
      hyper.fixed('config.seed', 1),
    ]
  )
  return [*hyper.sweep('config.model.variant', models), *twice]
