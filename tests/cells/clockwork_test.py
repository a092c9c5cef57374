"""The clockwork network's periods, its count of steps and its beginning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import clockwork, contract
from tests.cells import harness

CELL = clockwork.CELLS['clockwork']


def test_groups_step_at_their_periods_from_the_first_step_on():
  settings = clockwork.Settings(4)
  params, *_ = harness.draw(harness.Case('clockwork', settings))
  inputs = np.random.default_rng(0).normal(size=(1, 20, 2))
  _, hiddens = CELL.unroll(params, settings, jnp.asarray(inputs))
  before = np.concatenate((np.zeros((1, 4)), hiddens[0, :-1]))
  moved = np.asarray(hiddens[0]) != before
  for group in range(4):
    steps = np.flatnonzero(moved[:, group])
    np.testing.assert_array_equal(steps, np.arange(0, 20, 2**group))


@pytest.mark.parametrize('dtype', ['bfloat16', 'float32'])
def test_the_count_of_steps_does_not_run_out_of_digits(dtype):
  settings = clockwork.Settings(9)
  params = CELL.init_params(
    *(jax.random.key(0), 1, 9), settings=settings, dtype=jnp.dtype(dtype)
  )
  carry, _ = CELL.unroll(params, settings, jnp.ones((1, 700, 1), dtype))
  assert carry.t.dtype == dtype and float(carry.t[0, 0]) == 700 % 256


def test_starts_with_orthogonal_blocks_over_the_number_that_feed_a_group():
  params = harness.init('clockwork', 400, 12, settings=clockwork.Settings(3))
  seen = []
  for source in range(3):
    for target in range(3):
      rows, columns = (slice(4 * n, 4 * n + 4) for n in (source, target))
      block = params.recurrent_kernel[rows, columns]
      if source < target:
        assert not block.any()
        continue
      block = block * (3 - target) ** 0.5
      np.testing.assert_allclose(block.T @ block, np.eye(4), atol=1e-5)
      assert all(np.abs(block - other).max() > 0.1 for other in seen)
      seen.append(block)
  assert not params.bias.any()
  assert np.std(params.kernel) == pytest.approx(400**-0.5, rel=0.1)


def test_groups_that_do_not_divide_the_units_are_refused():
  settings = clockwork.Settings(4)
  for call in (
    lambda: CELL.check(settings, 6),
    lambda: CELL.count_params(settings, 2, 6),
    lambda: CELL.init_params(jax.random.key(0), 2, 6, settings=settings),
  ):
    with pytest.raises(contract.SettingError, match='groups=4.*nearest: 3'):
      call()
  CELL.check(settings, 8)
  with pytest.raises(contract.SettingError, match='nearest: 9'):
    contract.check_range('groups', 10, CELL.ranges['groups'])
