"""The depth-gated LSTM as a stack of LSTMs, and its beginning."""

import math

import jax
import numpy as np
import pytest

from lstm_variants.cells import depth_gated, lstm
from tests.cells import harness

CELL = depth_gated.CELLS['depth_gated']
PEEPHOLES = lstm.Toggles(peephole_i=True, peephole_f=True, peephole_o=True)


def as_lstm(params, number: int) -> lstm.Params:
  """Return a layer's weights as those of a peephole LSTM."""
  kernel = params.kernel if number == 0 else params.upper_kernel[number - 1]
  return lstm.Params(
    kernel,
    params.recurrent_kernel[number],
    params.bias[number],
    params.peephole[number],
  )


def test_layers_with_shut_depth_gates_are_a_stack_of_peephole_lstms():
  case = harness.Case('depth_gated', depth_gated.Settings(2))
  params, inputs, carry = harness.draw(case)
  shut = params._replace(depth_bias=np.full((1, harness.HIDDEN), -200.0))

  @jax.jit
  def both(shut):
    _, mine = CELL.unroll(shut, case.settings, inputs, carry)
    hiddens = inputs
    for number, h in enumerate((carry.h_below[:, 0], carry.h)):
      start = carry.c[:, number], h
      layer = as_lstm(shut, number)
      _, hiddens = lstm.unroll(layer, PEEPHOLES, hiddens, start)
    return mine, hiddens

  with jax.enable_x64(True):
    mine, hiddens = both(shut)
  np.testing.assert_allclose(mine, hiddens, rtol=0, atol=1e-12)
  one = depth_gated.Settings(1)
  sizes = (harness.FEATURES, harness.HIDDEN)
  assert CELL.count_params(one, *sizes) == lstm.count_params(PEEPHOLES, *sizes)


def test_starts_with_the_forget_bias_in_every_layer():
  params = harness.init(
    *('depth_gated', 100, 64), settings=depth_gated.Settings(3), forget_bias=1.5
  )
  i, f, g, o = np.split(params.bias, 4, axis=1)
  np.testing.assert_array_equal(f, np.full((3, 64), 1.5))
  assert not np.any((i, g, o)) and not params.depth_bias.any()
  blocks = np.split(params.recurrent_kernel, 4, axis=2)
  seen = []
  for block in np.concatenate(blocks):
    np.testing.assert_allclose(block.T @ block, np.eye(64), atol=1e-5)
    assert all(np.abs(block - other).max() > 0.1 for other in seen)
    seen.append(block)
  for peephole in (params.peephole, params.depth_peephole):
    assert 0.12 < np.abs(peephole).max() <= 64**-0.5
  # The weights between layers are like input weights.
  for matrix, rows in (
    (params.kernel, 100),
    (params.upper_kernel, 64),
    (params.depth_kernel, 64),
  ):
    assert np.std(matrix) == pytest.approx(rows**-0.5, rel=0.05)
    flat = np.ravel(matrix)
    assert len(np.unique(flat)) > 0.99 * flat.size


def test_chrono_spreads_the_forget_bias_of_every_layer_by_itself():
  bias = harness.init('depth_gated', 2, 64, chrono_t_max=100.0).bias
  i, f, g, o = np.split(bias, 4, axis=1)
  assert 0 <= f.min() and f.max() <= math.log(99)
  assert f.std(axis=1).min() > 0.3 and np.abs(f[0] - f[1]).max() > 0.3
  np.testing.assert_array_equal(i, -f)
  assert not np.any((g, o))
