"""The IRNN's beginning as a memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import irnn
from tests.cells import harness

CELL = irnn.CELLS['irnn']


@pytest.mark.parametrize('init', ['orthogonal', 'uniform'])
def test_starts_with_the_identity_and_small_input_weights(init):
  params = harness.init(
    *('irnn', 200, 100), recurrent_init=init, forget_bias=1.0
  )
  np.testing.assert_array_equal(params.recurrent_kernel, np.eye(100))
  np.testing.assert_array_equal(params.bias, np.zeros(100))
  weights = params.kernel
  assert np.std(weights) == pytest.approx(1e-3, rel=0.02)
  assert abs(np.mean(weights)) < 3e-5
  # A normal distribution has 31.7 % beyond one standard deviation.
  assert np.mean(np.abs(weights) > 1e-3) == pytest.approx(0.317, abs=0.01)
  assert not CELL.keeps and CELL.initial == 'the identity'


def test_keeps_a_state_that_no_input_changes():
  params = CELL.init_params(jax.random.key(0), 2, 4)
  h = jnp.asarray([[0.0, 0.5, 1.0, 7.0]])
  carry, _ = CELL.unroll(params, None, jnp.zeros((1, 100, 2)), irnn.Carry(h))
  np.testing.assert_array_equal(carry.h, h)
