"""The GRU against flax and torch, and its beginning."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import gru
from tests.cells import harness
from tests.cells.harness import FEATURES, HIDDEN

CASE = harness.Case('gru', None)


def test_gru_equals_flax_whose_order_is_r_z_g():
  params, inputs, carry = jax.tree.map(jnp.float32, harness.draw(CASE))
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
  _, hiddens = CASE.cell.unroll(params, None, inputs, carry)
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-6)


def test_gru_equals_torch_whose_order_is_r_z_n():
  torch = pytest.importorskip('torch')
  params, inputs, carry = harness.draw(CASE)

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
  # The first run of the population, without a mask.
  end, hiddens = jax.tree.map(lambda x: x[0], harness.run(CASE).population)
  np.testing.assert_allclose(hiddens, expected.numpy(), rtol=0, atol=1e-12)
  np.testing.assert_allclose(end.h, last[0].numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', gru.CELLS)
def test_z_keeps_the_state_by_the_forget_bias_and_gates_are_drawn_apart(name):
  params = harness.init(name, 5, 16, forget_bias=3)
  np.testing.assert_array_equal(params.bias, [3] * 16 + [0] * 32)
  assert params.recurrent_bias is None or not params.recurrent_bias.any()
  blocks = np.split(params.recurrent_kernel, 3, axis=1)
  for n, block in enumerate(blocks):
    np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-5)
    assert all(np.abs(block - other).max() > 0.1 for other in blocks[:n])


def test_chrono_draws_the_bias_of_z():
  params = harness.init(
    *('gru', 2, 500), chrono_t_max=101.0, recurrent_init='uniform'
  )
  bound = np.abs(params.recurrent_kernel).max()
  assert 0.99 < bound * 500**0.5 <= 1
  b_z, *others = np.split(params.bias, 3)
  np.testing.assert_array_equal(others, 0)
  steps = np.exp(b_z)
  assert 1 <= steps.min() < 2 and 99 < steps.max() <= 100
  assert abs(steps.mean() - 50.5) < 4
