"""Cells against NumPy loops: values, and derivatives by the complex step."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lstm_variants.cells import contract

STEP = 1e-40


def weigh(outputs: Any) -> Any:
  """Return a number in which every entry of the arrays has its own weight."""
  return sum(
    (np.cos(np.arange(leaf.size) + n) * leaf.reshape(-1)).sum()
    for n, leaf in enumerate(jax.tree.leaves(outputs))
  )


def slopes(function: Callable[..., Any], operands: Any) -> Any:
  """Return ∂ weigh(function(*operands)) / ∂ operands, analytic functions."""
  leaves, tree = jax.tree.flatten(operands)
  gradient = []
  for number, leaf in enumerate(leaves):
    slope = np.zeros(leaf.shape)
    for place in np.ndindex(leaf.shape):
      moved = [leaf.astype(complex) for leaf in leaves]
      moved[number][place] += STEP * 1j
      outputs = function(*jax.tree.unflatten(tree, moved))
      slope[place] = weigh(outputs).imag / STEP
    gradient.append(slope)
  return jax.tree.unflatten(tree, gradient)


def assert_same(
  cell: contract.Cell,
  settings: Any,
  loop: Callable[..., Any],
  operands: Any,
  view: Callable[[Any], Any] = lambda carry: carry,
) -> Any:
  """Compare a cell with a loop: hidden states, last carry, every derivative.

  Args:
    cell: under test.
    settings: of the cell.
    loop: `(params, inputs, carry) -> (carry, hiddens)` in NumPy.
    operands: params, inputs `[batch, time, F]` and carry, float64.
    view: what of the cell's last carry is compared.

  Returns:
    The gradient of the cell, params, inputs and carry.
  """

  def outputs(params, inputs, carry):
    last, hiddens = cell.unroll(params, settings, inputs, carry)
    return view(last), hiddens

  def loss(*operands):
    result = outputs(*operands)
    return weigh(result), result

  with jax.enable_x64(True):
    (_, result), gradient = jax.jit(
      jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    )(*operands)
  gradient = jax.tree.map(np.asarray, gradient)
  for one, two in zip(
    jax.tree.leaves(result), jax.tree.leaves(loop(*operands)), strict=True
  ):
    np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)
  for one, two in zip(
    jax.tree.leaves(gradient),
    jax.tree.leaves(slopes(loop, operands)),
    strict=True,
  ):
    np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)
  return gradient


def draw(cell: contract.Cell, settings: Any, sizes: Any, seed: int = 0) -> Any:
  """Draw params, inputs and a carry, all N(0, 0.6²), inputs N(0, 1).

  Args:
    cell: under test.
    settings: of the cell.
    sizes: features, hidden features, time, batch.
    seed: of the generator.
  """
  features, hidden, time, batch = sizes
  rng = np.random.default_rng(seed)
  init = cell.init_params(
    jax.random.key(0), features, hidden, settings=settings
  )
  carry = cell.init_carry(settings, (batch,), hidden)
  params, carry = jax.tree.map(
    lambda leaf: rng.normal(0, 0.6, leaf.shape), (init, carry)
  )
  return params, rng.normal(size=(batch, time, features)), carry
