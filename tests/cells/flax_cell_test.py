"""Cells of flax as cells of ours: equal to flax, and to ours where we have it.

flax's GRUCell has no b_n, which the house's `gru` begins with at zero and then
trains: there it is held at zero, the rest of both is trained alike.
"""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.cells import check_cell, gru

F, H, T, B = 2, 4, 5, 3
FLAX = {
  'GRUCell': ('h',),
  'SimpleCell': ('h',),
  'LSTMCell': ('c', 'h'),
  'OptimizedLSTMCell': ('c', 'h'),
}


def assert_close(one, two, atol=1e-6):
  leaves = (jax.tree.leaves(one), jax.tree.leaves(two))
  for a, b in zip(*leaves, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize('name', FLAX)
def test_a_cell_of_flax_does_what_flax_does(name):
  cell_class = getattr(nnx, name)
  cell = lv.cell_from_flax(cell_class)
  check_cell.check_cell(cell)
  assert cell.zones == FLAX[name]
  module = cell_class(F, H, rngs=nnx.Rngs(jax.random.key(5)))
  graph, state = nnx.split(nnx.RNN(module, return_carry=True))

  @jax.jit
  def both(state, inputs):
    params = cell.init_params(jax.random.key(5), F, H)
    in_flax = nnx.merge(graph, state)(inputs)
    return params, in_flax, cell.unroll(params, None, inputs)

  inputs = jax.random.normal(jax.random.key(1), (B, T, F))
  params, in_flax, own = both(state, inputs)
  assert_close(own, in_flax)
  assert_close(params, nnx.to_pure_dict(nnx.state(module, nnx.Param)), atol=0)
  assert cell.count_params(None, F, H) == sum(
    leaf.size for leaf in jax.tree.leaves(params)
  )
  half = jax.eval_shape(
    lambda key: cell.init_params(key, F, H, dtype=jnp.bfloat16),
    jax.random.key(0),
  )
  assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {
    jnp.dtype('bfloat16')
  }


def as_gru(params: Any) -> gru.Params:
  """Return parameters of flax's gates r, z, n as ours of z, r, g."""

  def turn(leaf):
    r, z, n = jnp.split(leaf, 3, axis=-1)
    return jnp.concatenate((z, r, n), axis=-1)

  of_inputs = params['dense_i']
  return gru.Params(
    turn(of_inputs['kernel']),
    turn(params['dense_h']['kernel']),
    turn(of_inputs['bias']),
    jnp.zeros(H),
  )


@pytest.fixture
def flax_gru(monkeypatch):
  """Register flax's GRUCell, and forget it afterwards."""
  monkeypatch.setattr(cells.CELLS, '_entries', dict(cells.CELLS))
  monkeypatch.setattr(cells.CELLS, '_modules', dict(cells.CELLS._modules))
  lv.register_cell('flax_gru', lv.cell_from_flax(nnx.GRUCell))


@pytest.mark.usefixtures('flax_gru')
def test_flaxs_gru_is_gru_over_twenty_updates_of_a_population():
  """Both of two runs at once, from equal weights, with Adam."""
  task = lv.make_task('adding', 'urnn16', T)
  optimizer = optax.adam(0.01)

  def train(name: str, params: Any) -> Any:
    architecture = models.Architecture(name, 1, F, H, 1)

    def update(carry, key):
      params, state = carry
      batch = task.sample(key, 8)

      def loss_of(params: Any) -> jax.Array:
        _, outputs = models.apply_model(
          params, architecture, None, batch.inputs
        )
        return task.loss(outputs, batch)

      gradient: Any
      loss, gradient = jax.value_and_grad(loss_of)(params)
      if name == 'gru':
        layer = gradient['layers'][0]
        held = layer._replace(recurrent_bias=jnp.zeros(H))
        gradient = {**gradient, 'layers': (held,)}
      updates, state = optimizer.update(gradient, state, params)
      return (optax.apply_updates(params, updates), state), loss

    keys = jax.random.split(jax.random.key(2), 20)
    first = params, optimizer.init(params)
    (params, _), losses = jax.lax.scan(update, first, keys)
    return params, losses

  @jax.jit
  @jax.vmap
  def both(key):
    architecture = models.Architecture('flax_gru', 1, F, H, 1)
    params = models.init_model(key, architecture)
    ours = {**params, 'layers': (as_gru(params['layers'][0]),)}
    theirs, their_losses = train('flax_gru', params)
    own, own_losses = train('gru', ours)
    moved = {**theirs, 'layers': (as_gru(theirs['layers'][0]),)}
    return (moved, their_losses), (own, own_losses), params

  theirs, own, before = both(jax.random.split(jax.random.key(0), 2))
  assert_close(theirs, own)
  start = before['layers'][0]['dense_h']['kernel']
  after = own[0]['layers'][0].recurrent_kernel
  assert np.abs(np.sort(start, axis=-1) - np.sort(after, axis=-1)).max() > 1e-2


class Base(nnx.RNNCellBase):
  def __init__(self, in_features, hidden_features, *, rngs):
    self.size = hidden_features
    self.dense = nnx.Linear(in_features + self.size, self.size, rngs=rngs)

  def __call__(self, carry, inputs):
    h = jnp.tanh(self.dense(jnp.concatenate((carry, inputs), axis=-1)))
    return h, self.read(h)

  def read(self, h):
    return h

  def initialize_carry(self, input_shape, rngs=None, carry_init=None):
    return jnp.zeros((*input_shape[:-1], self.size))


class Squared(Base):
  def read(self, h):
    return h * h


class Dropped(Base):
  def __init__(self, *sizes, rngs):
    super().__init__(*sizes, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)

  def read(self, h):
    return self.dropout(h)


class Normalised(Base):
  def __init__(self, *sizes, rngs):
    super().__init__(*sizes, rngs=rngs)
    self.norm = nnx.BatchNorm(self.size, rngs=rngs)


class Unsized(Base):
  def __call__(self, carry, inputs):
    return carry, self.dense(jnp.concatenate((carry,) * 8 + (inputs,), -1))

  def initialize_carry(self, input_shape, rngs=None, carry_init=None):
    return jnp.zeros((*input_shape[:-1], self.size // 8))


class Learned(Base):
  def __init__(self, *sizes, rngs):
    super().__init__(*sizes, rngs=rngs)
    self.start: Any = nnx.Param(jnp.zeros(self.size))

  def initialize_carry(self, input_shape, rngs=None, carry_init=None):
    return self.start + jnp.zeros((*input_shape[:-1], self.size))


class Unstarted(Base):
  def initialize_carry(self, input_shape, rngs=None, carry_init=None):
    raise KeyError('no start')


class Unstepped(Base):
  def read(self, h):
    raise KeyError('no output')


class Broken(Base):
  def __init__(self, *sizes, rngs):
    raise KeyError('no such option')


def test_a_users_own_cell_whose_output_is_not_its_state():
  cell = lv.cell_from_flax(Squared)
  check_cell.check_cell(cell)
  assert cell.zones == ()
  params = cell.init_params(jax.random.key(0), F, H)
  inputs = jax.random.normal(jax.random.key(1), (B, T, F))
  h, hiddens = jax.jit(lambda x: cell.unroll(params, None, x))(inputs)
  np.testing.assert_allclose(hiddens[:, -1], h**2, atol=1e-7)


def test_a_stream_that_nothing_draws_from_is_no_parameter():
  with pytest.warns(UserWarning, match='keep_rngs'):
    kept = lv.cell_from_flax(nnx.GRUCell, keep_rngs=True)
    assert kept.count_params(None, F, H) == 3 * H * (F + H + 1)
    check_cell.check_cell(kept)


@pytest.mark.parametrize(
  'cell_class, options, message',
  [
    (Dropped, {}, 'Dropped draws random numbers.*recurrent_dropout'),
    (Normalised, {}, 'holds a BatchStat .norm.mean.*nnx.Param'),
    (Unsized, {}, r'no array of its carry is \[..., hidden_features\]'),
    (
      Learned,
      {},
      'Learned: its initialize_carry reads a parameter, and a carry is made '
      'without them; nearest: a start of zeros, and model.learned_carry',
    ),
    (Unstarted, {}, "Unstarted: initialize_carry fails: KeyError: 'no start'"),
    (Unstepped, {}, "Unstepped: a step fails: KeyError: 'no output'"),
    (Broken, {}, 'fails: KeyError'),
    (nnx.GRUCell, {'size': 3}, 'fails: TypeError'),
    (nnx.GRUCell, {'param_dtype': jnp.float32}, 'param_dtype is that of'),
    (nnx.Linear, {}, 'no subclass of nnx.RNNCellBase'),
  ],
)
def test_what_cannot_be_a_cell_is_refused_in_one_line(
  cell_class, options, message
):
  with pytest.raises(ValueError, match=message) as refusal:
    lv.cell_from_flax(cell_class, **options)
  assert '\n' not in str(refusal.value)
