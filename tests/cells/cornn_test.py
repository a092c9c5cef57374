"""The coupled oscillatory network against the equation it is a scheme of."""

import jax.numpy as jnp
import numpy as np

from lstm_variants.cells import cornn
from tests.cells import harness

CELL = cornn.CELLS['cornn']


def test_an_oscillator_left_alone_is_a_damped_harmonic_one():
  """y″ + ε y′ + γ y = 0 with y(0) = 1, y′(0) = 0, for two turns."""
  settings = cornn.Settings(time_step=0.001, stiffness=4.0, damping=0.2)
  params, inputs, carry = harness.draw(harness.Case('cornn', settings))
  still = params._replace(
    kernel=0 * params.kernel,
    recurrent_kernel=0 * params.recurrent_kernel,
    bias=0 * params.bias,
  )
  start = carry._replace(z=0 * carry.z, h=0 * carry.h + 1)
  inputs = jnp.zeros((inputs.shape[0], 6000, inputs.shape[2]))
  _, hiddens = CELL.unroll(still, settings, inputs, start)
  t = 0.001 * np.arange(1, 6001)
  omega = np.sqrt(4 - 0.1**2)
  exact = np.exp(-0.1 * t) * (
    np.cos(omega * t) + 0.1 / omega * np.sin(omega * t)
  )
  np.testing.assert_allclose(hiddens[0, :, 0], exact, atol=3e-3)


def test_each_recurrent_block_is_orthogonal_at_first():
  params = harness.init('cornn', 3, 12)
  for block in np.split(params.recurrent_kernel, 2):
    np.testing.assert_allclose(block.T @ block, np.eye(12), atol=1e-5)
