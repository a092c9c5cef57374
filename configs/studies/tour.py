"""The models behind docs/tour.md: small ones, a few minutes on two cores.

    lstm-variants sweep --config=studies/tour --workdir=runs/tour
    python -m experiments.tour --workdir=runs/tour

The sunspots need the extra `data`: pip install -e '.[data]'.
"""

from ml_collections import config_dict

import lstm_variants as lv

# Of the task with a thousand steps between the symbol and the question.
LAG = 1000
SEEDS = 3
# Forget gates that begin with time constants of up to twice the adding
# problem's 50 steps: what they keep is seen. A simple RNN has no such gates.
KEEPING = {'model.chrono_t_max': 100.0}
# task -> what differs from the base config, the models, what differs in each.
TASKS = (
  (
    'adding',
    {
      'task.length': 50,
      'optimizer.learning_rate': 1e-2,
      'training.stop_when_solved': False,
    },
    {'vanilla': KEEPING, 'coupled': KEEPING, 'simple_rnn': {}},
  ),
  (
    'timed_spikes',
    {'model.hidden_features': 4, 'optimizer.learning_rate': 1e-2},
    {'peephole': {}},
  ),
  (
    'long_lag',
    {
      'task.dialect': 'hs97_2c',
      'task.length': LAG,
      # Ten distractors in place of 1,000: each is a row of the input weights.
      'task.symbols': 10,
      'model.hidden_features': 8,
      'training.batch_size': 16,
      'training.updates': 1000,
      'training.evaluation_interval': 50,
    },
    {'vanilla': {'model.chrono_t_max': 1.1 * LAG}, 'simple_rnn': {}},
  ),
  (
    'words',
    {
      'task.length': 20,
      'task.symbols': 1000,
      'model.hidden_features': 64,
      'training.stop_when_solved': False,
    },
    {'vanilla': {}, 'simple_rnn': {}},
  ),
  (
    'forecasting',
    {
      'task.dialect': 'one_step',
      'task.length': 22,
      'training.updates': 400,
      'training.stop_when_solved': False,
    },
    {'vanilla': {}, 'simple_rnn': {}},
  ),
)
# Layers and their width: one wide layer has as many weights as two narrow ones.
STACKS = ((1, 43), (2, 32))


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.optimizer.learning_rate = 5e-3
  config.training.evaluation_batches = 16
  return config


def get_hyper(hyper):
  """Return tasks × models × seeds, and stacks × seeds."""
  grids = [
    _grid(hyper, {'task.name': task, **shared, 'model.variant': model, **own})
    for task, shared, models in TASKS
    for model, own in models.items()
  ]
  for layers, width in STACKS:
    fields = {
      'task.name': 'characters',
      'task.length': 50,
      'model.num_layers': layers,
      'model.hidden_features': width,
      'training.stop_when_solved': False,
    }
    grids.append(_grid(hyper, fields))
  return hyper.chainit(grids)


def _grid(hyper, fields):
  """Return the seeds of one model on one task."""
  chosen = [
    hyper.fixed(f'config.{key}', value) for key, value in fields.items()
  ]
  return hyper.product([*chosen, hyper.sweep('config.seed', range(SEEDS))])
