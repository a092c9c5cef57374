"""The LSTM's gradients against derivatives of the NumPy reference."""

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.cells import lstm
from tests.cells import settings

NAMES = [n for n, v in lv.VARIANTS.items() if not v.alias_of]
STEP = 1e-5
COMPLEX_STEP = 1e-40


def operands(case: settings.Case) -> tuple:
  return case.params, case.inputs, case.carry


def slope_along(toggles, case, direction) -> float:
  """Return the central difference of the reference along a direction."""

  def at(distance):
    moved = jax.tree.map(
      lambda x, v: x + distance * v, operands(case), direction
    )
    return settings.reference_loss(toggles, case, *moved)

  return (at(STEP) - at(-STEP)) / (2 * STEP)


def directions(case, rng):
  """Yield a random direction of the parameters, the inputs and the carry."""
  for chosen in range(3):
    yield tuple(
      jax.tree.map(lambda x, on=share: on * rng.normal(size=x.shape), operand)
      for operand, share in zip(operands(case), np.eye(3)[chosen], strict=True)
    )


def test_gradients_of_every_traced_setting_equal_central_differences():
  rng = np.random.default_rng(0)
  settled, cases = settings.all_cases()
  run = settings.all_runs(True)
  for index, (toggles, case) in enumerate(zip(settled, cases, strict=True)):
    gradient = settings.pick(run.gradient, index)
    for direction in directions(case, rng):
      if not toggles.gate_recurrence:
        # The gates of the carry belong to gate recurrence alone.
        direction = (*direction[:2], (*direction[2][:2], 0 * direction[2][2]))
      slope = slope_along(toggles, case, direction)
      products = jax.tree.map(lambda g, v: np.sum(g * v), gradient, direction)
      total = sum(jax.tree.leaves(products))
      assert abs(total - slope) < 1e-6 * max(abs(slope), 0.1)


def assert_gradient_is_the_complex_step(toggles, case, gradient):
  leaves, tree = jax.tree.flatten(operands(case))
  for number, computed in enumerate(jax.tree.leaves(gradient)):
    for place in np.ndindex(computed.shape):
      moved = [leaf.astype(complex) for leaf in leaves]
      moved[number][place] += 1j * COMPLEX_STEP
      value = settings.reference_loss(
        toggles, case, *jax.tree.unflatten(tree, moved)
      )
      slope = value.imag / COMPLEX_STEP
      assert abs(computed[place] - slope) < 1e-11 * max(1.0, abs(slope))
      assert (computed[place] == 0) == (slope == 0)


@pytest.mark.parametrize('name', NAMES)
def test_a_specialised_variant_equals_the_reference_and_the_traced_one(name):
  """In its values, in every entry of its gradient, in the zeros of that."""
  index = list(lv.VARIANTS).index(name)
  settled, cases = settings.all_cases()
  toggles, case = settled[index], cases[index]
  with jax.enable_x64(True):
    static = settings.run_static(toggles, case)
  hiddens, last = settings.run_reference(
    toggles, case.params, case.inputs, case.carry
  )
  np.testing.assert_allclose(static.hiddens, hiddens, rtol=0, atol=1e-12)
  assert len(static.carry) == (3 if toggles.gate_recurrence else 2)
  for one, two in zip(static.carry, last, strict=False):
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
  assert_gradient_is_the_complex_step(toggles, case, static.gradient)
  counted = lstm.count_params(toggles, settings.FEATURES, settings.HIDDEN)
  assert parameters_with_a_gradient(static.gradient[0]) == counted

  traced = settings.pick(settings.all_runs(True), index)
  on_params, on_inputs, on_carry = traced.gradient
  kept = len(static.carry)
  traced = traced._replace(
    carry=lv.Carry(*traced.carry[:kept]),
    gradient=(on_params, on_inputs, on_carry[:kept]),
  )
  leaves = (jax.tree.leaves(static), jax.tree.leaves(traced))
  for one, two in zip(*leaves, strict=True):
    np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)


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
