"""What a state still does to a later one: ‖∂s_{t+k}/∂s_t‖ for every lag k.

The state of a layer is all that it hands to its next step, (c, h) of an LSTM.
Its Jacobian over k steps is the product of those of the single steps,

    ∂s_{t+k}/∂s_t = J_{t+k} ⋯ J_{t+2} J_{t+1},    J_t = ∂s_t/∂s_{t-1},

each at the states of the run. ∂c_{t+k}/∂c_t and ∂h_{t+k}/∂h_t are blocks of
this product: they count every path, also those from c through h back to c. A
norm is the largest singular value. The inputs of the layer are held.

As c and h start a column each, and columns are brought to size 1 after every
step by a power of two, whose exponent is kept as an integer, norms of 1e-60 and
less are resolved in single precision: all are given as log10.
"""

import math
from typing import Any, NamedTuple

import chex
import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants import cells, models
from lstm_variants.cells import contract, remedies, unroll
from lstm_variants.evidence.gradient_flow import gradients
from lstm_variants.models import probes
from lstm_variants.models.architecture import Architecture, settings_of

# Numbers of a state, where it has more than the layer has units, of which the
# Jacobian is followed: its singular values take the third power of them, some
# four seconds a step for 2,025.
WIDEST = 1024


class CellPath(NamedTuple):
  """The path of a state with the gates held, log10, `[lags + 1, batch]` each.

  Attributes:
    largest: of the unit that keeps most: the norm of the diagonal matrix.
    mean: geometric mean over the units.
  """

  largest: jax.Array
  mean: jax.Array


def lag_norms(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  start: int,
  lags: int | None = None,
  *,
  layer: int = 0,
  mask: jax.Array | None = None,
  noise: remedies.Noise | None = None,
) -> dict[str, jax.Array]:
  """Return log10 ‖∂s_{t+k}/∂s_t‖ of one layer, for k = 0, …, lags.

  Args:
    params: of a model.
    architecture: static, of one direction.
    toggles: of the cell, static or traced.
    inputs: of the model, `[batch, time, in_features]`.
    start: t, from 0: s_t is the state after that step.
    lags: the largest k; None for as many as there are steps.
    layer: counted from the inputs, from 0.
    mask: None, or boolean `[batch, time]`; a step that is left out holds the
      state: its Jacobian is the identity.
    noise: None, or zoneout and recurrent dropout.

  Returns:
    Name of a state -> `[lags + 1, batch]`; 0 at k = 0, −inf where nothing is
    left.

  Raises:
    ValueError: a bidirectional model, a state of too many numbers, or a
      `start`, `lags` or `layer` that the run does not have.
    AssertionError: inputs or a mask that do not fit.
  """
  lags = _check(architecture, inputs, start, lags, layer)
  cell = cells.CELLS[architecture.cell]
  settings = settings_of(architecture, toggles)
  steps, mask = unroll.time_first(inputs, mask, time_major=False)
  followed = _follow(params, architecture, settings, inputs, mask, noise)[layer]
  advance = probes.step_of(params, architecture, settings, layer, noise)
  later = slice(start + 1, start + lags + 1)
  states = jax.tree.map(lambda x: x[start : start + lags], followed.states)
  of_steps = (
    followed.inputs[later],
    jnp.arange(len(steps))[later],
    None if mask is None else mask[later],
  )
  first = jax.tree.map(lambda x: x[start], followed.states)
  _check_widths(cell, first, architecture.hidden_features)
  norms = _multiply(advance, _identity(cell, first), states, of_steps)
  whole = jnp.zeros((1, len(inputs)))
  return {
    name: jnp.concatenate((whole.astype(norm.dtype), norm))
    for name, norm in norms.items()
  }


def cell_path(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  start: int,
  lags: int | None = None,
  *,
  layer: int = 0,
  mask: jax.Array | None = None,
) -> CellPath:
  """Return what the forget gates alone keep over k steps.

      ∂c_{t+k}/∂c_t with all gates held = diag(f_{t+1} ⊙ ⋯ ⊙ f_{t+k})

  It is the reference for `lag_norms`, which has the paths through h too:
  exactly 1 at every lag where f = 1. Of a cell whose state is h, as the GRU, it
  is the product of the factors of the old h.

  Args:
    params: see `lag_norms`, as all that follow.
    architecture: of a cell with gates, without layer normalisation.
    toggles: of the cell.
    inputs: `[batch, time, in_features]`.
    start: t.
    lags: the largest k.
    layer: from 0.
    mask: boolean `[batch, time]` or None.

  Returns:
    log10 of the products.

  Raises:
    ValueError: as `lag_norms`; a cell without such a gate; layer normalisation.
  """
  lags = _check(architecture, inputs, start, lags, layer)
  cell = cells.CELLS[architecture.cell]
  if cell.gates is None or architecture.layer_norm:
    why = 'layer_norm=True' if cell.gates else f'cell {architecture.cell!r}'
    raise ValueError(
      f'{why}: no gates to hold on the path of the state; nearest: lag_norms'
    )
  settings = settings_of(architecture, toggles)
  _, mask = unroll.time_first(inputs, mask, time_major=False)
  followed = _follow(params, architecture, settings, inputs, mask, None)[layer]
  before = jax.tree.map(lambda x: x[start : start + lags], followed.states)
  later = followed.inputs[start + 1 : start + lags + 1]
  keep = cell.gates(params['layers'][layer], settings, before, later).keep
  logs = jnp.log10(_flat(keep))
  if mask is not None:
    logs = jnp.where(mask[start + 1 : start + lags + 1, :, None], logs, 0)
  whole = jnp.zeros_like(logs, shape=(1, *logs.shape[1:]))
  products = jnp.concatenate((whole, jnp.cumsum(logs, axis=0)))
  return CellPath(jnp.max(products, axis=-1), jnp.mean(products, axis=-1))


def _check(architecture, inputs, start, lags, layer) -> int:
  """Refuse what the run does not have; return the largest lag."""
  gradients.check_one_direction(architecture)
  chex.assert_shape(inputs, (None, None, architecture.in_features))
  time = inputs.shape[1]
  if not 0 <= start < time:
    raise ValueError(f'start={start} is not one of the steps 0 to {time - 1}')
  most = time - 1 - start
  lags = most if lags is None else lags
  if not 0 <= lags <= most:
    raise ValueError(
      f'lags={lags}: after start={start} there are {most} of {time} steps; '
      f'nearest: {min(max(lags, 0), most)}'
    )
  if not 0 <= layer < architecture.num_layers:
    raise ValueError(
      f'layer={layer} is not one of 0 to {architecture.num_layers - 1}'
    )
  return lags


def _follow(params, architecture, settings, inputs, mask, noise):
  """Run the model and return what each layer did."""
  carries = models.first_carries(params, architecture, settings, inputs)
  steps = unroll.clean(jnp.swapaxes(inputs, 0, 1), mask)
  nothing = probes.zeros(carries, len(steps))
  _, followed = probes.run(
    params,
    architecture,
    settings,
    steps,
    carries,
    nothing,
    mask=mask,
    noise=noise,
  )
  return followed


def _multiply(
  advance: probes.Step, columns: dict[str, Any], states: Any, of_steps: Any
) -> dict[str, jax.Array]:
  """Take the columns through the steps; return log10 norms of the blocks."""
  batch = jax.tree.leaves(states)[0].shape[1:2]
  exponents = dict.fromkeys(columns, jnp.zeros(batch, jnp.int32))

  def body(product, xs):
    state, of_step = xs
    _, push = jax.linearize(lambda s: advance(s, *of_step), state)
    columns, exponents, norms = *product, {}
    for name in columns:
      columns[name], more = _rescale(jax.vmap(push)(columns[name]))
      exponents[name] = exponents[name] + more
      norms[name] = exponents[name] * math.log10(2) + _log_norm(
        columns[name], name
      )
    return (columns, exponents), norms

  return lax.scan(body, (columns, exponents), (states, of_steps))[1]


def _check_widths(cell: contract.Cell, state: Any, width: int) -> None:
  """Refuse a state whose Jacobian is too large to be followed."""
  most = max(WIDEST, width)
  for name, leaf in probes.states_of(cell, state).items():
    if leaf[0].size > most:
      raise ValueError(
        f'the state {name} has {leaf[0].size:,} numbers, and Jacobians of at '
        f'most {most:,} are followed; nearest: a narrower model'
      )


def _identity(cell: contract.Cell, state: Any) -> dict[str, Any]:
  """Return, for each state, the tangents that move one unit of it each.

  Name -> a carry of `[units, batch, ...]`.
  """
  columns = {}
  for name, leaf in probes.states_of(cell, state).items():
    size = leaf[0].size
    unit = jnp.eye(size, dtype=leaf.dtype).reshape(size, 1, *leaf.shape[1:])
    column = jax.tree.map(
      lambda x, size=size: jnp.zeros_like(x, shape=(size, *x.shape)), state
    )
    ones = jnp.broadcast_to(unit, (size, *leaf.shape))
    columns[name] = _put(column, name, ones)
  return columns


def _put(carry: Any, name: str, value: jax.Array) -> Any:
  """Return a carry with one field replaced."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: value if path[-1].name == name else leaf, carry
  )


def _rescale(columns: Any) -> tuple[Any, jax.Array]:
  """Bring the columns of each sequence to size 1 by a power of two."""
  largest = [
    jnp.max(jnp.abs(_flat(leaf)), axis=(0, 2), initial=0)
    for leaf in jax.tree.leaves(columns)
  ]
  _, exponents = jnp.frexp(jnp.max(jnp.stack(largest), axis=0))

  def scale(leaf: jax.Array) -> jax.Array:
    return jnp.ldexp(leaf, -exponents.reshape(-1, *[1] * (leaf.ndim - 2)))

  return jax.tree.map(scale, columns), exponents


def _log_norm(columns: Any, name: str) -> jax.Array:
  """Return log10 of the largest singular value of a block, `[batch]`."""
  (leaf,) = (
    leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(columns)
    if path[-1].name == name
  )
  block = jnp.moveaxis(_flat(leaf), 1, 0)
  largest = jnp.max(jnp.abs(block), axis=(1, 2))
  scale = jnp.where(largest > 0, largest, 1)
  # For the largest one, the eigenvalues of BᵀB are exact enough, and cheaper.
  block = block / scale[:, None, None]
  squares = jnp.linalg.eigvalsh(jnp.einsum('bnu,bmu->bnm', block, block))
  return jnp.log10(largest) + 0.5 * jnp.log10(squares[:, -1])


def _flat(x: jax.Array) -> jax.Array:
  """Return `x` with all axes after the second as one."""
  return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
