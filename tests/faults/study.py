"""A small study to be disturbed: two populations, one of mixed variants."""

from configs import base

# A chunk takes about 0.06 s, so that what comes at random finds it.
_BATCHES = 300


def get_config(name: str = ''):
  """Return the base config; chunks are short, and each is saved.

  Args:
    name: 'brief' has chunks of no length, for faults that wait inside of one,
      and two populations of one program, which a session compiles once.
  """
  config = base.get_config()
  config.update_from_flattened_dict(
    {
      'task.length': 30,
      'model.hidden_features': 8,
      'model.recurrent_init': 'uniform',
      'optimizer.learning_rate': 1e-2,
      'training.batch_size': 8,
      'training.updates': 120,
      'training.evaluation_interval': 20,
      'training.evaluation_batches': 2 if name == 'brief' else _BATCHES,
      'training.save_interval': 20,
      'training.stop_when_solved': False,
      'study.population_size': 2 if name == 'brief' else 0,
    }
  )
  return config


def get_hyper(hyper, name: str = ''):
  """Return three variants of one width and one of another; or two, twice."""
  if name == 'brief':
    variants = hyper.sweep('config.model.variant', ['vanilla', 'coupled'])
    return hyper.product([hyper.sweep('config.seed', [0, 1]), variants])
  mixed = hyper.sweep(
    'config.model.variant', ['vanilla', 'peephole', 'coupled']
  )
  return [*mixed, {'config.model.hidden_features': 6, 'config.seed': 1}]
