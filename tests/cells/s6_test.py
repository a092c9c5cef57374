"""S6: its beginning, its convolution, extreme inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import s6
from tests.cells import harness

CELL = s6.CELLS['s6']


def test_parameters_begin_as_those_of_mamba():
  settings = s6.Settings(convolution=True, gate=True)
  params = harness.init('s6', 30, 320, settings=settings)
  rates = np.exp(params.decay_log)
  np.testing.assert_allclose(
    rates, np.tile(np.arange(1, 17), (320, 1)), rtol=1e-6
  )
  steps = np.log(np.logaddexp(0, params.delta_bias)) / np.log(10)
  np.testing.assert_allclose(
    np.quantile(steps, (0, 0.25, 0.5, 0.75, 1)),
    (-3, -2.5, -2, -1.5, -1),
    atol=0.15,
  )
  assert -3 <= steps.min() and steps.max() <= -1
  np.testing.assert_array_equal(params.skip, 1)
  assert params.delta_kernel.shape == (20, 320)
  for leaf, fan in (
    (params.delta_kernel, 20),
    (params.select, 320),
    (params.window_kernel, 4),
    (params.window_bias, 4),
  ):
    assert 0.97 * fan**-0.5 < np.abs(leaf).max() <= fan**-0.5
    assert abs(np.mean(leaf)) < 0.1 * fan**-0.5
  assert np.std(params.kernel) == pytest.approx(30**-0.5, rel=0.03)
  assert len(np.unique(params.kernel)) > 0.99 * params.kernel.size


@pytest.mark.parametrize('chosen', [False, True])
def test_there_are_no_weights_of_what_is_not_there(chosen):
  settings = s6.Settings(state_size=2, convolution=chosen, gate=chosen)
  count = CELL.count_params(settings, 3, 20)
  # Inputs; Δ, B and C of rank 2; Δ again and its bias; A; D.
  plain = 3 * 20 + 20 * (2 + 4) + 2 * 20 + 20 + 20 * 2 + 20
  assert count == plain + (3 * 20 + 4 * 20 + 20 if chosen else 0)


@pytest.mark.parametrize('parallel', [False, True])
def test_values_and_gradients_are_finite_at_extreme_inputs(parallel):
  settings = s6.Settings(4, 0, True, True, parallel)
  params = harness.init('s6', 2, 4, settings=settings)
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (2, 12, 2))

  def loss(params, inputs):
    _, hiddens = CELL.unroll(params, settings, inputs)
    return jnp.sum(jnp.sin(hiddens)), hiddens

  run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
  for size in (0.0, 1e2, 1e4):
    result = run(params, jnp.asarray(size * signs, jnp.float32))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
