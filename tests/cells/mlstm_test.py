"""The mLSTM's stabiliser, against the paper's, and its beginning."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, mlstm
from tests.cells import harness
from tests.cells.harness import BATCH, FEATURES, HIDDEN, TIME

CELL = mlstm.CELLS['mlstm']
FORGET = pytest.mark.parametrize('exponential', [False, True])


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def stabilised(settings: Any, params: Any, inputs: Any) -> np.ndarray:
  """A sequence with the stabiliser of the paper: m from −∞ on."""
  heads, size = settings.heads, HIDDEN // settings.heads
  c, n = np.zeros((heads, size, size)), np.zeros((heads, size))
  m, outputs = np.full(heads, -np.inf), []
  for x in inputs:
    q, k, v, o = np.split(x @ params.kernel + params.bias, 4)
    i, f = np.split(x @ params.gate_kernel + params.gate_bias, 2)
    f = f if settings.exponential_forget else np.log(sigmoid(f))
    q, k, v = (part.reshape(heads, size) for part in (q, k / size**0.5, v))
    before, m = m, np.maximum(f + m, i)
    kept, entered = np.exp(f + before - m), np.exp(i - m)
    c = kept[:, None, None] * c + np.einsum('h,hv,hk->hvk', entered, v, k)
    n = kept[:, None] * n + entered[:, None] * k
    stored = np.abs(np.einsum('hk,hk->h', n, q))
    h = np.einsum('hvk,hk->hv', c, q) / np.maximum(stored, np.exp(-m))[:, None]
    outputs.append(sigmoid(o) * h.reshape(-1))
  return np.array(outputs)


@FORGET
@pytest.mark.parametrize('shift', [-30.0, 0.0, 30.0])
def test_the_hidden_states_are_those_of_the_papers_stabiliser(
  exponential, shift
):
  """In single precision, with what is stored from e^-30 to e^30."""
  settings = mlstm.Settings(2, exponential)
  params, inputs, _ = harness.draw(harness.Case('mlstm', settings))
  moved = params.gate_bias + np.array([shift, shift, 0, 0])
  params = params._replace(gate_bias=moved)
  _, hiddens = jax.jit(CELL.unroll, static_argnums=1)(
    jax.tree.map(jnp.float32, params), settings, jnp.float32(inputs)
  )
  expected = [stabilised(settings, params, xs) for xs in inputs]
  assert np.shape(expected) == (BATCH, TIME, HIDDEN)
  size = np.max(np.abs(expected))
  np.testing.assert_allclose(hiddens, expected, rtol=1e-4, atol=1e-4 * size)


@FORGET
def test_values_and_gradients_are_finite_at_extreme_inputs(exponential):
  settings = mlstm.Settings(2, exponential)
  params = harness.init('mlstm', FEATURES, HIDDEN, settings=settings)
  rng = np.random.default_rng(0)
  signs = rng.choice([-1.0, 1.0], (4, 200, FEATURES))
  signs[0], signs[1], signs[2, :100], signs[3, 100:] = 1, -1, 0, 0

  def run(params, inputs):
    last, hiddens = CELL.unroll(params, settings, inputs)
    return jnp.sum(jnp.sin(hiddens)), (last, hiddens)

  run = jax.jit(jax.value_and_grad(run, argnums=(0, 1), has_aux=True))
  for size in (0.0, 1.0, 100.0, 1e4):
    result = run(params, jnp.asarray(size * signs, jnp.float32))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


def test_a_first_step_stores_its_value_whatever_the_forget_gate_does():
  """An exponential forget gate of e^200 keeps nothing where nothing is."""
  settings = mlstm.Settings(1, True)
  params, inputs, _ = harness.draw(harness.Case('mlstm', settings))
  outputs = []
  for f in (0.0, 200.0):
    moved = params._replace(gate_bias=np.array([params.gate_bias[0], f]))
    _, hiddens = CELL.unroll(
      jax.tree.map(jnp.float32, moved), settings, jnp.float32(inputs[:, :1])
    )
    outputs.append(hiddens)
  assert np.abs(outputs[0]).max() > 0.1
  np.testing.assert_array_equal(outputs[0], outputs[1])


@FORGET
def test_f_is_the_sigmoid_of_the_forget_bias_at_first(exponential):
  settings = mlstm.Settings(3, exponential)
  params = harness.init('mlstm', 30, 48, settings=settings, forget_bias=3.0)
  b_i, b_f = np.split(params.gate_bias, 2)
  np.testing.assert_array_equal(b_i, 0)
  f = (np.exp if exponential else sigmoid)(b_f)
  np.testing.assert_allclose(f, sigmoid(3.0), rtol=1e-6)
  np.testing.assert_array_equal(params.bias, 0)
  assert np.std(params.kernel) == pytest.approx(30**-0.5, rel=0.05)
  assert np.std(params.gate_kernel) == pytest.approx(30**-0.5, rel=0.2)
  assert len(np.unique(params.kernel)) > 0.99 * params.kernel.size


def test_chrono_keeps_what_is_stored_for_one_to_t_max_steps():
  settings = mlstm.Settings(400)
  params = harness.init('mlstm', 2, 400, settings=settings, chrono_t_max=101.0)
  steps = np.exp(np.split(np.asarray(params.gate_bias, float), 2)[1])
  assert 1 <= steps.min() < 2 and 98 < steps.max() < 100.1
  assert abs(steps.mean() - 50.5) < 5


def test_heads_that_do_not_divide_the_units_are_refused():
  for refuse in (
    lambda: CELL.check(mlstm.Settings(5), 12),
    lambda: CELL.init_params(
      jax.random.key(0), 2, 12, settings=mlstm.Settings(5)
    ),
  ):
    with pytest.raises(contract.SettingError, match='nearest: 4$'):
      refuse()
