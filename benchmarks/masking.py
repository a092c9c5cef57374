"""Models of differing widths in the shapes of the widest, by masking units.

The masks are in the initial parameters: weights to and from a masked unit are
zero, and the biases of its gates so low that they are shut. Its state is then
zero at every step, and so are the gradients of all these weights, so that no
update changes them. This is the arithmetic of the largest width and nothing
else: multiplying by masks could only take longer.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lstm_variants.training import population

# The bias of a shut gate: σ and its slope are 0 in 32 bits.
SHUT = -100.0
# Where i, f and o are among i, f, g, o.
_GATES = (0, 1, 3)


def mask(narrow: Any, wide: Any, width: int) -> Any:
  """Return a narrow model as a wide one that masks its other units.

  Args:
    narrow: parameters of a model with one LSTM layer of `width` units.
    wide: parameters of a wide model, for their shapes.
    width: of the narrow model.

  Returns:
    Parameters in the shapes of `wide`.
  """

  def embed(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    whole = np.zeros_like(large)
    whole[_place(small.shape, large.shape, width)] = small
    return whole

  embedded = jax.tree.map(embed, narrow, wide)
  (layer,) = embedded['layers']
  bias = layer.bias.reshape(4, -1)
  bias[_GATES, width:] = SHUT
  return {**embedded, 'layers': (layer._replace(bias=bias.ravel()),)}


def unmask(wide: Any, narrow: Any, width: int) -> Any:
  """Return the narrow model within a wide one.

  Args:
    wide: parameters of the wide model.
    narrow: parameters of a model with `width` units, for their shapes.
    width: of the narrow model.

  Raises:
    AssertionError: the weights of masked units are not as at first.
  """

  def cut(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    return large[_place(small.shape, large.shape, width)]

  found = jax.tree.map(cut, narrow, wide)
  jax.tree.map(np.testing.assert_array_equal, mask(found, wide, width), wide)
  return found


def _place(
  small: Sequence[int], large: Sequence[int], width: int
) -> tuple[np.ndarray, ...]:
  """Return where a leaf of the narrow model is in that of the wide one.

  An axis that grows has one block of `width` units or several in a row.
  """
  axes = []
  for short, long in zip(small, large, strict=True):
    if short == long:
      axes.append(np.arange(long))
    else:
      blocks = short // width
      starts = long // blocks * np.arange(blocks)
      axes.append(np.add.outer(starts, np.arange(width)).ravel())
  return np.ix_(*axes)


def unstack(tree: Any) -> list[Any]:
  """Return the tree of each run of a population, on the host."""
  tree = jax.tree.map(np.asarray, tree)
  return [
    jax.tree.map(lambda leaf, n=n: leaf[n], tree)
    for n in range(len(jax.tree.leaves(tree)[0]))
  ]


def mask_population(
  program: population.Compiled, narrow: Sequence[Any], widths: Sequence[int]
) -> population.Compiled:
  """Return the program with other initial states: those of narrow models.

  Args:
    program: of the largest width.
    narrow: initial parameters of each run at its own width.
    widths: of each run.
  """
  state = jax.tree.map(lambda x: np.asarray(x)[program.places], program.state)
  wide = unstack(state.params)
  masked = [mask(*one) for one in zip(narrow, wide, widths, strict=True)]
  params = jax.tree.map(lambda *leaves: np.stack(leaves), *masked)
  return program._replace(state=program.place(state._replace(params=params)))
