"""The flax cell as a drop-in for nnx.RNN, and the stack with a readout."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_variants as lv
from lstm_variants import cells, models

FEATURES, HIDDEN, TIME, BATCH = 2, 4, 6, 3


def make_cell(name: str = 'fgr', **kwargs) -> lv.LSTMCell:
  return lv.LSTMCell(
    FEATURES,
    HIDDEN,
    toggles=name,
    recurrent_init='uniform',
    rngs=nnx.Rngs(0),
    **kwargs,
  )


def run(rnn: Any, *arguments: Any, **kwargs: Any) -> Any:
  """Call a module of flax, as one program."""
  graph, state = nnx.split(rnn)

  def call(state, *arrays):
    return nnx.merge(graph, state)(*arrays, **kwargs)

  return jax.jit(call)(state, *arguments)


def unroll(cell: lv.LSTMCell, inputs: jax.Array) -> Any:
  """Unroll a cell without flax, as one program."""
  return jax.jit(lambda x: lv.unroll(cell.params, cell.toggles, x))(inputs)


def draw_inputs(seed: int = 1) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), (BATCH, TIME, FEATURES))


def assert_close(one, two, atol=1e-6):
  leaves = (jax.tree.leaves(one), jax.tree.leaves(two))
  for a, b in zip(*leaves, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize('name', lv.VARIANTS)
def test_every_variant_in_nnx_rnn_equals_unroll(name):
  cell = make_cell(name)
  graph, state = nnx.split(nnx.RNN(cell, return_carry=True))

  @jax.jit
  def both(state, inputs):
    in_flax = nnx.merge(graph, state)(inputs)
    return in_flax, lv.unroll(cell.params, cell.toggles, inputs)

  in_flax, own = both(state, draw_inputs())
  assert cell.toggles == lv.VARIANTS[name].toggles
  assert_close(in_flax, own)
  assert isinstance(in_flax[0], lv.Carry)


@pytest.mark.parametrize('name', cells.CELLS)
def test_every_cell_in_nnx_rnn_equals_unroll(name):
  cell = lv.RNNCell(name, FEATURES, HIDDEN, rngs=nnx.Rngs(0))
  graph, state = nnx.split(nnx.RNN(cell, return_carry=True))

  @jax.jit
  def both(state, inputs):
    rnn: Any = nnx.merge(graph, state)
    own = cells.CELLS[name].unroll(rnn.cell.params, cell.settings, inputs)
    return rnn(inputs), own

  in_flax, own = both(state, draw_inputs())
  assert_close(in_flax, own)
  assert type(in_flax[0]) is type(own[0])
  drawn = cells.CELLS[name].init_params(
    nnx.Rngs(0).params(), FEATURES, HIDDEN, cell.settings
  )
  assert_close(cell.params, drawn, atol=1e-7)


def test_a_flax_cell_has_the_settings_of_its_cell():
  options: Any = {'rngs': nnx.Rngs(0)}
  settings = cells.CELLS['lstmp'].settings._replace(memory_ratio=2)
  cell = lv.RNNCell('lstmp', FEATURES, HIDDEN, settings=settings, **options)
  assert cell.params.projection.shape == (2 * HIDDEN, HIDDEN)
  leaky = cells.CELLS['echo_state'].settings._replace(leak=0.25)
  reservoir = lv.RNNCell('echo_state', 2, 3, settings=leaky, **options)
  before, x = reservoir.initialize_carry((1, 2)), jnp.ones((1, 2))
  own = cells.CELLS['echo_state'].step(reservoir.params, leaky, before, x)
  assert_close(reservoir(before, x), own)
  assert lv.RNNCell('lstm', 2, 3, settings='coupled', **options).settings == (
    lv.VARIANTS['coupled'].toggles
  )
  biased = lv.RNNCell('gru', 2, 3, forget_bias=2.5, **options)
  np.testing.assert_array_equal(biased.params.bias[:3], 2.5)
  narrow = lv.RNNCell('gru', 2, 3, dtype=jnp.bfloat16, **options)
  carry, hidden = narrow(narrow.initialize_carry((1, 2)), jnp.ones((1, 2)))
  assert hidden.dtype == carry.h.dtype == jnp.bfloat16
  assert narrow.params.bias.dtype == jnp.float32
  for wrong, message in (
    ({'name': 'gur'}, 'gur.*not one of'),
    ({'name': 'gru', 'settings': settings}, 'not those of gru'),
    ({'name': 'lstm', 'settings': 'vanila'}, 'vanila'),
  ):
    with pytest.raises(ValueError, match=message):
      lv.RNNCell(in_features=2, hidden_features=3, **wrong, **options)  # pyrefly: ignore[bad-argument-type]


def test_toggles_and_their_name_make_the_same_cell():
  toggles = lv.VARIANTS['peephole'].toggles
  named, spelt = make_cell('peephole'), make_cell(toggles)  # pyrefly: ignore[bad-argument-type]
  assert named.toggles == spelt.toggles == toggles
  assert_close(named.params, spelt.params, atol=0)


def test_the_cells_settings_reach_the_initialiser():
  cell = make_cell('coupled', forget_bias=2.0)
  # A coupled forget gate has no weights: i, g, o.
  expected = [-2.0] * HIDDEN + [0.0] * 2 * HIDDEN
  np.testing.assert_array_equal(cell.params.bias, expected)
  chrono = np.asarray(make_cell('vanilla', chrono_t_max=50.0).params.bias)
  np.testing.assert_array_equal(chrono[:HIDDEN], -chrono[HIDDEN : 2 * HIDDEN])
  assert chrono[:HIDDEN].any()
  assert np.abs(make_cell().params.recurrent_kernel).max() <= HIDDEN**-0.5
  default = lv.LSTMCell(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
  assert default.toggles == lv.Toggles()
  block = np.asarray(default.params.recurrent_kernel)[:, :HIDDEN]
  np.testing.assert_allclose(block.T @ block, np.eye(HIDDEN), atol=1e-5)


@pytest.mark.parametrize('name', ['vanilla', 'fgr'])
def test_nnx_rnn_stops_each_carry_at_its_own_length(name):
  cell, inputs = make_cell(name), draw_inputs()
  lengths = jnp.array([2, 6, 4])
  carry, hiddens = run(
    nnx.RNN(cell), inputs, seq_lengths=lengths, return_carry=True
  )
  for n, length in enumerate([2, 6, 4]):
    alone = inputs[n : n + 1, :length]
    last, expected = unroll(cell, alone)
    assert_close(hiddens[n : n + 1, :length], expected)
    assert_close(jax.tree.map(lambda v, n=n: v[n : n + 1], carry), last)


@pytest.mark.parametrize('name', ['vanilla', 'fgr'])
def test_nnx_rnn_runs_time_major_and_in_reverse(name):
  cell, inputs = make_cell(name), draw_inputs()
  _, forward = unroll(cell, inputs)
  major = run(nnx.RNN(cell, time_major=True), jnp.swapaxes(inputs, 0, 1))
  assert_close(jnp.swapaxes(major, 0, 1), forward)
  _, backward = unroll(cell, inputs[:, ::-1])
  assert_close(run(nnx.RNN(cell, reverse=True), inputs), backward)
  kept = run(nnx.RNN(cell, reverse=True, keep_order=True), inputs)
  assert_close(kept, backward[:, ::-1])


def test_nnx_rnn_continues_from_a_carry():
  cell, inputs = make_cell(), draw_inputs()
  rnn = nnx.RNN(cell, return_carry=True)
  whole_carry, whole = run(rnn, inputs)
  carry, first = run(rnn, inputs[:, :2])
  last, second = run(rnn, inputs[:, 2:], initial_carry=carry)
  assert_close(jnp.concatenate((first, second), axis=1), whole)
  assert_close(last, whole_carry)


def test_nnx_bidirectional_joins_both_directions():
  one, two = make_cell('peephole'), make_cell('coupled')
  inputs = draw_inputs()
  outputs = run(nnx.Bidirectional(nnx.RNN(one), nnx.RNN(two)), inputs)
  _, forward = unroll(one, inputs)
  _, backward = unroll(two, inputs[:, ::-1])
  expected = jnp.concatenate((forward, backward[:, ::-1]), axis=-1)
  assert_close(outputs, expected)


def test_initialize_carry_is_zero_unless_carry_init_says_otherwise():
  cell = make_cell('fgr')
  carry = cell.initialize_carry((BATCH, FEATURES))
  assert carry.c.shape == carry.h.shape == (BATCH, HIDDEN)
  assert carry.gates is not None
  assert carry.gates.shape == (BATCH, 3 * HIDDEN)
  assert not any(leaf.any() for leaf in carry)
  assert len(make_cell('vanilla').initialize_carry((BATCH, FEATURES))) == 2
  init = nnx.initializers.normal(1.0)
  for rngs in (nnx.Rngs(carry=3), nnx.Rngs(3).carry):
    c, h, gates = cell.initialize_carry((BATCH, FEATURES), rngs, init)
    assert c.shape == h.shape == (BATCH, HIDDEN)
    assert np.all(c != 0) and np.all(h != 0) and np.all(c != h)
    assert not gates.any()
  with pytest.raises(ValueError, match='rngs'):
    cell.initialize_carry((BATCH, FEATURES), None, init)


def test_the_cell_computes_in_its_dtype_on_float32_parameters():
  cell = make_cell('fgr', dtype=jnp.bfloat16)
  inputs = draw_inputs()
  carry, hiddens = run(nnx.RNN(cell, return_carry=True), inputs)
  assert {leaf.dtype for leaf in (*carry, hiddens)} == {jnp.dtype('bfloat16')}
  assert {leaf.dtype for leaf in jax.tree.leaves(cell.params)} == {
    jnp.dtype('float32')
  }
  _, expected = unroll(cell, inputs)
  assert_close(hiddens.astype(jnp.float32), expected, atol=0.03)
  narrow = make_cell(param_dtype=jnp.bfloat16)
  assert {leaf.dtype for leaf in jax.tree.leaves(narrow.params)} == {
    jnp.dtype('bfloat16')
  }


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'toggles': 'vanila'}, 'vanila'),
    ({'toggles': lv.Toggles(coupled=True, peephole_f=True)}, 'peephole_f'),
    (
      {'toggles': lv.Toggles(peephole_i=jnp.array(True))},
      r'nearest: bool\(peephole_i\)$',
    ),
    ({'cell': 'gur'}, 'gur'),
    ({'num_layers': 0}, 'num_layers'),
    ({'recurrent_init': 'zeros'}, 'recurrent_init'),
  ],
)
def test_unknown_names_and_contradictions_are_refused(kwargs, message):
  with pytest.raises(ValueError, match=message):
    lv.SequenceModel(2, 3, 1, **kwargs, rngs=nnx.Rngs(0))
  if not {'cell', 'num_layers'} & set(kwargs):
    with pytest.raises(ValueError, match=message):
      lv.LSTMCell(2, 3, **kwargs, rngs=nnx.Rngs(0))


def make_model(**kwargs) -> lv.SequenceModel:
  return lv.SequenceModel(
    FEATURES, HIDDEN, 5, recurrent_init='uniform', rngs=nnx.Rngs(0), **kwargs
  )


@pytest.mark.parametrize('num_layers', [1, 3])
@pytest.mark.parametrize('cell', ['lstm', 'simple_rnn'])
def test_a_model_is_its_layers_in_turn_and_a_linear_readout(cell, num_layers):
  name = 'fgr' if cell == 'lstm' else None
  model = make_model(cell=cell, num_layers=num_layers, toggles=name)
  layer_of: Any = jax.jit(cells.CELLS[cell].unroll, static_argnums=1)
  toggles = lv.VARIANTS[name].toggles if name else None
  inputs = draw_inputs()
  hiddens, last = inputs, []
  assert len(model.params['layers']) == num_layers
  for layer in model.params['layers']:
    carry, hiddens = layer_of(layer, toggles, hiddens)
    last.append(carry)
  readout = model.params['readout']
  outputs = run(model, inputs)
  assert outputs.shape == (BATCH, TIME, 5)
  kernel, bias = (np.asarray(readout[name]) for name in ('kernel', 'bias'))
  for t in range(TIME):
    by_hand = np.asarray(hiddens)[:, t] @ kernel + bias
    assert_close(np.asarray(outputs)[:, t], by_hand, atol=1e-5)
  carries, _ = jax.jit(
    lambda x: models.apply_model(model.params, model.architecture, toggles, x)
  )(inputs)
  assert_close(carries, tuple(last))


def test_a_stack_continues_from_its_carries():
  model = make_model(num_layers=2, toggles='fgr')

  @jax.jit
  def apply(inputs, carries=None):
    return models.apply_model(
      model.params, model.architecture, model.toggles, inputs, carries
    )

  inputs = draw_inputs()
  last, whole = apply(inputs)
  carries, first = apply(inputs[:, :4])
  end, second = apply(inputs[:, 4:], carries)
  assert_close(jnp.concatenate((first, second), axis=1), whole)
  assert_close(end, last)


def test_layers_start_from_different_weights_and_the_readout_from_zero_bias():
  params = make_model(num_layers=3).params
  one, two = (layer.recurrent_kernel for layer in params['layers'][1:])
  assert np.all(one != two)
  assert not params['readout']['bias'].any()
  kernel = models.init_model(
    jax.random.key(0), models.Architecture('simple_rnn', 1, 2, 64, 64)
  )['readout']['kernel']
  assert np.var(kernel) == pytest.approx(1 / 64, rel=0.1)


@pytest.mark.parametrize('num_layers', [1, 2])
def test_parameters_in_use_are_all_of_them_with_gate_recurrence(num_layers):
  model = make_model(num_layers=num_layers, toggles='fgr')
  count = models.count_params(model.architecture, model.toggles)
  assert count == sum(leaf.size for leaf in jax.tree.leaves(model.params))


@pytest.mark.parametrize('name', ['vanilla', 'nog', 'janet'])
def test_parameters_in_use_are_those_with_a_gradient(name):
  model = make_model(num_layers=2, toggles=name)

  def loss(params):
    _, outputs = models.apply_model(
      params, model.architecture, model.toggles, draw_inputs()
    )
    return jnp.sum(jnp.sin(outputs))

  gradient = jax.jit(jax.grad(loss))(model.params)
  used = sum(np.count_nonzero(leaf) for leaf in jax.tree.leaves(gradient))
  assert used == models.count_params(model.architecture, model.toggles)


def test_split_and_merge_give_the_same_model():
  model, inputs = make_model(num_layers=2, toggles='fgr'), draw_inputs()
  graph, state = nnx.split(model)
  assert_close(run(nnx.merge(graph, state), inputs), run(model, inputs), atol=0)
  doubled = nnx.merge(graph, jax.tree.map(lambda leaf: 2 * leaf, state))
  assert_close(doubled.params, jax.tree.map(lambda v: 2 * v, model.params))
  assert all(isinstance(v, jax.Array) for v in jax.tree.leaves(model.params))


@pytest.mark.parametrize('kind', ['model', 'cell in nnx.RNN'])
def test_a_plain_nnx_loop_learns_to_add(kind):
  class Stack(nnx.Module):
    def __init__(self, rngs):
      self.rnn = nnx.RNN(lv.LSTMCell(2, 16, toggles='coupled', rngs=rngs))
      self.head = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, inputs):
      outputs: Any = self.rnn(inputs)
      return self.head(outputs)

  task = lv.make_task('adding', 'urnn16', 4)
  rngs = nnx.Rngs(0)
  model = lv.SequenceModel(2, 16, 1, rngs=rngs)
  if kind != 'model':
    model = Stack(rngs)
  optimizer = nnx.Optimizer(model, optax.adam(0.02), wrt=nnx.Param)

  @nnx.jit
  def train_step(model, optimizer, key):
    batch = task.sample(key, 64)

    def loss_of(model):
      return task.loss(model(batch.inputs), batch)

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss

  losses = [
    float(train_step(model, optimizer, key))
    for key in jax.random.split(jax.random.key(0), 150)
  ]
  chance = task.baselines['loss']
  assert np.mean(losses[-20:]) < 0.2 * chance


def test_toggles_of_a_cell_that_has_none_are_refused():
  with pytest.raises(ValueError, match='simple_rnn.* has no toggles'):
    lv.SequenceModel(
      2, 3, 1, cell='simple_rnn', toggles='peephole', rngs=nnx.Rngs(0)
    )
