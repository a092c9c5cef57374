"""The gradients of traced toggles against the NumPy reference, and counts.

Those of every variant by itself: `contract_test`.
"""

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.cells import lstm
from tests.cells import settings

COMPLEX_STEP = 1e-40


def slope_along(toggles, case, direction) -> float:
  """Return the derivative of the reference along a direction."""
  moved = jax.tree.map(
    lambda x, v: x + 1j * COMPLEX_STEP * v,
    (case.params, case.inputs, case.carry),
    direction,
  )
  return settings.reference_loss(toggles, case, *moved).imag / COMPLEX_STEP


def test_gradients_of_every_traced_setting_equal_the_complex_step():
  """Along a direction of parameters, inputs and carry together."""
  rng = np.random.default_rng(0)
  settled, cases = settings.all_cases()
  run = settings.all_runs(True)
  for index, (toggles, case) in enumerate(zip(settled, cases, strict=True)):
    gradient = settings.pick(run.gradient, index)
    direction = jax.tree.map(lambda g: rng.normal(size=g.shape), gradient)
    if not toggles.gate_recurrence:
      # The gates of the carry belong to gate recurrence alone.
      on_params, on_inputs, (c, h, gates) = direction
      direction = (on_params, on_inputs, (c, h, 0 * gates))
    products = jax.tree.map(lambda g, v: np.sum(g * v), gradient, direction)
    slope = slope_along(toggles, case, direction)
    total = sum(jax.tree.leaves(products))
    assert abs(total - slope) < 1e-11 * max(abs(slope), 1)


def parameters_with_a_gradient(gradient: lv.Params) -> int:
  return sum(int(np.count_nonzero(leaf)) for leaf in jax.tree.leaves(gradient))


def test_the_parameters_counted_are_those_with_a_gradient_in_every_setting():
  run = settings.all_runs(True)
  for index, toggles in enumerate(settings.all_cases()[0]):
    gradient = settings.pick(run.gradient[0], index)
    counted = lstm.count_params(toggles, settings.FEATURES, settings.HIDDEN)
    assert parameters_with_a_gradient(gradient) == counted


def test_a_vanilla_lstm_counts_as_the_textbook_formula():
  # 4 gates, each with F input weights, H recurrent weights and a bias per unit.
  assert lstm.count_params(lv.Toggles(), 7, 11) == 4 * 11 * (7 + 11 + 1)
  peephole = lv.VARIANTS['peephole'].toggles
  assert lstm.count_params(peephole, 7, 11) == 4 * 11 * (7 + 11 + 1) + 3 * 11


def test_traced_toggles_cannot_be_counted():
  toggles = settings.pick(settings.stack_toggles([lv.Toggles()]), 0)
  with pytest.raises(ValueError, match='static'):
    lstm.count_params(toggles, 2, 3)
