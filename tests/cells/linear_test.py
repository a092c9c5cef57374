"""Linear recurrences: all steps at once are the steps in turn."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from tests.cells import harness

FEATURES, HIDDEN, TIME, BATCH = 2, 4, 61, 3
# Every cell that has both forms, with what makes its steps longest.
CHANGES: dict[str, list[dict[str, Any]]] = {
  's6': [{'state_size': 2, 'convolution': True, 'gate': True}]
}
CASES = [
  harness.Case(name, cell.settings._replace(**changes))
  for name, cell in lv.CELLS.items()
  if 'parallel' in cell.ranges
  for changes in CHANGES.get(name, [{}])
]
every_case = pytest.mark.parametrize('case', CASES, ids=str)


def drawn(case: harness.Case) -> tuple[Any, Any, Any]:
  """Return initial parameters, inputs and a carry in single precision."""
  params = harness.init(case.name, FEATURES, HIDDEN, settings=case.settings)
  rng = np.random.default_rng(3)
  inputs = jnp.asarray(rng.normal(size=(BATCH, TIME, FEATURES)), jnp.float32)
  carry = jax.tree.map(
    lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32),
    case.cell.init_carry(case.settings, (BATCH,), HIDDEN, jnp.float32),
  )
  return params, inputs, carry


@functools.partial(jax.jit, static_argnums=(0, 1))
def both(cell, settings, params, inputs, carry, mask):
  """Return states and gradients of each form, of all that goes in."""

  def loss(operands, parallel):
    params, inputs, carry = operands
    last, hiddens = cell.unroll(
      params, settings._replace(parallel=parallel), inputs, carry, mask=mask
    )
    made = jax.tree.leaves((last, hiddens))
    return sum(jnp.mean(jnp.sin(leaf)) for leaf in made), (last, hiddens)

  run = jax.value_and_grad(loss, has_aux=True)
  operands = params, inputs, carry
  return run(operands, True), run(operands, False)


@every_case
@pytest.mark.parametrize('masked', [False, True])
def test_all_steps_at_once_are_the_steps_in_turn(case, masked):
  """From a given state; gradients by parameters, inputs and state too."""
  operands = drawn(case)
  mask = None
  if masked:
    mask = np.random.default_rng(1).random((BATCH, TIME)) < 0.6
    mask[0, :5] = mask[1, -9:] = False
  one, two = both(case.cell, case.settings, *operands, mask)
  for a, b in zip(*map(jax.tree.leaves, (one, two)), strict=True):
    size = np.abs(b).max()
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * size)


@every_case
def test_all_steps_at_once_wait_for_none(case):
  program = jax.make_jaxpr(
    lambda *operands: case.cell.unroll(
      operands[0], case.settings._replace(parallel=True), *operands[1:]
    )
  )(*drawn(case))
  names = str(program)
  assert 'scan[' not in names and 'while[' not in names
