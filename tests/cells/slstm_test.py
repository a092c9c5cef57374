"""The sLSTM against the equations without the stabiliser, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, slstm
from tests.cells import complex_step

FEATURES, HIDDEN, TIME, BATCH = SIZES = 2, 4, 5, 2
CELL = slstm.CELLS['slstm']
SETTINGS = [
  slstm.Settings(heads, exponential)
  for heads in (1, 2)
  for exponential in (False, True)
]
EVERY = pytest.mark.parametrize('settings', SETTINGS, ids=str)
FORGET = pytest.mark.parametrize('exponential', [False, True])


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def dense(blocks):
  """Return the block-diagonal matrix of one gate, `[H, H]`, from its blocks."""
  heads, size, _ = blocks.shape
  full = np.zeros((heads * size, heads * size), blocks.dtype)
  for n in range(heads):
    rows = slice(n * size, (n + 1) * size)
    full[rows, rows] = blocks[n]
  return full


def loop_of(settings):
  """Beck et al. 2024, eq. 8 to 14: c, n and no stabiliser."""

  def loop(params, inputs, carry):
    w = [k.T for k in np.split(params.kernel, 4, axis=1)]
    r = [dense(k).T for k in np.split(params.recurrent_kernel, 4, axis=2)]
    b = np.split(params.bias, 4)
    forget = np.exp if settings.exponential_forget else sigmoid
    scale = np.exp(carry.m)
    rows, ends = [], []
    for xs, c, n, h in zip(
      inputs, carry.c * scale, carry.n * scale, carry.h, strict=True
    ):
      row = []
      for x in xs:
        i, f, z, o = (w[g] @ x + r[g] @ h + b[g] for g in range(4))
        c = forget(f) * c + np.exp(i) * np.tanh(z)
        n = forget(f) * n + np.exp(i)
        h = sigmoid(o) * (c / n)
        row.append(h)
      rows.append(row)
      ends.append((c, n, h))
    c, n, h = map(np.array, zip(*ends, strict=True))
    return (c, n, h), np.array(rows)

  return loop


def scaled_back(carry):
  scale = jnp.exp(carry.m)
  return carry.c * scale, carry.n * scale, carry.h


def drawn(settings, seed=0):
  params, inputs, carry = complex_step.draw(CELL, settings, SIZES, seed)
  return params, inputs, carry._replace(n=0.5 + np.abs(carry.n))


@EVERY
def test_equals_the_equations_without_a_stabiliser(settings):
  operands = drawn(settings)
  loop = loop_of(settings)
  gradient = complex_step.assert_same(
    CELL, settings, loop, operands, scaled_back
  )
  assert all(np.all(leaf != 0) for leaf in jax.tree.leaves(gradient))


@FORGET
def test_equals_them_from_the_zero_carry(exponential):
  settings = slstm.Settings(2, exponential)
  params, inputs, _ = drawn(settings, 1)
  run = jax.jit(lambda *xs: CELL.unroll(params, settings, *xs))
  zero = CELL.init_carry(settings, (BATCH,), HIDDEN)
  assert not any(np.any(leaf) for leaf in zero)
  zero = jax.tree.map(lambda leaf: np.zeros(leaf.shape), zero)
  # Units with a state beside units without; m means nothing where n = 0.
  some = jax.tree.map(np.copy, zero._replace(m=zero.m + 5))
  some.c[0, 1], some.n[0, 1], some.h[1, 0] = 0.3, 0.7, 0.2
  for carry in (zero, some):
    with jax.enable_x64(True):
      last, hiddens = run(inputs, carry)
      ends = scaled_back(last)
    expected = jax.tree.leaves(loop_of(settings)(params, inputs, carry))
    for one, two in zip((*ends, hiddens), expected, strict=True):
      np.testing.assert_allclose(one, two, rtol=1e-12)


@FORGET
def test_the_stabiliser_is_that_of_the_paper(exponential):
  settings = slstm.Settings(1, exponential)
  params, inputs, _ = drawn(settings, 2)
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
  params = CELL.init_params(
    jax.random.key(0), FEATURES, HIDDEN, settings=settings
  )
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


def test_a_head_sees_no_other():
  settings = slstm.Settings(heads=2)
  params, inputs, carry = jax.tree.map(jnp.float32, drawn(settings))

  def last(h):
    end, _ = CELL.unroll(params, settings, inputs, carry._replace(h=h))
    return end.h[0]

  jacobian = np.asarray(jax.jit(jax.jacobian(last))(carry.h))[:, 0]
  np.testing.assert_array_equal(jacobian[:2, 2:], 0)
  np.testing.assert_array_equal(jacobian[2:, :2], 0)
  assert np.all(jacobian[:2, :2] != 0) and np.all(jacobian[2:, 2:] != 0)


def test_the_bias_of_the_input_gate_has_no_effect_from_the_zero_carry():
  params, inputs, _ = drawn(slstm.Settings())
  run = jax.jit(lambda params: CELL.unroll(params, slstm.Settings(), inputs))
  moved = params.bias + np.repeat([7.0, 0, 0, 0], HIDDEN)
  with jax.enable_x64(True):
    _, one = run(params)
    _, two = run(params._replace(bias=moved))
  np.testing.assert_allclose(one, two, rtol=1e-12)


@FORGET
def test_f_is_the_sigmoid_of_the_forget_bias_at_first(exponential):
  settings = slstm.Settings(1, exponential)
  params = CELL.init_params(
    jax.random.key(0), FEATURES, HIDDEN, settings=settings, forget_bias=3.0
  )
  b_i, b_f, b_z, b_o = np.split(np.asarray(params.bias), 4)
  np.testing.assert_array_equal((b_i, b_z, b_o), 0)
  f = (np.exp if exponential else sigmoid)(b_f)
  np.testing.assert_allclose(f, sigmoid(3.0), rtol=1e-6)


@FORGET
def test_chrono_draws_f_of_one_to_t_max_steps(exponential):
  params = CELL.init_params(
    jax.random.key(0),
    2,
    1000,
    settings=slstm.Settings(1, exponential),
    chrono_t_max=101.0,
    recurrent_init='uniform',
  )
  b_i, b_f, b_z, b_o = np.split(np.asarray(params.bias, float), 4)
  np.testing.assert_array_equal((b_i, b_z, b_o), 0)
  f = (np.exp if exponential else sigmoid)(b_f)
  steps = 1 / (1 - f) - 1
  assert 0.99 < steps.min() < 2 and 98 < steps.max() < 100.1
  assert abs(steps.mean() - 50.5) < 3.5


def test_every_block_of_the_recurrent_weights_is_orthogonal_by_itself():
  params = CELL.init_params(
    jax.random.key(0), 3, 12, settings=slstm.Settings(heads=3)
  )
  blocks = np.asarray(params.recurrent_kernel).reshape(3, 4, 4, 4)
  blocks = np.moveaxis(blocks, 1, 2).reshape(12, 4, 4)
  for block in blocks:
    np.testing.assert_allclose(block @ block.T, np.eye(4), atol=1e-5)
  assert len({float(block[0, 0]) for block in blocks}) == 12
  assert len(np.unique(params.kernel)) == 3 * 48


@pytest.mark.parametrize('heads', [1, 3, 12])
def test_all_parameters_are_counted(heads):
  settings = slstm.Settings(heads=heads)
  params = CELL.init_params(jax.random.key(0), 3, 12, settings=settings)
  sizes = sum(leaf.size for leaf in params)
  assert CELL.count_params(settings, 3, 12) == sizes
  assert sizes == 4 * (3 * 12 + 12 * 12 // heads + 12)


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


def test_what_cannot_be_drawn_is_refused():
  with pytest.raises(ValueError, match='recurrent_init'):
    CELL.init_params(jax.random.key(0), 2, 3, recurrent_init='identity')
  with pytest.raises(ValueError, match='chrono_t_max'):
    CELL.init_params(jax.random.key(0), 2, 3, chrono_t_max=2)
