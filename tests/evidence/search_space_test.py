"""The searched hyper-parameters are found, in the scale they were drawn in."""

from typing import Any

import numpy as np
import pytest

from configs.studies import odyssey
from lstm_variants.config import grid as hyper
from lstm_variants.evidence.importance import search_space


def _row(model='a', loss: float | None = 0.1, **fields):
  config: dict[str, Any] = {
    'seed': 0,
    'task': {'length': 30},
    'model': {},
    'optimizer': {},
  }
  for name, value in fields.items():
    part, field = name.split('__')
    config.setdefault(part, {})[field] = value
  final = {'loss': loss}
  return {'model': model, 'config': config, 'final': final, 'status': 'solved'}


def _rows(setting):
  """Rows of the runs of the Odyssey on adding."""
  rows = []
  for drawn in setting:
    if drawn['config.task.name'] == 'adding':
      fields = {
        name.removeprefix('config.').replace('.', '__'): value
        for name, value in drawn.items()
        if name.count('.') == 2 and '.task.' not in name
      }
      row = _row(drawn['config.model.variant'], **fields)
      row['config']['seed'] = drawn['config.seed']
      rows.append(row)
  return rows


def test_the_odyssey_is_read_back_in_the_scales_of_its_draws():
  rows = _rows(odyssey.get_hyper(hyper))
  axes = {axis.name: axis for axis in search_space.axes(rows)}
  assert {name: axis.scale for name, axis in axes.items()} == {
    'model.hidden_features': 'log',
    'optimizer.learning_rate': 'log',
    'optimizer.momentum': 'complement',
    'training.input_noise': 'linear',
  }
  rate = axes['optimizer.learning_rate']
  assert rate.rescaled
  assert rate.label == 'learning rate / (1 − momentum)'
  # The ends of the draws, not those of the rates that were trained with.
  np.testing.assert_allclose([rate.low, rate.high], [-2, 1], atol=0.05)
  momentum = axes['optimizer.momentum']
  np.testing.assert_allclose([momentum.low, momentum.high], [0, 2], atol=0.05)


def test_coordinates_and_values_are_inverse():
  rows = _rows(odyssey.get_hyper(hyper))
  row = rows[7]
  optimizer = row['config']['optimizer']
  expected = {
    'model.hidden_features': row['config']['model']['hidden_features'],
    'optimizer.learning_rate': optimizer['learning_rate']
    / (1 - optimizer['momentum']),
    'optimizer.momentum': optimizer['momentum'],
    'training.input_noise': row['config']['training']['input_noise'],
  }
  for axis in search_space.axes(rows):
    place = axis.coordinate(row)
    assert axis.low <= place <= axis.high
    assert axis.values(np.array([place]))[0] == pytest.approx(
      expected[axis.name]
    )


def test_a_rate_drawn_beside_the_momentum_is_itself():
  rng = np.random.default_rng(0)
  rows = [
    _row(
      optimizer__learning_rate=10 ** rng.uniform(-3, 0),
      optimizer__momentum=1 - 10 ** rng.uniform(-2, 0),
    )
    for _ in range(60)
  ]
  rate = search_space.axes(rows)[0]
  assert (rate.label, rate.rescaled) == ('learning rate', False)


def test_few_geometric_steps_are_even_in_the_logarithm():
  rows = [_row(model__hidden_features=n) for n in (8, 12, 18, 27) * 5]
  (axis,) = search_space.axes(rows)
  assert axis.scale == 'log'
  rows = [_row(model__hidden_features=n) for n in (8, 16, 24, 32) * 5]
  (axis,) = search_space.axes(rows)
  assert (axis.scale, axis.low, axis.high) == ('linear', 8, 32)


def test_what_was_not_searched_is_left_out():
  rows = [
    _row(
      model,
      model__hidden_features=width,
      model__layer_norm=bool(n % 2),
      optimizer__clip_norm=None if n == 0 else 1.0 * n,
      optimizer__learning_rate=[1e-2, 1e-3][n % 2],
      training__updates=100 * n,
    )
    for model, width in (('a', 8), ('b', 9), ('c', 10), ('d', 11), ('e', 12))
    for n in range(6)
  ]
  for seed, row in enumerate(rows):
    row['config']['seed'] = seed
  # The width follows the model, the rate has two values, the clip is no number
  # once, the updates are a budget, the rest are no numbers.
  assert search_space.axes(rows) == []
  assert search_space.axes([]) == []


def test_models_are_levels_ordered_by_their_losses():
  rows = [
    *(_row('good', loss) for loss in (1e-3, 1e-4)),
    *(_row('bad', loss) for loss in (0.1, None)),
    _row('none', None),
    *(_row('best', loss) for loss in (1e-5, 1e-4)),
  ]
  axis = search_space.model_axis(rows)
  assert axis.levels == ('best', 'good', 'bad', 'none')
  assert [axis.coordinate(row) for row in rows] == [1, 1, 2, 2, 3, 0, 0]
  # Each level has as much of the box.
  assert (axis.low, axis.high) == (-0.5, 3.5)
  np.testing.assert_array_equal(axis.grid(40), [0, 1, 2, 3])
