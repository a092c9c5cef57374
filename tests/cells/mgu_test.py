"""The minimal gated unit is not flax's, and its beginning."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.cells import harness

CASE = harness.Case('mgu', None)


@pytest.mark.parametrize('sign', [1, -1])
def test_flaxs_cell_is_another(sign):
  # Neither as it is, nor with the gate turned over.
  params, inputs, carry = jax.tree.map(np.float32, harness.draw(CASE))
  w_f, w_g = np.split(params.kernel, 2, axis=1)
  r_f, r_g = np.split(params.recurrent_kernel, 2, axis=1)
  b_f, b_g = np.split(params.bias, 2)
  theirs = {
    'if': {'kernel': sign * w_f, 'bias': sign * b_f},
    'hf': {'kernel': sign * r_f},
    'in': {'kernel': w_g, 'bias': b_g},
    'hn': {'kernel': r_g, 'bias': jnp.zeros(harness.HIDDEN)},
  }
  h, _ = flax.linen.MGUCell(harness.HIDDEN).apply(
    {'params': theirs}, carry.h, inputs[:, 0]
  )
  ours, _ = CASE.cell.step(params, None, carry, inputs[:, 0])
  assert np.abs(np.asarray(h) - np.asarray(ours.h)).max() > 0.01


def test_one_minus_f_is_the_sigmoid_of_the_forget_bias_at_first():
  params = harness.init('mgu', 5, 16, forget_bias=3)
  np.testing.assert_array_equal(params.bias, [-3] * 16 + [0] * 16)
  one, two = np.split(params.recurrent_kernel, 2, axis=1)
  for block in (one, two):
    np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-5)
  assert np.abs(one - two).max() > 0.1


def test_chrono_draws_the_bias_of_f_with_the_other_sign():
  params = harness.init(
    *('mgu', 2, 500), chrono_t_max=101.0, recurrent_init='uniform'
  )
  b_f, b_g = np.split(params.bias, 2)
  np.testing.assert_array_equal(b_g, 0)
  steps = np.exp(-b_f)
  assert 1 <= steps.min() < 2 and 99 < steps.max() <= 100
  assert abs(steps.mean() - 50.5) < 4
