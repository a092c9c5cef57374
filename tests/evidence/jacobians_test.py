"""Lag norms, against brute-force Jacobians and closed forms."""

import math
from typing import Any

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.cells import remedies
from lstm_variants.evidence.gradient_flow import jacobians
from lstm_variants.models.architecture import Architecture
from tests import reference_lstm
from tests.evidence.gradient_flow_test import B, draw, F, fields, H, linear_rnn

T, START = 4, 1
LAGS = T - 1 - START


@pytest.fixture(autouse=True)
def in_double_precision():
  with jax.enable_x64(True):
    yield


def lengthen(inputs: Any, time: int = T) -> Any:
  return np.random.default_rng(1).normal(size=(len(inputs), time, F))


def by_brute_force(cell, layer, settings, inputs, mask=None):
  """Return name -> log10 norms from whole Jacobians of the cell's unroll."""
  mask = np.ones((B, T), bool) if mask is None else mask

  def run(x, there, carry=None):
    return cell.unroll(
      *(layer, settings, x[None], carry),
      mask=there[None],
      gradient='autodiff',
    )[0]

  def of_sequence(x, there):
    own = run(x[: START + 1], there[: START + 1])
    names = [n for n in fields(own) if n != 't' and getattr(own, n).size]

    def later(moved):
      carry, states = remedies.replace(own, **moved), []
      for t in range(START + 1, T):
        carry = run(x[t : t + 1], there[t : t + 1], carry)
        states.append({name: getattr(carry, name) for name in names})
      return states

    moved = {name: getattr(own, name) for name in names}
    whole = jax.jacobian(later)(moved)
    return {name: [row[name][name] for row in whole] for name in names}

  blocks = jax.jit(jax.vmap(of_sequence))(inputs, mask)
  norms = {name: np.zeros((LAGS + 1, B)) for name in blocks}
  with np.errstate(divide='ignore'):
    for name, rows in blocks.items():
      for k, row in enumerate(rows):
        size = math.isqrt(row[0].size)
        square = np.reshape(row, (B, size, size))
        norms[name][k + 1] = np.log10(np.linalg.norm(square, 2, axis=(1, 2)))
  return norms


def lag_norms(
  params, architecture, toggles, inputs, *args: Any, **kwargs: Any
) -> Any:
  """Return lag norms by one compiled program, as a user would."""
  return jax.jit(
    lambda params, inputs: jacobians.lag_norms(
      params, architecture, toggles, inputs, *args, **kwargs
    )
  )(params, inputs)


def cell_path(
  params, architecture, toggles, inputs, *args: Any, **kwargs: Any
) -> Any:
  """Return cell paths by one compiled program."""
  return jax.jit(
    lambda params, inputs: jacobians.cell_path(
      params, architecture, toggles, inputs, *args, **kwargs
    )
  )(params, inputs)


def assert_same(found, expected):
  assert set(found) == set(expected)
  for name, norms in found.items():
    np.testing.assert_allclose(norms, expected[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize('cell', cells.CELLS)
def test_lag_norms_are_those_of_whole_jacobians_of_unroll(cell):
  architecture, toggles, params, inputs = draw(cell, 1)
  inputs = lengthen(inputs)
  found = jax.jit(
    lambda: jacobians.lag_norms(params, architecture, toggles, inputs, START)
  )()
  settings = models.settings_of(architecture, toggles)
  (layer,) = params['layers']
  expected = by_brute_force(cells.CELLS[cell], layer, settings, inputs)
  assert_same(found, expected)
  np.testing.assert_array_equal(found['h'][0], 0)


def test_of_a_layer_above_the_inputs_are_held_and_a_mask_holds_the_state():
  mask: Any = np.ones((B, T), bool)
  mask[0, 2] = mask[1, 3:] = False
  toggles = lv.Toggles(gate_recurrence=True, coupled=True)
  architecture, _, params, inputs = draw('lstm', 2, toggles, residual=True)
  inputs = lengthen(inputs)
  found = jax.jit(
    lambda: jacobians.lag_norms(
      *(params, architecture, toggles, inputs, START), layer=1, mask=mask
    )
  )()
  below, above = params['layers']
  _, hiddens = jax.jit(
    lambda layer: lv.unroll(layer, toggles, inputs, mask=mask)
  )(below)
  expected = by_brute_force(cells.CELLS['lstm'], above, toggles, hiddens, mask)
  found.pop('gates')
  assert_same(found, expected)


def test_remedies_are_part_of_the_step():
  """Where h is kept whole by zoneout, nothing is lost of it."""
  architecture, toggles, params, inputs = draw('gru', 1)
  noise = remedies.Noise(None, 0.0, 1.0, 0.0)
  found = lag_norms(params, architecture, toggles, inputs, 0, noise=noise)
  np.testing.assert_array_equal(found['h'], 0)


LINEAR = lv.Toggles(forget_gate=False)
GATED = ('lstm', 'lstmp', 'gru')


def test_the_cell_path_is_exactly_flat_where_f_is_1():
  architecture, toggles, params, inputs = draw('lstm', 1, LINEAR)
  path = cell_path(*(params, architecture, toggles, lengthen(inputs, 50), 0))
  np.testing.assert_array_equal(path.largest, np.zeros((50, B)))
  np.testing.assert_array_equal(path.mean, np.zeros((50, B)))


def sigmoid(z):
  return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize('coupled', [False, True])
def test_the_cell_path_is_the_product_of_forget_gates(coupled):
  """Of a peephole LSTM, in NumPy."""
  toggles = lv.Toggles(
    peephole_i=True, peephole_f=not coupled, peephole_o=True, coupled=coupled
  )
  mask: Any = np.ones((B, T), bool)
  mask[1, 3] = False
  architecture, _, params, inputs = draw('lstm', 1, toggles)
  inputs = lengthen(inputs)
  path = cell_path(params, architecture, toggles, inputs, START, mask=mask)
  (layer,) = params['layers']
  w, r, bias, p, _ = reference_lstm.take_apart(*layer, on=toggles._asdict())
  for b in range(B):
    c, h, product = np.zeros(H), np.zeros(H), np.ones(H)
    largest, mean = [1.0], [1.0]
    for t, x in enumerate(inputs[b]):
      z = {gate: x @ w[gate] + h @ r[gate] + bias[gate] for gate in 'ifgo'}
      i = sigmoid(z['i'] + p['i'] * c)
      f = 1 - i if coupled else sigmoid(z['f'] + p['f'] * c)
      if mask[b, t]:
        c = f * c + i * np.tanh(z['g'])
        h = sigmoid(z['o'] + p['o'] * c) * np.tanh(c)
      if t > START:
        product = product * (f if mask[b, t] else 1)
        largest.append(product.max())
        mean.append(math.exp(np.mean(np.log(product))))
    np.testing.assert_allclose(10 ** path.largest[:, b], largest, rtol=1e-9)
    np.testing.assert_allclose(10 ** path.mean[:, b], mean, rtol=1e-9)


@pytest.mark.parametrize('cell', GATED)
def test_without_a_way_through_h_the_cell_path_is_the_whole(cell):
  architecture, toggles, params, inputs = draw(cell, 1, lv.Toggles())
  (layer,) = params['layers']
  if hasattr(layer, 'recurrent_kernel'):
    layer = layer._replace(recurrent_kernel=0 * layer.recurrent_kernel)
  params['layers'] = (layer,)
  of = params, architecture, toggles, lengthen(inputs), START
  norms, path = lag_norms(*of), cell_path(*of)
  state = 'c' if 'c' in norms else 'h'
  np.testing.assert_allclose(norms[state], path.largest, atol=1e-9)


def lags_of(matrix: np.ndarray, lags: int) -> np.ndarray:
  architecture, params = linear_rnn(len(matrix), matrix)
  inputs = np.zeros((1, lags + 1, 1), np.float32)
  norms = lag_norms(params, architecture, None, inputs, 0)
  return np.asarray(norms['h'][:, 0], float)


def test_a_linear_rnn_decays_as_its_spectral_radius():
  rng = np.random.default_rng(0)
  basis, _ = np.linalg.qr(rng.normal(size=(5, 5)))
  normal = basis @ np.diag([0.9, -0.7, 0.5, 0.3, -0.1]) @ basis.T
  expected = np.arange(81) * math.log10(0.9)
  np.testing.assert_allclose(lags_of(normal, 80), expected, atol=1e-4)
  # Not normal: it rises, then falls at the rate of the radius.
  shear = np.array([[0.9, 3.0], [0.0, 0.8]])
  curve = lags_of(shear, 120)
  powers = [np.linalg.matrix_power(shear.T, k) for k in range(121)]
  exact = np.log10([np.linalg.norm(power, 2) for power in powers])
  np.testing.assert_allclose(curve, exact, atol=1e-4)
  assert curve.max() > math.log10(3)
  assert 10 ** (curve[-1] - curve[-2]) == pytest.approx(0.9, rel=1e-3)


def test_nothing_underflows_or_overflows():
  np.testing.assert_allclose(
    lags_of(0.1 * np.eye(3), 90), -np.arange(91.0), atol=1e-3
  )
  np.testing.assert_allclose(
    lags_of(10 * np.eye(3), 90), np.arange(91.0), atol=1e-3
  )
  dead = lags_of(np.zeros((3, 3)), 3)
  np.testing.assert_array_equal(dead, [0, -np.inf, -np.inf, -np.inf])


def test_a_state_far_smaller_than_another_is_still_told():
  """c is kept, and h forgotten by 1e-2 a step: each has columns of its own."""
  architecture, toggles, params, inputs = draw('lstm', 1, LINEAR)
  (layer,) = params['layers']
  # h moves nothing but the candidate, and that only a little.
  small = np.zeros_like(layer.recurrent_kernel)
  small[:, 2 * H : 3 * H] = 1e-12 * np.eye(H)
  params['layers'] = (layer._replace(recurrent_kernel=small),)
  norms = lag_norms(params, architecture, toggles, lengthen(inputs, 30), 0)
  np.testing.assert_allclose(norms['c'], 0, atol=1e-5)
  assert np.all(norms['h'][1:] < -11) and np.all(np.isfinite(norms['h']))


def test_what_the_run_does_not_have_is_refused():
  architecture, toggles, params, inputs = draw('lstm')
  of = params, architecture, toggles, inputs
  wrong: Any
  for wrong, message in (
    ({'start': 9}, 'start=9 is not one of the steps 0 to 2'),
    ({'start': 1, 'lags': 5}, 'lags=5: after start=1 .* 1 of 3.*nearest: 1'),
    ({'start': 0, 'layer': 2}, 'layer=2 is not one of 0 to 1'),
  ):
    for function in (jacobians.lag_norms, jacobians.cell_path):
      with pytest.raises(ValueError, match=message):
        function(*of, **wrong)  # pyrefly: ignore[bad-argument-type]
  for cell, norm in (('simple_rnn', False), ('lstm', True)):
    architecture, toggles, params, inputs = draw(cell, layer_norm=norm)
    with pytest.raises(ValueError, match='no gates to hold.*nearest: lag_nor'):
      jacobians.cell_path(params, architecture, toggles, inputs, 0)


def test_the_last_step_has_lag_0_alone():
  architecture, toggles, params, inputs = draw('lstm')
  of = params, architecture, toggles, inputs, inputs.shape[1] - 1
  norms, path = lag_norms(*of), cell_path(*of)
  for leaf in (*norms.values(), *path):
    np.testing.assert_array_equal(leaf, np.zeros((1, B)))


def test_a_matrix_of_many_numbers_is_refused_before_it_is_followed():
  """Of 64 units one Jacobian would have 4,096² numbers a sequence."""
  sizes = Architecture('delta_rule', 1, F, 64, 2)
  params = jax.eval_shape(lambda: models.init_model(jax.random.key(0), sizes))
  inputs = jax.ShapeDtypeStruct((B, T, F), float)
  with pytest.raises(ValueError, match='memory has 4,096 numbers.* 1,024'):
    jax.eval_shape(
      lambda *given: jacobians.lag_norms(given[0], sizes, None, given[1], 0),
      *(params, inputs),
    )
