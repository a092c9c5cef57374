"""Layer normalisation, zoneout and recurrent dropout, from their papers."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.cells import lstm, remedies

F, H, T, B = 2, 3, 5, 2
OFF = remedies.Noise(None, 0.0, 0.0, 0.0)


def draw(name: str, toggles: Any = None, seed: int = 0) -> Any:
  """Draw a layer with gains, in NumPy, and inputs."""
  rng = np.random.default_rng(seed)
  cell = cells.CELLS[name]
  # Traced, toggles leave out no weights.
  drawn = None if toggles is None else jax.tree.map(jnp.asarray, toggles)
  shapes = jax.eval_shape(
    lambda key: (
      cell.init_params(key, F, H, settings=drawn),
      remedies.init_gains(cell.gains, H, jnp.dtype('float32')),
    ),
    jax.random.key(0),
  )
  params, gains = jax.tree.map(
    lambda leaf: rng.normal(0.2, 0.7, leaf.shape), shapes
  )
  return cell, params, gains, rng.normal(size=(T, B, F))


def run(cell, params, toggles, inputs, gains=None, noise=None, carry=None):
  if carry is None:
    dtype = jnp.asarray(inputs).dtype
    carry = cell.init_carry(toggles, inputs.shape[1:2], H, dtype)
  return remedies.unroll(
    cell,
    params,
    toggles,
    jnp.asarray(inputs),
    carry,
    jnp.arange(len(inputs)),
    None,
    gains,
    noise,
  )


def norm(z, gain, bias=0.0):
  """LN of Ba et al., eq. 3: mean and deviation over the units of a layer."""
  mean = sum(z) / len(z)
  deviation = np.sqrt(sum((z - mean) ** 2) / len(z) + 1e-5)
  return gain * (z - mean) / deviation + bias


def sigmoid(z):
  return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize('variant', ['vanilla', 'peephole', 'nog', 'fgr'])
def test_a_normalised_lstm_is_that_of_ba_et_al(variant):
  toggles = lv.VARIANTS[variant].toggles
  with jax.enable_x64(True):
    cell, params, gains, inputs = draw('lstm', toggles)
    last, hiddens = run(cell, params, toggles, inputs, gains)
  for n in range(B):
    h, c, gates = np.zeros(H), np.zeros(H), np.zeros(3 * H)
    for t in range(T):
      of_h = h @ params.recurrent_kernel
      if toggles.gate_recurrence:
        to_i, to_f, to_o = np.split(gates @ params.gate_kernel, 3)
        of_h = of_h + np.concatenate((to_i, to_f, np.zeros(H), to_o))
      z = norm(inputs[t, n] @ params.kernel, gains.inputs)
      z_i, z_f, z_g, z_o = np.split(
        z + norm(of_h, gains.recurrent) + params.bias, 4
      )
      p = params.peephole * np.array([toggles[3:6]]).T
      i, f = sigmoid(z_i + p[0] * c), sigmoid(z_f + p[1] * c)
      c = f * c + i * np.tanh(z_g)
      o = sigmoid(z_o + p[2] * c) if toggles.output_gate else np.ones(H)
      h = o * np.tanh(norm(c, gains.state, gains.state_bias))
      gates = np.concatenate((i, f, o))
      np.testing.assert_allclose(hiddens[t, n], h, rtol=0, atol=1e-12)
    np.testing.assert_allclose(last.c[n], c, rtol=0, atol=1e-12)


def test_a_normalised_gru_and_simple_rnn_are_those_of_ba_et_al():
  with jax.enable_x64(True):
    cell, params, gains, inputs = draw('gru')
    _, hiddens = run(cell, params, None, inputs, gains)
    simple, weights, alpha, _ = draw('simple_rnn', seed=1)
    _, others = run(simple, weights, None, inputs, alpha)
  for n in range(B):
    h, other = np.zeros(H), np.zeros(H)
    for t in range(T):
      x = inputs[t, n]
      of_x, of_h = x @ params.kernel, h @ params.recurrent_kernel
      b_z, b_r, b_g = np.split(params.bias, 3)
      gates = norm(of_x[: 2 * H], gains.inputs[: 2 * H])
      gates = gates + norm(of_h[: 2 * H], gains.recurrent[: 2 * H])
      z, r = sigmoid(gates[:H] + b_z), sigmoid(gates[H:] + b_r)
      candidate = norm(of_h[2 * H :], gains.recurrent[2 * H :])
      g = norm(of_x[2 * H :], gains.inputs[2 * H :]) + b_g
      g = np.tanh(g + r * (candidate + params.recurrent_bias))
      h = z * h + (1 - z) * g
      np.testing.assert_allclose(hiddens[t, n], h, rtol=0, atol=1e-12)
      a = x @ weights.kernel + other @ weights.recurrent_kernel
      other = np.tanh(norm(a, alpha.inputs) + weights.bias)
      np.testing.assert_allclose(others[t, n], other, rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', ['lstm', 'gru', 'simple_rnn'])
def test_without_remedies_it_is_the_cell(name):
  toggles = lstm.Toggles(peephole_i=True) if name == 'lstm' else None
  with jax.enable_x64(True):
    cell, params, _, inputs = draw(name, toggles)
    noises = (None, OFF, OFF._replace(key=jax.random.key(0)))
    expected, *runs = jax.jit(
      lambda params: [
        cell.unroll(params, toggles, inputs, time_major=True),
        *(run(cell, params, toggles, inputs, noise=n) for n in noises),
      ]
    )(params)
  for one in runs:
    for a, b in zip(*map(jax.tree.leaves, (one, expected)), strict=True):
      np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def one_step(cell, params, toggles, noise, carry, x):
  """Advance by one step, and by one of the cell itself."""

  @jax.jit
  def both(params, carry, x):
    after, _ = run(cell, params, toggles, x[None], None, noise, carry)
    return after, cell.step(params, toggles, carry, x)[0]

  return jax.tree.map(np.asarray, both(params, carry, x))


def test_at_test_time_a_state_is_the_mean_of_what_zoneout_draws():
  noise = remedies.Noise(None, 0.5, 0.25, 0.4)
  with jax.enable_x64(True):
    cell, params, _, inputs = draw('lstm', lstm.Toggles())
    carry = lstm.Carry(*np.random.default_rng(1).normal(size=(2, B, H)))
    found, plain = one_step(
      cell, params, lstm.Toggles(), noise, carry, inputs[0]
    )
  # h comes from the c that the cell computes, not from the mean.
  np.testing.assert_allclose(found.c, 0.5 * carry.c + 0.5 * plain.c)
  np.testing.assert_allclose(found.h, 0.25 * carry.h + 0.75 * plain.h)


def test_in_training_a_share_of_the_units_stays_as_it_was():
  noise = remedies.Noise(jax.random.key(3), 0.5, 0.25, 0.0)
  cell, params, _, inputs = draw('lstm', lstm.Toggles())
  wide = jnp.tile(jnp.asarray(inputs[0], jnp.float32), (2000, 1))
  params = jax.tree.map(jnp.float32, params)
  carry = lstm.Carry(*jax.random.normal(jax.random.key(0), (2, len(wide), H)))
  found, plain = one_step(cell, params, lstm.Toggles(), noise, carry, wide)
  kept = {}
  for name, share in (('c', 0.5), ('h', 0.25)):
    old, new, got = (
      np.asarray(getattr(s, name)) for s in (carry, plain, found)
    )
    kept[name] = got == old
    np.testing.assert_allclose(got, np.where(kept[name], old, new), atol=1e-6)
    np.testing.assert_allclose(kept[name].mean(axis=0), share, atol=0.04)
  # c and h are drawn apart.
  both = np.mean(kept['c'] & kept['h'])
  assert both == pytest.approx(0.125, abs=0.02)


def test_recurrent_dropout_drops_candidates_and_nothing_of_the_state():
  noise = remedies.Noise(jax.random.key(3), 0.0, 0.0, 0.4)
  cell, params, _, inputs = draw('lstm', lstm.Toggles())
  wide = jnp.tile(jnp.asarray(inputs[0], jnp.float32), (2000, 1))
  params = jax.tree.map(jnp.float32, params)
  carry = lstm.Carry(*jax.random.normal(jax.random.key(0), (2, len(wide), H)))
  found, plain = one_step(cell, params, lstm.Toggles(), noise, carry, wide)
  z = lstm.project(params, lstm.Toggles(), carry, wide)
  f = jax.nn.sigmoid(z[:, H : 2 * H])
  ratio = np.asarray((found.c - f * carry.c) / (plain.c - f * carry.c))
  dropped = np.abs(ratio) < 0.5
  np.testing.assert_allclose(ratio[dropped], 0, atol=1e-3)
  np.testing.assert_allclose(ratio[~dropped], 1 / 0.6, atol=1e-2)
  assert dropped.mean() == pytest.approx(0.4, abs=0.02)


def test_each_step_and_layer_draws_anew_and_segments_draw_alike():
  architecture = models.Architecture('lstm', 2, F, 4, 1, 'uniform')
  toggles = lstm.Toggles()
  params = models.init_model(jax.random.key(0), architecture, toggles)
  inputs = jnp.ones((B, 6, F))
  noise = remedies.Noise(jax.random.key(1), 0.3, 0.3, 0.3)

  @functools.partial(jax.jit, static_argnums=1)
  def outputs(key, segment=None):
    return models.apply_model(
      *(params, architecture, toggles, inputs),
      noise=noise._replace(key=key),
      segment=segment,
    )[1]

  key, other = jax.random.split(jax.random.key(1))
  np.testing.assert_allclose(outputs(key, 4), outputs(key), atol=1e-6)
  assert np.abs(outputs(other) - outputs(key)).max() > 1e-3
  # One unit's fate is not that of the step before, nor of the other sequence.
  held = run(
    cells.CELLS['simple_rnn'],
    jax.tree.map(np.ones_like, draw('simple_rnn')[1]),
    None,
    np.cumsum(np.ones((200, B, F), np.float32), axis=0) / 100,
    noise=remedies.Noise(jax.random.key(1), 0.0, 0.5, 0.0),
  )[1]
  stays = np.asarray(held[1:] == held[:-1]).reshape(199, -1)
  rows = np.asarray(np.corrcoef(stays[40:].T + 0.0))
  assert np.abs(rows - np.eye(B * H)).max() < 0.35


def test_steps_left_out_stay_as_they_are():
  cell, params, gains, inputs = draw('lstm', lstm.Toggles())
  params, gains = jax.tree.map(jnp.float32, (params, gains))
  mask = np.ones((T, B), bool)
  mask[3:, 0] = False
  broken = jnp.where(mask[..., None], jnp.float32(inputs), jnp.nan)
  zero = cell.init_carry(lstm.Toggles(), (B,), H)
  noise = remedies.Noise(jax.random.key(0), 0.2, 0.2, 0.2)
  last, hiddens = remedies.unroll(
    cell,
    params,
    lstm.Toggles(),
    broken,
    zero,
    jnp.arange(T),
    jnp.asarray(mask),
    gains,
    noise,
  )
  np.testing.assert_array_equal(hiddens[3:, 0], hiddens[[2, 2], 0])
  np.testing.assert_array_equal(last.h[0], hiddens[2, 0])
  assert np.isfinite(hiddens).all()


def test_every_layer_and_direction_has_a_key_of_its_own(monkeypatch):
  keys = []
  real = remedies.unroll

  def spy(*args):
    keys.append(jax.random.key_data(args[-1].key).tolist())
    return real(*args)

  monkeypatch.setattr(remedies, 'unroll', spy)
  architecture = models.Architecture(
    *('gru', 2, F, H, 1, 'uniform'), bidirectional=True
  )
  params = models.init_model(jax.random.key(0), architecture)
  noise = remedies.Noise(jax.random.key(1), 0.0, 0.3, 0.0)
  models.apply_model(
    params, architecture, None, jnp.ones((B, 3, F)), noise=noise
  )
  assert len({tuple(key) for key in keys}) == len(keys) == 4


def test_normalisation_in_half_precision_is_not_of_rounding_noise():
  toggles = lstm.Toggles()
  cell, params, gains, inputs = draw('lstm', toggles)
  params = params._replace(bias=params.bias + 50)

  def after_one_step(dtype):
    operands = jax.tree.map(
      lambda leaf: jnp.asarray(leaf, dtype), (params, gains, 30 * inputs)
    )
    return run(cell, operands[0], toggles, operands[2][:1], operands[1])[1]

  half, full = (after_one_step(t) for t in (jnp.bfloat16, jnp.float32))
  np.testing.assert_allclose(np.float32(half), full, atol=0.02)


def test_a_small_share_is_that_share_in_half_precision():
  noise = remedies.Noise(jax.random.key(0), 0.0, 0.01, 0.01)
  old = lstm.Carry(*jnp.zeros((2, 4000, 32), jnp.bfloat16))
  new = lstm.Carry(*jnp.ones((2, 4000, 32), jnp.bfloat16))
  zoned = remedies._zone_out(cells.CELLS['lstm'], noise, jnp.array(0), old, new)
  assert np.mean(np.asarray(zoned.h) == 0) == pytest.approx(0.01, abs=0.002)
  kept = remedies._candidates(noise, jnp.array(0), new.h)
  assert np.mean(np.asarray(kept) == 0) == pytest.approx(0.01, abs=0.002)
