"""The GRU against NumPy loops, flax and torch."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import gru
from tests.cells import complex_step

FEATURES, HIDDEN, TIME, BATCH = SIZES = 2, 3, 5, 2


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def loop(params, inputs, carry):
  """Cho et al. 2014: z keeps, r resets; of each unit j, as in eq. 5 to 8."""
  wz, wr, wg = (w.T for w in np.split(params.kernel, 3, axis=1))
  uz, ur, ug = (u.T for u in np.split(params.recurrent_kernel, 3, axis=1))
  bz, br, bg = np.split(params.bias, 3)
  after = params.recurrent_bias is not None
  rows = []
  for xs, h in zip(inputs, carry.h, strict=True):
    row = []
    for x in xs:
      z, r = sigmoid(wz @ x + uz @ h + bz), sigmoid(wr @ x + ur @ h + br)
      new = []
      for j in range(HIDDEN):
        if after:  # version 1 of the paper, with the biases of cuDNN
          seen = r[j] * (ug[j] @ h + params.recurrent_bias[j])
        else:  # version 3
          seen = ug[j] @ (r * h)
        candidate = np.tanh(wg[j] @ x + seen + bg[j])
        new.append(z[j] * h[j] + (1 - z[j]) * candidate)
      h = np.array(new)
      row.append(h)
    rows.append(row)
  hiddens = np.array(rows)
  return (hiddens[:, -1],), hiddens


@pytest.mark.parametrize('name', gru.CELLS)
def test_equals_the_equations_and_their_derivatives(name):
  cell = gru.CELLS[name]
  operands = complex_step.draw(cell, None, SIZES)
  gradient = complex_step.assert_same(cell, None, loop, operands)
  assert all(np.all(leaf != 0) for leaf in jax.tree.leaves(gradient))


def test_gru_equals_flax_whose_order_is_r_z_g():
  params, inputs, carry = jax.tree.map(
    jnp.float32, complex_step.draw(gru.CELLS['gru'], None, SIZES)
  )
  params = params._replace(recurrent_bias=jnp.zeros(HIDDEN))  # nnx has none

  def theirs(leaf):
    z, r, g = jnp.split(leaf, 3, axis=-1)
    return jnp.concatenate((r, z, g), axis=-1)

  flax = nnx.GRUCell(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
  flax.dense_i.kernel[...] = theirs(params.kernel)
  assert flax.dense_i.bias is not None
  flax.dense_i.bias[...] = theirs(params.bias)
  flax.dense_h.kernel[...] = theirs(params.recurrent_kernel)
  rnn: Any = nnx.RNN(flax)
  expected = rnn(inputs, initial_carry=carry.h)
  _, hiddens = gru.CELLS['gru'].unroll(params, None, inputs, carry)
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-6)


def test_gru_equals_torch_whose_order_is_r_z_n():
  torch = pytest.importorskip('torch')
  params, inputs, carry = complex_step.draw(gru.CELLS['gru'], None, SIZES, 1)

  def theirs(leaf):
    z, r, g = np.split(leaf, 3, axis=-1)
    return torch.tensor(np.concatenate((r, z, g), axis=-1).T.copy())

  model = torch.nn.GRU(FEATURES, HIDDEN, batch_first=True).double()
  zeros = np.zeros(HIDDEN)
  with torch.no_grad():
    model.weight_ih_l0.copy_(theirs(params.kernel))
    model.weight_hh_l0.copy_(theirs(params.recurrent_kernel))
    model.bias_ih_l0.copy_(theirs(params.bias))
    recurrent = np.concatenate((zeros, zeros, params.recurrent_bias))
    model.bias_hh_l0.copy_(torch.tensor(recurrent))
    expected, last = model(torch.tensor(inputs), torch.tensor(carry.h)[None])
  with jax.enable_x64(True):
    end, hiddens = gru.CELLS['gru'].unroll(params, None, inputs, carry)
  np.testing.assert_allclose(hiddens, expected.numpy(), rtol=0, atol=1e-12)
  np.testing.assert_allclose(end.h, last[0].numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', gru.CELLS)
def test_z_keeps_the_state_by_the_forget_bias_at_first(name):
  cell = gru.CELLS[name]
  params = cell.init_params(jax.random.key(0), FEATURES, HIDDEN, forget_bias=3)
  np.testing.assert_array_equal(params.bias, [3] * 3 + [0] * 6)
  rest = params._replace(recurrent_kernel=jnp.zeros((HIDDEN, 3 * HIDDEN)))
  carry, _ = cell.step(
    rest, None, gru.Carry(jnp.ones((1, HIDDEN))), jnp.zeros((1, FEATURES))
  )
  np.testing.assert_allclose(carry.h, sigmoid(3.0), rtol=1e-6)


def test_chrono_draws_the_bias_of_z():
  params = gru.CELLS['gru'].init_params(
    jax.random.key(0), 2, 2000, chrono_t_max=101.0, recurrent_init='uniform'
  )
  b_z, *others = np.split(np.asarray(params.bias), 3)
  np.testing.assert_array_equal(others, 0)
  steps = np.exp(b_z)
  assert 1 <= steps.min() < 2 and 99 < steps.max() <= 100
  assert abs(steps.mean() - 50.5) < 2.5


@pytest.mark.parametrize('name', gru.CELLS)
def test_the_weights_of_each_gate_are_drawn_by_themselves(name):
  params = gru.CELLS[name].init_params(jax.random.key(1), 5, 16)
  blocks = np.split(np.asarray(params.recurrent_kernel), 3, axis=1)
  for block in blocks:
    np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-5)
  assert np.abs(blocks[0] - blocks[1]).max() > 0.1
  flat = gru.CELLS[name].init_params(
    jax.random.key(1), 5, 16, recurrent_init='uniform'
  )
  assert 0.2 < np.abs(flat.recurrent_kernel).max() <= 0.25


@pytest.mark.parametrize('name', gru.CELLS)
def test_all_parameters_are_counted(name):
  cell = gru.CELLS[name]
  params = cell.init_params(jax.random.key(0), 4, 5)
  sizes = sum(leaf.size for leaf in jax.tree.leaves(params))
  # b_n is there where the reset follows the product.
  assert sizes == 3 * (4 * 5 + 5 * 5 + 5) + 5 * (name == 'gru')
  assert cell.count_params(None, 4, 5) == sizes


def test_what_cannot_be_drawn_is_refused():
  with pytest.raises(ValueError, match='recurrent_init'):
    gru.CELLS['gru'].init_params(
      jax.random.key(0), 2, 3, recurrent_init='identity'
    )
  with pytest.raises(ValueError, match='chrono_t_max'):
    gru.CELLS['gru'].init_params(jax.random.key(0), 2, 3, chrono_t_max=2)
