"""The LSTM with a projection against a NumPy loop and torch."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import projected

CELL = projected.CELLS['lstmp']
FEATURES, HIDDEN, TIME, BATCH = 2, 3, 5, 2


def draw(ratio: int, seed: int = 0) -> Any:
  """Draw settings, parameters, inputs and a carry before the first step."""
  rng = np.random.default_rng(seed)
  settings = projected.Settings(ratio)
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


def loop(params, inputs, carry):
  """Return the hidden states r and the last c and r: the paper's, W turned."""
  cells = params.projection.shape[0]
  w_x = params.kernel.T.reshape(4, cells, -1)
  w_r = params.recurrent_kernel.T.reshape(4, cells, -1)
  rows, last = [], []
  for xs, c, r in zip(inputs, *carry, strict=True):
    row = []
    for x in xs:
      net = w_x @ x + w_r @ r + params.bias.reshape(4, cells)
      i, f, o = (1 / (1 + np.exp(-net[k])) for k in (0, 1, 3))
      c = f * c + i * np.tanh(net[2])
      m = o * np.tanh(c)
      r = params.projection.T @ m
      row.append(r)
    rows.append(row)
    last.append((c, r))
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


@pytest.mark.parametrize('ratio', [1, 2, 3])
def test_equals_the_equations_in_value_and_gradient(ratio):
  settings, operands = draw(ratio)
  with jax.enable_x64(True):
    (_, (hiddens, last)), gradient = run(settings, *operands)
  assert last.c.shape == (BATCH, ratio * HIDDEN)
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


def test_equals_torch_in_value_and_gradient():
  torch = pytest.importorskip('torch')
  settings, (params, inputs, carry) = draw(3, seed=1)
  theirs = torch.nn.LSTM(
    FEATURES, 3 * HIDDEN, proj_size=HIDDEN, batch_first=True
  ).double()
  turned = (params.kernel, params.recurrent_kernel, params.projection)
  with torch.no_grad():
    for name, value in zip(
      ('weight_ih_l0', 'weight_hh_l0', 'weight_hr_l0'), turned, strict=True
    ):
      getattr(theirs, name).copy_(torch.tensor(value.T))
    theirs.bias_ih_l0.copy_(torch.tensor(params.bias))
    theirs.bias_hh_l0.zero_()
  start = [torch.tensor(leaf)[None] for leaf in (carry.h, carry.c)]
  hiddens, (h, c) = theirs(torch.tensor(inputs), tuple(start))
  for n, leaf in enumerate((hiddens, c[0], h[0])):
    weights = np.cos(np.arange(leaf.numel()) + n).reshape(leaf.shape)
    torch.sum(torch.tensor(weights) * leaf).backward(retain_graph=True)
  with jax.enable_x64(True):
    (_, (mine, last)), gradient = run(settings, params, inputs, carry)
  for one, two in zip((mine, *last), (hiddens, c[0], h[0]), strict=True):
    np.testing.assert_allclose(one, two.detach().numpy(), rtol=0, atol=1e-12)
  for one, two in (
    (gradient[0].kernel.T, theirs.weight_ih_l0),
    (gradient[0].recurrent_kernel.T, theirs.weight_hh_l0),
    (gradient[0].bias, theirs.bias_ih_l0),
    (gradient[0].projection.T, theirs.weight_hr_l0),
  ):
    np.testing.assert_allclose(one, two.grad.numpy(), rtol=0, atol=1e-11)


def init(*sizes, **options):
  """Return the initial parameters, drawn by one compiled program."""
  return jax.jit(lambda key: CELL.init_params(key, *sizes, **options))(
    jax.random.key(0)
  )


def test_starts_with_the_forget_bias_and_orthonormal_columns():
  params = init(2, 8, forget_bias=1.5)
  assert params.projection.shape == (32, 8)
  gram = params.projection.T @ params.projection
  np.testing.assert_allclose(gram, np.eye(8), atol=1e-5)
  i, f, g, o = np.split(np.asarray(params.bias), 4)
  np.testing.assert_array_equal(f, 1.5)
  assert not np.any((i, g, o))
  blocks = np.split(np.asarray(params.recurrent_kernel), 16, axis=1)
  blocks += np.split(2 * np.asarray(params.projection), 4)
  for n, block in enumerate(blocks):
    np.testing.assert_allclose(block.T @ block, np.eye(8), atol=1e-5)
    assert all(np.abs(block - other).max() > 0.1 for other in blocks[:n])


def test_chrono_and_uniform_beginnings():
  params = init(2, 16, chrono_t_max=100.0, recurrent_init='uniform')
  i, f, g, o = np.split(np.asarray(params.bias), 4)
  assert 0 <= f.min() and f.max() <= math.log(99) and f.std() > 0.3
  np.testing.assert_array_equal(i, -f)
  assert not np.any((g, o))
  assert 0.12 < np.abs(params.projection).max() <= 64**-0.5
  assert 0.24 < np.abs(params.recurrent_kernel).max() <= 16**-0.5


@pytest.mark.parametrize('ratio', [1, 4])
def test_counts_what_it_draws(ratio):
  settings, (params, *_) = draw(ratio)
  size = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert CELL.count_params(settings, FEATURES, HIDDEN) == size


def test_the_paper_counts_the_same_recurrent_weights():
  # n_c n_r · 4 + n_i n_c · 4 + n_c n_r, before outputs, peepholes and biases.
  cells, hidden, inputs = 40, 10, 7
  paper = cells * hidden * 4 + inputs * cells * 4 + cells * hidden
  assert CELL.count_params(CELL.settings, inputs, hidden) == paper + 4 * cells
