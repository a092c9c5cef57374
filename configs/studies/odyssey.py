"""The Odyssey on long lags: random search for V and its eight variants.

    lstm-variants sweep --config=studies/odyssey --workdir=runs/odyssey
    lstm-variants analyse --workdir=runs/odyssey \\
        --figure=importance --baseline=peephole

The protocol of Greff et al. (IEEE TNNLS 28(10), 2017, arXiv:1503.04069) on
tasks that the paper did not have. V, its vanilla LSTM, has peepholes: here it
is `peephole`. For every variant and task apart, hyper-parameters are drawn at
random, as in the paper:

    width            log-uniform       8 … 64       (20 … 200)
    learning rate    log-uniform    0.01 … 10       (1e-6 … 1e-2)
    momentum         1 - log-uniform, 0 … 0.99      (the same)
    input noise      uniform           0 … 0.3      (0 … 1)

in parentheses the paper's ranges. SGD with Nesterov's momentum; the learning
rate is multiplied by 1 - momentum, so that it means the same at each.

Otherwise than there:
- 20 trials each in place of 200: 540 runs in place of 5,400. Any other number
  follows a colon, --config=studies/odyssey:200, with a --workdir of
  its own; more trials begin with the same ones.
- Batches of 32 and clipping at norm 1, so the rates are larger: at a width of
  16, 0.01 is too slow on these tasks and 10 is too much.
- The noise reaches about the standard deviation of these inputs.
- Each run makes as many updates, none stops early: data are new in each, there
  is nothing to overfit.
- Widths are rounded to six steps, evenly spread over the range, so that
  the runs of a task and width share one compiled program.
- Copy has four items of four symbols: ten of eight are too many for SGD in so
  few updates.
"""

from ml_collections import config_dict
import numpy as np

import lstm_variants as lv

# Of each variant on each task, unless another number is asked for.
TRIALS = 20
# A study has at most 100,000 runs.
MOST_TRIALS = 3703
# V first.
VARIANTS = (
  'peephole',
  'nig',
  'nfg',
  'nog',
  'niaf',
  'noaf',
  'np',
  'cifg',
  'fgr',
)
# task -> what differs from the base config.
TASKS = {
  'adding': {'task.dialect': 'urnn16', 'task.length': 30},
  'copy': {
    'task.dialect': 'urnn16',
    'task.length': 10,
    'task.items': 4,
    'task.symbols': 4,
  },
  'temporal_order': {'task.dialect': 'pascanu13', 'task.length': 30},
}
WIDTHS = (8, 12, 18, 28, 42, 64)
LEARNING_RATES = (1e-2, 1e1)
# 1 - momentum.
REMAINDERS = (1e-2, 1.0)
LARGEST_NOISE = 0.3
# Of the draws.
SEED = 0


def get_config(argument: str = '') -> config_dict.ConfigDict:
  """Return the base config of the study, the same for any number of trials.

  Args:
    argument: see `get_hyper`.
  """
  _count_trials(argument)  # refused before anything else is looked at
  config = lv.default_config()
  config.optimizer.name = 'sgd'
  config.optimizer.nesterov = True
  config.training.updates = 2000
  config.training.evaluation_interval = 500
  config.training.stop_when_solved = False
  return config


def get_hyper(hyper, argument: str = ''):
  """Return tasks × variants, each with its own draws.

  Args:
    hyper: the module `hyper`.
    argument: how many trials each has; '' for `TRIALS`.

  Raises:
    ValueError: an argument that is no such number.
  """
  trials = _count_trials(argument)
  grids = []
  for task_index, (task, fields) in enumerate(TASKS.items()):
    for index, variant in enumerate(VARIANTS):
      fixed = {'task.name': task, **fields, 'model.variant': variant}
      rng = np.random.default_rng([SEED, task_index, index])
      drawn = [_draw(rng) for _ in range(trials)]
      grids.append(
        hyper.zipit(
          [
            *(hyper.fixed(f'config.{f}', v, trials) for f, v in fixed.items()),
            *(
              hyper.sweep(f'config.{field}', [trial[field] for trial in drawn])
              for field in drawn[0]
            ),
          ]
        )
      )
  return hyper.chainit(grids)


def _count_trials(argument: str) -> int:
  """Read a number of trials as it is written: 200, not 2e2 or 0200."""
  if not argument:
    return TRIALS
  try:
    nearest = round(min(max(float(argument), 1), MOST_TRIALS))
  except ValueError:  # no number, or nan
    nearest = None
  if argument != str(nearest):
    raise ValueError(
      'trials of a variant on a task: must be an integer from 1 to '
      f'{MOST_TRIALS}; '
      + ('for example 200' if nearest is None else f'nearest: {nearest}')
    )
  return int(argument)


def _draw(rng: np.random.Generator) -> dict[str, float | int]:
  """Draw the hyper-parameters of one trial."""
  remainder = _log_uniform(rng, *REMAINDERS)
  rate = _log_uniform(rng, *LEARNING_RATES)
  return {
    'model.hidden_features': int(rng.choice(WIDTHS)),
    'optimizer.learning_rate': rate * remainder,
    'optimizer.momentum': 1 - remainder,
    'training.input_noise': float(rng.uniform(0, LARGEST_NOISE)),
    'seed': int(rng.integers(2**32)),
  }


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
  return float(np.exp(rng.uniform(np.log(low), np.log(high))))
