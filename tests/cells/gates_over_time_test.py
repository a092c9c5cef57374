"""The gates that cells show: from them follows the carry of the step."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants import cells
from lstm_variants.cells import lstm, toggles, variants

H, F = 6, 3
# Most of the time of these tests is compiling.
FAST = {'xla_backend_optimization_level': 0}
GATED = [name for name, cell in cells.CELLS.items() if cell.gates is not None]


@functools.cache
def run(name: str, settings: Any = None, steps: int = 3):
  """Return the carries before and after a step, its gates, and h."""
  cell: Any = cells.CELLS[name]
  settings = choose(name, settings)

  def of_step(carry, x):
    new, h = cell.step(params, settings, carry, x)
    return new, h, cell.gates(params, settings, carry, x)

  params = make_params(name, settings)
  inputs = jax.random.normal(jax.random.key(1), (steps, 2, F))
  carry = cell.init_carry(settings, (2,), H, jnp.float32)
  step = jax.jit(of_step, compiler_options=FAST)
  for x in inputs[:-1]:
    carry, *_ = step(carry, x)
  new, h, shown = step(carry, inputs[-1])
  return jax.tree.map(np.asarray, (carry, new, shown, h))


@functools.cache
def make_params(name: str, settings: Any) -> Any:
  init = functools.partial(
    cells.CELLS[name].init_params,
    in_features=F,
    hidden_features=H,
    settings=settings,
    recurrent_init='uniform',
  )
  return jax.jit(init, compiler_options=FAST)(jax.random.key(0))


def choose(name: str, settings: Any = None) -> Any:
  cell = cells.CELLS[name]
  if settings is None:
    return lstm.Toggles() if cell.toggled else cell.settings
  return settings


def close(one, two):
  np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_the_cells_with_gates_are_known():
  assert GATED == [
    'lstm',
    'diagonal_lstm',
    'lstm_1997',
    'lstmp',
    'mult_lstm',
    'depth_gated',
    'slstm',
    'gru',
    'gru_reset_before',
    'mgu',
    'mingru',
    'minlstm',
  ]


@pytest.mark.parametrize('name', GATED)
def test_gates_are_shares_and_leading_axes_are_free(name):
  carry, _, shown, _ = run(name)
  for gate in (*shown.values.values(), shown.keep):
    assert gate.shape == shown.candidate.shape
    assert np.all((gate >= 0) & (gate <= 1))
  # Of many steps at once.
  x = np.ones((5, 2, F), np.float32)
  before = jax.tree.map(lambda leaf: np.stack([leaf] * 5), carry)
  cell: Any = cells.CELLS[name]
  settings = choose(name)
  many = jax.eval_shape(
    lambda *step: cell.gates(make_params(name, settings), settings, *step),
    *(before, x),
  )
  assert jax.tree.map(lambda leaf: leaf.shape[1:], many) == jax.tree.map(
    lambda leaf: leaf.shape, shown
  )


@pytest.mark.parametrize(
  ('name', 'variant'),
  [
    *(('lstm', variant) for variant in variants.VARIANTS),
    ('diagonal_lstm', 'vanilla'),
    ('diagonal_lstm', 'fgr'),
  ],
)
def test_of_every_variant_of_the_lstm(name, variant):
  settings = variants.VARIANTS[variant].toggles
  carry, new, shown, h = run(name, settings)
  i, f, o = (shown.values[gate] for gate in 'ifo')
  close(new.c, f * carry.c + i * shown.candidate)
  np.testing.assert_array_equal(shown.state, new.c)
  np.testing.assert_array_equal(shown.keep, f)
  close(h, o * (np.tanh(new.c) if settings.output_activation else new.c))
  for gate, on in zip((i, f, o), settings[:3], strict=True):
    assert np.all(gate == 1) != on
  if settings.coupled and not settings.coupling_shift:
    close(i, 1 - f)
  if settings.gate_recurrence:
    np.testing.assert_array_equal(new.gates, jnp.concatenate((i, f, o), -1))


def test_of_an_lstm_with_traced_toggles():
  params = make_params('lstm', lstm.Toggles(True, True, True, True, True, True))
  c, h, x = np.random.default_rng(0).normal(size=(3, 2, H)).astype('float32')

  @jax.jit
  def show(on):
    settings = toggles.Toggles(peephole_f=on, output_gate=on)
    return lstm.gates(params, settings, lstm.Carry(c, h), x[:, :F]).values

  on, off = show(True), show(False)
  np.testing.assert_array_equal(off['o'], 1)
  assert np.all(on['o'] < 1)
  logit = np.log(on['f'] / (1 - on['f'])) - np.log(off['f'] / (1 - off['f']))
  np.testing.assert_allclose(logit, params.peephole[1] * c, atol=1e-5)


@pytest.mark.parametrize('name', ['lstmp', 'mult_lstm'])
def test_of_lstms_with_other_products(name):
  carry, new, shown, h = run(name)
  i, f, o = (shown.values[gate] for gate in 'ifo')
  close(new.c, shown.keep * carry.c + i * shown.candidate)
  np.testing.assert_array_equal(shown.keep, f)
  np.testing.assert_array_equal(shown.state, new.c)
  if name == 'mult_lstm':
    close(h, o * np.tanh(new.c))
  else:
    assert o.shape == (2, 4 * H)


def test_of_the_lstm_of_1997_blocks_share_their_gates():
  settings = cells.CELLS['lstm_1997'].settings._replace(block_size=2)
  carry, new, shown, h = run('lstm_1997', settings)
  opened, out = shown.values['in'], shown.values['out']
  close(new.c, carry.c + opened * shown.candidate)
  close(h, out * np.tanh(new.c / 2))
  np.testing.assert_array_equal(shown.keep, 1)
  np.testing.assert_array_equal(opened[:, ::2], opened[:, 1::2])
  np.testing.assert_array_equal(
    new.gates, np.concatenate((opened, out), -1)[:, ::2]
  )


def test_of_layers_within_a_cell():
  carry, new, shown, h = run('depth_gated')
  i, f, o, d = (shown.values[gate] for gate in 'ifod')
  c = new.c.reshape(2, 2 * H)
  close(shown.state, c)
  below = np.concatenate((np.zeros((2, H)), c[:, :H]), -1)
  close(c, f * carry.c.reshape(2, -1) + i * shown.candidate + d * below)
  close(h, (o * np.tanh(c))[:, H:])
  close(new.h_below[:, 0], (o * np.tanh(c))[:, :H])
  np.testing.assert_array_equal(d[:, :H], 1)
  assert np.all(d[:, H:] < 1)


@pytest.mark.parametrize('exponential', [False, True])
@pytest.mark.parametrize('steps', [1, 4])
def test_of_the_slstm_as_shares_of_its_normalised_state(exponential, steps):
  settings = cells.CELLS['slstm'].settings._replace(
    exponential_forget=exponential
  )
  carry, new, shown, h = run('slstm', settings, steps)
  i, f, o = (shown.values[gate] for gate in 'ifo')
  before = np.where(
    carry.n == 0, 0, carry.c / np.where(carry.n == 0, 1, carry.n)
  )
  close(i + f, 1)
  close(new.c / new.n, f * before + i * shown.candidate)
  close(shown.state, new.c / new.n)
  close(h, o * shown.state)


@pytest.mark.parametrize('name', ['gru', 'gru_reset_before', 'mgu'])
def test_of_cells_whose_state_is_h(name):
  carry, new, shown, _ = run(name)
  assert shown.state is None
  close(new.h, shown.keep * carry.h + (1 - shown.keep) * shown.candidate)
  gate = shown.values['f' if name == 'mgu' else 'z']
  close(shown.keep, 1 - gate if name == 'mgu' else gate)


def test_the_reset_gate_of_the_gru_makes_its_candidate():
  for name in ('gru', 'gru_reset_before', 'mgu'):
    cell: Any = cells.CELLS[name]
    params = make_params(name, None)
    h, x = jax.random.normal(jax.random.key(1), (2, 2, H)), np.ones((2, F))
    carry = cell.init_carry(None, (2,), H, jnp.float32)._replace(h=h[0])
    shown = cell.gates(params, None, carry, x)
    w, r, b = (
      params.kernel[:, -H:],
      params.recurrent_kernel[:, -H:],
      params.bias,
    )
    reset = shown.values['f' if name == 'mgu' else 'r']
    recurrent = (
      reset * (h[0] @ r + params.recurrent_bias)
      if name == 'gru'
      else (reset * h[0]) @ r
    )
    close(shown.candidate, np.tanh(x @ w + b[-H:] + recurrent))


@pytest.mark.parametrize('name', ['mingru', 'minlstm'])
def test_of_cells_whose_gates_see_only_inputs(name):
  carry, new, shown, _ = run(name)
  opened = shown.values['z' if name == 'mingru' else 'i']
  close(shown.keep, 1 - opened)
  close(new.h, shown.keep * carry.h + opened * shown.candidate)
