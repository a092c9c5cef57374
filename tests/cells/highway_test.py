"""How the recurrent highway network begins."""

import numpy as np

from lstm_variants.cells import highway
from tests.cells import harness


def test_a_layer_keeps_the_sigmoid_of_the_forget_bias_at_first():
  settings = highway.Settings(depth=4)
  params = harness.init('highway', 3, 16, settings=settings, forget_bias=2.0)
  for bias, kernel in zip(params.bias, params.recurrent_kernel, strict=True):
    np.testing.assert_array_equal(bias, np.repeat([0.0, -2.0], 16))
    for block in np.split(kernel, 2, axis=1):
      np.testing.assert_allclose(block.T @ block, np.eye(16), atol=1e-5)
  assert len(np.unique(params.recurrent_kernel[:, 0, 0])) == 4
