"""Which weights an LSTM has: those that its toggles use, side by side.

Every leaf is a row of blocks, one for each gate that has weights of its own:

    kernel, recurrent_kernel, bias   i, f, g, o
    peephole                         i, f, o      that see the cell state
    gate_kernel                      i, f, o      that see the last gates

A gate that is off has none, nor has a forget gate that is coupled; a leaf in
which no block is in use is None. Where a traced toggle decides, all the blocks
of the leaf are there. So a leaf has the blocks in use or all of them, and the
weights of a population whose toggles differ serve each of its runs: blocks that
are not in use are ignored. Equal seeds give equal blocks.
"""

from collections.abc import Callable, Mapping
import math
from typing import Any, NamedTuple

import jax

from lstm_variants import arguments
from lstm_variants.cells.toggles import (
  check_toggles,
  is_possible,
  is_static,
  Toggles,
  trace,
)

# Of a leaf its blocks: the gates, in the order in which they are stacked.
Blocks = Mapping[str, tuple[str, ...]]

_GATES = ('i', 'f', 'g', 'o')
_GATED = ('i', 'f', 'o')
ALL: Blocks = {
  'kernel': _GATES,
  'recurrent_kernel': _GATES,
  'bias': _GATES,
  'peephole': _GATED,
  'gate_kernel': _GATED,
}


class Form(NamedTuple):
  """How a kind of LSTM arranges its weights.

  Attributes:
    axes: leaf -> the axis along which its blocks lie, from the last.
    shapes: leaf -> the shape of one block: of 'F' in_features, 'H'
      hidden_features, '3H' three times that, or a number.
  """

  axes: Mapping[str, int]
  shapes: Mapping[str, tuple[str | int, ...]]


DENSE = Form(
  {
    'kernel': -1,
    'recurrent_kernel': -1,
    'bias': -1,
    'peephole': -2,
    'gate_kernel': -1,
  },
  {
    'kernel': ('F', 'H'),
    'recurrent_kernel': ('H', 'H'),
    'bias': ('H',),
    'peephole': (1, 'H'),
    'gate_kernel': ('3H', 'H'),
  },
)
DIAGONAL = Form(
  {**DENSE.axes, 'recurrent_kernel': -2, 'gate_kernel': -2},
  {**DENSE.shapes, 'recurrent_kernel': (1, 'H'), 'gate_kernel': (3, 1, 'H')},
)


def in_use(toggles: Toggles) -> Blocks:
  """Return the blocks of each leaf: those in use, or all if it is traced."""
  gates, gated = _GATES, _GATED
  deciding = (
    toggles.input_gate,
    toggles.forget_gate,
    toggles.output_gate,
    toggles.coupled,
  )
  if all(map(is_static, deciding)):
    own = {
      'i': toggles.input_gate,
      'f': toggles.forget_gate and not toggles.coupled,
      'g': True,
      'o': toggles.output_gate,
    }
    gates = tuple(gate for gate in _GATES if own[gate])
    gated = tuple(gate for gate in _GATED if own[gate])
  seen = {
    'i': toggles.peephole_i,
    'f': toggles.peephole_f,
    'o': toggles.peephole_o,
  }
  peepholes = _GATED
  if all(map(is_static, seen.values())):
    peepholes = tuple(gate for gate in _GATED if seen[gate])
  return {
    'kernel': gates,
    'recurrent_kernel': gates,
    'bias': gates,
    'peephole': peepholes,
    'gate_kernel': gated if is_possible(toggles.gate_recurrence) else (),
  }


def with_every_gate(toggles: Toggles) -> Toggles:
  """Return toggles that do the same and leave out no gate's weights."""
  deciding = ('input_gate', 'forget_gate', 'output_gate', 'coupled')
  rest = [name for name in Toggles._fields if name not in deciding]
  return trace(toggles, keep=rest)


def shapes(
  form: Form, blocks: Blocks, in_features: int, hidden_features: int
) -> dict[str, tuple[int, ...] | None]:
  """Return the shape of each leaf with these blocks; None without any."""
  sizes = {
    'F': in_features,
    'H': hidden_features,
    '3H': 3 * hidden_features,
  }

  def of_leaf(leaf: str) -> tuple[int, ...] | None:
    if not blocks[leaf]:
      return None
    shape = [n if isinstance(n, int) else sizes[n] for n in form.shapes[leaf]]
    shape[form.axes[leaf]] *= len(blocks[leaf])
    return tuple(shape)

  return {leaf: of_leaf(leaf) for leaf in ALL}


def count(
  form: Form, toggles: Toggles, in_features: int, hidden_features: int
) -> int:
  """Count the parameters in use under static toggles.

  Raises:
    ArgumentError: contradicting or traced toggles.
  """
  check_toggles(toggles)
  if not all(map(is_static, toggles)):
    raise arguments.ArgumentError(
      'count_params needs static toggles, Python bools'
    )
  wanted = shapes(form, in_use(toggles), in_features, hidden_features)
  return sum(math.prod(shape) for shape in wanted.values() if shape is not None)


def choices(
  form: Form, toggles: Toggles, in_features: int, hidden_features: int
) -> dict[str, list[tuple[int, ...] | None]]:
  """Return the shapes that each leaf may have: first of the blocks in use."""
  used = in_use(toggles)

  def of_leaf(leaf: str) -> list[tuple[int, ...] | None]:
    chosen = [used[leaf], ALL[leaf]]
    if not used[leaf]:  # nothing of it is read, so any blocks may be there
      chosen = [ALL[leaf][:n] for n in range(len(ALL[leaf]) + 1)]
    return [
      shapes(form, {**ALL, leaf: gates}, in_features, hidden_features)[leaf]
      for gates in chosen
    ]

  return {leaf: of_leaf(leaf) for leaf in ALL}


def check_shapes(form: Form, params: Any, toggles: Toggles) -> None:
  """Refuse weights that are not those of a cell with these toggles.

  Raises:
    ShapeError: naming the leaf, its shape and the shapes that it may have.
  """
  size = hidden_features(form, params.recurrent_kernel)
  allowed = choices(form, toggles, params.kernel.shape[0], size)
  for leaf, array in params._asdict().items():
    shape = None if array is None else array.shape
    if shape not in allowed[leaf]:
      raise arguments.ShapeError(
        f'{leaf}: has shape {shape}, not one of {allowed[leaf]}; nearest: '
        'weights drawn with these toggles, lv.init_params(…, toggles=…)'
      )


def hidden_features(form: Form, recurrent_kernel: Any) -> int:
  """Return H, from recurrent weights with any leading axes."""
  return recurrent_kernel.shape[
    -2 if form.axes['recurrent_kernel'] == -1 else -1
  ]


def take_apart(
  form: Form, toggles: Toggles, size: int, leaf: str, array: Any
) -> dict[str, Any]:
  """Return the blocks of a leaf by gate, with the axis along which they lay.

  Args:
    form: of the cell.
    toggles: static or traced.
    size: H.
    leaf: its name.
    array: None, the blocks in use, or all; leading axes, as of runs, are free.

  Raises:
    ArgumentError: any other number of blocks.
  """
  used, axis = in_use(toggles)[leaf], form.axes[leaf]
  if array is None:
    return {}
  width = size if form.shapes[leaf][axis] == 'H' else 1
  count, rest = divmod(array.shape[axis], width)
  for gates in (used, ALL[leaf]):
    if count == len(gates) and not rest:
      parts = array.__array_namespace__().split(array, count, axis=axis)
      return dict(zip(gates, parts, strict=True))
  if not used:  # nothing of it is read
    return {}
  raise arguments.ArgumentError(
    f'{leaf}: has shape {list(array.shape)}, must have the blocks of '
    f'{", ".join(used)}, or of all; nearest: prune or expand the weights'
  )


def put_together(
  leaf: str, parts: Mapping[str, Any], axis: int, like: Any
) -> Any:
  """Return all the blocks of a leaf, zero where one is missing.

  Args:
    leaf: its name.
    parts: gate -> block.
    axis: along which they are put side by side.
    like: a block.
  """
  xp = like.__array_namespace__()
  blocks = [parts.get(gate) for gate in ALL[leaf]]
  zeros = xp.zeros_like(like)
  return xp.concatenate([zeros if b is None else b for b in blocks], axis=axis)


def keep(
  form: Form,
  toggles: Toggles,
  size: int,
  leaf: str,
  draw: Callable[[], jax.Array],
) -> Any:
  """Return the blocks in use of a leaf, of all that `draw` returns.

  So each block is the same whatever the toggles.
  """
  gates = in_use(toggles)[leaf]
  if not gates:
    return None
  parts = take_apart(form, toggles, size, leaf, draw())
  return _choose(parts, gates, form.axes[leaf])


def prune(tree: Any, toggles: Toggles) -> Any:
  """Leave out the weights that toggles do not use.

  Args:
    tree: any tree with `Params` of LSTMs in it, as those of a model, or of an
      optimizer's moments; leading axes, as of runs, are free.
    toggles: whose weights are kept.

  Raises:
    ArgumentError: weights that are in use are missing.
  """
  return _map(tree, lambda form, leaves: _keep(form, leaves, toggles))


def expand(tree: Any, toggles: Toggles) -> Any:
  """Put zeros where weights were left out because `toggles` do not use them.

  The weights then serve under the same toggles traced; see `prune`.
  """
  return _map(tree, lambda form, leaves: _fill(form, leaves, toggles))


def prune_arrays(arrays: Mapping[str, Any], toggles: Toggles) -> dict[str, Any]:
  """Do as `prune`, of arrays by name, as 'layers/0/kernel'.

  An LSTM is what lies beside a leaf 'recurrent_kernel'; other arrays are left
  alone. What is not in use is not in the result.
  """
  kept = dict(arrays)
  for name in arrays:
    if name.rpartition('/')[2] != 'recurrent_kernel':
      continue
    place = name.removesuffix('recurrent_kernel')
    leaves: Any = {leaf: arrays.get(place + leaf) for leaf in ALL}
    # A diagonal is as long as one gate; a matrix is as wide as all of them.
    wide = leaves['recurrent_kernel'].shape[-1] == leaves['bias'].shape[-1]
    pruned = _keep(DENSE if wide else DIAGONAL, leaves, toggles)
    for leaf, array in pruned.items():
      kept.pop(place + leaf, None)
      if array is not None:
        kept[place + leaf] = array
  return kept


def _map(tree: Any, change: Callable[[Form, dict[str, Any]], Any]) -> Any:
  """Change the leaves of every LSTM in a tree."""

  def is_cell(node: Any) -> bool:
    return isinstance(getattr(node, 'FORM', None), Form)

  def of_node(node: Any) -> Any:
    if not is_cell(node):
      return node
    return type(node)(**change(node.FORM, node._asdict()))

  return jax.tree.map(of_node, tree, is_leaf=is_cell)


def _keep(
  form: Form, leaves: Mapping[str, Any], toggles: Toggles
) -> dict[str, Any]:
  """Return the leaves with the blocks in use alone."""
  size = hidden_features(form, leaves['recurrent_kernel'])
  kept = {}
  for leaf, gates in in_use(toggles).items():
    array = leaves[leaf]
    parts = take_apart(form, toggles, size, leaf, array)
    missing = [gate for gate in gates if gate not in parts]
    if missing:
      raise arguments.ArgumentError(
        f'{leaf}: has no weights of {", ".join(missing)}; nearest: those of '
        'the toggles with which they were drawn'
      )
    kept[leaf] = array
    if tuple(parts) != gates:
      kept[leaf] = _choose(parts, gates, form.axes[leaf])
  return kept


def _choose(parts: Mapping[str, Any], gates: tuple[str, ...], axis: int) -> Any:
  """Return the blocks of these gates side by side; None without any."""
  if not gates:
    return None
  chosen = [parts[gate] for gate in gates]
  return chosen[0].__array_namespace__().concatenate(chosen, axis=axis)


def _fill(
  form: Form, leaves: Mapping[str, Any], toggles: Toggles
) -> dict[str, Any]:
  """Return the leaves with all the blocks, zero where one is missing."""
  bias = leaves['bias']
  size = hidden_features(form, leaves['recurrent_kernel'])
  features = leaves['kernel'].shape[-2]
  one = shapes(form, {leaf: ALL[leaf][:1] for leaf in ALL}, features, size)
  xp, filled = bias.__array_namespace__(), {}
  for leaf in ALL:
    parts = take_apart(form, toggles, size, leaf, leaves[leaf])
    if len(parts) == len(ALL[leaf]):
      filled[leaf] = leaves[leaf]
      continue
    like = xp.zeros((*bias.shape[:-1], *(one[leaf] or ())), bias.dtype)
    filled[leaf] = put_together(leaf, parts, form.axes[leaf], like)
  return filled
