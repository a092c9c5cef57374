"""The IRNN against a NumPy loop, and its beginning as a memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import irnn
from tests.cells import complex_step

FEATURES, HIDDEN, TIME, BATCH = SIZES = 2, 4, 6, 2
CELL = irnn.CELLS['irnn']


def loop(params, inputs, carry):
  """h = max(0, W'x + R'h + b) of Le et al. 2015, a sequence at a time."""
  w, r, b = params
  rows = []
  for xs, h in zip(inputs, carry.h, strict=True):
    row = []
    for x in xs:
      z = w.T @ x + r.T @ h + b
      h = np.where(z.real > 0, z, 0)
      row.append(h)
    rows.append(row)
  hiddens = np.array(rows)
  return (hiddens[:, -1],), hiddens


def test_equals_the_equation_and_its_derivatives():
  operands = complex_step.draw(CELL, None, SIZES)
  _, hiddens = loop(*operands)
  assert 0.2 < np.mean(hiddens > 0) < 0.8  # units are on and off
  complex_step.assert_same(CELL, None, loop, operands)


def test_autodiff_has_the_same_gradient():
  operands = complex_step.draw(CELL, None, SIZES, seed=1)

  def loss(gradient, params, inputs, carry):
    run = CELL.unroll(params, None, inputs, carry, gradient=gradient)
    return complex_step.weigh(run)

  with jax.enable_x64(True):
    fused, plain = (
      jax.jit(jax.grad(loss, argnums=(1, 2, 3)), static_argnums=0)(g, *operands)
      for g in ('fused', 'autodiff')
    )
  for one, two in zip(
    jax.tree.leaves(fused), jax.tree.leaves(plain), strict=True
  ):
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)


@pytest.mark.parametrize('init', ['orthogonal', 'uniform'])
def test_starts_with_the_identity_and_small_input_weights(init):
  params = CELL.init_params(
    jax.random.key(0), 200, 100, recurrent_init=init, forget_bias=1.0
  )
  np.testing.assert_array_equal(params.recurrent_kernel, np.eye(100))
  np.testing.assert_array_equal(params.bias, np.zeros(100))
  weights = np.asarray(params.kernel)
  assert np.std(weights) == pytest.approx(1e-3, rel=0.02)
  assert abs(np.mean(weights)) < 3e-5
  # A normal distribution has 31.7 % beyond one standard deviation.
  assert np.mean(np.abs(weights) > 1e-3) == pytest.approx(0.317, abs=0.01)


def test_keeps_a_state_that_no_input_changes():
  params = CELL.init_params(jax.random.key(0), FEATURES, HIDDEN)
  h = jnp.asarray([[0.0, 0.5, 1.0, 7.0]])
  carry, _ = CELL.unroll(
    params, None, jnp.zeros((1, 100, FEATURES)), irnn.Carry(h)
  )
  np.testing.assert_array_equal(carry.h, h)


def test_all_parameters_are_counted():
  params = CELL.init_params(jax.random.key(0), 4, 5)
  sizes = sum(leaf.size for leaf in params)
  assert CELL.count_params(None, 4, 5) == sizes == 4 * 5 + 5 * 5 + 5


def test_has_no_forget_gate_and_says_what_it_starts_with():
  assert not CELL.keeps
  assert CELL.initial == 'the identity'
