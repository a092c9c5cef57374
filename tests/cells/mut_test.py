"""How MUT1 and MUT3 begin."""

import numpy as np
import pytest

from lstm_variants.cells import mut
from tests.cells import harness


@pytest.mark.parametrize('name', mut.CELLS)
def test_the_state_is_kept_by_the_sigmoid_of_the_forget_bias_at_first(name):
  params = harness.init(name, 3, 16, forget_bias=2.0)
  b_z, b_r, b_g = np.split(params.bias, 3)
  np.testing.assert_array_equal(b_z, -2)
  np.testing.assert_array_equal((b_r, b_g), 0)
  blocks = np.split(params.recurrent_kernel, 2 if name == 'mut1' else 3, axis=1)
  for block in blocks:
    np.testing.assert_allclose(block.T @ block, np.eye(16), atol=1e-5)


@pytest.mark.parametrize('name', mut.CELLS)
def test_chrono_keeps_the_state_for_one_to_t_max_steps(name):
  params = harness.init(
    name, 2, 400, chrono_t_max=101.0, recurrent_init='uniform'
  )
  steps = np.exp(-np.split(params.bias, 3)[0])
  assert 1 <= steps.min() < 2 and 98 < steps.max() <= 100.001
  assert abs(steps.mean() - 50.5) < 5
