"""The multiplicative LSTM against a NumPy loop and its derivatives."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import multiplicative

CELL = multiplicative.CELLS['mult_lstm']
FEATURES, HIDDEN, TIME, BATCH = 2, 3, 5, 2


def draw(seed: int) -> Any:
  """Draw parameters, inputs and a carry before the first step."""
  rng = np.random.default_rng(seed)
  params = jax.eval_shape(
    lambda key: CELL.init_params(key, FEATURES, HIDDEN), jax.random.key(0)
  )
  carry = CELL.init_carry(None, (BATCH,), HIDDEN)
  params, carry = jax.tree.map(
    lambda leaf: rng.normal(0, 0.7, leaf.shape), (params, carry)
  )
  return params, rng.normal(size=(BATCH, TIME, FEATURES)), carry


def loop(params, inputs, carry):
  """Return the hidden states and the last carry; the paper's W is ours, turned.

  Equations 18 to 24, with biases.
  """
  w_x = dict(zip('ifho', np.split(params.kernel, 4, axis=1), strict=True))
  w_m = dict(
    zip('ifho', np.split(params.recurrent_kernel, 4, axis=1), strict=True)
  )
  bias = dict(zip('ifho', np.split(params.bias, 4), strict=True))
  rows, last = [], []
  for xs, c, h in zip(inputs, *carry, strict=True):
    row = []
    for x in xs:
      m = (params.factor_kernel.T @ x) * (params.factor_recurrent_kernel.T @ h)
      net = {k: w_x[k].T @ x + w_m[k].T @ m + bias[k] for k in 'ifho'}
      i, f, o = (1 / (1 + np.exp(-net[k])) for k in 'ifo')
      c = f * c + i * np.tanh(net['h'])
      h = np.tanh(c) * o
      row.append(h)
    rows.append(row)
    last.append((c, h))
  return np.array(rows), [np.array(leaf) for leaf in zip(*last, strict=True)]


def weigh(xp, hiddens, last) -> Any:
  """Return a sum of everything with weights."""
  leaves = [hiddens, *last]
  return sum(
    xp.sum(xp.cos(xp.arange(x.size) + n).reshape(x.shape) * x)
    for n, x in enumerate(leaves)
  )


@jax.jit
def run(params, inputs, carry):
  def loss(params, inputs, carry):
    last, hiddens = CELL.unroll(params, None, inputs, carry)
    return weigh(jnp, hiddens, last), (hiddens, last)

  return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
    params, inputs, carry
  )


def test_equals_the_equations_in_value_and_gradient():
  operands = draw(0)
  with jax.enable_x64(True):
    (_, (hiddens, last)), gradient = run(*operands)
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


def test_an_input_of_zero_hides_the_hidden_state():
  params, _, (c, h) = draw(1)
  zero = np.zeros((BATCH, FEATURES))
  one, _ = CELL.step(params, None, multiplicative.Carry(c, h), zero)
  two, _ = CELL.step(params, None, multiplicative.Carry(c, -3 * h), zero)
  np.testing.assert_array_equal(one.c, two.c)


def init(*sizes, **options):
  """Return the initial parameters, drawn by one compiled program."""
  return jax.jit(lambda key: CELL.init_params(key, *sizes, **options))(
    jax.random.key(0)
  )


def test_starts_with_the_forget_bias_and_orthogonal_matrices():
  params = init(2, 8, forget_bias=1.5)
  i, f, g, o = np.split(np.asarray(params.bias), 4)
  np.testing.assert_array_equal(f, 1.5)
  assert not np.any((i, g, o))
  blocks = [params.factor_recurrent_kernel]
  blocks += np.split(np.asarray(params.recurrent_kernel), 4, axis=1)
  for block in blocks:
    np.testing.assert_allclose(block.T @ block, np.eye(8), atol=1e-5)
  for n, one in enumerate(blocks):
    assert all(np.abs(one - two).max() > 0.1 for two in blocks[:n])


def test_chrono_and_uniform_beginnings():
  params = init(64, 64, chrono_t_max=100.0, recurrent_init='uniform')
  i, f, g, o = np.split(np.asarray(params.bias), 4)
  assert 0 <= f.min() and f.max() <= math.log(99) and f.std() > 0.3
  np.testing.assert_array_equal(i, -f)
  assert not np.any((g, o))
  for matrix in (params[0], params[1], params[3], params[4]):
    assert 0.12 < np.abs(matrix).max() <= 0.125
  with pytest.raises(ValueError, match='recurrent_init'):
    init(2, 3, recurrent_init='identity')


def test_counts_what_it_draws():
  params, *_ = draw(0)
  size = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert CELL.count_params(None, FEATURES, HIDDEN) == size
  # Two more matrices than the LSTM, of inputs and of the hidden state.
  lstm = 4 * 3 * (2 + 3 + 1)
  assert size == lstm + 2 * 3 + 3 * 3
