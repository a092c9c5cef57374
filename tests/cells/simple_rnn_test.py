"""The simple RNN against a NumPy loop and its derivatives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import simple_rnn

CELL = simple_rnn.CELLS['simple_rnn']
FEATURES, HIDDEN, TIME, BATCH = 2, 3, 6, 2


def draw(seed: int):
  rng = np.random.default_rng(seed)
  params = simple_rnn.Params(
    rng.normal(0, 0.6, (FEATURES, HIDDEN)),  # pyright: ignore
    rng.normal(0, 0.6, (HIDDEN, HIDDEN)),  # pyright: ignore
    rng.normal(0, 0.6, (HIDDEN,)),  # pyright: ignore
  )
  inputs = rng.normal(size=(BATCH, TIME, FEATURES))
  return params, inputs, rng.normal(size=(BATCH, HIDDEN))


def loop(params, inputs, h):
  """h' = tanh(W'x + R'h + b) of Elman 1990, a sequence at a time."""
  w, r, b = params
  rows = []
  for xs, state in zip(inputs, h, strict=True):
    row = []
    for x in xs:
      state = np.tanh(w.T @ x + r.T @ state + b)
      row.append(state)
    rows.append(row)
  return np.array(rows)


@jax.jit
def run(params, inputs, h):
  def weighted(params, inputs, h):
    carry, hiddens = simple_rnn.unroll(params, None, inputs, (h,))
    weights = jnp.cos(jnp.arange(hiddens.size).reshape(hiddens.shape))
    return jnp.sum(weights * hiddens), (carry, hiddens)

  return jax.value_and_grad(weighted, argnums=(0, 1, 2), has_aux=True)(
    params, inputs, h
  )


def test_equals_the_equation_in_double_precision():
  params, inputs, h = draw(0)
  with jax.enable_x64(True):
    (_, (carry, hiddens)), _ = run(params, inputs, h)
  expected = loop(params, inputs, h)
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-12)
  np.testing.assert_allclose(carry.h, expected[:, -1], rtol=0, atol=1e-12)


def test_every_entry_of_the_gradient_equals_the_complex_step():
  operands = draw(1)
  with jax.enable_x64(True):
    _, gradient = run(*operands)
  leaves, tree = jax.tree.flatten(operands)
  for number, computed in enumerate(jax.tree.leaves(gradient)):
    for place in np.ndindex(computed.shape):
      moved = [leaf.astype(complex) for leaf in leaves]
      moved[number][place] += 1e-40j
      hiddens = loop(*jax.tree.unflatten(tree, moved))
      weights = np.cos(np.arange(hiddens.size)).reshape(hiddens.shape)
      slope = np.sum(weights * hiddens).imag / 1e-40
      assert computed[place] == pytest.approx(slope, rel=1e-10, abs=1e-12)
      assert slope != 0


def test_an_input_changes_the_hidden_states_from_its_step_on_and_no_earlier():
  params, inputs, h = draw(2)
  (_, (_, before)), _ = run(params, inputs, h)
  for s in range(TIME):
    moved = inputs.copy()
    moved[:, s] += 1.0
    (_, (_, after)), _ = run(params, moved, h)
    np.testing.assert_array_equal(after[:, :s], before[:, :s])
    assert np.all(np.abs(after - before)[:, s].max(axis=-1) > 0)


def test_unroll_equals_a_loop_over_step_from_the_zero_carry():
  params, inputs, _ = jax.tree.map(jnp.asarray, draw(3))
  carry = simple_rnn.init_carry(None, (BATCH,), HIDDEN)
  np.testing.assert_array_equal(carry.h, np.zeros((BATCH, HIDDEN)))
  _, unrolled = simple_rnn.unroll(params, None, inputs)
  for t in range(TIME):
    carry, hidden = simple_rnn.step(params, None, carry, inputs[:, t])
    np.testing.assert_allclose(hidden, unrolled[:, t], atol=1e-6)


@pytest.mark.parametrize('init', ['orthogonal', 'uniform'])
def test_all_parameters_are_counted(init):
  params = CELL.init_params(
    jax.random.key(0), FEATURES, HIDDEN, recurrent_init=init
  )
  sizes = sum(leaf.size for leaf in params)
  assert CELL.count_params(None, FEATURES, HIDDEN) == sizes
  assert params.kernel.shape == (FEATURES, HIDDEN)
  np.testing.assert_array_equal(params.bias, np.zeros(HIDDEN))


def test_the_initial_recurrent_kernel_is_orthogonal_by_default():
  params = CELL.init_params(jax.random.key(1), FEATURES, 16)
  values = np.linalg.svd(np.asarray(params.recurrent_kernel))[1]
  np.testing.assert_allclose(values, 1.0, atol=1e-5)


def test_inputs_and_names_that_do_not_fit_are_refused():
  params, inputs, _ = jax.tree.map(jnp.asarray, draw(3))
  with pytest.raises(AssertionError):
    simple_rnn.unroll(params, None, inputs[..., :1])
  with pytest.raises(ValueError, match='recurrent_init'):
    CELL.init_params(jax.random.key(0), 2, 3, recurrent_init='identity')


@pytest.mark.parametrize(
  'field, shape',
  [
    ('kernel', (FEATURES + 1, HIDDEN)),
    ('recurrent_kernel', (HIDDEN, HIDDEN + 1)),
    ('bias', (1,)),
    ('h', (1, HIDDEN)),
    ('h', (HIDDEN,)),
  ],
)
def test_shapes_that_do_not_fit_are_refused(field, shape):
  operands: Any = draw(0)
  params, inputs, h = operands
  odd: Any = np.ones(shape)
  if field == 'h':
    h = odd
  else:
    params = params._replace(**{field: odd})
  with pytest.raises(AssertionError, match='shape'):
    simple_rnn.unroll(params, None, inputs, (h,))


def test_toggles_are_refused():
  operands: Any = draw(0)
  toggles: Any = ('coupled',)
  with pytest.raises(ValueError, match='this cell has none'):
    simple_rnn.unroll(operands[0], toggles, operands[1])
