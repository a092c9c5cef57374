"""The IndRNN's limit and its beginning."""

import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants.cells import contract, indrnn
from tests.cells import harness

CELL = indrnn.CELLS['indrnn']


def test_a_state_grows_by_no_more_than_the_limit_in_each_step():
  params = indrnn.Params(jnp.zeros((2, 4)), jnp.full(4, 3.0), jnp.zeros(4))
  end, _ = CELL.unroll(
    params,
    indrnn.Settings(recurrent_limit=2 ** (1 / 50)),
    jnp.zeros((1, 50, 2)),
    indrnn.Carry(jnp.ones((1, 4))),
  )
  np.testing.assert_allclose(end.h, 2.0, rtol=1e-5)


@pytest.mark.parametrize('limit', [1.0, 0.25])
def test_starts_uniform_from_zero_to_the_limit(limit):
  params = harness.init('indrnn', 3, 4000, settings=indrnn.Settings(limit))
  u = np.sort(params.recurrent_weight) / limit
  expected = (np.arange(4000) + 0.5) / 4000
  assert np.abs(u - expected).max() < 0.03  # Kolmogorov–Smirnov, p < 0.01
  np.testing.assert_array_equal(params.bias, 0)
  assert params.kernel.shape == (3, 4000)


def test_recurrent_init_is_that_of_the_input_weights():
  orthogonal, uniform = (
    harness.init('indrnn', 2, 1000, recurrent_init=name).kernel
    for name in ('orthogonal', 'uniform')
  )
  assert np.std(orthogonal) == pytest.approx(2**-0.5, rel=0.1)  # LeCun
  assert np.abs(uniform).max() <= 1000**-0.5


@pytest.mark.parametrize('wrong', [-0.1, 10.1, True, 'one'])
def test_a_limit_out_of_range_is_refused(wrong):
  known = CELL.ranges['recurrent_limit']
  with pytest.raises(contract.SettingError, match='recurrent_limit.*nearest'):
    contract.check_range('recurrent_limit', wrong, known)
  contract.check_range('recurrent_limit', 1, known)
