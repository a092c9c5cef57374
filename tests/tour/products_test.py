"""The products behind the first pictures, against brute force."""

import jax
import jax.numpy as jnp
import numpy as np

from docs.tour import products
from lstm_variants.cells import simple_rnn
from lstm_variants.evidence.gradient_flow import jacobians
from lstm_variants.models.architecture import Architecture


def _rnn(size=5, time=9):
  rng = np.random.default_rng(0)
  layer = simple_rnn.Params(
    jnp.asarray(rng.normal(size=(2, size)), jnp.float32),
    jnp.asarray(rng.normal(size=(size, size)), jnp.float32),
    jnp.asarray(rng.normal(size=size), jnp.float32),
  )
  inputs = jnp.asarray(rng.normal(size=(1, time, 2)), jnp.float32)
  _, hiddens = simple_rnn.unroll(layer, None, inputs)
  return layer, inputs, np.asarray(hiddens[0])


def test_the_product_is_the_jacobian_over_many_steps():
  layer, inputs, hiddens = _rnn()
  found = products.multiply(hiddens, layer.recurrent_kernel)
  architecture = Architecture('simple_rnn', 1, 2, 5, 1)
  readout = {'kernel': np.zeros((5, 1)), 'bias': np.zeros(1)}
  params = {'layers': (layer,), 'readout': readout}
  wanted = jacobians.lag_norms(params, architecture, None, inputs, 0)['h'][:, 0]
  np.testing.assert_allclose(found.product, wanted, atol=1e-4)


def test_a_factor_is_the_norm_of_the_jacobian_of_its_step():
  layer, inputs, hiddens = _rnn()
  found = products.multiply(hiddens, layer.recurrent_kernel)

  def step(h, x):
    return simple_rnn.step(layer, None, (h,), x)[1]

  for t in range(1, len(hiddens)):
    jacobian = jax.jacobian(step)(hiddens[t - 1], inputs[0, t])
    wanted = np.linalg.norm(jacobian, 2)
    np.testing.assert_allclose(found.norms[t - 1], wanted, rtol=1e-4)


def test_a_step_multiplies_by_at_most_the_norm_of_its_jacobian():
  layer, _, hiddens = _rnn()
  found = products.multiply(hiddens, layer.recurrent_kernel)
  assert np.all(found.factors <= found.norms * (1 + 1e-9))
  assert np.any(found.factors < 0.9 * found.norms)
  np.testing.assert_allclose(
    found.product, np.cumsum([0, *np.log10(found.factors)])
  )


def test_products_below_the_range_of_numbers_are_told():
  found = products.multiply(np.zeros((400, 3)), 0.01 * np.eye(3))
  np.testing.assert_allclose(found.product, -2.0 * np.arange(400))


def test_what_was_put_on_the_belt_adds_up_to_the_cell_state():
  rng = np.random.default_rng(1)
  forget, put = rng.uniform(size=20), rng.normal(size=20)
  belt = products.carry(forget, put)
  c = 0.0
  for t in range(20):
    c = forget[t] * c + put[t]
    np.testing.assert_allclose(np.nansum(belt.parts[:, t]), c)
  assert np.all(np.isnan(belt.parts[np.tril_indices(20, -1)]))
  assert not np.any(np.isnan(belt.parts[np.triu_indices(20)]))


def test_what_is_not_forgotten_stays_as_it_was_put():
  belt = products.carry(np.ones(6), np.arange(6.0))
  for s in range(6):
    np.testing.assert_array_equal(belt.parts[s, s:], s)
