"""The multiplicative LSTM's product and its beginning."""

import math

import numpy as np

from tests.cells import harness

CASE = harness.Case('mult_lstm', None)


def test_an_input_of_zero_hides_the_hidden_state():
  params, inputs, carry = harness.draw(CASE)
  zero = np.zeros_like(inputs[:, 0])
  one, _ = CASE.cell.step(params, None, carry, zero)
  two, _ = CASE.cell.step(params, None, carry._replace(h=-3 * carry.h), zero)
  np.testing.assert_array_equal(one.c, two.c)


def test_starts_with_the_forget_bias_and_orthogonal_matrices():
  params = harness.init('mult_lstm', 2, 8, forget_bias=1.5)
  i, f, g, o = np.split(params.bias, 4)
  np.testing.assert_array_equal(f, 1.5)
  assert not np.any((i, g, o))
  blocks = [params.factor_recurrent_kernel]
  blocks += np.split(params.recurrent_kernel, 4, axis=1)
  for n, block in enumerate(blocks):
    np.testing.assert_allclose(block.T @ block, np.eye(8), atol=1e-5)
    assert all(np.abs(block - other).max() > 0.1 for other in blocks[:n])


def test_chrono_and_uniform_beginnings():
  params = harness.init(
    *('mult_lstm', 64, 64), chrono_t_max=100.0, recurrent_init='uniform'
  )
  i, f, g, o = np.split(params.bias, 4)
  assert 0 <= f.min() and f.max() <= math.log(99) and f.std() > 0.3
  np.testing.assert_array_equal(i, -f)
  assert not np.any((g, o))
  for matrix in (params[0], params[1], params[3], params[4]):
    assert 0.12 < np.abs(matrix).max() <= 0.125
