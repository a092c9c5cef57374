"""The reservoir's spectral radius, and its readout against lstsq."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import echo_state

CELL = echo_state.CELLS['echo_state']


def spectral_radius(matrix) -> float:
  return np.abs(np.linalg.eigvals(np.asarray(matrix, np.float64))).max()


@pytest.mark.parametrize('size', [1, 2, 7, 50])
def test_spectral_radius_is_that_of_the_eigenvalues(size):
  rng = np.random.default_rng(size)
  matrices = rng.normal(size=(4, size, size)).astype(np.float32)
  estimates = jax.jit(jax.vmap(echo_state.spectral_radius))(matrices)
  expected = [spectral_radius(matrix) for matrix in matrices]
  np.testing.assert_allclose(estimates, expected, rtol=1e-5)


@pytest.mark.parametrize(
  'matrix',
  [
    [[0.6, -0.8], [0.8, 0.6]],  # a rotation: a complex pair
    [[1.0, 1e3], [0.0, 1.0]],  # a Jordan block, far from normal
    [[2.0, 0.0], [0.0, -2.0]],  # of two signs
    [[1e-12, 0.0], [0.0, 1e-13]],
  ],
)
def test_spectral_radius_of_matrices_that_are_hard(matrix):
  estimate = echo_state.spectral_radius(jnp.array(matrix))
  assert float(estimate) == pytest.approx(spectral_radius(matrix), rel=1e-4)


@pytest.mark.parametrize('radius', [0.0, 0.5, 0.95, 1.4])
def test_starts_at_the_given_spectral_radius(radius):
  settings = echo_state.Settings(spectral_radius=radius)
  keys = jax.random.split(jax.random.key(0), 3)
  many = jax.jit(
    jax.vmap(lambda key: CELL.init_params(key, 2, 50, settings=settings))
  )(keys)
  for matrix in many.recurrent_kernel:
    assert spectral_radius(matrix) == pytest.approx(radius, rel=1e-5)
  if radius == 0.95:
    alone = CELL.init_params(keys[1], 2, 50)
    np.testing.assert_allclose(
      many.recurrent_kernel[1], alone.recurrent_kernel, atol=1e-6
    )


def test_starts_with_uniform_inputs_and_biases():
  params = CELL.init_params(jax.random.key(0), 50, 200)
  for leaf, bound in ((params.kernel, 1.0), (params.bias, 0.2)):
    assert 0.95 * bound < np.abs(leaf).max() <= bound
    assert abs(np.mean(leaf)) < 0.1 * bound
    assert np.std(leaf) == pytest.approx(bound / 3**0.5, rel=0.1)


def test_a_state_is_forgotten_below_a_spectral_radius_of_one():
  params = CELL.init_params(jax.random.key(0), 2, 50)
  inputs = np.random.default_rng(0).normal(size=(2, 400, 2)).astype(np.float32)
  inputs[1] = inputs[0]
  start = echo_state.Carry(jnp.stack((jnp.zeros(50), jnp.full(50, 0.9))))
  xs = jnp.asarray(inputs)
  _, hiddens = CELL.unroll(params, CELL.settings, xs, start)
  apart = np.abs(hiddens[0] - hiddens[1]).max(axis=1)
  assert apart[0] > 0.1 and apart[-1] < 1e-5


@pytest.mark.parametrize('penalty', [0.0, 0.3])
def test_ridge_readout_solves_the_augmented_least_squares(penalty):
  rng = np.random.default_rng(0)
  hiddens = rng.normal(3, 1, (4, 6, 5))
  targets = rng.normal(-2, 1, (4, 6, 2))
  mask = rng.random((4, 6)) < 0.7
  with jax.enable_x64(True):
    found = echo_state.ridge_readout(hiddens, targets, mask, penalty)
  h, y = hiddens[mask], targets[mask]
  # The bias is a sixth weight, of an input of 1, without a penalty.
  rows = np.concatenate(
    (np.c_[h, np.ones(len(h))], np.eye(6)[:5] * penalty**0.5)
  )
  values = np.concatenate((y, np.zeros((5, 2))))
  solution = np.linalg.lstsq(rows, values)[0]
  np.testing.assert_allclose(found['kernel'], solution[:5], atol=1e-10)
  np.testing.assert_allclose(found['bias'], solution[5], atol=1e-10)


def test_ridge_readout_weighs_steps_and_does_not_see_those_left_out():
  rng = np.random.default_rng(1)
  hiddens, targets = rng.normal(size=(2, 8, 3)), rng.normal(size=(2, 8, 1))
  twice = np.repeat(hiddens, 2, axis=1), np.repeat(targets, 2, axis=1)
  weights = np.full((2, 8), 2.0)
  weights[1, 5:] = 0
  counted = np.repeat(weights > 0, 2, axis=1)
  hiddens[1, 5:], targets[1, 5:] = np.nan, np.inf
  with jax.enable_x64(True):
    one = echo_state.ridge_readout(hiddens, targets, weights, 0.1)
    two = echo_state.ridge_readout(*twice, counted, 0.1)
  for key in ('kernel', 'bias'):
    np.testing.assert_allclose(one[key], two[key], atol=1e-12)


def test_ridge_readout_finds_weights_through_nearly_equal_units():
  # The square of their condition would be beyond double precision.
  rng = np.random.default_rng(2)
  hiddens = rng.normal(size=(1, 50, 1)) + 1e-9 * rng.normal(size=(1, 50, 3))
  targets = hiddens @ np.array([[1.0], [-2.0], [0.5]]) + 7
  with jax.enable_x64(True):
    found = echo_state.ridge_readout(hiddens, targets, penalty=0.0)
  kernel, bias = np.asarray(found['kernel']), np.asarray(found['bias'])
  error = hiddens @ kernel + bias - targets
  assert np.abs(error).max() < 1e-12
  assert kernel.shape == (3, 1) and bias.shape == (1,)


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'penalty': -1.0}, 'negative'),
    ({'mask': np.zeros((2, 3))}, 'no step counts'),
    ({'mask': np.full((2, 3), -1.0)}, 'negative'),
    ({'mask': np.ones((2, 4))}, 'differ'),
    ({'targets': np.ones((3, 2, 1))}, 'differ'),
  ],
)
def test_ridge_readout_refuses(changes, message):
  case: Any = {'hiddens': np.ones((2, 3, 4)), 'targets': np.ones((2, 3, 1))}
  with pytest.raises(ValueError, match=message):
    echo_state.ridge_readout(**{**case, **changes})
