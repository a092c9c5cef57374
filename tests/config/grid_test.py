"""The grid language: what each function means."""

import numpy as np
import pytest

from lstm_variants.config import grid as hyper


def test_sweep_gives_a_setting_per_value_in_order():
  assert hyper.sweep('config.seed', range(3)) == [
    {'config.seed': 0},
    {'config.seed': 1},
    {'config.seed': 2},
  ]
  assert hyper.sweep('config.seed', []) == []


def test_fixed_repeats_one_value():
  assert hyper.fixed('a', 7) == [{'a': 7}]
  assert hyper.fixed('a', 7, length=3) == [{'a': 7}] * 3


def test_settings_of_one_grid_are_not_shared():
  grid = hyper.fixed('a', 7, length=2)
  grid[0]['a'] = 8
  assert grid[1] == {'a': 7}


def test_discrete_gives_the_values():
  assert hyper.discrete(range(3)) == [0, 1, 2]
  assert hyper.sweep('a', hyper.discrete([1, 5])) == [{'a': 1}, {'a': 5}]


def test_product_combines_all_with_the_last_fastest():
  grid = hyper.product(
    [hyper.sweep('a', [1, 2]), hyper.fixed('b', 0), hyper.sweep('c', 'xy')]
  )
  assert grid == [
    {'a': 1, 'b': 0, 'c': 'x'},
    {'a': 1, 'b': 0, 'c': 'y'},
    {'a': 2, 'b': 0, 'c': 'x'},
    {'a': 2, 'b': 0, 'c': 'y'},
  ]


def test_product_of_an_empty_grid_is_empty():
  assert hyper.product([hyper.sweep('a', [1]), []]) == []


def test_products_nest():
  inner = hyper.product([hyper.sweep('a', [1, 2]), hyper.sweep('b', [3])])
  grid = hyper.product([inner, hyper.sweep('c', [4, 5])])
  assert len(grid) == 4
  assert grid[-1] == {'a': 2, 'b': 3, 'c': 5}


def test_zipit_combines_side_by_side():
  grid = hyper.zipit([hyper.sweep('a', [1, 2]), hyper.sweep('b', [3, 4])])
  assert grid == [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}]
  assert hyper.zipit([]) == []


def test_zipit_refuses_grids_of_unequal_length():
  with pytest.raises(ValueError, match='equal length, got 2, 3'):
    hyper.zipit([hyper.sweep('a', [1, 2]), hyper.sweep('b', [3, 4, 5])])


def test_chainit_puts_grids_one_after_the_other():
  grid = hyper.chainit([hyper.sweep('a', [1]), hyper.sweep('b', [2, 3])])
  assert grid == [{'a': 1}, {'b': 2}, {'b': 3}]


@pytest.mark.parametrize('combine', [hyper.product, hyper.zipit])
def test_a_field_from_two_grids_is_refused(combine):
  with pytest.raises(ValueError, match='two grids set a'):
    combine([hyper.sweep('a', [1]), hyper.sweep('a', [2])])


def test_values_are_handed_on_as_they_are():
  values = [np.float64(0.1), None, (1, 2), {'a': 1}]
  assert [s['f'] for s in hyper.sweep('f', values)] == values


def test_of_no_grids_there_are_no_settings():
  assert hyper.product([]) == hyper.zipit([]) == hyper.chainit([]) == []
