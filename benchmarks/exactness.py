"""How far each cell on this device is from float64 NumPy loops of its paper.

The loops are those of the tests. A device may round the operands of a product:
NVIDIA's to TF32, of 10 bits, unless it is asked for more.
"""

from collections.abc import Iterable, Iterator
import concurrent.futures
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import pages
from tests.cells import harness

# Of `jax.default_matmul_precision`: what shows an error, and what a user gets.
PRECISIONS = ('highest', 'default')


class Distance(NamedTuple):
  """The largest differences of a cell from its paper, over 1 + |value|.

  Attributes:
    name: of the cell.
    case: its settings.
    precision: of `PRECISIONS`.
    values: of hidden states and last state; NaN where one is no number.
    gradients: of parameters, inputs and first state.
    failed: why there is none of them.
  """

  name: str
  case: str
  precision: str
  values: float = np.nan
  gradients: float = np.nan
  failed: str = ''


def measure(seconds: float, quick: bool = False) -> Iterator[Distance]:
  """Measure every registered cell, first all with their usual settings.

  Many are compiled at once. Yields each distance when it is known.

  Args:
    seconds: after which no other is begun.
    quick: with usual settings alone.
  """
  until = time.monotonic() + seconds
  cases = _usual_first(harness.cases())
  if quick:
    cases = cases[: len({case.name for case in cases})]
  with concurrent.futures.ThreadPoolExecutor() as pool:
    futures = [pool.submit(_distances, case, until) for case in cases]
    for future in concurrent.futures.as_completed(futures):
      yield from future.result()


def _usual_first(cases: Iterable[harness.Case]) -> list[harness.Case]:
  usual: dict[str, harness.Case] = {}
  others = []
  for case in cases:
    if usual.setdefault(case.name, case) is not case:
      others.append(case)
  return [*usual.values(), *others]


def _distances(case: harness.Case, until: float) -> list[Distance]:
  """Return the distance of a case at each precision, if there is time."""
  if time.monotonic() > until:
    return []
  operands = harness.draw(case)
  expected = harness.loop(case, operands, harness.MASK)
  slopes = harness.complex_step(case, operands, harness.MASK)
  slopes = harness.without_counters(case, slopes)
  found = []
  for precision in PRECISIONS:
    whose = case.name, str(case), precision
    try:
      (last, hiddens), gradient = _on_device(case, precision)
    except Exception as error:  # one ends no other
      found.append(Distance(*whose, failed=pages.failure(error)))
      continue
    seen = case.reference.seen(harness.by_name(last))
    gradient = harness.without_counters(case, gradient)
    values = _largest((hiddens, seen), (expected.hiddens, expected.last))
    found.append(Distance(*whose, values, _largest(gradient, slopes)))
  return found


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
  """Return the largest difference, NaN if one is none."""
  pairs = zip(*map(jax.tree.leaves, (ours, theirs)), strict=True)
  largest = [np.max(np.abs(a - b) / (1 + np.abs(b))) for a, b in pairs]
  return float(np.max(largest))  # NaN too, unlike Python's
