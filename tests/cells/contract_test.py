"""What every cell of the registry keeps, against a NumPy loop of its paper."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.cells import contract, lstm
from tests.cells import harness, reference_cells, settings
from tests.cells.harness import BATCH, Case, FEATURES, HIDDEN, MASK, TIME

every_case = pytest.mark.parametrize('case', harness.cases(), ids=str)
every_cell = pytest.mark.parametrize('name', lv.CELLS)


@every_cell
def test_a_cell_has_a_reference_and_each_of_its_settings_is_tried(name):
  assert harness.default_case(name).reference
  tried = set().union(*harness.CHANGES.get(name, []))
  assert tried == set(lv.CELLS[name].ranges)
  assert set(reference_cells.REFERENCES) <= set(lv.CELLS)


@every_case
def test_a_cell_is_that_of_its_paper_and_does_not_see_what_is_masked(case):
  """Also NaN at the steps that are left out."""
  operands = harness.draw(case)
  last, _ = outputs = harness.run(case).masked
  harness.assert_same(case, outputs, harness.loop(case, operands, MASK))
  assert jax.tree.structure(last) == jax.tree.structure(operands.carry)


@functools.cache
def slopes(case: Case) -> harness.Operands:
  return harness.complex_step(case, harness.draw(case), MASK)


@every_case
def test_every_entry_of_the_gradient_is_the_complex_step_of_the_paper(case):
  expected = harness.without_counters(case, slopes(case))
  for gradient in harness.run(case).gradients.values():
    gradient = harness.without_counters(case, gradient)
    harness.assert_close(gradient, expected, 1e-10)
    # Zeros too: no NaN of a step left out, no weight that nothing reads.
    for one, two in zip(
      *map(jax.tree.leaves, (gradient, expected)), strict=True
    ):
      np.testing.assert_array_equal(one == 0, two == 0)
    assert not np.any(gradient.inputs[~MASK])


@every_case
def test_the_parameters_counted_are_those_that_the_paper_s_loss_moves(case):
  used = sum(
    np.count_nonzero(leaf) for leaf in jax.tree.leaves(slopes(case).params)
  )
  if case.name == 'indrnn':  # beyond its limit a weight has no gradient
    u = np.abs(harness.draw(case).params.recurrent_weight)
    used += np.sum(u >= case.settings.recurrent_limit)
  assert used == case.cell.count_params(case.settings, FEATURES, HIDDEN)


@every_case
def test_runs_of_a_population_are_those_alone(case):
  population = harness.run(case).population
  for seed in range(2):
    alone = jax.tree.map(lambda leaf, n=seed: leaf[n], population)
    expected = harness.loop(case, harness.draw(case, seed))
    harness.assert_same(case, alone, expected)


@every_case
def test_a_sequence_in_two_parts_from_no_carry_is_the_whole_from_zero(case):
  """The first part is time major."""
  operands = harness.draw(case)
  zero = jax.tree.map(np.zeros_like, operands.carry)
  hiddens, last = harness.run(case).parts
  expected = harness.loop(case, operands._replace(carry=zero))
  harness.assert_same(case, (last, hiddens), expected)


@every_case
def test_no_step_hands_on_the_carry_as_it_is(case):
  last, hiddens = harness.run(case).empty
  assert hiddens.shape == (BATCH, 0, HIDDEN)
  harness.assert_close(last, harness.draw(case).carry, atol=0)


@every_case
def test_a_step_and_its_gates_are_those_of_the_paper(case):
  operands = harness.draw(case)
  first = operands._replace(inputs=operands.inputs[:, :1])
  expected = harness.loop(case, first)
  carry, hidden = harness.run(case).step
  harness.assert_same(case, (carry, hidden[:, None]), expected)
  np.testing.assert_array_equal(hidden, harness.by_name(carry).h)
  gates = harness.run(case).gates
  assert (gates is None) == (expected.gates is None)
  if gates is not None:
    assert set(gates.values) == set(expected.gates.values)
    assert (gates.state is None) == (expected.gates.state is None)
    gates = jax.tree.map(lambda leaf: leaf[:, 0], tuple(gates))
    harness.assert_close(gates, tuple(expected.gates))


def test_mixed_toggles_side_by_side_are_those_of_their_papers():
  """Diagonal; of the LSTM `lstm_test` has every setting side by side."""
  toggles = [variant.toggles for variant in lv.VARIANTS.values()]
  cell = lv.CELLS['diagonal_lstm']
  fgr = Case('diagonal_lstm', lv.VARIANTS['fgr'].toggles)
  operands = harness.draw(fgr)._replace(carry=None)
  traced = settings.stack_toggles(toggles)
  with jax.enable_x64(True):
    _, hiddens = jax.jit(
      jax.vmap(lambda on: cell.unroll(operands.params, on, operands.inputs))
    )(traced)
  for row, on in zip(hiddens, toggles, strict=True):
    case = Case('diagonal_lstm', on)
    zero = jax.tree.map(np.zeros_like, harness.draw(case).carry)
    expected = harness.loop(case, operands._replace(carry=zero))
    np.testing.assert_allclose(row, expected.hiddens, rtol=0, atol=1e-12)


@every_cell
def test_a_carry_is_zero_at_first(name):
  case = harness.default_case(name)
  dtype = jnp.dtype('bfloat16')
  zero = case.cell.init_carry(case.settings, (BATCH, 3), HIDDEN, dtype)
  for leaf in jax.tree.leaves(zero):
    assert leaf.shape[:2] == (BATCH, 3) and leaf.dtype == dtype
    assert not leaf.any()


@functools.cache
def shapes(name: str, dtype: Any) -> harness.Operands:
  operands = harness.draw(harness.default_case(name))
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), operands
  )


def unrolled(name: str, operands: harness.Operands, **options) -> Any:
  case = harness.default_case(name)
  return jax.eval_shape(
    lambda params, inputs, carry: case.cell.unroll(
      params, case.settings, inputs, carry, **options
    ),
    *operands,
  )


@every_cell
def test_hidden_states_and_carry_are_of_the_dtype_of_the_operands(name):
  """In half precision; all else here is in double."""
  dtype = jnp.bfloat16
  operands = shapes(name, dtype)
  for carry in (operands.carry, None):
    made = unrolled(name, operands._replace(carry=carry))
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype(dtype)}


@every_cell
def test_no_more_parameters_are_counted_than_there_are(name):
  case = harness.default_case(name)
  for features, hidden in ((1, 4), (3, 8)):
    params = jax.eval_shape(
      lambda key, sizes=(features, hidden): case.cell.init_params(
        key, *sizes, settings=case.settings
      ),
      jax.random.key(0),
    )
    there = sum(leaf.size for leaf in jax.tree.leaves(params))
    count = case.cell.count_params(case.settings, features, hidden)
    assert count == there or (case.cell.count and 0 <= count < there)


@every_cell
def test_carries_inputs_and_masks_of_other_shapes_are_refused(name):
  operands = shapes(name, jnp.float32)
  inputs = operands.inputs
  short = jax.tree.map(lambda leaf: leaf.update(shape=leaf.shape[1:]), operands)
  for wrong in ({'inputs': short.inputs}, {'carry': short.carry}):
    with pytest.raises(AssertionError):
      unrolled(name, operands._replace(**wrong))
  narrow = inputs.update(shape=(BATCH, TIME, FEATURES - 1))
  with pytest.raises((AssertionError, TypeError, ValueError)):
    unrolled(name, operands._replace(inputs=narrow))
  with pytest.raises(AssertionError):
    unrolled(name, operands, mask=np.ones((BATCH, TIME)))
  with pytest.raises(ValueError, match='gradient'):
    unrolled(name, operands, gradient='fast')


@every_cell
def test_a_stack_of_the_cell_is_a_model(name):
  case = harness.default_case(name)
  architecture = models.Architecture(name, 2, FEATURES, HIDDEN, 1)
  toggles = case.settings if case.cell.toggled else None
  inputs = harness.draw(case).inputs.astype('float32')

  def run(key, segment):
    params = models.init_model(key, architecture, toggles)
    return models.apply_model(
      params, architecture, toggles, inputs, segment=segment
    )

  key = jax.random.key(0)
  if name != 'gru':
    carries, outputs = jax.eval_shape(lambda key: run(key, None), key)
    assert outputs.shape == (BATCH, TIME, 1) and len(carries) == 2
    return
  whole, parts = jax.jit(lambda key: (run(key, None), run(key, 4)))(key)
  harness.assert_close(parts, whole, atol=3e-6)


@every_cell
def test_what_cannot_be_drawn_is_refused(name):
  case = harness.default_case(name)
  wrong: list[dict[str, Any]] = []
  if not case.cell.initial:
    wrong.append({'recurrent_init': 'identity'})
  if case.cell.keeps:
    wrong.append({'chrono_t_max': 2})
  for options in wrong:
    with pytest.raises(ValueError, match=next(iter(options))):
      jax.eval_shape(
        lambda key, chosen=options: case.cell.init_params(
          key, 2, 4, settings=case.settings, **chosen
        ),
        jax.random.key(0),
      )


@every_cell
def test_settings_out_of_their_range_are_refused(name):
  cell = cells.CELLS[name]
  assert set(cell.ranges) == set(getattr(cell.settings, '_fields', ()))
  for key, known in cell.ranges.items():
    wrong = 'yes' if known.largest is None else known.largest * 2 + 1
    with pytest.raises(contract.SettingError, match=f'{key}=.*nearest'):
      cells.check_settings(name, cell.settings._replace(**{key: wrong}), HIDDEN)


def test_settings_of_another_cell_are_refused():
  with pytest.raises(ValueError, match='not those of gru'):
    cells.check_settings('gru', lstm.Toggles(), HIDDEN)
