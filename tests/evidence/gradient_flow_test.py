"""Gradients by every state, against finite differences of the loss."""

import functools
from typing import Any

import jax
from jax import flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.cells import remedies, simple_rnn
from lstm_variants.evidence.gradient_flow import gradients
from lstm_variants.tasks import base, measures

F, H, T, B, LAYERS = 2, 4, 3, 2, 2
STEP = 1e-6
PEEPHOLES = lv.Toggles(peephole_i=True, peephole_f=True, peephole_o=True)


@pytest.fixture(autouse=True)
def in_double_precision():
  with jax.enable_x64(True):
    yield


def draw(
  cell: str, layers: int = LAYERS, toggles: Any = None, **changes: Any
) -> Any:
  """Draw a model in double precision and inputs."""
  settings = cells.CELLS[cell].settings
  if hasattr(settings, 'truncated_gradient'):
    # Differences see what it hides.
    changes['cell_settings'] = settings._replace(truncated_gradient=False)
  toggles = (toggles or PEEPHOLES) if cells.CELLS[cell].toggled else None
  architecture = models.Architecture(cell, layers, F, H, 1, **changes)
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(
    lambda key: models.init_model(key, architecture, toggles), jax.random.key(0)
  )
  params = jax.tree.map(lambda leaf: rng.normal(0, 0.6, leaf.shape), shapes)
  return architecture, toggles, params, rng.normal(size=(B, T, F))


WEIGHTS: Any = np.linspace(-1, 1.5, B * T).reshape(B, T, 1)


def loss(outputs, weights=WEIGHTS):
  return jnp.sum(weights * jnp.sin(outputs + 0.3), axis=(1, 2))


def by_differences(architecture, toggles, params, inputs):
  """Return name -> ‖∂L/∂s_t‖ and L, by a loop over `step`.

  Norms are `[layer, time, batch]`, the losses `[batch]`.
  Sequences are apart, so that a unit is moved in all of them at once.
  """
  cell = cells.CELLS[architecture.cell]
  settings = models.settings_of(architecture, toggles)
  readout = params['readout']
  first = cell.init_carry(settings, (), H, jnp.float64)
  names = [name for name in fields(first) if name != 't']
  zero = [
    [{n: 0 * getattr(first, n) for n in names} for _ in range(LAYERS)]
    for _ in range(T)
  ]
  flat, shape = flatten_util.ravel_pytree(zero)

  def losses(moves):
    carries = [cell.init_carry(settings, (B,), H, jnp.float64)] * LAYERS
    outputs = []
    for t, row in enumerate(shape(moves)):
      h = inputs[:, t]
      for n, layer in enumerate(params['layers']):
        new, _ = cell.step(layer, settings, carries[n], h)
        carries[n] = remedies.replace(
          new, **{name: getattr(new, name) + row[n][name] for name in names}
        )
        h = carries[n].h
      outputs.append(h @ readout['kernel'] + readout['bias'])
    return loss(jnp.stack(outputs, axis=1))

  moves = STEP * np.eye(flat.size)
  moved = jax.jit(jax.vmap(losses))(np.vstack((moves, -moves, 0 * moves[:1])))
  more, less = np.asarray(moved[:-1]).reshape(2, flat.size, B)
  apart = jax.jit(jax.vmap(shape, in_axes=1))((more - less) / (2 * STEP))
  apart = jax.tree.map(np.asarray, apart)
  norms = {
    name: np.array(
      [
        [
          np.linalg.norm(apart[t][n][name].reshape(B, -1), axis=1)
          for t in range(T)
        ]
        for n in range(LAYERS)
      ]
    )
    for name in names
    if getattr(first, name).size
  }
  return norms, np.asarray(moved[-1])


def fields(carry: Any) -> tuple[str, ...]:
  return getattr(carry, '_fields', ('c', 'h'))


@functools.partial(jax.jit, static_argnums=(0, 1))
def found(architecture, toggles, params, inputs):
  return gradients.state_gradients(params, architecture, toggles, inputs, loss)


@pytest.mark.parametrize('cell', cells.CELLS)
def test_norms_are_finite_differences_of_the_loss(cell):
  architecture, toggles, params, inputs = draw(cell)
  expected, unmoved = by_differences(architecture, toggles, params, inputs)
  norms, losses = found(architecture, toggles, params, inputs)
  np.testing.assert_allclose(losses, unmoved, rtol=1e-12)
  assert set(norms) == set(expected)
  for name, norm in norms.items():
    np.testing.assert_allclose(norm, expected[name], rtol=1e-6, atol=1e-8)
    assert np.max(norm) > 1e-3
    if name != 'h':
      np.testing.assert_array_equal(norm[0, -1], 0)


MASK: Any = np.array([[True, True, True], [True, False, True]])
REMEDIES: Any = {
  'gates recur': (
    lv.Toggles(gate_recurrence=True),
    {'residual': True},
    remedies.Noise(None, 0.3, 0.1, 0.0),
  ),
  'normalised': (
    lv.Toggles(),
    {'layer_norm': True, 'learned_carry': True},
    None,
  ),
}


@pytest.mark.parametrize('name', REMEDIES)
def test_without_its_own_step_it_is_the_gradient_by_the_carry_handed_on(name):
  """The carry between two calls of the model is what `own_step=False` moves."""
  toggles, changes, noise = REMEDIES[name]
  architecture, _, params, inputs = draw('lstm', 2, toggles, **changes)
  run = functools.partial(
    models.apply_model, params, architecture, toggles, noise=noise
  )
  split = 0

  def later(carries):
    rest = slice(split + 1, None)
    outputs = run(inputs[:, rest], carries, mask=MASK[:, rest])[1]
    return jnp.sum(loss(outputs, WEIGHTS[:, rest]))

  @jax.jit
  def both():
    begun = slice(split + 1)
    carries, _ = run(inputs[:, begun], mask=MASK[:, begun])
    return jax.grad(later)(carries), gradients.state_gradients(
      *(params, architecture, toggles, inputs, loss, MASK),
      noise=noise,
      own_step=False,
    ).norms

  slopes, norms = both()
  for layer, slope in enumerate(slopes):
    for state, leaf in zip(('c', 'h', 'gates'), slope, strict=False):
      np.testing.assert_allclose(
        norms[state][layer, split],
        np.linalg.norm(leaf, axis=-1),
        rtol=1e-9,
        atol=1e-14,
      )
  np.testing.assert_array_equal(norms['h'][:, -1], 0)
  assert np.min(norms['h'][:, 0]) > 1e-4


def test_a_sequence_has_the_same_norms_in_any_batch_and_seed():
  architecture, toggles, params, inputs = draw('simple_rnn', 1)
  several = jax.tree.map(lambda leaf: np.stack((leaf, leaf * 0.5)), params)

  def run(params, inputs, weights):
    return gradients.state_gradients(
      *(params, architecture, toggles, inputs),
      lambda outputs: loss(outputs, weights),
    ).norms['h']

  norms = jax.jit(jax.vmap(run, in_axes=(0, None, None)))(
    several, inputs, WEIGHTS
  )
  alone = jax.jit(run)(params, inputs[1:], WEIGHTS[1:])
  np.testing.assert_allclose(alone[..., 0], norms[0, ..., 1], rtol=1e-9)
  assert np.abs(norms[0] - norms[1]).max() > 1e-3


def linear_rnn(size: int, matrix: np.ndarray, dtype: Any = np.float32) -> Any:
  """A model of a simple RNN that stays at zero: ∂h_{t+1}/∂h_t = Rᵀ."""
  architecture = models.Architecture('simple_rnn', 1, 1, size, 1)
  leaves = np.zeros((1, size)), matrix, np.zeros(size)
  layer = simple_rnn.Params(*(jnp.asarray(leaf, dtype) for leaf in leaves))
  readout = {'kernel': np.ones((size, 1), dtype), 'bias': np.zeros(1, dtype)}
  return architecture, {'layers': (layer,), 'readout': readout}


def test_norms_of_1e_36_are_told_in_single_precision():
  """Their squares are below the smallest number."""
  architecture, params = linear_rnn(3, 0.1 * np.eye(3))
  norms = gradients.state_gradients(
    params,
    *(architecture, None, jnp.zeros((1, 37, 1), jnp.float32)),
    lambda outputs: outputs[:, -1, 0],
  ).norms['h'][0, :, 0]
  expected = np.sqrt(3) * 0.1 ** np.arange(36.0, -1, -1)
  np.testing.assert_allclose(norms, expected, rtol=1e-4)


def test_a_single_step_has_a_gradient_of_h_alone():
  architecture, toggles, params, inputs = draw('lstm')
  norms = jax.jit(
    lambda inputs: (
      gradients.state_gradients(
        params, architecture, toggles, inputs, lambda o: jnp.sum(o, (1, 2))
      ).norms
    )
  )(inputs[:, :1])
  kernel = np.linalg.norm(params['readout']['kernel'])
  np.testing.assert_allclose(norms['h'][1], kernel, rtol=1e-5)
  np.testing.assert_array_equal(norms['c'], 0)


def test_what_has_no_gradient_of_one_direction_is_refused():
  architecture, toggles, params, inputs = draw('lstm', bidirectional=True)
  with pytest.raises(ValueError, match='bidirectional=True.*nearest'):
    gradients.state_gradients(params, architecture, toggles, inputs, loss)
  architecture, toggles, params, inputs = draw('lstm')
  with pytest.raises(ValueError, match=r'shape \(\), not one number per seq'):
    gradients.state_gradients(params, architecture, toggles, inputs, jnp.mean)


ASKED: Any = np.array([[0, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 1.0]])
MEASURES: Any = {
  'classification': (measures.classification, np.eye(4, dtype=int)[:3]),
  'regression': (
    functools.partial(measures.regression, tolerance=0.1),
    np.linspace(-1, 1, 60).reshape(3, 4, 5),
  ),
}


def batch_of(targets: Any) -> tuple[base.Batch, Any]:
  """Return sequences with 3, 1 and 2 steps that count, and outputs."""
  outputs = np.random.default_rng(0).normal(size=(3, 4, 5))
  inputs: Any = np.zeros((3, 4, 1))
  return base.Batch(inputs, targets, ASKED), outputs


@pytest.mark.parametrize('name', MEASURES)
def test_the_mean_of_the_sequences_losses_is_the_loss_of_training(name):
  measure, targets = MEASURES[name]
  batch, outputs = batch_of(targets)
  of_sequences = gradients.sequence_losses(measure, batch)
  losses, slopes = jax.vmap(
    lambda weight: jax.value_and_grad(
      lambda o: jnp.sum(weight * of_sequences(o))
    )(outputs)
  )(np.eye(3))
  mean = measure(outputs, batch)['loss']
  assert float(np.mean(losses)) == pytest.approx(
    float(mean.total / mean.weight), rel=1e-12
  )
  # Sequences are apart.
  for n, slope in enumerate(slopes):
    assert np.any(slope[n]) and not np.any(np.delete(slope, n, axis=0))


def test_the_error_of_chosen_steps_is_theirs_alone():
  measure, targets = MEASURES['classification']
  batch, outputs = batch_of(targets)
  chosen = np.array([False, False, False, True])
  losses = gradients.sequence_losses(measure, batch, chosen)
  slopes = jax.grad(lambda o: jnp.sum(losses(o)))(outputs)
  there = np.argwhere(np.any(slopes, axis=-1)).tolist()
  assert there == [[0, 3], [2, 3]]
  nothing = gradients.sequence_losses(measure, batch, chosen & False)
  np.testing.assert_array_equal(nothing(outputs), 0)
