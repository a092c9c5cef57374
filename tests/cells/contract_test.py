"""What every cell of the registry keeps, whatever its equations are."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants import cells, models
from lstm_variants.cells import contract, lstm

FEATURES, HIDDEN, TIME, BATCH = 2, 4, 6, 3
# The tests of the LSTM say more than these.
CELLS = [name for name in cells.CELLS if name != 'lstm']


def settings_of(name: str) -> Any:
  """Return the settings of a cell, the toggles of a peephole LSTM."""
  cell = cells.CELLS[name]
  if cell.toggled:
    return lstm.Toggles(peephole_i=True, peephole_f=True, peephole_o=True)
  return cell.settings


@functools.cache
def draw(name: str) -> Any:
  """Draw parameters, inputs and a carry in which nothing is zero."""
  cell, settings = cells.CELLS[name], settings_of(name)
  params = jax.jit(
    lambda key: cell.init_params(key, FEATURES, HIDDEN, settings=settings)
  )(jax.random.key(0))
  rng = np.random.default_rng(0)
  params, inputs = jax.tree.map(
    lambda leaf: np.float32(leaf + rng.normal(0, 0.3, leaf.shape)),
    (params, rng.normal(size=(BATCH, TIME, FEATURES))),
  )
  # A state that the cell reaches, as not every number can be one.
  zero = cell.init_carry(settings, (BATCH,), HIDDEN)
  carry, _ = program(name)(params, rng.permuted(inputs, axis=0), zero)
  return params, inputs, carry


@functools.cache
def program(name: str) -> Any:
  """Return a cell's unroll, compiled once for each shape."""
  cell, settings = cells.CELLS[name], settings_of(name)

  def unroll(params, inputs, carry, mask=None):
    return cell.unroll(params, settings, inputs, carry, mask=mask)

  return jax.jit(unroll)


@functools.cache
def stepped(name: str) -> Any:
  """Return the carries before the first step and after each."""
  params, inputs, carry = draw(name)
  cell, settings = cells.CELLS[name], settings_of(name)
  step = jax.jit(lambda carry, x: cell.step(params, settings, carry, x))
  carries = [carry]
  for t in range(TIME):
    carry, hidden = step(carry, inputs[:, t])
    np.testing.assert_array_equal(hidden, carry.h)
    carries.append(carry)
  return carries


def assert_close(left, right, atol=3e-6):
  left, right = jax.tree.leaves(left), jax.tree.leaves(right)
  assert len(left) == len(right)
  for a, b in zip(left, right, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize('name', CELLS)
def test_unroll_is_a_loop_over_step(name):
  last, hiddens = program(name)(*draw(name))
  carries = stepped(name)
  assert_close(hiddens, np.stack([c.h for c in carries[1:]], axis=1))
  assert_close(last, carries[-1])
  assert type(last) is type(carries[-1])


@pytest.mark.parametrize('name', CELLS)
def test_no_carry_is_that_of_init_carry(name):
  params, inputs, _ = draw(name)
  zero = cells.CELLS[name].init_carry(settings_of(name), (BATCH,), HIDDEN)
  assert zero.h.shape == (BATCH, HIDDEN)
  run = program(name)
  assert_close(run(params, inputs, None), run(params, inputs, zero), atol=0)


@pytest.mark.parametrize('name', CELLS)
def test_a_sequence_can_be_split_anywhere(name):
  params, inputs, carry = draw(name)
  run = program(name)
  whole = run(params, inputs, carry)
  for split in (0, 2):
    middle, start = run(params, inputs[:, :split], carry)
    last, end = run(params, inputs[:, split:], middle)
    assert_close((last, np.concatenate((start, end), axis=1)), whole)


@pytest.mark.parametrize('name', CELLS)
def test_an_input_changes_its_step_and_those_after_it_alone(name):
  params, inputs, carry = draw(name)
  _, before = program(name)(params, inputs, carry)
  for t in range(TIME):
    moved = inputs.copy()
    moved[0, t] += 1.0
    _, after = program(name)(params, moved, carry)
    assert_close(after[0, :t], before[0, :t])
    assert np.abs(after - before)[0, t:].max() > 1e-4
    # Nor does a sequence see the others of its batch.
    assert_close(after[1:], before[1:])


@pytest.mark.parametrize('name', CELLS)
def test_a_step_left_out_leaves_carry_and_gradient_alone(name):
  params, inputs, carry = draw(name)
  mask = np.ones((BATCH, TIME), bool)
  mask[1, 2] = mask[2, 3:] = False
  masked = np.where(mask[..., None], inputs, np.nan)
  run = program(name)
  last, hiddens = run(params, masked, carry, mask)
  np.testing.assert_allclose(hiddens[1, 2], hiddens[1, 1], atol=1e-6)
  # The steps that are there, moved together.
  together = np.stack(
    [np.r_[x[m], x[~m]] for x, m in zip(inputs, mask, strict=True)]
  )
  _, expected = run(params, together, carry)
  for n in range(BATCH):
    count = mask[n].sum()
    assert_close(hiddens[n, mask[n]], expected[n, :count])
  assert_close(
    jax.tree.map(lambda leaf: leaf[2], last),
    jax.tree.map(lambda leaf: leaf[2], stepped(name)[3]),
  )

  def loss(params, inputs):
    _, hiddens = run(params, inputs, carry, mask)
    return jnp.sum(jnp.sin(hiddens))

  gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, masked)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
  np.testing.assert_array_equal(np.asarray(gradient[1])[~mask], 0)


@pytest.mark.parametrize('name', CELLS)
def test_time_major_swaps_the_axes(name):
  params, inputs, carry = draw(name)
  last, hiddens = program(name)(params, inputs, carry)
  end, turned = jax.jit(
    lambda x: cells.CELLS[name].unroll(
      params, settings_of(name), x, carry, time_major=True
    )
  )(np.swapaxes(inputs, 0, 1))
  assert_close((end, np.swapaxes(turned, 0, 1)), (last, hiddens))


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize('name', CELLS)
def test_hidden_states_and_carry_are_of_the_dtype_of_the_operands(name, dtype):
  params, inputs, _ = draw(name)
  operands = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, dtype), (params, inputs)
  )
  last, hiddens = jax.eval_shape(
    lambda params, inputs: cells.CELLS[name].unroll(
      params, settings_of(name), inputs
    ),
    *operands,
  )
  assert hiddens.dtype == dtype
  assert {leaf.dtype for leaf in jax.tree.leaves(last)} == {jnp.dtype(dtype)}


@pytest.mark.parametrize('name', CELLS)
def test_no_more_parameters_are_counted_than_there_are(name):
  cell = cells.CELLS[name]
  for features, hidden in ((1, 4), (3, 8)):
    params = jax.eval_shape(
      lambda key, f=features, h=hidden: cell.init_params(
        key, f, h, settings=settings_of(name)
      ),
      jax.random.key(0),
    )
    there = sum(leaf.size for leaf in jax.tree.leaves(params))
    count = cell.count_params(settings_of(name), features, hidden)
    assert 0 <= count <= there


# Of rectified units that no sequence here switches on, and of the input gate of
# an sLSTM, whose bias scales c and n alike, nothing moves.
UNMOVED = ('irnn', 'indrnn', 'slstm')


@pytest.mark.parametrize('name', CELLS)
def test_parameters_are_counted_that_have_a_gradient(name):
  params, inputs, carry = draw(name)

  def loss(params):
    _, hiddens = program(name)(params, inputs, carry)
    return jnp.sum(jnp.sin(3 * hiddens))

  # Those that nothing reads, as an unused peephole, have none.
  gradient = jax.tree.leaves(jax.jit(jax.grad(loss))(params))
  used = sum(int(np.count_nonzero(leaf)) for leaf in gradient)
  count = cells.CELLS[name].count_params(settings_of(name), FEATURES, HIDDEN)
  assert used == count or (name in UNMOVED and used <= count)


@pytest.mark.parametrize('name', CELLS)
def test_carries_and_inputs_of_other_shapes_are_refused(name):
  params, inputs, carry = draw(name)
  run = program(name)
  with pytest.raises(AssertionError):
    run(params, inputs[0], carry)
  with pytest.raises(AssertionError):
    run(params, inputs, jax.tree.map(lambda leaf: leaf[:1], carry))
  with pytest.raises((AssertionError, TypeError, ValueError)):
    run(params, inputs[..., :1], carry)
  with pytest.raises(ValueError, match='gradient'):
    cells.CELLS[name].unroll(
      params,
      settings_of(name),
      inputs,
      carry,
      gradient='fast',  # pyright: ignore[reportArgumentType]
    )


@pytest.mark.parametrize('name', CELLS)
def test_a_stack_of_the_cell_is_a_model(name):
  architecture = models.Architecture(name, 2, FEATURES, HIDDEN, 1)
  toggles = settings_of(name) if cells.CELLS[name].toggled else None

  def run(key, segment):
    params = models.init_model(key, architecture, toggles)
    return models.apply_model(
      params, architecture, toggles, draw(name)[1], segment=segment
    )

  key = jax.random.key(0)
  if name != 'gru':
    carries, outputs = jax.eval_shape(lambda key: run(key, None), key)
    assert outputs.shape == (BATCH, TIME, 1) and len(carries) == 2
    return
  whole, parts = jax.jit(lambda key: (run(key, None), run(key, 4)))(key)
  assert_close(parts, whole)


@pytest.mark.parametrize('name', CELLS)
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
