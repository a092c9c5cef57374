"""minGRU and minLSTM against NumPy loops and the paper's form in log space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, minimal
from tests.cells import complex_step

FEATURES, HIDDEN, TIME, BATCH = SIZES = 2, 3, 7, 2
BOTH = pytest.mark.parametrize('name', minimal.CELLS)
SWITCH = pytest.mark.parametrize('positive', [False, True])


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def positive_part(x):
  return np.where(x.real >= 0, x + 0.5, sigmoid(x))


def loop_of(name, positive, mask=None):
  """Feng et al. 2024, in sequence: section 3.1.3 or 3.2.4 in version 1."""

  def loop(params, inputs, carry):
    layers = list(
      zip(
        np.split(params.kernel.T, 2 + (name == 'minlstm')),
        np.split(params.bias, 2 + (name == 'minlstm')),
        strict=True,
      )
    )
    rows = []
    for s, h in enumerate(carry.h):
      row = []
      for t, x in enumerate(inputs[s]):
        *gates, candidate = (w @ x + b for w, b in layers)
        if positive:
          candidate = positive_part(candidate)
        if name == 'mingru':
          z = sigmoid(gates[0])
          new = (1 - z) * h + z * candidate
        else:
          f, i = map(sigmoid, gates)
          new = f / (f + i) * h + i / (f + i) * candidate
        h = new if mask is None or mask[s, t] else h
        row.append(h)
      rows.append(row)
    hiddens = np.array(rows)
    return (hiddens[:, -1],), hiddens

  return loop


def drawn(name, positive=False, sizes=SIZES, seed=0):
  settings = minimal.Settings(positive_candidate=positive)
  cell = minimal.CELLS[name]
  return cell, settings, complex_step.draw(cell, settings, sizes, seed)


@BOTH
@SWITCH
def test_equals_the_equations_and_their_derivatives(name, positive):
  cell, settings, operands = drawn(name, positive)
  gradient = complex_step.assert_same(
    cell, settings, loop_of(name, positive), operands
  )
  assert all(np.all(leaf != 0) for leaf in jax.tree.leaves(gradient))


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
@SWITCH
def test_steps_left_out_anywhere_are_as_if_they_were_not_there(name, positive):
  cell, settings, operands = drawn(name, positive, (FEATURES, HIDDEN, 37, 3))
  params, inputs, carry = operands
  mask = np.random.default_rng(1).random((3, 37)) < 0.6
  mask[0, :5] = mask[1, -9:] = False
  inputs = np.where(mask[..., None], inputs, np.nan)
  with jax.enable_x64(True):
    last, hiddens = jax.jit(cell.unroll, static_argnums=1)(
      params, settings, inputs, carry, mask=mask
    )
  (end,), expected = loop_of(name, positive, mask)(params, inputs, carry)
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-12)
  np.testing.assert_allclose(last.h, end, rtol=0, atol=1e-12)


@BOTH
def test_two_thousand_steps_in_parallel_equal_those_in_turn(name):
  # In single precision, from gates that forget at once to ones that keep.
  cell, settings, operands = drawn(name, sizes=(FEATURES, 16, 2000, 2))
  params, inputs, carry = jax.tree.map(jnp.float32, operands)
  keep = jnp.linspace(-4, 8, 16)
  start = cell.init_params(jax.random.key(0), FEATURES, 16, forget_bias=keep)
  params = params._replace(bias=params.bias + start.bias)

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
def test_no_step_waits_for_another(name):
  cell, settings, operands = drawn(name)
  program = jax.make_jaxpr(
    lambda *operands: cell.unroll(operands[0], settings, *operands[1:])
  )(*jax.tree.map(jnp.float32, operands))
  used = {str(equation.primitive) for equation in program.jaxpr.eqns}
  assert not used & {'scan', 'while'}


@BOTH
@SWITCH
def test_values_and_gradients_are_finite_at_extreme_inputs(name, positive):
  cell, settings, _ = drawn(name, positive)
  params = cell.init_params(jax.random.key(0), FEATURES, HIDDEN)
  # Both gates of minLSTM shut: f / (f + i) of numbers that are 0 in float32.
  params = params._replace(kernel=jnp.abs(params.kernel) + 1)
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (2, 6, 1))
  inputs = jnp.asarray(1e3 * np.repeat(signs, FEATURES, axis=2), jnp.float32)

  def loss(params, inputs):
    _, hiddens = cell.unroll(params, settings, inputs)
    return jnp.sum(jnp.sin(hiddens)), hiddens

  result = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
    params, inputs
  )
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


@BOTH
def test_the_state_is_kept_by_the_sigmoid_of_the_forget_bias_at_first(name):
  cell, settings, _ = drawn(name)
  params = cell.init_params(jax.random.key(0), FEATURES, HIDDEN, forget_bias=3)
  biases = [-3] * 3 if name == 'mingru' else [3] * 3 + [-3] * 3
  np.testing.assert_array_equal(params.bias, [*biases, 0, 0, 0])
  carry, _ = cell.step(
    params,
    settings,
    minimal.Carry(jnp.ones((1, HIDDEN))),
    jnp.zeros((1, FEATURES)),
  )
  np.testing.assert_allclose(carry.h, sigmoid(3.0), rtol=1e-6)


@BOTH
def test_chrono_keeps_the_state_for_one_to_t_max_steps(name):
  cell = minimal.CELLS[name]
  params = cell.init_params(jax.random.key(0), 2, 2000, chrono_t_max=101.0)
  *gates, b_g = np.split(np.asarray(params.bias), 2 + (name == 'minlstm'))
  np.testing.assert_array_equal(b_g, 0)
  steps = np.exp(-gates[-1])
  np.testing.assert_allclose(gates[0], -gates[-1] if gates[1:] else gates[0])
  assert 1 <= steps.min() < 2 and 99 < steps.max() <= 100.001
  assert abs(steps.mean() - 50.5) < 2.5


@BOTH
def test_blocks_of_weights_are_drawn_by_themselves_and_all_are_counted(name):
  cell, settings, _ = drawn(name)
  blocks = 2 + (name == 'minlstm')
  params = cell.init_params(jax.random.key(0), 4, 5)
  assert params.kernel.shape == (4, 5 * blocks)
  assert len(np.unique(params.kernel)) == 4 * 5 * blocks
  sizes = sum(leaf.size for leaf in params)
  assert cell.count_params(settings, 4, 5) == sizes == blocks * (4 * 5 + 5)
  wide = cell.init_params(jax.random.key(0), 50, 200)
  assert np.std(wide.kernel) == pytest.approx(50**-0.5, rel=0.03)


def test_what_cannot_be_is_refused():
  cell = minimal.CELLS['minlstm']
  with pytest.raises(ValueError, match='recurrent_init'):
    cell.init_params(jax.random.key(0), 2, 3, recurrent_init='identity')
  with pytest.raises(ValueError, match='chrono_t_max'):
    cell.init_params(jax.random.key(0), 2, 3, chrono_t_max=2)
  known = cell.ranges['positive_candidate']
  with pytest.raises(contract.SettingError, match='positive_candidate=1'):
    contract.check_range('positive_candidate', 1, known)
