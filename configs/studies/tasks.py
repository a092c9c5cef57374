"""Every task, at a size that two cores manage: who learns it?

    lstm-variants sweep --config=studies/tasks --workdir=runs/tasks

An hour or less on two cores; docs/results.md has the table.
"""

from ml_collections import config_dict

import lstm_variants as lv

LSTMS = ('vanilla', 'peephole', 'coupled')
MODELS = (*LSTMS, 'simple_rnn')
# task -> dialect, updates, seeds, and what differs from the base config. Where
# the lag is long, the LSTMs start with chrono biases of that many steps.
TASKS = (
  ('adding', 'hs97', 3000, 5, {'model.chrono_t_max': 110.0}),
  (
    *('adding', 'hs97', 2500, 3),
    {'task.length': 500, 'model.chrono_t_max': 550.0},
  ),
  ('multiplication', 'hs97', 2500, 3, {'model.chrono_t_max': 110.0}),
  ('temporal_order', 'hs97_6a', 1500, 5, {'model.chrono_t_max': 110.0}),
  ('temporal_order', 'hs97_6b', 2000, 3, {'model.chrono_t_max': 110.0}),
  (
    *('embedded_reber', 'hs97', 3000, 5),
    {'training.evaluation_batches': 128},
  ),
  ('continual_reber', 'gers00', 1000, 3, {'task.evaluation_length': 1000}),
  ('long_lag', 'hs97_2a', 2000, 5, {'model.chrono_t_max': 100.0}),
  ('long_lag', 'hs97_2b', 1000, 3, {'model.chrono_t_max': 100.0}),
  ('long_lag', 'hs97_2c', 1000, 5, {'model.chrono_t_max': 110.0}),
  ('two_sequence', 'hs97_3a', 1000, 3, {'model.chrono_t_max': 110.0}),
  ('two_sequence', 'hs97_3b', 1000, 3, {'model.chrono_t_max': 110.0}),
  ('two_sequence', 'hs97_3c', 1000, 3, {'model.chrono_t_max': 110.0}),
  ('spike_delays', 'msd', 1000, 3, {}),
  ('spike_delays', 'nmsd', 2000, 3, {}),
  ('timed_spikes', 'gers02', 1000, 5, {}),
  ('timed_spikes', 'gers02', 1000, 5, {'task.period': 30}),
  ('periodic_function', 'cosine', 1500, 3, {}),
  ('periodic_function', 'cosine', 1500, 3, {'task.period': 25}),
  ('periodic_function', 'triangle', 1500, 3, {}),
  ('periodic_function', 'rectangle', 1500, 3, {}),
  ('anbn', 'gers01', 3000, 3, {'task.evaluation_length': 50}),
  ('anbncn', 'gers01', 3000, 3, {'task.evaluation_length': 20}),
  ('parity', 'deletang23', 3000, 5, {'task.evaluation_length': 400}),
  ('even_pairs', 'deletang23', 1000, 3, {'task.evaluation_length': 400}),
  ('cycle_navigation', 'deletang23', 4000, 3, {'task.evaluation_length': 400}),
  ('group_words', 'a5', 4000, 3, {'task.evaluation_length': 200}),
  ('modular_arithmetic', 'deletang23', 4000, 3, {}),
  ('bucket_sort', 'deletang23', 1500, 3, {}),
  ('reverse_string', 'deletang23', 2000, 3, {}),
  ('duplicate_string', 'deletang23', 2000, 3, {}),
  ('odds_first', 'deletang23', 2000, 3, {}),
  ('stack_manipulation', 'deletang23', 2000, 3, {}),
  ('missing_duplicate', 'deletang23', 2000, 3, {}),
  ('binary_addition', 'deletang23', 2000, 3, {}),
  (
    *('denoise', 'nru19', 2000, 3),
    {'task.length': 30, 'task.items': 4, 'model.hidden_features': 64},
  ),
  (
    *('selective_copying', 'mamba23', 2000, 3),
    {
      'task.length': 30,
      'task.items': 4,
      'task.symbols': 8,
      'model.hidden_features': 64,
    },
  ),
  (
    *('warping', 'uniform_warp', 1000, 3),
    {'task.length': 100, 'model.chrono_t_max': 10.0},
  ),
  (
    *('warping', 'variable_pad', 1000, 3),
    {'task.length': 100, 'model.chrono_t_max': 10.0},
  ),
  (
    *('associative_recall', 'zoology23', 3000, 3),
    {
      'task.length': 32,
      'task.symbols': 16,
      'task.items': 4,
      'model.hidden_features': 64,
    },
  ),
  ('sequential_digits', 'sklearn', 1500, 3, {'task.length': 100}),
  ('permuted_digits', 'sklearn', 1500, 3, {'task.length': 100}),
  ('characters', 'next', 2000, 3, {'task.length': 50}),
  ('words', 'next', 1000, 3, {'task.length': 20, 'task.symbols': 500}),
  ('forecasting', 'one_step', 1000, 3, {'task.length': 22}),
  ('forecasting', 'multi_step', 1000, 3, {'task.length': 22}),
)
# Copy is learnt late: three LSTMs with a forget bias of 1, and with chrono
# biases (Tallec & Ollivier's T_max = 3T/2).
COPY = {'task.length': 50, 'model.hidden_features': 64}
STARTS = (0.0, 75.0)


def get_config() -> config_dict.ConfigDict:
  """Return the base config of the study."""
  config = lv.default_config()
  config.optimizer.learning_rate = 5e-3
  config.training.evaluation_batches = 16
  # Sequences to success in steps of 320.
  config.training.success_interval = 10
  return config


def get_hyper(hyper):
  """Return tasks × models × seeds, and copy × starts × models × seeds."""
  grids = [_grid(hyper, *entry, MODELS) for entry in TASKS]
  copy = ('copy', 'urnn16', 4000, 3, COPY)
  starts = hyper.sweep('config.model.chrono_t_max', STARTS)
  grids.append(hyper.product([starts, _grid(hyper, *copy, LSTMS)]))
  grids.append(_grid(hyper, *copy, ('simple_rnn',)))
  return hyper.chainit(grids)


def _grid(hyper, name, dialect, updates, seeds, changes, models):
  """Return models × seeds on one task."""
  fields = {
    'task.name': name,
    'task.dialect': dialect,
    'training.updates': updates,
    **changes,
  }
  return hyper.chainit(
    [
      hyper.product(
        [
          *(
            hyper.fixed(f'config.{key}', value)
            for key, value in fields.items()
            # Only an LSTM has a gate that keeps its state.
            if model in LSTMS or key != 'model.chrono_t_max'
          ),
          hyper.fixed('config.model.variant', model),
          hyper.sweep('config.seed', range(seeds)),
        ]
      )
      for model in models
    ]
  )
