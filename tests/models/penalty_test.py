"""The penalty Ω, from its formula, and its gradient, from eq. 10."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.models import penalty

F, H, T, B = 2, 3, 4, 2


def draw(cell: str, layers: int, **changes: Any) -> Any:
  """Draw a model in double precision, inputs and the loss of its outputs."""
  architecture = models.Architecture(cell, layers, F, H, 1, **changes)
  toggles = None
  if cells.CELLS[cell].toggled:
    toggles = lv.VARIANTS['peephole'].toggles
  rng = np.random.default_rng(3)
  shapes = jax.eval_shape(
    lambda key: models.init_model(key, architecture, toggles),
    jax.random.key(0),
  )
  params = jax.tree.map(lambda leaf: rng.normal(0, 0.6, leaf.shape), shapes)
  inputs = rng.normal(size=(B, T, F))
  weights = rng.normal(size=(B, T, 1))

  def loss(outputs):
    return jnp.sum(weights * jnp.sin(outputs))

  return architecture, toggles, params, inputs, loss


def flat(state: Any) -> jax.Array:
  return jnp.concatenate(jax.tree.leaves(state), axis=-1)


def by_definition(architecture, toggles, params, constants, inputs, loss):
  """Return Ω by whole Jacobians, a step at a time.

  `constants`: the parameters that the states and ∂E/∂s are computed with; the
  others are those inside of ∂s_{k+1}/∂s_k.
  """
  cell = cells.CELLS[architecture.cell]
  settings = toggles if toggles is not None else cell.settings

  def states_of(probes):
    carries = [cell.init_carry(settings, (B,), H)] * architecture.num_layers
    outputs, states = [], []
    for t in range(T):
      below, row = jnp.asarray(inputs[:, t]), []
      for n, layer in enumerate(constants['layers']):
        carries[n], h = cell.step(layer, settings, carries[n], below)
        leaves, tree = jax.tree.flatten(carries[n])
        leaves = [a + b for a, b in zip(leaves, probes[t][n], strict=True)]
        carries[n] = jax.tree.unflatten(tree, leaves)
        row.append((below, carries[n]))
        h = carries[n].h
        below = h + below if architecture.residual and n else h
      states.append(row)
      readout = constants['readout']
      outputs.append(below @ readout['kernel'] + readout['bias'])
    return loss(jnp.stack(outputs, axis=1)), states

  zero = [jnp.zeros((B, H))] * len(
    jax.tree.leaves(cell.init_carry(settings, (B,), H))
  )
  probes = [[zero] * architecture.num_layers for _ in range(T)]
  slopes, states = jax.grad(states_of, has_aux=True)(probes)
  terms = []
  for n, layer in enumerate(params['layers']):
    for t in range(T - 1):
      own = states[t][n][1]
      tree = jax.tree.structure(own)

      def step(vector, x, layer=layer, tree=tree):
        parts = jnp.split(vector, tree.num_leaves)
        state = jax.tree.unflatten(tree, parts)
        return flat(cell.step(layer, settings, state, x)[0])

      # Of each sequence.
      jacobians = jax.vmap(jax.jacfwd(step))(flat(own), states[t + 1][n][0])
      arriving = jnp.concatenate(slopes[t + 1][n], axis=-1)
      leaving = jnp.einsum('bi,bij->bj', arriving, jacobians)
      sizes = [jnp.linalg.norm(x, axis=-1) for x in (leaving, arriving)]
      terms.append((sizes[0] / sizes[1] - 1) ** 2)
  return jnp.mean(jnp.stack(terms))


@pytest.mark.parametrize(
  'cell, layers, changes',
  [
    ('simple_rnn', 1, {}),
    ('simple_rnn', 2, {'residual': True}),
    ('lstm', 2, {}),
    ('gru', 1, {}),
    ('diagonal_lstm', 1, {}),
  ],
)
def test_value_and_gradient_are_those_of_the_formula(cell, layers, changes):
  with jax.enable_x64(True):
    architecture, toggles, params, inputs, loss = draw(cell, layers, **changes)
    found, gradient = jax.jit(
      lambda params: penalty.gradient(
        params, architecture, toggles, jnp.asarray(inputs), loss
      )
    )(params)
    define = functools.partial(
      by_definition, architecture, toggles, inputs=inputs, loss=loss
    )
    # Eq. 10: states and ∂E/∂s are constants.
    expected, slopes = jax.jit(
      jax.value_and_grad(lambda p: define(params=p, constants=params))
    )(params)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
  for a, b in zip(*map(jax.tree.leaves, (gradient, slopes)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
  assert np.abs(gradient['layers'][0].recurrent_kernel).max() > 1e-3
  np.testing.assert_array_equal(gradient['readout']['kernel'], 0)


def test_pascanus_own_expression_for_a_simple_rnn():
  """Eq. 9 with ∂h_{k+1}/∂h_k = diag(1 − h²) Rᵀ, in NumPy."""
  with jax.enable_x64(True):
    architecture, _, params, inputs, loss = draw('simple_rnn', 1)

    def run(params, inputs):
      found, _ = penalty.gradient(params, architecture, None, inputs, loss)
      _, outputs = models.apply_model(params, architecture, None, inputs)
      return found, jax.grad(loss)(outputs)

    found, d_outputs = jax.tree.map(
      np.asarray, jax.jit(run)(params, jnp.asarray(inputs))
    )
  layer, readout = params['layers'][0], params['readout']
  terms = []
  for x, d in zip(inputs, d_outputs, strict=True):
    h, states = np.zeros(H), []
    for x_t in x:
      h = np.tanh(x_t @ layer.kernel + h @ layer.recurrent_kernel + layer.bias)
      states.append(h)
    d_h = np.zeros(H)
    for t in reversed(range(T)):
      d_h = d_h + d[t] @ readout['kernel'].T
      earlier = (d_h * (1 - states[t] ** 2)) @ layer.recurrent_kernel.T
      if t:
        ratio = np.linalg.norm(earlier) / np.linalg.norm(d_h)
        terms.append((ratio - 1) ** 2)
      d_h = earlier
  assert float(found) == pytest.approx(np.mean(terms), rel=1e-12)


def test_steps_at_which_no_error_arrives_do_not_count():
  with jax.enable_x64(True):
    architecture, _, params, inputs, _ = draw('simple_rnn', 1)
    inputs = jnp.asarray(inputs)

    def early(outputs):
      return jnp.sum(jnp.sin(outputs[:, 2]))

    def run(params, inputs):
      of = functools.partial(penalty.gradient, params, architecture, None)
      short, _ = of(inputs[:, :3], early)
      nothing = of(inputs, lambda outputs: 0 * jnp.sum(outputs))
      return of(inputs, early), short, nothing

    (found, gradient), short, (nothing, zero) = jax.jit(run)(params, inputs)
  assert float(found) == pytest.approx(float(short), rel=1e-12)
  assert float(nothing) == 0
  for leaf in jax.tree.leaves((gradient, zero)):
    assert np.isfinite(leaf).all()
  assert all(not np.any(leaf) for leaf in jax.tree.leaves(zero))
