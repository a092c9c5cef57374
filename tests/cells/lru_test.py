"""The linear recurrent unit's ring, and the variance of its state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, lru
from tests.cells import harness

CELL = lru.CELLS['lru']


def test_eigenvalues_are_uniform_on_the_ring_at_first():
  settings = lru.Settings(r_min=0.4, r_max=0.9, max_phase=1.5)
  params = harness.init('lru', 2, 1000, settings=settings)
  modulus, phase = np.exp(-np.exp(params.nu_log)), np.exp(params.theta_log)
  area = (modulus**2 - 0.4**2) / (0.9**2 - 0.4**2)
  for share in (area, phase / 1.5):
    assert 0 <= share.min() < 0.01 and 0.99 < share.max() <= 1
    np.testing.assert_allclose(
      np.quantile(share, (0.25, 0.5, 0.75)), (0.25, 0.5, 0.75), atol=0.06
    )
  assert abs(np.corrcoef(area, phase)[0, 1]) < 0.1
  gamma = np.exp(params.gamma_log)
  np.testing.assert_allclose(gamma, np.sqrt(1 - modulus**2), rtol=1e-3)


def test_the_state_of_independent_inputs_has_variance_one_at_first():
  settings = lru.Settings(r_min=0.3, r_max=0.95)
  params = harness.init('lru', 40, 64, settings=settings)
  inputs = jax.random.normal(jax.random.key(1), (128, 200, 40))
  last, _ = jax.jit(CELL.unroll, static_argnums=1)(params, settings, inputs)
  assert np.mean(last.real**2 + last.imag**2) == pytest.approx(1, rel=0.05)


def test_values_and_gradients_are_finite_on_the_widest_ring():
  settings = lru.Settings(max_phase=6.2832)
  params = harness.init('lru', 2, 64, settings=settings)
  assert all(np.isfinite(leaf).all() for leaf in params)
  # From an eigenvalue of 1 to one of 0, in single precision.
  nu = jnp.linspace(-40.0, 40.0, 64)
  params = params._replace(nu_log=nu, theta_log=-nu / 10)
  inputs = 100 * jax.random.normal(jax.random.key(1), (2, 100, 2))

  def loss(params, inputs):
    _, hiddens = CELL.unroll(params, settings, inputs)
    return jnp.sum(jnp.sin(hiddens)), hiddens

  result = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
    params, inputs
  )
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


def test_a_ring_without_an_inside_is_refused():
  settings = lru.Settings(r_min=0.5, r_max=0.5)
  for refuse in (
    lambda: CELL.check(settings, 4),
    lambda: CELL.init_params(jax.random.key(0), 2, 4, settings=settings),
  ):
    with pytest.raises(contract.SettingError, match='r_min=0.5.*nearest'):
      refuse()
