"""The IndRNN against a NumPy loop, its limit and its beginning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, indrnn
from tests.cells import complex_step

FEATURES, HIDDEN, TIME, BATCH = SIZES = 2, 4, 6, 3
CELL = indrnn.CELLS['indrnn']


def loop_of(limit):
  """Li et al. 2018, eq. 3 with relu: of each unit, u projected first."""

  def loop(params, inputs, carry):
    w, u, b = params
    inside = [v if abs(v) < limit else limit * np.sign(v.real) for v in u]
    rows = []
    for s in range(BATCH):
      units = []
      for n in range(HIDDEN):
        h, unit = carry.h[s, n], []
        for x in inputs[s]:
          z = w[:, n] @ x + inside[n] * h + b[n]
          h = z if z.real > 0 else 0.0
          unit.append(h)
        units.append(unit)
      rows.append(units)
    hiddens = np.array(rows).swapaxes(1, 2)
    return (hiddens[:, -1],), hiddens

  return loop


def drawn(seed=0):
  params, inputs, carry = complex_step.draw(
    CELL, indrnn.Settings(), SIZES, seed
  )
  # On at enough steps for all weights to matter, but not at all.
  params = params._replace(
    recurrent_weight=np.array([-0.8, -0.2, 0.3, 0.9]), bias=np.full(HIDDEN, 0.5)
  )
  return params, inputs, carry


@pytest.mark.parametrize('limit', [10.0, 0.5, 0.0])
def test_equals_the_equation_and_its_derivatives(limit):
  operands = drawn()
  settings = indrnn.Settings(recurrent_limit=limit)
  gradient, *_ = complex_step.assert_same(
    CELL, settings, loop_of(limit), operands
  )
  beyond = np.abs(operands[0].recurrent_weight) > limit
  # A weight beyond its limit has no gradient.
  np.testing.assert_array_equal(gradient.recurrent_weight == 0, beyond)


def test_units_do_not_see_each_other():
  params, inputs, carry = jax.tree.map(jnp.float32, drawn())

  def last(h):
    end, _ = CELL.unroll(
      params, indrnn.Settings(), inputs[:1] + 3, indrnn.Carry(h)
    )
    return end.h[0]

  jacobian = np.asarray(jax.jacobian(last)(jnp.abs(carry.h[:1])))[:, 0]
  np.testing.assert_array_equal(jacobian[~np.eye(HIDDEN, dtype=bool)], 0)


def test_a_state_grows_by_no_more_than_the_limit_in_each_step():
  limit = 2 ** (1 / 50)
  params = indrnn.Params(
    jnp.zeros((FEATURES, HIDDEN)), jnp.full(HIDDEN, 3.0), jnp.zeros(HIDDEN)
  )
  end, _ = CELL.unroll(
    params,
    indrnn.Settings(limit),
    jnp.zeros((1, 50, FEATURES)),
    indrnn.Carry(jnp.ones((1, HIDDEN))),
  )
  np.testing.assert_allclose(end.h, 2.0, rtol=1e-5)


@pytest.mark.parametrize('limit', [1.0, 0.25])
def test_starts_uniform_from_zero_to_the_limit(limit):
  params = CELL.init_params(
    jax.random.key(0), 3, 4000, settings=indrnn.Settings(recurrent_limit=limit)
  )
  u = np.sort(np.asarray(params.recurrent_weight)) / limit
  expected = (np.arange(4000) + 0.5) / 4000
  assert np.abs(u - expected).max() < 0.03  # Kolmogorov–Smirnov, p < 0.01
  np.testing.assert_array_equal(params.bias, 0)
  assert params.kernel.shape == (3, 4000)


def test_recurrent_init_is_that_of_the_input_weights():
  kernels = [
    CELL.init_params(jax.random.key(0), 2, 1000, recurrent_init=name).kernel
    for name in ('orthogonal', 'uniform')
  ]
  assert np.std(kernels[0]) == pytest.approx(2**-0.5, rel=0.1)  # LeCun
  assert np.abs(kernels[1]).max() <= 1000**-0.5
  with pytest.raises(ValueError, match='recurrent_init'):
    CELL.init_params(jax.random.key(0), 2, 3, recurrent_init='identity')


def test_all_parameters_are_counted():
  params = CELL.init_params(jax.random.key(0), 4, 5)
  sizes = sum(leaf.size for leaf in params)
  assert CELL.count_params(CELL.settings, 4, 5) == sizes == 4 * 5 + 5 + 5


@pytest.mark.parametrize('wrong', [-0.1, 10.1, True, 'one'])
def test_a_limit_out_of_range_is_refused(wrong):
  known = CELL.ranges['recurrent_limit']
  with pytest.raises(contract.SettingError, match='recurrent_limit.*nearest'):
    contract.check_range('recurrent_limit', wrong, known)
  contract.check_range('recurrent_limit', 1, known)
