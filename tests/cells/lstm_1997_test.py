"""The LSTM of 1997: its truncated gradient, its table 10, its beginning."""

from typing import Any

import jax
import numpy as np
import pytest

from lstm_variants import models
from lstm_variants.cells import contract, lstm_1997
from tests.cells import harness

CELL = lstm_1997.CELLS['lstm_1997']
FEATURES, HIDDEN = harness.FEATURES, harness.HIDDEN


def weights_of(params: Any) -> np.ndarray:
  """Return w[l, m] into unit l = y^c, y^in, y^out; m = x, these units, 1."""
  columns = [
    np.concatenate((params.kernel, params.gate_kernel), axis=1),
    np.concatenate(
      (params.recurrent_kernel, params.gate_recurrent_kernel), axis=1
    ),
    np.concatenate((params.cell_bias, params.gate_bias))[None],
  ]
  return np.concatenate(columns).T


def f(x):
  """Equation 3."""
  return 1 / (1 + np.exp(-x))


def accumulate(w, size, xs, s, y, weights) -> Any:
  """Return Σ_t weights · ∂y^c(t) of ∂w and ∂s(0): equations 12 to 15.

  Forward in time; the state's way back is undiminished: ∂s(t)/∂s(0) = 1.
  """
  s, blocks = list(s), HIDDEN // size
  ds = np.zeros((HIDDEN, *w.shape))  # ∂s_c/∂w_lm, all that is kept
  total, on_start = np.zeros(w.shape), np.zeros(HIDDEN)
  for x, weight in zip(xs, weights, strict=True):
    sources = np.concatenate((x, y, [1.0]))
    net = w @ sources
    y = f(net)
    for cell in range(HIDDEN):
      gate_in = HIDDEN + cell // size
      gate_out = gate_in + blocks
      sigma = f(net[cell])
      g, dg = 4 * sigma - 2, 4 * sigma * (1 - sigma)
      y_in, y_out = f(net[gate_in]), f(net[gate_out])
      ds[cell, gate_in] += y_in * (1 - y_in) * g * sources
      ds[cell, cell] += y_in * dg * sources
      s[cell] = s[cell] + y_in * g
      sigma = f(s[cell])
      h, dh = 2 * sigma - 1, 2 * sigma * (1 - sigma)
      y[cell] = y_out * h
      dy = dh * ds[cell] * y_out
      dy[gate_out] += y_out * (1 - y_out) * sources * h
      total += weight[cell] * dy
      on_start[cell] += weight[cell] * dh * y_out
  return total, on_start


def test_truncated_gradient_is_that_of_the_appendix():
  settings = lstm_1997.Settings(block_size=2, truncated_gradient=True)
  operands = harness.draw(harness.Case('lstm_1997', settings))
  shape = (harness.BATCH, harness.TIME, HIDDEN)
  weights = np.cos(np.arange(np.prod(shape))).reshape(shape)

  def loss(operands, settings):
    params, inputs, carry = operands
    _, hiddens = CELL.unroll(params, settings, inputs, carry)
    return (weights * hiddens).sum()

  with jax.enable_x64(True):
    gradient, other = jax.jit(
      lambda operands: (
        jax.grad(loss)(operands, settings),
        jax.grad(loss)(operands, settings._replace(truncated_gradient=False)),
      )
    )(operands)
  params, inputs, carry = operands
  rows = zip(inputs, *carry, weights, strict=True)
  on_weights, on_start = zip(
    *(
      accumulate(weights_of(params), 2, xs, s, np.concatenate((y, g)), weight)
      for xs, s, y, g, weight in rows
    ),
    strict=True,
  )
  np.testing.assert_allclose(
    weights_of(gradient.params), sum(on_weights), rtol=0, atol=1e-12
  )
  np.testing.assert_allclose(gradient.carry.c, on_start, rtol=0, atol=1e-12)
  for one, two in zip(gradient.params, other.params, strict=True):
    assert np.abs(one - two).max() > 0.01
  # Nothing goes back by the outputs of the step before.
  assert not gradient.carry.h.any() and not gradient.carry.gates.any()


def count(features, block_size, blocks, outputs, output_bias, **biases) -> int:
  """Count the weights of a net whose outputs see the memory cells alone."""
  settings = lstm_1997.Settings(block_size, **biases)
  cells = block_size * blocks
  readout = (cells + output_bias) * outputs
  return CELL.count_params(settings, features, cells) + readout


def test_numbers_of_weights_are_those_of_table_10():
  none = {'cell_bias': False, 'gate_bias': False}
  assert count(7, 1, 4, 7, False, cell_bias=False) == 264  # 1
  assert count(7, 2, 3, 7, False, cell_bias=False) == 276
  for p, weights in ((50, 364), (100, 664), (200, 1264), (500, 3064)):
    assert count(p + 4, 1, 2, 2, False, **none) == weights  # 2c
  assert count(1004, 1, 2, 2, False, **none) == 6064
  assert count(1, 1, 3, 1, False) == 102  # 3
  assert count(2, 2, 2, 1, True) == 93  # 4 and 5
  assert count(8, 2, 2, 4, True) == 156  # 6a
  assert count(8, 2, 3, 8, True) == 308  # 6b


def test_the_net_of_2a_and_2b_has_as_many_weights_as_the_paper_says():
  off = dict.fromkeys(('recurrent', 'output_gate', 'output_activation'), False)
  settings = lstm_1997.Settings(1, cell_bias=False, gate_bias=False, **off)
  sizes = models.Architecture(
    *('lstm_1997', 1, 101, 1, 101),
    cell_settings=settings,
    direct_connections=True,
  )
  # Of the readout there are biases, which the paper has not.
  assert models.count_params(sizes, None) - 101 == 10_504


@pytest.mark.parametrize(
  'blocks, shut', [(2, [-3, -6]), (3, [-2, -4, -6]), (1, [-6])]
)
def test_starts_as_in_experiments_4_and_6b(blocks, shut):
  settings = lstm_1997.Settings(block_size=16)
  params = harness.init('lstm_1997', 7, 16 * blocks, settings=settings)
  np.testing.assert_allclose(params.gate_bias[:blocks], shut, rtol=1e-6)
  rest = [np.ravel(leaf) for leaf in params[:-1]]
  rest = np.concatenate([*rest, params.gate_bias[blocks:]])
  assert np.abs(rest).max() <= 0.1 and np.abs(rest).max() > 0.09
  assert np.std(rest) == pytest.approx(0.1 / 3**0.5, rel=0.1)
  assert len(np.unique(rest)) > 0.99 * rest.size


def test_settings_that_do_not_fit_are_refused():
  settings = lstm_1997.Settings(block_size=3)
  for call in (
    lambda: CELL.check(settings, HIDDEN),
    lambda: CELL.count_params(settings, FEATURES, HIDDEN),
    lambda: CELL.init_carry(settings, (), HIDDEN),
    lambda: CELL.init_params(
      jax.random.key(0), FEATURES, HIDDEN, settings=settings
    ),
  ):
    with pytest.raises(contract.SettingError, match='divide.*nearest: 2'):
      call()
