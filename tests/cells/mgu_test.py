"""The minimal gated unit against a NumPy loop, and not flax's."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import mgu
from tests.cells import complex_step

FEATURES, HIDDEN, TIME, BATCH = SIZES = 2, 3, 5, 2
CELL = mgu.CELLS['mgu']


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def loop(params, inputs, carry):
  """Zhou et al. 2016, with the matrices W_f, W_h of [h, x] of the paper."""
  w = np.concatenate((params.recurrent_kernel, params.kernel)).T
  w_f, w_h = np.split(w, 2)
  b_f, b_h = np.split(params.bias, 2)
  rows = []
  for xs, h in zip(inputs, carry.h, strict=True):
    row = []
    for x in xs:
      f = sigmoid(w_f @ np.concatenate((h, x)) + b_f)
      candidate = np.tanh(w_h @ np.concatenate((f * h, x)) + b_h)
      h = (1 - f) * h + f * candidate
      row.append(h)
    rows.append(row)
  hiddens = np.array(rows)
  return (hiddens[:, -1],), hiddens


def test_equals_the_equations_and_their_derivatives():
  operands = complex_step.draw(CELL, None, SIZES)
  gradient = complex_step.assert_same(CELL, None, loop, operands)
  assert all(np.all(leaf != 0) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize('sign', [1, -1])
def test_flaxs_cell_is_another(sign):
  # Neither as it is, nor with the gate turned over.
  params, inputs, carry = jax.tree.map(
    jnp.float32, complex_step.draw(CELL, None, SIZES)
  )
  w_f, w_g = jnp.split(params.kernel, 2, axis=1)
  r_f, r_g = jnp.split(params.recurrent_kernel, 2, axis=1)
  b_f, b_g = jnp.split(params.bias, 2)
  theirs = {
    'if': {'kernel': sign * w_f, 'bias': sign * b_f},
    'hf': {'kernel': sign * r_f},
    'in': {'kernel': w_g, 'bias': b_g},
    'hn': {'kernel': r_g, 'bias': jnp.zeros(HIDDEN)},
  }
  h, _ = flax.linen.MGUCell(HIDDEN).apply(
    {'params': theirs}, carry.h, inputs[:, 0]
  )
  ours, _ = CELL.step(params, None, carry, inputs[:, 0])
  assert np.abs(np.asarray(h) - np.asarray(ours.h)).max() > 0.01


def test_one_minus_f_is_the_sigmoid_of_the_forget_bias_at_first():
  params = CELL.init_params(jax.random.key(0), FEATURES, HIDDEN, forget_bias=3)
  np.testing.assert_array_equal(params.bias, [-3] * 3 + [0] * 3)
  rest = params._replace(recurrent_kernel=jnp.zeros((HIDDEN, 2 * HIDDEN)))
  carry, _ = CELL.step(
    rest, None, mgu.Carry(jnp.ones((1, HIDDEN))), jnp.zeros((1, FEATURES))
  )
  np.testing.assert_allclose(carry.h, sigmoid(3.0), rtol=1e-6)


def test_chrono_draws_the_bias_of_f_with_the_other_sign():
  params = CELL.init_params(
    jax.random.key(0), 2, 2000, chrono_t_max=101.0, recurrent_init='uniform'
  )
  b_f, b_g = np.split(np.asarray(params.bias), 2)
  np.testing.assert_array_equal(b_g, 0)
  steps = np.exp(-b_f)
  assert 1 <= steps.min() < 2 and 99 < steps.max() <= 100
  assert abs(steps.mean() - 50.5) < 2.5


def test_the_weights_of_each_block_are_drawn_by_themselves():
  params = CELL.init_params(jax.random.key(1), 5, 16)
  one, two = np.split(np.asarray(params.recurrent_kernel), 2, axis=1)
  for block in (one, two):
    np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-5)
  assert np.abs(one - two).max() > 0.1


def test_all_parameters_are_counted():
  params = CELL.init_params(jax.random.key(0), 4, 5)
  sizes = sum(leaf.size for leaf in params)
  assert CELL.count_params(None, 4, 5) == sizes == 2 * (4 * 5 + 5 * 5 + 5)


def test_what_cannot_be_drawn_is_refused():
  with pytest.raises(ValueError, match='recurrent_init'):
    CELL.init_params(jax.random.key(0), 2, 3, recurrent_init='identity')
  with pytest.raises(ValueError, match='chrono_t_max'):
    CELL.init_params(jax.random.key(0), 2, 3, chrono_t_max=2)
