"""The probed run, against that of the model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants import cells, models
from lstm_variants.cells import clockwork, depth_gated, remedies
from lstm_variants.models import probes
from tests.evidence.gradient_flow_test import draw, MASK, T


@pytest.mark.parametrize('drawn', [False, True])
def test_the_probed_run_is_that_of_the_model(drawn):
  noise = remedies.Noise(jax.random.key(3) if drawn else None, 0.4, 0.3, 0.2)
  with jax.enable_x64(True):
    check_run(noise)


def check_run(noise: remedies.Noise) -> None:
  architecture, toggles, params, inputs = draw(
    'lstm',
    layer_norm=True,
    residual=True,
    learned_carry=True,
    direct_connections=True,
  )

  def run(params):
    expected = models.apply_model(
      params, architecture, toggles, inputs, mask=MASK, noise=noise
    )
    carries = models.first_carries(params, architecture, toggles, inputs)
    steps = jnp.swapaxes(inputs, 0, 1)
    outputs, followed = probes.run(
      params,
      *(architecture, toggles, steps, carries, probes.zeros(carries, T)),
      mask=MASK.T,
      noise=noise,
    )
    last = tuple(
      jax.tree.map(lambda x: x[-1], layer.states) for layer in followed
    )
    return expected, (last, jnp.swapaxes(outputs, 0, 1))

  expected, run_with_probes = jax.jit(run)(params)
  for a, b in zip(
    *map(jax.tree.leaves, (run_with_probes, expected)), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_counters_and_fields_without_units_are_no_states():
  """Nothing depends smoothly on the first, nothing at all on the others."""
  carry = clockwork.init_carry(clockwork.Settings(), (2,), 4)
  assert set(probes.states_of(cells.CELLS['clockwork'], carry)) == {'h'}
  shallow = depth_gated.init_carry(depth_gated.Settings(depth=1), (2,), 4)
  assert set(probes.states_of(cells.CELLS['depth_gated'], shallow)) == {
    'c',
    'h',
  }
