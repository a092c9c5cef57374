"""Gates without their peepholes, against gates of an LSTM that has none."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from docs.tour import gating
import lstm_variants as lv
from lstm_variants.evidence.gates import measure
from lstm_variants.models.architecture import Architecture


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def test_a_gate_without_its_peephole_is_that_of_the_equation():
  rng = np.random.default_rng(0)
  size, time = 3, 12
  toggles = lv.VARIANTS['peephole'].toggles
  layer: Any = lv.Params(
    *(
      jnp.asarray(rng.normal(size=shape), jnp.float32)
      for shape in ((1, 4 * size), (size, 4 * size), (4 * size,), (3, size))
    ),
    gate_kernel=jnp.zeros((3 * size, 3 * size)),
  )
  readout = {'kernel': np.zeros((size, 1)), 'bias': np.zeros(1)}
  inputs = jnp.asarray(rng.normal(size=(2, time, 1)), jnp.float32)
  trace = measure.trace(
    {'layers': (layer,), 'readout': readout},
    Architecture('lstm', 1, 1, size, 1),
    *(toggles, inputs),
  )
  found = gating.peek(trace, layer.peephole, 1)
  h = np.concatenate((np.zeros((1, size)), trace.h[1, :-1]))
  z = inputs[1] @ layer.kernel + h @ layer.recurrent_kernel + layer.bias
  for column, name in ((0, 'i'), (1, 'f'), (3, 'o')):
    alone = _sigmoid(z[:, column * size : (column + 1) * size])
    unit = found.unit
    np.testing.assert_allclose(found.without[name], alone[:, unit], atol=1e-5)
    np.testing.assert_allclose(found.gates[name], trace.gates[name][1, :, unit])
  assert found.weights['o'] == layer.peephole[2, found.unit]
  changes = [
    max(
      np.abs(
        trace.gates[name][1, :, unit] - _sigmoid(z[:, k * size + unit])
      ).max()
      for k, name in ((0, 'i'), (1, 'f'), (3, 'o'))
    )
    for unit in range(size)
  ]
  assert found.unit == np.argmax(changes)


def test_without_peepholes_nothing_changes():
  rng = np.random.default_rng(0)
  gate = rng.uniform(size=(1, 5, 2))
  trace = gating.measure.Trace(
    *({'i': gate, 'f': gate, 'o': gate}, (), gate, gate),
    *(rng.normal(size=(1, 5, 2)), gate, gate),
  )
  found = gating.peek(trace, np.zeros((3, 2)))
  for name in 'ifo':
    np.testing.assert_allclose(found.without[name], found.gates[name])
