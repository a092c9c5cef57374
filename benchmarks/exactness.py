"""How far each cell on this device is from float64 NumPy loops of its paper.

The loops are those of the tests. A device may round the operands of a product:
NVIDIA's to TF32, of 10 bits, unless it is asked for more.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.cells import harness

# Of `jax.default_matmul_precision`: what a user gets, and what can be had.
PRECISIONS = ('default', 'highest')


class Distance(NamedTuple):
  """The largest differences of a cell from its paper, over 1 + |value|."""

  name: str
  values: float
  gradients: float


def measure(precision: str, quick: bool = False) -> list[Distance]:
  """Return the distance of each registered cell: the worst of its settings.

  Args:
    precision: of `PRECISIONS`.
    quick: of each cell one setting alone.
  """
  worst: dict[str, Distance] = {}
  for case in harness.cases():
    if quick and case.name in worst:
      continue
    new = _distance(case, precision)
    old = worst.get(case.name, new)
    worst[case.name] = Distance(case.name, *map(max, old[1:], new[1:]))
  return list(worst.values())


def _distance(case: harness.Case, precision: str) -> Distance:
  operands = harness.draw(case)
  outputs, gradient = _on_device(case, precision)
  expected = harness.loop(case, operands, harness.MASK)
  last = case.reference.seen(harness.by_name(outputs[0]))
  slopes = harness.complex_step(case, operands, harness.MASK)
  return Distance(
    case.name,
    _largest((outputs[1], last), (expected.hiddens, expected.last)),
    _largest(
      harness.without_counters(case, gradient),
      harness.without_counters(case, slopes),
    ),
  )


def _on_device(case: harness.Case, precision: str) -> Any:
  """Return `(last, hiddens)` and the gradient, in single precision."""
  reference = case.reference

  def loss(operands: harness.Operands) -> Any:
    params, inputs, carry = operands
    last, hiddens = case.cell.unroll(
      params, case.settings, inputs, carry, mask=jnp.asarray(harness.MASK)
    )
    seen = reference.seen(harness.by_name(last))
    return harness.weigh(case, seen, hiddens), (last, hiddens)

  single = jax.tree.map(jnp.float32, harness.draw(case))
  with jax.default_matmul_precision(precision):
    graded = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, outputs), gradient = graded(single)
  return jax.tree.map(np.asarray, (outputs, gradient))


def _largest(ours: Any, theirs: Any) -> float:
  pairs = zip(*map(jax.tree.leaves, (ours, theirs)), strict=True)
  return max(
    float(np.max(np.abs(one - two) / (1 + np.abs(two)))) for one, two in pairs
  )
