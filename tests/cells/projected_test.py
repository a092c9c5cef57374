"""The LSTM with a projection against torch, and its beginning."""

import math

import jax
import numpy as np
import pytest

from lstm_variants.cells import projected
from tests.cells import harness

CELL = projected.CELLS['lstmp']
FEATURES, HIDDEN = harness.FEATURES, harness.HIDDEN


def test_equals_torch():
  torch = pytest.importorskip('torch')
  case = harness.Case('lstmp', projected.Settings(2))
  params, inputs, carry = harness.draw(case)
  theirs = torch.nn.LSTM(
    FEATURES, 2 * HIDDEN, proj_size=HIDDEN, batch_first=True
  ).double()
  turned = (params.kernel, params.recurrent_kernel, params.projection)
  with torch.no_grad():
    for name, value in zip(
      ('weight_ih_l0', 'weight_hh_l0', 'weight_hr_l0'), turned, strict=True
    ):
      getattr(theirs, name).copy_(torch.tensor(value.T))
    theirs.bias_ih_l0.copy_(torch.tensor(params.bias))
    theirs.bias_hh_l0.zero_()
    start = tuple(torch.tensor(leaf)[None] for leaf in (carry.h, carry.c))
    hiddens, (h, c) = theirs(torch.tensor(inputs), start)
  # The first run of the population, without a mask.
  last, mine = jax.tree.map(lambda x: x[0], harness.run(case).population)
  for one, two in zip((mine, *last), (hiddens, c[0], h[0]), strict=True):
    np.testing.assert_allclose(one, two.numpy(), rtol=0, atol=1e-12)


def test_starts_with_the_forget_bias_and_orthonormal_columns():
  params = harness.init('lstmp', 2, 8, forget_bias=1.5)
  assert params.projection.shape == (32, 8)
  gram = params.projection.T @ params.projection
  np.testing.assert_allclose(gram, np.eye(8), atol=1e-5)
  i, f, g, o = np.split(params.bias, 4)
  np.testing.assert_array_equal(f, 1.5)
  assert not np.any((i, g, o))
  blocks = np.split(params.recurrent_kernel, 16, axis=1)
  blocks += np.split(2 * params.projection, 4)
  for n, block in enumerate(blocks):
    np.testing.assert_allclose(block.T @ block, np.eye(8), atol=1e-5)
    assert all(np.abs(block - other).max() > 0.1 for other in blocks[:n])


def test_chrono_and_uniform_beginnings():
  params = harness.init(
    *('lstmp', 2, 16), chrono_t_max=100.0, recurrent_init='uniform'
  )
  i, f, g, o = np.split(params.bias, 4)
  assert 0 <= f.min() and f.max() <= math.log(99) and f.std() > 0.3
  np.testing.assert_array_equal(i, -f)
  assert not np.any((g, o))
  assert 0.12 < np.abs(params.projection).max() <= 64**-0.5
  assert 0.24 < np.abs(params.recurrent_kernel).max() <= 16**-0.5


def test_the_paper_counts_the_same_recurrent_weights():
  # n_c n_r · 4 + n_i n_c · 4 + n_c n_r, before outputs, peepholes and biases.
  cells, hidden, inputs = 40, 10, 7
  paper = cells * hidden * 4 + inputs * cells * 4 + cells * hidden
  assert CELL.count_params(CELL.settings, inputs, hidden) == paper + 4 * cells
