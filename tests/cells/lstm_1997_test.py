"""The LSTM of 1997 against the paper: forward, full and truncated gradient."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, lstm_1997

CELL = lstm_1997.CELLS['lstm_1997']
FEATURES, HIDDEN, TIME, BATCH = 2, 4, 5, 2
SETTINGS = [
  lstm_1997.Settings(),
  lstm_1997.Settings(block_size=2),
  lstm_1997.Settings(block_size=4, cell_bias=False),
  lstm_1997.Settings(block_size=2, gate_bias=False),
  lstm_1997.Settings(cell_bias=False, gate_bias=False),
]


def draw(settings: lstm_1997.Settings, seed: int = 0) -> Any:
  """Draw parameters, inputs and a carry before the first step."""
  rng = np.random.default_rng(seed)
  params = jax.eval_shape(
    lambda key: CELL.init_params(key, FEATURES, HIDDEN, settings=settings),
    jax.random.key(0),
  )
  carry = CELL.init_carry(settings, (BATCH,), HIDDEN)
  params, carry = jax.tree.map(
    lambda leaf: rng.normal(0, 0.7, leaf.shape), (params, carry)
  )
  return params, rng.normal(size=(BATCH, TIME, FEATURES)), carry


def weights_of(params: Any) -> np.ndarray:
  """Return w[l, m] into unit l = y^c, y^in, y^out; m = x, these units, 1."""
  biases = [
    np.zeros(kernel.shape[1]) if bias is None else bias
    for kernel, bias in (
      (params.kernel, params.cell_bias),
      (params.gate_kernel, params.gate_bias),
    )
  ]
  columns = [
    np.concatenate((params.kernel, params.gate_kernel), axis=1),
    np.concatenate(
      (params.recurrent_kernel, params.gate_recurrent_kernel), axis=1
    ),
    np.concatenate(biases)[None],
  ]
  return np.concatenate(columns).T


def f(x):
  """Equation 3."""
  return 1 / (1 + np.exp(-x))


def step(w: np.ndarray, block_size: int, x: Any, s: Any, y: Any):
  """Section 4, a unit at a time: return net, s and y of cells, in, out."""
  blocks = HIDDEN // block_size
  sources = np.concatenate((x, y, [1.0]))
  net = [
    sum(w_lm * y_m for w_lm, y_m in zip(row, sources, strict=True)) for row in w
  ]
  s, outputs = list(s), []
  for cell in range(HIDDEN):
    j = cell // block_size
    g = 4 / (1 + np.exp(-net[cell])) - 2
    s[cell] = s[cell] + f(net[HIDDEN + j]) * g
    h = 2 / (1 + np.exp(-s[cell])) - 1
    outputs.append(f(net[HIDDEN + blocks + j]) * h)
  return sources, net, s, np.array(outputs + [f(z) for z in net[HIDDEN:]])


def loop(params, settings, inputs, carry):
  """Return the hidden states and the last carry, a sequence at a time."""
  w, rows, last = weights_of(params), [], []
  for xs, s, y_c, gates in zip(inputs, *carry, strict=True):
    y, row = np.concatenate((y_c, gates)), []
    for x in xs:
      _, _, s, y = step(w, settings.block_size, x, s, y)
      row.append(y[:HIDDEN])
    rows.append(row)
    last.append((s, y[:HIDDEN], y[HIDDEN:]))
  return np.array(rows), [np.array(leaf) for leaf in zip(*last, strict=True)]


def weigh(xp, hiddens, last) -> Any:
  """Return a sum of everything with weights."""
  leaves = [hiddens, *last]
  return sum(
    xp.sum(xp.cos(xp.arange(x.size) + n).reshape(x.shape) * x)
    for n, x in enumerate(leaves)
  )


@functools.partial(jax.jit, static_argnames=('settings', 'whole'))
def run(settings, params, inputs, carry, whole=True):
  def loss(params, inputs, carry):
    last, hiddens = CELL.unroll(params, settings, inputs, carry)
    value = weigh(jnp, hiddens, last if whole else ())
    return value, (hiddens, last)

  return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
    params, inputs, carry
  )


@pytest.mark.parametrize('settings', SETTINGS)
def test_equals_the_equations_in_value_and_gradient(settings):
  operands = draw(settings)
  with jax.enable_x64(True):
    (_, (hiddens, last)), gradient = run(settings, *operands)
  expected, expected_last = loop(operands[0], settings, *operands[1:])
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-12)
  for one, two in zip(last, expected_last, strict=True):
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
  leaves, tree = jax.tree.flatten(operands)
  for number, computed in enumerate(jax.tree.leaves(gradient)):
    for place in np.ndindex(computed.shape):
      moved = [leaf.astype(complex) for leaf in leaves]
      moved[number][place] += 1e-40j
      params, *rest = jax.tree.unflatten(tree, moved)
      slope = weigh(np, *loop(params, settings, *rest)).imag / 1e-40
      assert computed[place] == pytest.approx(slope, rel=1e-9, abs=1e-12)
      assert slope != 0


def accumulate(params, settings, xs, s, y, weights) -> Any:
  """Return Σ_t weights · ∂y^c(t) of ∂w and ∂s(0): equations 12 to 15.

  Forward in time; the state's way back is undiminished: ∂s(t)/∂s(0) = 1.
  """
  w, size = weights_of(params), settings.block_size
  blocks = HIDDEN // size
  ds = np.zeros((HIDDEN, *w.shape))  # ∂s_c/∂w_lm, all that is kept
  total, on_start = np.zeros(w.shape), np.zeros(HIDDEN)
  for x, weight in zip(xs, weights, strict=True):
    sources, net, s, y = step(w, size, x, s, y)
    for cell in range(HIDDEN):
      gate_in = HIDDEN + cell // size
      gate_out = gate_in + blocks
      sigma = f(net[cell])
      g, dg = 4 * sigma - 2, 4 * sigma * (1 - sigma)
      y_in, y_out = f(net[gate_in]), f(net[gate_out])
      ds[cell, gate_in] += y_in * (1 - y_in) * g * sources
      ds[cell, cell] += y_in * dg * sources
      sigma = f(s[cell])
      h, dh = 2 * sigma - 1, 2 * sigma * (1 - sigma)
      dy = dh * ds[cell] * y_out
      dy[gate_out] += y_out * (1 - y_out) * sources * h
      total += weight[cell] * dy
      on_start[cell] += weight[cell] * dh * y_out
  return total, on_start


@pytest.mark.parametrize('block_size', [1, 2])
def test_truncated_gradient_is_that_of_the_appendix(block_size):
  settings = lstm_1997.Settings(block_size, truncated_gradient=True)
  params, inputs, carry = draw(settings)
  with jax.enable_x64(True):
    (_, (hiddens, _)), gradient = run(settings, params, inputs, carry, False)
    full = settings._replace(truncated_gradient=False)
    (_, (same, _)), other = run(full, params, inputs, carry, False)
  np.testing.assert_array_equal(hiddens, same)
  weights = np.cos(np.arange(hiddens.size)).reshape(hiddens.shape)
  on_weights, on_start = zip(
    *(
      accumulate(params, settings, xs, s, np.concatenate((y, gates)), weight)
      for xs, s, y, gates, weight in zip(inputs, *carry, weights, strict=True)
    ),
    strict=True,
  )
  np.testing.assert_allclose(
    weights_of(gradient[0]), sum(on_weights), rtol=0, atol=1e-12
  )
  np.testing.assert_allclose(gradient[2].c, on_start, rtol=0, atol=1e-12)
  for one, two in zip(gradient[0], other[0], strict=True):
    assert np.abs(one - two).max() > 0.01
  # Nothing goes back by the outputs of the step before.
  assert not gradient[2].h.any() and not gradient[2].gates.any()
  assert other[2].h.all() and other[2].gates.all()


def count(features, block_size, blocks, outputs, output_bias, **biases) -> int:
  """Count the weights of a net whose outputs see the memory cells alone."""
  settings = lstm_1997.Settings(block_size, **biases)
  cells = block_size * blocks
  readout = (cells + output_bias) * outputs
  return CELL.count_params(settings, features, cells) + readout


def test_numbers_of_weights_are_those_of_table_10():
  none = {'cell_bias': False, 'gate_bias': False}
  assert count(7, 1, 4, 7, False, cell_bias=False) == 264  # 1
  assert count(7, 2, 3, 7, False, cell_bias=False) == 276
  for p, weights in ((50, 364), (100, 664), (200, 1264), (500, 3064)):
    assert count(p + 4, 1, 2, 2, False, **none) == weights  # 2c
  assert count(1004, 1, 2, 2, False, **none) == 6064
  assert count(1, 1, 3, 1, False) == 102  # 3
  assert count(2, 2, 2, 1, True) == 93  # 4 and 5
  assert count(8, 2, 2, 4, True) == 156  # 6a
  assert count(8, 2, 3, 8, True) == 308  # 6b


@pytest.mark.parametrize('settings', SETTINGS)
def test_counts_what_it_draws(settings):
  params, *_ = draw(settings)
  size = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert CELL.count_params(settings, FEATURES, HIDDEN) == size


@pytest.mark.parametrize(
  'blocks, shut', [(2, [-3, -6]), (3, [-2, -4, -6]), (1, [-6])]
)
def test_starts_as_in_experiments_4_and_6b(blocks, shut):
  settings = lstm_1997.Settings(block_size=16)
  params = jax.jit(
    lambda key: CELL.init_params(key, 7, 16 * blocks, settings=settings)
  )(jax.random.key(1))
  np.testing.assert_allclose(params.gate_bias[:blocks], shut, rtol=1e-6)
  rest = [np.ravel(leaf) for leaf in params[:-1]]
  rest = np.concatenate([*rest, params.gate_bias[blocks:]])
  assert np.abs(rest).max() <= 0.1 and np.abs(rest).max() > 0.09
  assert np.std(rest) == pytest.approx(0.1 / 3**0.5, rel=0.1)
  assert len(np.unique(rest)) > 0.99 * rest.size


def test_settings_that_do_not_fit_are_refused():
  settings = lstm_1997.Settings(block_size=3)
  for call in (
    lambda: CELL.check(settings, HIDDEN),
    lambda: CELL.count_params(settings, FEATURES, HIDDEN),
    lambda: CELL.init_carry(settings, (), HIDDEN),
    lambda: CELL.init_params(
      jax.random.key(0), FEATURES, HIDDEN, settings=settings
    ),
  ):
    with pytest.raises(contract.SettingError, match='divide.*nearest: 2'):
      call()
