"""The clockwork network against a NumPy loop and its derivatives."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import clockwork, contract

CELL = clockwork.CELLS['clockwork']
FEATURES, HIDDEN, TIME, BATCH = 2, 6, 9, 2


def make(settings, features, hidden, seed=0) -> Any:
  """Draw parameters in which nothing is zero."""
  rng = np.random.default_rng(seed)
  params = jax.eval_shape(
    lambda key: CELL.init_params(key, features, hidden, settings=settings),
    jax.random.key(0),
  )
  return jax.tree.map(
    lambda leaf: rng.normal(0, 0.7, leaf.shape).astype(np.float32), params
  )


def draw(groups: int) -> Any:
  """Draw settings, parameters, inputs and a carry; the steps begin at 1, 2."""
  rng = np.random.default_rng(1)
  settings = clockwork.Settings(groups)
  params = jax.tree.map(np.float64, make(settings, FEATURES, HIDDEN))
  inputs = rng.normal(size=(BATCH, TIME, FEATURES))
  h = rng.normal(0, 0.7, (BATCH, HIDDEN))
  t = np.array([[1.0], [2.0]]) % 2 ** (groups - 1)
  return settings, (params, inputs, h), t


def loop(groups, t, params, inputs, h):
  """Return the hidden states and the last one.

  The paper's rows: module i of W_H has a block for each module j ≥ i, at step t
  the rows of the modules with t mod T_i = 0 are used.
  """
  size = HIDDEN // groups
  modules = [slice(size * i, size * (i + 1)) for i in range(groups)]
  w_h, w_i = params.recurrent_kernel.T, params.kernel.T
  rows = []
  for xs, y, start in zip(inputs, h, t[:, 0], strict=True):
    row = []
    for step, x in enumerate(xs, start=int(start)):
      new = y.copy()
      for i, module in enumerate(modules):
        if step % 2**i == 0:
          net = w_i[module] @ x + params.bias[module]
          for slower in modules[i:]:
            net = net + w_h[module, slower] @ y[slower]
          new[module] = np.tanh(net)
      y = new
      row.append(y)
    rows.append(row)
  return np.array(rows)


def weigh(xp, hiddens) -> Any:
  return xp.sum(
    xp.cos(xp.arange(hiddens.size)).reshape(hiddens.shape) * hiddens
  )


@functools.partial(jax.jit, static_argnums=0)
def run(settings, t, params, inputs, h):
  def loss(params, inputs, h):
    last, hiddens = CELL.unroll(params, settings, inputs, clockwork.Carry(h, t))
    return weigh(jnp, hiddens), (hiddens, last)

  return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
    params, inputs, h
  )


@pytest.mark.parametrize('groups', [1, 2, 3])
def test_equals_the_equations_in_value_and_gradient(groups):
  settings, operands, t = draw(groups)
  with jax.enable_x64(True):
    (_, (hiddens, last)), gradient = run(settings, t, *operands)
  expected = loop(groups, t, *operands)
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-12)
  np.testing.assert_allclose(last.h, expected[:, -1], rtol=0, atol=1e-12)
  np.testing.assert_array_equal(last.t, (t + TIME) % 2 ** (groups - 1))
  leaves, tree = jax.tree.flatten(operands)
  in_use = 0
  for number, computed in enumerate(jax.tree.leaves(gradient)):
    for place in np.ndindex(computed.shape):
      moved = [leaf.astype(complex) for leaf in leaves]
      moved[number][place] += 1e-40j
      hiddens = loop(groups, t, *jax.tree.unflatten(tree, moved))
      slope = weigh(np, hiddens).imag / 1e-40
      assert computed[place] == pytest.approx(slope, rel=1e-9, abs=1e-12)
      in_use += number < 3 and slope != 0
  assert in_use == CELL.count_params(settings, FEATURES, HIDDEN)


@functools.partial(jax.jit, static_argnums=0)
def unroll(settings, params, inputs):
  return CELL.unroll(params, settings, inputs)


def test_groups_step_at_their_periods_from_the_first_step_on():
  settings = clockwork.Settings(4)
  inputs = np.random.default_rng(0).normal(size=(1, 20, 1))
  _, hiddens = unroll(settings, make(settings, 1, 4), inputs)
  before = np.concatenate((np.zeros((1, 4)), hiddens[0, :-1]))
  moved = np.asarray(hiddens[0]) != before
  for group in range(4):
    steps = np.flatnonzero(moved[:, group])
    np.testing.assert_array_equal(steps, np.arange(0, 20, 2**group))


def test_step_6_runs_the_groups_of_periods_1_and_2_alone():
  settings = clockwork.Settings(5)
  params = make(settings, 2, 5)
  h = np.full((1, 5), 0.5, np.float32)
  carry = clockwork.Carry(jnp.asarray(h), jnp.full((1, 1), 6.0))
  _, new = CELL.step(params, settings, carry, np.ones((1, 2), np.float32))
  np.testing.assert_array_equal(
    new[0] != 0.5, [True, True, False, False, False]
  )


@pytest.mark.parametrize('dtype', ['bfloat16', 'float32'])
def test_the_count_of_steps_does_not_run_out_of_digits(dtype):
  settings = clockwork.Settings(9)
  params = jax.tree.map(
    lambda leaf: jnp.asarray(leaf, dtype), make(settings, 1, 9)
  )
  carry, _ = unroll(settings, params, jnp.ones((1, 700, 1), dtype))
  assert carry.t.dtype == dtype and float(carry.t[0, 0]) == 700 % 256


def test_starts_with_orthogonal_blocks_over_the_number_that_feed_a_group():
  settings = clockwork.Settings(3)
  params = jax.jit(
    lambda key: CELL.init_params(key, 400, 12, settings=settings)
  )(jax.random.key(0))
  seen = []
  for source in range(3):
    for target in range(3):
      rows, columns = (slice(4 * n, 4 * n + 4) for n in (source, target))
      block = np.asarray(params.recurrent_kernel)[rows, columns]
      if source < target:
        assert not block.any()
        continue
      block = block * (3 - target) ** 0.5
      np.testing.assert_allclose(block.T @ block, np.eye(4), atol=1e-5)
      assert all(np.abs(block - other).max() > 0.1 for other in seen)
      seen.append(block)
  assert not params.bias.any()
  assert np.std(params.kernel) == pytest.approx(400**-0.5, rel=0.1)


def test_counts_the_blocks_in_use():
  # Five modules of one unit: 15 of 25.
  assert CELL.count_params(clockwork.Settings(5), 2, 5) == 5 * 3 + 15


def test_groups_that_do_not_divide_the_units_are_refused():
  settings = clockwork.Settings(4)
  for call in (
    lambda: CELL.check(settings, 6),
    lambda: CELL.count_params(settings, 2, 6),
    lambda: CELL.init_params(jax.random.key(0), 2, 6, settings=settings),
  ):
    with pytest.raises(contract.SettingError, match='groups=4.*nearest: 3'):
      call()
  CELL.check(settings, 8)
  with pytest.raises(contract.SettingError, match='nearest: 9'):
    contract.check_range('groups', 10, CELL.ranges['groups'])
