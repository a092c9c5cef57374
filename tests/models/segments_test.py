"""Segments, masks and carries of stacks of layers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import models
from tests.models import models_test
from tests.models.models_test import (
  assert_close,
  draw_inputs,
  FEATURES,
  HIDDEN,
  make_model,
)


def _gradient(architecture, segment):
  def loss(params, inputs):
    _, outputs = models.apply_model(
      params, architecture, lv.Toggles(), inputs, segment=segment
    )
    return jnp.mean(outputs[:, -1] ** 2)

  return jax.jit(jax.grad(loss))


@pytest.mark.parametrize('layers, segment', [(1, 1), (1, 6), (2, 4), (2, 100)])
def test_segments_change_the_memory_and_not_the_gradient(layers, segment):
  sizes = models.Architecture('lstm', layers, FEATURES, HIDDEN, 1, 'uniform')
  params = models.init_model(jax.random.key(0), sizes)
  inputs = draw_inputs()
  whole, parts = (_gradient(sizes, s)(params, inputs) for s in (None, segment))
  assert_close(parts, whole)


@pytest.mark.parametrize('steps', [1_000, 10_000])
def test_root_t_segments_need_three_root_t_steps_of_memory(steps):
  sizes = models.Architecture('lstm', 1, 2, 32, 1, 'uniform')
  params = models.init_model(jax.random.key(0), sizes)
  inputs = jax.ShapeDtypeStruct((8, steps, 2), jnp.float32)

  def memory(segment):
    lowered = _gradient(sizes, segment).lower(params, inputs)
    analysis: Any = lowered.compile().memory_analysis()
    return analysis.temp_size_in_bytes

  root = round(steps**0.5)
  assert memory(root) <= 3 * root / steps * memory(None)


def test_a_hundred_thousand_steps_have_a_gradient():
  sizes = models.Architecture('lstm', 1, 2, 4, 1, 'uniform')
  params = models.init_model(jax.random.key(0), sizes)
  inputs = jax.random.normal(jax.random.key(1), (1, 100_000, 2))
  gradient = _gradient(sizes, 316)(params, inputs)
  leaves = jax.tree.leaves(gradient)
  assert all(np.all(np.isfinite(leaf)) for leaf in leaves)
  assert np.any(gradient['layers'][0].kernel)


@pytest.mark.parametrize(
  'name, dtype', [('vanilla', jnp.float32), ('fgr', jnp.bfloat16)]
)
def test_segments_take_any_pair_for_a_carry(name, dtype):
  toggles = lv.VARIANTS[name].toggles
  sizes = models.Architecture('lstm', 2, 2, 3, 1)
  params = models.init_model(jax.random.key(0), sizes, toggles)
  inputs = jax.random.normal(jax.random.key(1), (2, 6, 2))
  pair = tuple(
    jax.random.normal(jax.random.key(n), (2, 3), dtype) for n in range(2)
  )
  whole, parts = (
    jax.jit(
      lambda params, inputs, pair, segment=segment: models.apply_model(
        params, sizes, toggles, inputs, (pair, pair), segment=segment
      )
    )(params, inputs, pair)
    for segment in (None, 3)
  )
  assert jax.tree.structure(whole) == jax.tree.structure(parts)
  assert_close(whole, parts)


def test_forward_mode_goes_through_a_model_with_the_gradient_of_jax():
  sizes = models.Architecture('lstm', 2, 2, 3, 1)
  toggles = lv.Toggles()
  params = models.init_model(jax.random.key(0), sizes, toggles)
  inputs = jax.random.normal(jax.random.key(1), (2, 6, 2))

  def total(gradient, inputs):
    _, outputs = models.apply_model(
      params, sizes, toggles, inputs, gradient=gradient
    )
    return jnp.sum(outputs)

  forward = jax.jit(jax.jacfwd(lambda x: total('autodiff', x)))(inputs)
  assert_close(forward, jax.jit(jax.grad(lambda x: total('fused', x)))(inputs))


@pytest.mark.parametrize('cell, kind', [('lstm', 'fgr'), ('simple_rnn', None)])
@pytest.mark.parametrize('segment', [None, 4])
def test_a_mask_ends_each_sequence_of_a_stack_at_its_own_length(
  cell, kind, segment
):
  model = make_model(cell=cell, toggles=kind, num_layers=2)
  inputs, lengths = draw_inputs(), (2, 5)
  inputs = inputs[: len(lengths)]
  steps = inputs.shape[1]
  mask = jnp.arange(steps) < jnp.asarray(lengths)[:, None]

  @jax.jit
  def run(inputs, mask=None):
    return models.apply_model(
      *(model.params, model.architecture, model.toggles, inputs),
      mask=mask,
      segment=segment,
    )

  carries, outputs = jax.tree.map(np.asarray, run(inputs, mask))
  module = models_test.run(model, inputs, mask=mask, segment=segment)
  assert_close(module, outputs)
  for number, length in enumerate(lengths):
    alone, short = run(inputs[number : number + 1, :length])
    assert_close(outputs[number, :length], short[0])
    assert_close(jax.tree.map(lambda x, n=number: x[n : n + 1], carries), alone)


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'segment': 0}, 'segment=0 must be at least 1'),
    ({'segment': 2.0}, 'segment=2.0 must be an integer'),
    ({'segment': True}, 'segment=True must be an integer'),
    ({'carries': ()}, '0 carries for num_layers=1'),
  ],
)
def test_segments_and_carries_out_of_place_are_refused(changes, message):
  model = make_model()
  with pytest.raises(ValueError, match=message):
    models.apply_model(
      model.params, model.architecture, model.toggles, draw_inputs(), **changes
    )


def test_a_segment_beyond_the_sequence_is_the_sequence():
  model = make_model()
  inputs = draw_inputs()
  one, two = (models_test.run(model, inputs, segment=s) for s in (10**12, None))
  assert_close(one, two)
