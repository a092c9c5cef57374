"""An embedding below the layers, and dropout between them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import models
from lstm_variants.evidence.gates import measure as gates
from lstm_variants.models import penalty

SYMBOLS, E, H, OUT, BATCH, TIME = 5, 3, 4, 2, 3, 6
TOGGLES = lv.Toggles()
PLAIN = models.Architecture('lstm', 2, SYMBOLS, H, OUT)
EMBEDDED = PLAIN._replace(embedding_features=E)
# What the layers of an embedded model are, given the embedding.
ABOVE = PLAIN._replace(in_features=E)
TOKENS = np.random.default_rng(3).integers(0, SYMBOLS, (BATCH, TIME))
INPUTS = jnp.asarray(np.eye(SYMBOLS, dtype=np.float32)[TOKENS])


def _apply(params: Any, architecture: models.Architecture, inputs, **options):
  run = functools.partial(
    models.apply_model, architecture=architecture, toggles=TOGGLES, **options
  )
  return jax.jit(lambda params, inputs: run(params, inputs=inputs)[1])(
    params, inputs
  )


def _init(architecture: models.Architecture) -> dict[str, Any]:
  return models.init_model(jax.random.key(0), architecture, TOGGLES)


def test_an_embedding_is_a_row_of_the_matrix_for_each_symbol():
  params = _init(EMBEDDED)
  matrix = np.asarray(params['embedding'])
  assert matrix.shape == (SYMBOLS, E)
  above = {k: params[k] for k in ('layers', 'readout')}
  expected = _apply(above, ABOVE, matrix[TOKENS])
  outputs = _apply(params, EMBEDDED, INPUTS)
  np.testing.assert_allclose(outputs, expected, atol=1e-6)
  # Padding, which is no symbol, is zero for the first layer too.
  padded = _apply(params, EMBEDDED, 0 * INPUTS)
  nothing = _apply(above, ABOVE, np.zeros((BATCH, TIME, E), np.float32))
  np.testing.assert_array_equal(padded, nothing)


def test_embeddings_are_as_long_as_one_hot_symbols_and_change_no_other_draw():
  wide = PLAIN._replace(in_features=400, embedding_features=64)
  lengths = np.linalg.norm(_init(wide)['embedding'], axis=1)
  np.testing.assert_allclose(lengths.mean(), 1, atol=0.02)
  embedded, above = _init(EMBEDDED), _init(ABOVE)
  del embedded['embedding']
  assert jax.tree.structure(embedded) == jax.tree.structure(above)
  jax.tree.map(np.testing.assert_array_equal, embedded, above)


def test_the_parameters_of_an_embedding_are_counted():
  sizes = sum(leaf.size for leaf in jax.tree.leaves(_init(EMBEDDED)))
  unused = sum(leaf.size for leaf in jax.tree.leaves(_init(ABOVE)))
  counted = models.count_params(EMBEDDED, TOGGLES)
  assert counted - models.count_params(ABOVE, TOGGLES) == sizes - unused
  assert sizes - unused == SYMBOLS * E
  with pytest.raises(ValueError, match='embedding_features=-1: must be'):
    models.check_architecture(PLAIN._replace(embedding_features=-1))


def test_penalty_and_gates_take_the_embedding_for_the_inputs_of_a_layer():
  params = _init(EMBEDDED)
  above = {k: params[k] for k in ('layers', 'readout')}
  inputs = models.embed(params, INPUTS)

  def loss(outputs):
    return jnp.mean(outputs**2)

  omega, slopes = penalty.gradient(params, EMBEDDED, TOGGLES, INPUTS, loss)
  expected, others = penalty.gradient(above, ABOVE, TOGGLES, inputs, loss)
  np.testing.assert_allclose(omega, expected, rtol=1e-5)
  assert not np.any(slopes.pop('embedding'))
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=1e-6), slopes, others
  )
  one = gates.trace(params, EMBEDDED, TOGGLES, INPUTS, layer=0)
  two = gates.trace(above, ABOVE, TOGGLES, inputs, layer=0)
  for name, values in one.gates.items():
    np.testing.assert_allclose(values, two.gates[name], atol=1e-6)


def _dropped(seed: int, rate: Any) -> models.Dropout:
  return models.Dropout(jax.random.key(seed), rate)


def test_dropout_leaves_out_a_share_of_what_the_second_layer_gets():
  # The second layer hands on its inputs at once: what it gets can be read off.
  width, rate = 32, 0.25
  sizes = models.Architecture('simple_rnn', 2, 1, width, width, residual=False)
  params = models.init_model(jax.random.key(0), sizes)
  first, second = params['layers']
  small = 1e-3 * jnp.eye(width)  # tanh is the identity of small numbers
  second = jax.tree.map(jnp.zeros_like, second)._replace(kernel=small)
  params = {**params, 'layers': (first, second)}
  params['readout'] = {'kernel': 1e3 * jnp.eye(width), 'bias': 0.0}
  inputs = jax.random.normal(jax.random.key(1), (64, 10, 1))

  def apply():
    dropouts = None, _dropped(0, rate)
    run = functools.partial(models.apply_model, params, sizes, None, inputs)
    return [run(dropout=dropout)[1] for dropout in dropouts]

  whole, parts = jax.jit(apply)()
  kept = np.abs(parts) > 0
  np.testing.assert_allclose(np.mean(kept), 1 - rate, atol=0.01)
  np.testing.assert_allclose(
    parts[kept], whole[kept] / (1 - rate), rtol=1e-3, atol=1e-6
  )
  # Of each step, sequence and unit its own.
  for axis, count in enumerate(kept.shape):
    shares = np.mean(kept, axis=axis)
    spread = np.sqrt(rate * (1 - rate) / count)
    np.testing.assert_allclose(np.std(shares), spread, rtol=0.2)


@pytest.mark.parametrize(
  'changes', [{}, {'residual': True}, {'bidirectional': True}]
)
def test_a_rate_of_zero_changes_no_bit_and_another_one_does(changes):
  sizes = PLAIN._replace(**changes)
  params = _init(sizes)
  off = _apply(params, sizes, INPUTS)
  zero = _apply(params, sizes, INPUTS, dropout=_dropped(0, jnp.float32(0)))
  np.testing.assert_array_equal(off, zero)
  drawn = _apply(params, sizes, INPUTS, dropout=_dropped(0, 0.5))
  assert np.abs(drawn - off).max() > 1e-3


def test_segments_draw_as_the_whole_does():
  params, dropout = _init(PLAIN), _dropped(0, 0.5)
  whole = _apply(params, PLAIN, INPUTS, dropout=dropout)
  parts = _apply(params, PLAIN, INPUTS, dropout=dropout, segment=4)
  np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_the_first_layer_and_a_residual_connection_get_everything():
  one = PLAIN._replace(num_layers=1)
  params = _init(one)
  np.testing.assert_array_equal(
    _apply(params, one, INPUTS),
    _apply(params, one, INPUTS, dropout=_dropped(0, 0.9)),
  )
  residual = PLAIN._replace(residual=True)
  params = _init(residual)
  first, second = params['layers']
  # A second layer that sees nothing puts out zero: only what is passed whole
  # is left.
  second = jax.tree.map(jnp.zeros_like, second)
  params = {**params, 'layers': (first, second)}
  np.testing.assert_array_equal(
    _apply(params, residual, INPUTS),
    _apply(params, residual, INPUTS, dropout=_dropped(0, 0.9)),
  )
