"""Stacks: both directions, residual layers, learned carries, their counts."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.cells import lstm

F, H, OUT, T, B = 2, 4, 3, 6, 2
BASE = models.Architecture('lstm', 2, F, H, OUT)
TOGGLES = lv.VARIANTS['peephole'].toggles
INPUTS = jnp.asarray(np.random.default_rng(9).normal(size=(B, T, F)), 'float32')
MASK = np.arange(T) < np.array([[T], [4]])
# As one program each: operation by operation, each would be compiled by itself.
apply = jax.jit(models.apply_model, static_argnums=(1, 2))
init = jax.jit(models.init_model, static_argnums=(1, 2))
unroll = jax.jit(lstm.unroll, static_argnums=1)


def build(**changes):
  architecture = BASE._replace(**changes)
  return architecture, init(jax.random.key(0), architecture, TOGGLES)


def test_a_bidirectional_layer_is_two_cells_side_by_side():
  architecture, params = build(bidirectional=True)
  carries, outputs = jax.tree.map(
    np.asarray, apply(params, architecture, TOGGLES, INPUTS, mask=MASK)
  )
  hiddens = np.asarray(INPUTS)
  for layer in range(2):
    # A sequence of its own length, backwards from its own last step.
    rows = []
    for n, length in enumerate((T, 4)):
      own = hiddens[n : n + 1, :length]
      sides = []
      for part, order in ((params, 1), (params['backward'], -1)):
        last, side = unroll(part['layers'][layer], TOGGLES, own[:, ::order])
        np.testing.assert_allclose(
          carries[layer][order < 0].h[n], last.h[0], atol=1e-6
        )
        sides.append(np.asarray(side)[:, ::order])
      row = np.concatenate(sides, axis=-1)
      rows.append(np.pad(row, ((0, 0), (0, T - length), (0, 0))))
    hiddens = np.concatenate(rows)
  readout = jax.tree.map(np.asarray, params['readout'])
  expected = hiddens @ readout['kernel'] + readout['bias']
  for n, length in enumerate((T, 4)):
    np.testing.assert_allclose(
      outputs[n, :length], expected[n, :length], atol=1e-5
    )
  weights = jax.tree.leaves(params['layers'])
  others = jax.tree.leaves(params['backward']['layers'])
  assert [w.shape for w in weights] == [w.shape for w in others]
  assert np.abs(weights[0] - others[0]).max() > 0.1


def test_bidirectional_carries_can_be_given():
  architecture, params = build(bidirectional=True)
  carries, outputs = apply(params, architecture, TOGGLES, INPUTS)
  again, others = apply(params, architecture, TOGGLES, INPUTS, carries)
  assert jax.tree.structure(again) == jax.tree.structure(carries)
  assert np.abs(others - outputs).max() > 1e-4


def test_a_residual_layer_adds_what_it_gets():
  architecture, params = build(residual=True)
  _, outputs = apply(params, architecture, TOGGLES, INPUTS)
  _, first = unroll(params['layers'][0], TOGGLES, INPUTS)
  _, second = unroll(params['layers'][1], TOGGLES, first)
  readout = params['readout']
  expected = (first + second) @ readout['kernel'] + readout['bias']
  np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize('embedding', [0, 5])
def test_direct_connections_show_the_readout_what_the_first_layer_gets(
  embedding,
):
  architecture, params = build(
    direct_connections=True, embedding_features=embedding
  )
  _, outputs = apply(params, architecture, TOGGLES, INPUTS)
  without, others = build(embedding_features=embedding)
  # No other weight is drawn otherwise.
  direct = np.asarray(params['readout'].pop('direct_kernel'))
  jax.tree.map(np.testing.assert_array_equal, params, others)
  _, indirect = apply(others, without, TOGGLES, INPUTS)
  seen = np.asarray(models.embed(params, INPUTS))
  assert direct.shape == (embedding or F, OUT) and np.all(direct != 0)
  np.testing.assert_allclose(outputs, indirect + seen @ direct, atol=1e-6)


def test_an_input_reaches_the_output_of_its_step_past_a_closed_layer():
  architecture, params = build(direct_connections=True)
  params['readout']['kernel'] = jnp.zeros((H, OUT))
  _, outputs = apply(params, architecture, TOGGLES, INPUTS)
  assert np.linalg.matrix_rank(np.asarray(outputs[0])) == F
  _, segments = jax.jit(
    lambda params: models.apply_model(
      params, architecture, TOGGLES, INPUTS, segment=2
    )
  )(params)
  np.testing.assert_allclose(segments, outputs, atol=1e-6)


def test_a_learned_carry_begins_as_zero_and_is_learned():
  architecture, params = build(learned_carry=True)
  plain, weights = build()
  _, outputs = apply(params, architecture, TOGGLES, INPUTS)
  _, expected = apply(weights, plain, TOGGLES, INPUTS)
  np.testing.assert_allclose(outputs, expected, atol=1e-6)

  def loss(params):
    _, outputs = apply(params, architecture, TOGGLES, INPUTS)
    return jnp.sum(jnp.sin(outputs))

  gradient = jax.jit(jax.grad(loss))(params)['carries']
  assert all(np.abs(leaf).min() > 0 for leaf in jax.tree.leaves(gradient))
  assert [sorted(states) for states in gradient] == [['c', 'h']] * 2
  moved = {**params, 'carries': gradient}
  _, outputs = apply(moved, architecture, TOGGLES, INPUTS)
  first = lstm.Carry(
    *(jnp.tile(gradient[0][name], (B, 1)) for name in ('c', 'h'))
  )
  second = lstm.Carry(
    *(jnp.tile(gradient[1][name], (B, 1)) for name in ('c', 'h'))
  )
  _, expected = apply(weights, plain, TOGGLES, INPUTS, (first, second))
  np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize(
  'changes',
  [
    {'bidirectional': True},
    {'learned_carry': True},
    {'layer_norm': True},
    {'direct_connections': True},
    {'direct_connections': True, 'embedding_features': 5},
    {
      'bidirectional': True,
      'learned_carry': True,
      'layer_norm': True,
      'residual': True,
      'num_layers': 3,
    },
    {'cell': 'gru', 'layer_norm': True, 'bidirectional': True},
    {'cell': 'simple_rnn', 'layer_norm': True, 'learned_carry': True},
  ],
)
def test_all_parameters_are_counted(changes):
  architecture = BASE._replace(**changes)
  toggled = cells.CELLS[architecture.cell].toggled
  every = lv.VARIANTS['fgr'].toggles if toggled else None

  def run(key):
    params = models.init_model(key, architecture, every)
    return params, models.apply_model(params, architecture, every, INPUTS)[1]

  params, outputs = jax.eval_shape(run, jax.random.key(0))
  total = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert models.count_params(architecture, every) == total
  assert outputs.shape == (B, T, OUT)


@pytest.mark.parametrize(
  'changes, words',
  [
    ({'residual': True, 'num_layers': 1}, 'residual.*num_layers'),
    ({'cell': 'irnn', 'layer_norm': True}, 'layer_norm.*irnn'),
    ({'cell': 'gur'}, 'gur.*not one of'),
    ({'num_layers': 0}, 'num_layers=0'),
    ({'cell': 'gru', 'cell_settings': TOGGLES}, 'not those of gru'),
  ],
)
def test_what_a_cell_has_no_place_for_is_refused(changes, words):
  with pytest.raises(ValueError, match=words):
    models.check_architecture(BASE._replace(**changes))
  chosen: Any = {'num_layers': 2, 'cell': 'lstm', **changes}
  with pytest.raises(ValueError, match=words):
    lv.SequenceModel(F, H, OUT, rngs=nnx.Rngs(0), **chosen)


def test_segments_of_both_directions_are_refused():
  architecture, params = build(bidirectional=True)
  with pytest.raises(ValueError, match='segment=3.*bidirectional'):
    models.apply_model(params, architecture, TOGGLES, INPUTS, segment=3)


def test_no_weights_of_the_two_directions_are_alike():
  _, params = build(bidirectional=True, recurrent_init='uniform', num_layers=1)
  rows = [
    np.sort(np.ravel(leaf))
    for part in (params, params['backward'])
    for leaf in jax.tree.leaves(part['layers'])
    if np.any(leaf)
  ]
  values = np.concatenate([np.unique(row) for row in rows])
  repeated = len(values) - len(np.unique(values))
  assert repeated <= 2  # zeros and ones of the biases
