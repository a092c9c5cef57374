"""The depth-gated LSTM against a NumPy loop and stacks of LSTMs."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import depth_gated, lstm

CELL = depth_gated.CELLS['depth_gated']
FEATURES, HIDDEN, TIME, BATCH = 2, 3, 4, 2
PEEPHOLES = lstm.Toggles(peephole_i=True, peephole_f=True, peephole_o=True)


def draw(depth: int, seed: int = 0) -> Any:
  """Draw settings, parameters, inputs and a carry before the first step."""
  rng = np.random.default_rng(seed)
  settings = depth_gated.Settings(depth)
  params = jax.eval_shape(
    lambda key: CELL.init_params(key, FEATURES, HIDDEN, settings=settings),
    jax.random.key(0),
  )
  carry = CELL.init_carry(settings, (BATCH,), HIDDEN)
  params, carry = jax.tree.map(
    lambda leaf: rng.normal(0, 0.7, leaf.shape), (params, carry)
  )
  inputs = rng.normal(size=(BATCH, TIME, FEATURES))
  return settings, (params, inputs, carry)


def logistic(x):
  return 1 / (1 + np.exp(-x))


def layer(params, number, x, c_tm1, h_tm1, c_below):
  """Return c and h of layer L = `number` + 1; the paper's W is ours, turned.

  Args:
    params: all of them.
    number: from 0.
    x: x_t of the layer.
    c_tm1: c_{t−1} of the layer.
    h_tm1: h_{t−1} of the layer.
    c_below: c_t of the layer below, None in the first.
  """
  w = params.kernel if number == 0 else params.upper_kernel[number - 1]
  w_xi, w_xf, w_xc, w_xo = np.split(w.T, 4)
  w_hi, w_hf, w_hc, w_ho = np.split(params.recurrent_kernel[number].T, 4)
  b_i, b_f, b_c, b_o = np.split(params.bias[number], 4)
  w_ci, w_cf, w_co = (np.diag(p) for p in params.peephole[number])
  i = logistic(w_xi @ x + w_hi @ h_tm1 + w_ci @ c_tm1 + b_i)
  f = logistic(w_xf @ x + w_hf @ h_tm1 + w_cf @ c_tm1 + b_f)
  c = f * c_tm1 + i * np.tanh(w_xc @ x + w_hc @ h_tm1 + b_c)
  if c_below is not None:
    w_xd, b_d = params.depth_kernel[number - 1].T, params.depth_bias[number - 1]
    w_cd, w_ld = params.depth_peephole[number - 1]
    c = c + c_below * logistic(b_d + w_xd @ x + w_cd * c_tm1 + w_ld * c_below)
  o = logistic(w_xo @ x + w_ho @ h_tm1 + w_co @ c + b_o)
  return c, o * np.tanh(c)


def loop(params, inputs, carry):
  """Return the hidden states of the top and the last carry."""
  rows, last = [], []
  for xs, c, h_below, h_top in zip(inputs, *carry, strict=True):
    c, h, row = list(c), [*h_below, h_top], []
    for x in xs:
      c_below = None
      for number in range(len(c)):
        c[number], h[number] = layer(
          params, number, x, c[number], h[number], c_below
        )
        x, c_below = h[number], c[number]
      row.append(h[-1])
    rows.append(row)
    below = np.array(h[:-1]).reshape(len(c) - 1, HIDDEN)
    last.append((np.array(c), below, h[-1]))
  return np.array(rows), [np.array(leaf) for leaf in zip(*last, strict=True)]


def weigh(xp, hiddens, last) -> Any:
  """Return a sum of everything with weights."""
  leaves = [hiddens, *last]
  return sum(
    xp.sum(xp.cos(xp.arange(x.size) + n).reshape(x.shape) * x)
    for n, x in enumerate(leaves)
  )


@functools.partial(jax.jit, static_argnums=0)
def run(settings, params, inputs, carry):
  def loss(params, inputs, carry):
    last, hiddens = CELL.unroll(params, settings, inputs, carry)
    return weigh(jnp, hiddens, last), (hiddens, last)

  return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
    params, inputs, carry
  )


@pytest.mark.parametrize('depth', [1, 3])
def test_equals_the_equations_in_value_and_gradient(depth):
  settings, operands = draw(depth)
  with jax.enable_x64(True):
    (_, (hiddens, last)), gradient = run(settings, *operands)
  expected, expected_last = loop(*operands)
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-12)
  for one, two in zip(last, expected_last, strict=True):
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
  leaves, tree = jax.tree.flatten(operands)
  for number, computed in enumerate(jax.tree.leaves(gradient)):
    for place in np.ndindex(computed.shape):
      moved = [leaf.astype(complex) for leaf in leaves]
      moved[number][place] += 1e-40j
      hiddens, last = loop(*jax.tree.unflatten(tree, moved))
      slope = weigh(np, hiddens, last).imag / 1e-40
      assert computed[place] == pytest.approx(slope, rel=1e-9, abs=1e-12)
      assert slope != 0


@jax.jit
def run_lstm(params, inputs, c, h):
  return lstm.unroll(params, PEEPHOLES, inputs, (c, h))[1]


def as_lstm(params, number: int) -> lstm.Params:
  """Return a layer's weights as those of a peephole LSTM."""
  kernel = params.kernel if number == 0 else params.upper_kernel[number - 1]
  return lstm.Params(
    kernel,
    params.recurrent_kernel[number],
    params.bias[number],
    params.peephole[number],
    jnp.zeros((3 * HIDDEN, 3 * HIDDEN)),
  )


def test_one_layer_is_the_peephole_lstm():
  settings, (params, inputs, carry) = draw(1, seed=1)
  with jax.enable_x64(True):
    (_, (mine, _)), _ = run(settings, params, inputs, carry)
    theirs = run_lstm(as_lstm(params, 0), inputs, carry.c[:, 0], carry.h)
  np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)


def test_layers_with_shut_depth_gates_are_a_stack_of_peephole_lstms():
  settings, (params, inputs, carry) = draw(3, seed=2)
  shut = params._replace(depth_bias=np.full((2, HIDDEN), -200.0))
  with jax.enable_x64(True):
    (_, (mine, _)), _ = run(settings, shut, inputs, carry)
    (_, (linked, _)), _ = run(settings, params, inputs, carry)
    hiddens = inputs
    for number, h in enumerate((*carry.h_below.swapaxes(0, 1), carry.h)):
      c = carry.c[:, number]
      hiddens = run_lstm(as_lstm(params, number), hiddens, c, h)
  np.testing.assert_allclose(mine, hiddens, rtol=0, atol=1e-12)
  assert np.abs(mine - linked).max() > 0.01


def test_starts_with_the_forget_bias_in_every_layer():
  settings = depth_gated.Settings(3)
  params = jax.jit(
    lambda key: CELL.init_params(
      key, 100, 64, settings=settings, forget_bias=1.5
    )
  )(jax.random.key(0))
  i, f, g, o = np.split(np.asarray(params.bias), 4, axis=1)
  np.testing.assert_array_equal(f, np.full((3, 64), 1.5))
  assert not np.any((i, g, o)) and not params.depth_bias.any()
  blocks = np.split(np.asarray(params.recurrent_kernel), 4, axis=2)
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
  bias = jax.jit(
    lambda key: CELL.init_params(key, 2, 64, chrono_t_max=100.0).bias
  )(jax.random.key(0))
  i, f, g, o = np.split(np.asarray(bias), 4, axis=1)
  assert 0 <= f.min() and f.max() <= math.log(99)
  assert f.std(axis=1).min() > 0.3 and np.abs(f[0] - f[1]).max() > 0.3
  np.testing.assert_array_equal(i, -f)
  assert not np.any((g, o))


@pytest.mark.parametrize('depth', [1, 2, 3])
def test_counts_what_it_draws(depth):
  settings, (params, *_) = draw(depth)
  size = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert CELL.count_params(settings, FEATURES, HIDDEN) == size
  if depth == 1:
    assert size == lstm.count_params(PEEPHOLES, FEATURES, HIDDEN)
