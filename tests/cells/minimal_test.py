"""minGRU and minLSTM in parallel: in log space, long, masked, extreme."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, minimal
from tests.cells import harness

HIDDEN = harness.HIDDEN
BOTH = pytest.mark.parametrize('name', minimal.CELLS)


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def positive_part(x):
  return np.where(x >= 0, x + 0.5, sigmoid(x))


def drawn(name, positive=False):
  case = harness.Case(name, minimal.Settings(positive))
  return case.cell, case.settings, harness.draw(case)


def log_space(params, inputs, h):
  """The appendix, B.2.1 and B.2.2: logarithms of gates, prefix sums of them."""
  pre = inputs @ params.kernel + params.bias
  if params.bias.size == 2 * HIDDEN:
    k, v = np.split(pre, 2, axis=-1)
    log_a, log_new = -np.logaddexp(0, k), -np.logaddexp(0, -k)
  else:
    f, i, v = np.split(pre, 3, axis=-1)
    diff = np.logaddexp(0, -f) - np.logaddexp(0, -i)
    log_a, log_new = -np.logaddexp(0, diff), -np.logaddexp(0, -diff)
  log_b = log_new + np.log(positive_part(v))
  log_star = np.cumsum(log_a, axis=1)
  first = np.log(h)[:, None]
  terms = np.concatenate((first, log_b - log_star), axis=1)
  summed = np.logaddexp.accumulate(terms, axis=1)[:, 1:]
  return np.exp(log_star + summed)


@BOTH
def test_a_positive_candidate_equals_the_form_in_log_space(name):
  cell, settings, (params, inputs, carry) = drawn(name, True)
  h = np.abs(carry.h)
  with jax.enable_x64(True):
    _, hiddens = jax.jit(cell.unroll, static_argnums=1)(
      params, settings, inputs, minimal.Carry(h)
    )
  expected = log_space(params, inputs, h)
  np.testing.assert_allclose(hiddens, expected, rtol=1e-12)
  assert np.min(expected) > 0


@BOTH
def test_steps_left_out_anywhere_are_as_if_they_were_not_there(name):
  cell, settings, (params, _, carry) = drawn(name)
  rng = np.random.default_rng(1)
  inputs, mask = rng.normal(size=(3, 37, 2)), rng.random((3, 37)) < 0.6
  mask[0, :5] = mask[1, -9:] = False
  broken = np.where(mask[..., None], inputs, np.nan)
  with jax.enable_x64(True):
    outputs = jax.jit(cell.unroll, static_argnums=1)(
      params, settings, broken, carry, mask=mask
    )
  operands = harness.Operands(params, inputs, carry)
  case = harness.Case(name, settings)
  harness.assert_same(case, outputs, harness.loop(case, operands, mask))


@BOTH
def test_two_thousand_steps_in_parallel_equal_those_in_turn(name):
  # In single precision, from gates that forget at once to ones that keep.
  cell, settings, (params, _, _) = drawn(name)
  keep = jnp.asarray([-4.0, 0.0, 4.0, 8.0])
  start = cell.init_params(jax.random.key(0), 2, HIDDEN, forget_bias=keep)
  params = jax.tree.map(jnp.float32, params)
  params = params._replace(bias=params.bias + start.bias)
  inputs = jax.random.normal(jax.random.key(0), (2, 2000, 2))
  carry = cell.init_carry(settings, (2,), HIDDEN)

  @jax.jit
  def both(params, inputs, carry):
    def body(carry, x):
      return cell.step(params, settings, carry, x)

    last, turns = jax.lax.scan(body, carry, jnp.swapaxes(inputs, 0, 1))
    return last, turns, *cell.unroll(params, settings, inputs, carry)

  last, turns, end, hiddens = both(params, inputs, carry)
  np.testing.assert_allclose(
    hiddens, np.swapaxes(turns, 0, 1), rtol=1e-5, atol=1e-5
  )
  np.testing.assert_allclose(end.h, last.h, rtol=1e-5, atol=1e-5)


@BOTH
@pytest.mark.parametrize('positive', [False, True])
def test_values_and_gradients_are_finite_at_extreme_inputs(name, positive):
  cell, settings = minimal.CELLS[name], minimal.Settings(positive)
  params = harness.init(name, 2, HIDDEN)
  # Both gates of minLSTM shut: f / (f + i) of numbers that are 0 in float32.
  params = params._replace(kernel=jnp.abs(params.kernel) + 1)
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (2, 6, 1))
  inputs = jnp.asarray(1e3 * np.repeat(signs, 2, axis=2), jnp.float32)

  def loss(params, inputs):
    _, hiddens = cell.unroll(params, settings, inputs)
    return jnp.sum(jnp.sin(hiddens)), hiddens

  result = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
    params, inputs
  )
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


@BOTH
def test_the_state_is_kept_by_the_sigmoid_of_the_forget_bias_at_first(name):
  params = harness.init(name, 50, 200, forget_bias=3)
  *gates, candidate = np.split(params.bias, len(params.bias) // 200)
  expected = [-3] if name == 'mingru' else [3, -3]
  np.testing.assert_array_equal(gates, np.repeat([expected], 200, 0).T)
  np.testing.assert_array_equal(candidate, 0)
  # All weights are drawn by themselves.
  assert np.std(params.kernel) == pytest.approx(50**-0.5, rel=0.03)
  flat = np.ravel(params.kernel)
  assert len(np.unique(flat)) > 0.99 * flat.size


@BOTH
def test_chrono_keeps_the_state_for_one_to_t_max_steps(name):
  params = harness.init(name, 2, 2000, chrono_t_max=101.0)
  *gates, b_g = np.split(params.bias, len(params.bias) // 2000)
  np.testing.assert_array_equal(b_g, 0)
  steps = np.exp(-gates[-1])
  np.testing.assert_allclose(gates[0], -gates[-1] if gates[1:] else gates[0])
  assert 1 <= steps.min() < 2 and 99 < steps.max() <= 100.001
  assert abs(steps.mean() - 50.5) < 2.5


def test_a_number_is_no_switch():
  known = minimal.CELLS['minlstm'].ranges['positive_candidate']
  with pytest.raises(contract.SettingError, match='positive_candidate=1'):
    contract.check_range('positive_candidate', 1, known)
