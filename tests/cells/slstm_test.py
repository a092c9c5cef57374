"""The sLSTM from the zero carry, its stabiliser and its beginning."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, slstm
from tests.cells import harness
from tests.cells.harness import BATCH, FEATURES, HIDDEN, TIME

CELL = slstm.CELLS['slstm']
gates_of: Any = CELL.gates
FORGET = pytest.mark.parametrize('exponential', [False, True])


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


@FORGET
def test_units_without_a_state_begin_beside_units_with_one(exponential):
  """A stabiliser m means nothing where n = 0."""
  case = harness.Case('slstm', slstm.Settings(2, exponential))
  operands = harness.draw(case)
  some = jax.tree.map(np.zeros_like, operands.carry)
  some = some._replace(m=some.m + 5)
  some.c[0, 1], some.n[0, 1], some.h[1, 0] = 0.3, 0.7, 0.2
  operands = operands._replace(carry=some)
  with jax.enable_x64(True):
    outputs, gates = jax.jit(
      lambda params, inputs, carry: (
        CELL.unroll(params, case.settings, inputs, carry),
        gates_of(params, case.settings, carry, inputs[:, 0]),
      )
    )(*operands)
  harness.assert_same(case, outputs, harness.loop(case, operands))
  first = operands._replace(inputs=operands.inputs[:, :1])
  harness.assert_close(tuple(gates), tuple(harness.loop(case, first).gates))


@FORGET
def test_the_stabiliser_is_that_of_the_paper(exponential):
  settings = slstm.Settings(1, exponential)
  params, inputs, _ = harness.draw(harness.Case('slstm', settings))
  with jax.enable_x64(True):
    carry = CELL.init_carry(settings, (BATCH,), HIDDEN, jnp.float64)
    m = np.full((BATCH, HIDDEN), -np.inf)  # nothing is kept yet
    for t in range(TIME):
      before = np.asarray(carry.h)
      carry, _ = CELL.step(params, settings, carry, inputs[:, t])
      z = inputs[:, t] @ params.kernel + params.bias
      z = z + before @ params.recurrent_kernel[0]
      i, f = z[:, :HIDDEN], z[:, HIDDEN : 2 * HIDDEN]
      log_f = f if exponential else np.log(sigmoid(f))
      m = np.maximum(log_f + m, i)
      np.testing.assert_allclose(carry.m, m, rtol=1e-12)
  assert np.all(np.asarray(carry.n) >= 1)


@FORGET
def test_values_and_gradients_are_finite_at_extreme_inputs(exponential):
  settings = slstm.Settings(2, exponential)
  params = harness.init('slstm', FEATURES, HIDDEN, settings=settings)
  rng = np.random.default_rng(0)
  signs = rng.choice([-1.0, 1.0], (3, 200, FEATURES))
  signs[0], signs[1] = 1, -1

  def run(params, inputs):
    last, hiddens = CELL.unroll(params, settings, inputs)
    return jnp.sum(jnp.sin(hiddens)), (last, hiddens)

  run = jax.jit(jax.value_and_grad(run, argnums=(0, 1), has_aux=True))
  for size in (1.0, 100.0, 1e4):
    result = run(params, jnp.asarray(size * signs, jnp.float32))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
    (_, (_, hiddens)), _ = result
    assert np.abs(hiddens).max() <= 1  # a mean of tanh(z), gated


def test_the_bias_of_the_input_gate_has_no_effect_from_the_zero_carry():
  settings = slstm.Settings()
  params, inputs, _ = harness.draw(harness.Case('slstm', settings))
  run = jax.jit(lambda params: CELL.unroll(params, settings, inputs))
  moved = params.bias + np.repeat([7.0, 0, 0, 0], HIDDEN)
  with jax.enable_x64(True):
    _, one = run(params)
    _, two = run(params._replace(bias=moved))
  np.testing.assert_allclose(one, two, rtol=1e-12)


@FORGET
def test_f_is_the_sigmoid_of_the_forget_bias_and_blocks_are_orthogonal(
  exponential,
):
  settings = slstm.Settings(3, exponential)
  params = harness.init('slstm', 3, 12, settings=settings, forget_bias=3.0)
  b_i, b_f, b_z, b_o = np.split(params.bias, 4)
  np.testing.assert_array_equal((b_i, b_z, b_o), 0)
  f = (np.exp if exponential else sigmoid)(b_f)
  np.testing.assert_allclose(f, sigmoid(3.0), rtol=1e-6)
  blocks = params.recurrent_kernel.reshape(3, 4, 4, 4)
  blocks = np.moveaxis(blocks, 1, 2).reshape(12, 4, 4)
  for block in blocks:
    np.testing.assert_allclose(block @ block.T, np.eye(4), atol=1e-5)
  assert len({float(block[0, 0]) for block in blocks}) == 12
  assert len(np.unique(params.kernel)) == 3 * 48


@FORGET
def test_chrono_draws_f_of_one_to_t_max_steps(exponential):
  params = harness.init(
    *('slstm', 2, 400),
    settings=slstm.Settings(1, exponential),
    chrono_t_max=101.0,
    recurrent_init='uniform',
  )
  b_i, b_f, b_z, b_o = np.split(np.asarray(params.bias, float), 4)
  np.testing.assert_array_equal((b_i, b_z, b_o), 0)
  f = (np.exp if exponential else sigmoid)(b_f)
  steps = 1 / (1 - f) - 1
  assert 0.99 < steps.min() < 2 and 98 < steps.max() < 100.1
  assert abs(steps.mean() - 50.5) < 5


@pytest.mark.parametrize(('heads', 'nearest'), [(5, 4), (7, 6), (100, 12)])
def test_heads_that_do_not_divide_the_units_are_refused(heads, nearest):
  settings = slstm.Settings(heads=heads)
  for refuse in (
    lambda: CELL.check(settings, 12),
    lambda: CELL.init_params(jax.random.key(0), 2, 12, settings=settings),
  ):
    with pytest.raises(contract.SettingError, match=f'nearest: {nearest}$'):
      refuse()
  CELL.check(slstm.Settings(heads=4), 12)
