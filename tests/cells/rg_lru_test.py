"""The RG-LRU's decay near 1, and its beginning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, rg_lru
from tests.cells import harness

CELL = rg_lru.CELLS['rg_lru']


def test_what_enters_is_exact_however_near_to_one_the_decay_is():
  """In single precision, where 1 − a² of a itself has no digit left."""
  params = harness.init('rg_lru', 1, 6)
  shut = np.array([-2.0, -6.0, -10.0, -14.0, -17.0, -80.0])
  params = params._replace(
    kernel=np.zeros((1, 6), np.float32),
    bias=np.ones(6, np.float32),
    gate_kernel=np.zeros((1, 6, 12), np.float32),
    gate_bias=np.concatenate((shut, np.full(6, 100.0))).astype(np.float32),
  )
  _, entered = rg_lru.project(
    jax.tree.map(jnp.asarray, params), CELL.settings, jnp.ones((1, 1))
  )
  decay = np.logaddexp(0, -np.asarray(params.decay, float))
  r = 1 / (1 + np.exp(-shut))
  expected = np.sqrt(-np.expm1(-16 * r * decay))
  assert expected.min() < 1e-15
  np.testing.assert_allclose(entered[0], expected, rtol=1e-5)


def test_values_and_gradients_are_finite_at_extreme_inputs():
  params = harness.init('rg_lru', 2, 4)
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (2, 60, 2))

  def loss(params, inputs):
    _, hiddens = CELL.unroll(params, CELL.settings, inputs)
    return jnp.sum(jnp.sin(hiddens)), hiddens

  run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
  for size in (0.0, 100.0, 1e4):
    result = run(params, jnp.asarray(size * signs, jnp.float32))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


def test_decay_is_uniform_by_area_at_first():
  settings = rg_lru.Settings(heads=3)
  params = harness.init('rg_lru', 30, 600, settings=settings)
  radius = 1 / (1 + np.exp(-np.asarray(params.decay, float)))
  area = (radius**2 - 0.9**2) / (0.999**2 - 0.9**2)
  assert -1e-5 < area.min() < 0.02 and 0.98 < area.max() < 1 + 1e-5
  quartiles = np.quantile(area, (0.25, 0.5, 0.75))
  np.testing.assert_allclose(quartiles, (0.25, 0.5, 0.75), atol=0.07)
  assert np.std(params.gate_kernel) == pytest.approx(200**-0.5, rel=0.02)
  assert len(np.unique(params.gate_kernel)) > 0.9 * params.gate_kernel.size
  assert not params.bias.any() and not params.gate_bias.any()


def test_heads_that_do_not_divide_the_units_are_refused():
  settings = rg_lru.Settings(heads=5)
  with pytest.raises(contract.SettingError, match='nearest: 4$'):
    CELL.init_params(jax.random.key(0), 2, 12, settings=settings)
