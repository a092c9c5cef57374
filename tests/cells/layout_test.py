"""Weights that toggles do not use: left out, and not missed."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.cells import layout, lstm
from tests.cells import settings

F, H = settings.FEATURES, settings.HIDDEN
NAMES = [n for n, v in lv.VARIANTS.items() if not v.alias_of]
# Of each leaf some block is left out of some, and of none of one.
CHOSEN = {
  **{n: lv.VARIANTS[n].toggles for n in ('vanilla', 'nig', 'janet', 'fgr')},
  'peephole_f': lv.VARIANTS['peephole_f'].toggles,
  'coupled_fgr': lv.Toggles(coupled=True, gate_recurrence=True),
  'ungated': lv.Toggles(False, False, False, gate_recurrence=True),
}


def count_by_hand(toggles: lv.Toggles, features: int, size: int) -> int:
  """Count gate by gate: F + H + 1 weights a unit, and what toggles add."""
  own = [toggles.input_gate, toggles.output_gate]
  own.append(toggles.forget_gate and not toggles.coupled)
  gates = sum(bool(on) for on in own)
  seen = (toggles.peephole_i, toggles.peephole_f, toggles.peephole_o)
  fed = 3 * size if toggles.gate_recurrence else 0
  return size * (
    (gates + 1) * (features + size + 1)
    + gates * fed
    + sum(bool(on) for on in seen)
  )


def sizes(tree: Any) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_every_setting_has_exactly_the_parameters_in_use():
  features, size = 5, 3
  for toggles in settings.all_settings():
    params = jax.eval_shape(
      lambda key, on=toggles: lv.init_params(
        *(key, features, size), toggles=on, recurrent_init='uniform'
      ),
      jax.random.key(0),
    )
    counted = lstm.count_params(toggles, features, size)
    assert sizes(params) == counted == count_by_hand(toggles, features, size)


@pytest.mark.parametrize('name', NAMES)
def test_diagonal_variants_have_exactly_the_parameters_in_use(name):
  toggles = lv.VARIANTS[name].toggles
  cell = cells.CELLS['diagonal_lstm']
  params = jax.eval_shape(
    lambda key: cell.init_params(key, 5, 3, settings=toggles), jax.random.key(0)
  )
  # Those of three cells of one unit.
  assert sizes(params) == 3 * count_by_hand(toggles, 5, 1)
  assert sizes(params) == cell.count_params(toggles, 5, 3)


def test_our_vanilla_cell_is_as_large_as_flaxs():
  ours, theirs = (
    nnx.eval_shape(lambda make=make: make(2, 32, rngs=nnx.Rngs(0)))
    for make in (lv.LSTMCell, nnx.OptimizedLSTMCell)
  )
  sizes_of = [sizes(nnx.state(cell, nnx.Param)) for cell in (ours, theirs)]
  assert sizes_of == [4480, 4480]


@pytest.mark.parametrize('name', CHOSEN)
def test_pruned_weights_do_what_all_of_them_do(name):
  """Against the NumPy loop with all the weights, and in the gradient."""
  toggles = CHOSEN[name]
  case: Any = settings.random_case(3, gates=False)
  pruned = layout.prune(case.params, toggles)
  assert sizes(pruned) == lstm.count_params(toggles, F, H)
  zero = tuple(np.zeros_like(leaf) for leaf in case.carry)
  expected, _ = settings.run_reference(toggles, case.params, case.inputs, zero)

  def run(params):
    _, hiddens = lv.unroll(params, toggles, case.inputs)
    return jnp.sum(hiddens * case.on_hiddens), hiddens

  with jax.enable_x64(True):
    both = jax.jit(
      lambda *trees: [jax.value_and_grad(run, has_aux=True)(t) for t in trees]
    )(pruned, case.params)
    carry = lstm.init_carry(toggles, (settings.BATCH,), H, jnp.dtype('float64'))
    _, stepped = lv.step(pruned, toggles, carry, case.inputs[:, 0])
  ((_, hiddens), own), (_, whole) = both
  np.testing.assert_allclose(hiddens, expected, rtol=0, atol=1e-12)
  np.testing.assert_allclose(stepped, expected[:, 0], rtol=0, atol=1e-12)
  jax.tree.map(np.testing.assert_array_equal, own, layout.prune(whole, toggles))


def some_tree(make: Any) -> Any:
  """Return all the weights of two layers of three runs, and other leaves."""
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(
    lambda: tuple(
      make(
        jax.random.key(0), n, H, settings=jax.tree.map(jnp.array, lv.Toggles())
      )
      for n in (F, H)
    )
  )
  layers = jax.tree.map(lambda x: rng.normal(size=(3, *x.shape)), shapes)
  return {
    'layers': layers,
    'readout': {'kernel': np.ones((3, H, 1)), 'bias': np.ones((3, 1))},
  }


@pytest.mark.parametrize('cell', ['lstm', 'diagonal_lstm'])
@pytest.mark.parametrize('name', CHOSEN)
def test_pruned_weights_are_expanded_by_zeros_in_any_tree(name, cell):
  toggles, tree = CHOSEN[name], some_tree(cells.CELLS[cell].init_params)
  pruned = layout.prune(tree, toggles)
  counted = sum(cells.CELLS[cell].count_params(toggles, n, H) for n in (F, H))
  assert sizes(pruned['layers']) == 3 * counted
  for same in (pruned, layout.expand(pruned, toggles), tree):
    again = layout.prune(same, toggles)
    jax.tree.map(np.testing.assert_array_equal, again, pruned)
    assert again['readout'] is not None
  expanded = layout.expand(pruned, toggles)
  assert jax.tree.map(np.shape, expanded) == jax.tree.map(np.shape, tree)
  for one, two in zip(*map(jax.tree.leaves, (expanded, tree)), strict=True):
    assert np.all((one == two) | (one == 0))
  # By name they are the same.
  named, wanted = named_leaves(tree), named_leaves(pruned)
  found = layout.prune_arrays(named, toggles)
  assert sorted(found) == sorted(wanted)
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


def named_leaves(tree: Any) -> dict[str, Any]:
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in leaves
  }


def test_weights_that_are_missing_are_refused_by_name():
  toggles = lv.VARIANTS['janet'].toggles
  case = settings.random_case(3, gates=False)
  pruned = layout.prune(case.params, toggles)
  with pytest.raises(ValueError, match='kernel: has shape .2, 6., must have'):
    layout.prune(pruned, lv.Toggles())
  unseen = case.params._replace(peephole=None)
  with pytest.raises(ValueError, match='peephole: has no weights of i, f, o'):
    layout.prune(unseen, lv.VARIANTS['peephole'].toggles)
  for wrong in ('vanilla', 'coupled'):
    with pytest.raises(AssertionError, match='kernel: has shape'):
      lv.unroll(pruned, wrong, case.inputs)
  with pytest.raises(
    AssertionError, match='peephole: has shape None.*; nearest: .*toggles=…'
  ):
    lv.unroll(case.params._replace(peephole=None), 'peephole', case.inputs)


def test_a_population_has_the_leaves_that_some_run_uses():
  on = jnp.array(True)
  alike = lv.Toggles(coupled=True, peephole_i=on)
  params = jax.eval_shape(
    lambda key: lv.init_params(key, F, H, toggles=alike), jax.random.key(0)
  )
  assert params.kernel.shape == (F, 3 * H) and params.gate_kernel is None
  assert params.peephole is not None and params.peephole.shape == (3, H)
  mixed = alike._replace(output_gate=on, gate_recurrence=on)
  params = jax.eval_shape(
    lambda key: lv.init_params(key, F, H, toggles=mixed), jax.random.key(0)
  )
  assert params.kernel.shape == (F, 4 * H)
  assert params.gate_kernel is not None
  assert params.gate_kernel.shape == (3 * H, 3 * H)
  # The branch of the runs without gate recurrence leaves its weights alone.
  case = settings.random_case(3, gates=False)
  off = mixed._replace(gate_recurrence=False)
  jax.eval_shape(lambda params: lv.unroll(params, off, case.inputs), params)


def test_layer_normalisation_keeps_the_weights_of_every_gate():
  architecture = models.Architecture(
    *('lstm', 1, F, H, 1, 'uniform'), layer_norm=True
  )
  toggles = lv.VARIANTS['janet'].toggles
  params = jax.eval_shape(
    lambda key: models.init_model(key, architecture, toggles),
    jax.random.key(0),
  )
  (layer,) = params['layers']
  assert layer.kernel.shape == (F, 4 * H) and layer.peephole is None

  def apply(params, prune):
    if prune:
      params = {**params, 'layers': layout.prune(params['layers'], toggles)}
    inputs = jnp.ones((1, 2, F))
    return models.apply_model(params, architecture, toggles, inputs)

  jax.eval_shape(lambda params: apply(params, False), params)
  with pytest.raises(AssertionError):
    jax.eval_shape(lambda params: apply(params, True), params)


def test_weights_of_before_are_taken_by_a_cell_of_now():
  """All five leaves, as a flax cell was saved."""
  case: Any = settings.random_case(3, gates=False)
  saved = jax.tree.map(jnp.float32, case.params)._asdict()
  toggles = lv.VARIANTS['janet'].toggles
  cell = lv.LSTMCell(F, H, toggles=toggles, rngs=nnx.Rngs(0))
  pruned = layout.prune(lv.Params(**saved), toggles)._asdict()
  nnx.update(cell, {k: v for k, v in pruned.items() if v is not None})
  _, found = lv.unroll(cell.params, toggles, case.inputs)
  _, expected = lv.unroll(lv.Params(**saved), toggles, case.inputs)
  np.testing.assert_allclose(found, expected, atol=1e-6)
