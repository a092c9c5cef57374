"""The simple RNN's beginning, and what it refuses."""

from typing import Any

import jax
import numpy as np
import pytest

from lstm_variants.cells import simple_rnn
from tests.cells import harness
from tests.cells.harness import FEATURES, HIDDEN

CASE = harness.Case('simple_rnn', None)


def test_starts_with_an_orthogonal_matrix_or_uniform_weights():
  params = harness.init('simple_rnn', FEATURES, 16)
  values = np.linalg.svd(params.recurrent_kernel)[1]
  np.testing.assert_allclose(values, 1.0, atol=1e-5)
  np.testing.assert_array_equal(params.bias, np.zeros(16))
  uniform = harness.init('simple_rnn', 3, 16, recurrent_init='uniform')
  for leaf in (uniform.kernel, uniform.recurrent_kernel):
    assert 0.2 < np.abs(leaf).max() <= 0.25


@pytest.mark.parametrize(
  'field, shape',
  [
    ('kernel', (FEATURES + 1, HIDDEN)),
    ('recurrent_kernel', (HIDDEN, HIDDEN + 1)),
    ('bias', (1,)),
  ],
)
def test_weights_that_do_not_fit_are_refused(field, shape):
  params, inputs, carry = harness.draw(CASE)
  params = params._replace(**{field: np.ones(shape)})
  with pytest.raises(AssertionError, match='shape'):
    jax.eval_shape(
      lambda params: simple_rnn.unroll(params, None, inputs, carry), params
    )


def test_toggles_are_refused():
  params, inputs, _ = harness.draw(CASE)
  toggles: Any = ('coupled',)
  with pytest.raises(ValueError, match='this cell has none'):
    simple_rnn.unroll(params, toggles, inputs)
