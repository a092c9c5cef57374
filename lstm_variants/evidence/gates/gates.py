"""What the gates of a trained model do at every step of a sequence."""

import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from lstm_variants import cells, models
from lstm_variants.cells import remedies
from lstm_variants.evidence.gates import gate_statistics
from lstm_variants.models.architecture import Architecture, settings_of

# The gates of an LSTM, and the toggles without which they are 1.
_TOGGLED = {'i': 'input_gate', 'f': 'forget_gate', 'o': 'output_gate'}


def trace(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  *,
  layer: int = -1,
  noise: remedies.Noise | None = None,
) -> gate_statistics.Trace:
  """Run a model and record what a layer does at every step.

  The carries are those of `models.apply_model`, one step at a time; the gates
  are computed from them by `Cell.gates`, where the step has its equations.

  Args:
    params: of a model, see `models.init_model`.
    architecture: of one direction, without layer normalisation.
    toggles: of the cell, of one run.
    inputs: `[batch, time, in_features]`.
    layer: which; −1 is the last.
    noise: None, or zoneout at test time: its key is None.

  Raises:
    ValueError: no such layer; a model or noise whose gates cannot be told.
  """
  layer = _check(architecture, layer, noise)
  cell, off = cells.CELLS[architecture.cell], ()
  if cell.toggled:
    # Of one run: known, whoever holds them.
    toggles = type(toggles)(*(np.asarray(value).item() for value in toggles))
    off = tuple(g for g, on in _TOGGLED.items() if not getattr(toggles, on))
  gates, *rest = jax.tree.map(
    np.asarray,
    _arrays(architecture, toggles, layer, params, jnp.asarray(inputs), noise),
  )
  # A map over a tree sorts names.
  ordered = {n: gates[n] for n in gate_statistics.NAMES if n in gates}
  return gate_statistics.Trace(ordered, off, *rest)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _arrays(
  architecture: Architecture,
  toggles: Any,
  layer: int,
  params: dict[str, Any],
  inputs: jax.Array,
  noise: remedies.Noise | None,
) -> tuple[Any, ...]:
  """Return gates, candidate, keep, c, h and outputs, batch major."""
  settings = settings_of(architecture, toggles)
  cell, of_layer = cells.CELLS[architecture.cell], params['layers'][layer]
  before, below, after, outputs = _follow(
    params, architecture, toggles, inputs, layer, noise
  )
  c = after.c if 'c' in cell.zones else None
  values, candidate, keep = {}, None, None
  if cell.gates is not None:
    shown = cell.gates(of_layer, settings, before, below)
    values, candidate = shown.values, shown.candidate
    keep = _zoned(cell, noise, shown.keep)
    c = shown.state if c is None else c
  return jax.tree.map(
    lambda x: jnp.swapaxes(x, 0, 1),
    (values, candidate, keep, c, after.h, outputs),
  )


def _check(
  architecture: Architecture, layer: int, noise: remedies.Noise | None
) -> int:
  """Return the layer, counted from 0, or refuse.

  Raises:
    ValueError: what, the value, the rule.
  """
  count = architecture.num_layers
  if not -count <= layer < count:
    nearest = 0 if layer < 0 else count - 1
    raise ValueError(f'layer={layer} of num_layers={count}; nearest: {nearest}')
  for name in ('layer_norm', 'bidirectional'):
    if getattr(architecture, name):
      raise ValueError(
        f'{name}=True: the gates of such a model are not traced; nearest: '
        'a model without it'
      )
  if noise is not None and noise.key is not None:
    raise ValueError(
      'noise with a key is drawn; its key must be None, as in a test'
    )
  return layer % count


def _follow(params, architecture, toggles, inputs, layer, noise):
  """Run step by step.

  Returns:
    The carry of the layer before each step, what it sees, and its carry after
    the step, all time major, and the outputs.
  """
  settings = settings_of(architecture, toggles)
  first = models.first_carries(params, architecture, settings, inputs)

  def body(carries, x):
    new, outputs = models.apply_model(
      params, architecture, toggles, x[:, None], carries, noise=noise
    )
    new = jax.tree.map(lambda n, o: n.astype(o.dtype), new, carries)
    return new, (new, outputs[:, 0])

  below = jnp.swapaxes(inputs, 0, 1)
  _, (carries, outputs) = lax.scan(body, first, below)
  for index in range(layer):
    residual = architecture.residual and index
    below = carries[index].h + (below if residual else 0)
  before = jax.tree.map(
    lambda start, after: jnp.concatenate((start[None], after[:-1])),
    first[layer],
    carries[layer],
  )
  return before, below, carries[layer], outputs


def _zoned(cell, noise, keep):
  """Return the factor with zoneout at test time: d + (1 − d) f."""
  if noise is None:
    return keep
  name = 'c' if 'c' in cell.zones else 'h'
  share = jnp.asarray(getattr(noise, f'zoneout_{name}'), keep.dtype)
  return share + (1 - share) * keep
