"""Whole models in operators of ONNX: layers, directions, and what is around."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_variants import cells
from lstm_variants import names as names_lib
from lstm_variants.bridges import operators, plain_gates, weights
from lstm_variants.bridges.weights import ExportError

_READOUT = ('kernel', 'bias', 'direct_kernel')
# What the parameters of a model may hold, beside 'gains'.
_PARTS = ('layers', 'backward', 'carries', 'readout', 'embedding')


class Model(NamedTuple):
  """Layers one above the other, and what is read out of the last.

  Attributes:
    layers: of each its directions, forward and then backward.
    residual: what a layer above the first gets is added to what it puts out.
    first: the state before the first step, `[layers · directions, 1, H]`, by
      name; empty where it is zero.
    readout: kernel `[directions · H, out_features]` and bias, or None.
    direct: kernel `[first features, out_features]` of direct connections from
      what the first layer gets to the outputs, or None.
    embedding: `[F, E]`, through which inputs go to the first layer, or None.
  """

  layers: tuple[tuple[operators.Layer, ...], ...]
  residual: bool
  first: Mapping[str, np.ndarray]
  readout: tuple[np.ndarray, np.ndarray] | None
  embedding: np.ndarray | None = None
  direct: np.ndarray | None = None

  @property
  def states(self) -> tuple[str, ...]:
    """What each layer carries: 'c' and 'h', or 'h'."""
    return operators.STATES[self.layers[0][0].operator]

  @property
  def directions(self) -> int:
    """The number of directions of every layer, 1 or 2."""
    return len(self.layers[0])

  @property
  def in_features(self) -> int:
    """The number of input features, F."""
    return (
      self.first_features if self.embedding is None else len(self.embedding)
    )

  @property
  def first_features(self) -> int:
    """The number of features that the first layer gets."""
    return self.layers[0][0].kernel.shape[1]

  @property
  def hidden_features(self) -> int:
    """The width of every layer and direction, H."""
    return self.layers[0][0].recurrent_kernel.shape[1]

  @property
  def width(self) -> int:
    """The width of what each layer puts out, directions · H."""
    return self.directions * self.hidden_features


def translate(
  params: Any, toggles: Any, cell: str, backward: Any, residual: bool
) -> Model:
  """Return a model in operators of ONNX; see `onnx.export_onnx`.

  Raises:
    ExportError: what ONNX cannot express, arrays that do not fit each other.
  """
  if hasattr(params, 'architecture'):  # a SequenceModel knows the rest itself
    _check_agrees(params, toggles, cell, residual)
    sizes = params.architecture
    cell, residual, toggles = sizes.cell, sizes.residual, params.toggles
    params = params.params
  exported = [name for name, known in cells.CELLS.items() if known.operator]
  if cell not in exported:
    raise ExportError(
      f'cell={cell!r}: ONNX has no operator for it; choices: '
      f'{", ".join(exported)}'
    )
  make = operators.OPERATORS[cells.CELLS[cell].operator]
  if cells.CELLS[cell].toggled:
    toggles = plain_gates.check(toggles)
  elif toggles is not None:
    raise ExportError(f'toggles={toggles}: {cell} has none; nearest: None')
  parts = params if isinstance(params, Mapping) else {'layers': params}
  directions = _directions(parts, backward)
  stacks = [_stack(part['layers']) for part in directions]
  if len(stacks[-1]) != len(stacks[0]):
    raise ExportError(
      f'backward: {len(stacks[-1])} layer(s) beside {len(stacks[0])}, must be '
      f'as many; nearest: {len(stacks[0])}'
    )
  layers = []
  for n, pair in enumerate(zip(*stacks, strict=True)):
    try:
      made = [make(one, toggles) for one in pair]
    except ExportError as error:
      raise ExportError(f'layer {n}: {error}') from error
    layers.append(tuple(made))
  model = Model(tuple(layers), residual, {}, None)
  _check_fit(model)
  model = model._replace(
    first=_first(model, directions), embedding=_embedding(model, parts)
  )
  readout = parts.get('readout')
  return model if readout is None else _with_readout(model, readout)


def _check_agrees(model: Any, toggles: Any, cell: str, residual: bool) -> None:
  """Refuse arguments that contradict a SequenceModel."""
  sizes = model.architecture
  own = model.toggles
  if cell not in ('lstm', sizes.cell):  # 'lstm' is the default
    raise ExportError(
      f'cell={cell!r}: the model is of another; nearest: {sizes.cell}'
    )
  if residual and not sizes.residual:
    raise ExportError('residual=True: the model has none; nearest: False')
  if toggles is None:
    return
  if own is None:
    raise ExportError(
      f'toggles={toggles}: {sizes.cell} has none; nearest: None'
    )
  if plain_gates.check(toggles) != plain_gates.check(own):
    raise ExportError(
      f'toggles={toggles}: the model has its own; nearest: None'
    )


def _directions(
  parts: Mapping[str, Any], backward: Any
) -> list[Mapping[str, Any]]:
  """Return what runs forward, and what runs backward if anything does."""
  directions = [parts]
  if backward is not None and 'backward' in parts:
    raise ExportError('backward: params have one too; nearest: None')
  if backward is not None:
    directions.append({'layers': backward})
  elif 'backward' in parts:
    directions.append(parts['backward'])
  for part in directions:
    if not isinstance(part, Mapping):
      raise ExportError(
        f'backward: a {type(part).__name__}, must be named parts; nearest: '
        '{"layers": (...)}'
      )
    if 'gains' in part:
      raise ExportError(
        'layer_norm=True: no operator of ONNX normalises inside its steps; '
        'nearest: layer_norm=False'
      )
    for name in part:
      if name not in _PARTS:
        raise ExportError(
          f'params: {name!r} is no part of a model'
          + names_lib.tail(name, _PARTS)
        )
    if 'layers' not in part:
      raise ExportError('params: no layers; nearest: {"layers": (...)}')
  for name in ('backward', 'readout', 'embedding'):
    if name in directions[-1] and len(directions) == 2:
      raise ExportError(
        f'backward: has a {name!r}, must have layers and carries only; '
        f'nearest: without {name!r}'
      )
  if len({'carries' in part for part in directions}) == 2:
    raise ExportError(
      'carries: of one direction, must be of both or of none; nearest: none'
    )
  return directions


def _embedding(model: Model, parts: Mapping[str, Any]) -> np.ndarray | None:
  """Return the matrix below the first layer, if there is one."""
  if 'embedding' not in parts:
    return None
  matrix = operators.single('embedding', parts['embedding'])
  wanted = (*matrix.shape[:1], model.first_features)
  weights.check_shapes({'embedding': matrix}, {'embedding': wanted})
  return matrix


def _first(
  model: Model, directions: Sequence[Mapping[str, Any]]
) -> dict[str, np.ndarray]:
  """Return the learned state before the first step, if it is learned."""
  if 'carries' not in directions[0]:
    return {}
  carries = [tuple(part['carries']) for part in directions]
  for of_layers in carries:
    if len(of_layers) != len(model.layers):
      raise ExportError(
        f'carries: of {len(of_layers)} layer(s), must be of each; nearest: '
        f'{len(model.layers)}'
      )
  rows = [
    row if isinstance(row, Mapping) else {}
    for pair in zip(*carries, strict=True)
    for row in pair
  ]
  first = {}
  for state in model.states:
    if any(state not in row for row in rows):
      raise ExportError(
        f'carries: without {state}; nearest: {{{state!r}: [H]}} of each layer'
      )
    leaves = [operators.single(f'carries {state}', row[state]) for row in rows]
    first[state] = np.stack(leaves)[:, None]
  wanted = (len(model.layers) * model.directions, 1, model.hidden_features)
  weights.check_shapes(first, dict.fromkeys(first, wanted))
  return first


def _stack(params: Any) -> Sequence[Any]:
  """Return layers, given them or the parameters of one cell."""
  if not hasattr(params, '_fields') and not isinstance(params, tuple | list):
    raise ExportError(
      f'params: a {type(params).__name__}, must be lv.Params, layers of them, '
      'or a lv.SequenceModel'
    )
  layers = (params,) if hasattr(params, '_fields') else tuple(params)
  if not layers:
    raise ExportError('layers: none; nearest: one')
  return layers


def _check_fit(model: Model) -> None:
  """Refuse layers that cannot stand above or beside each other."""
  size = model.hidden_features
  for n, directions in enumerate(model.layers):
    for layer in directions:
      features, width = layer.kernel.shape[1], layer.recurrent_kernel.shape[1]
      if width != size:
        raise ExportError(
          f'layer {n}: hidden_features={width}, must be those of layer 0; '
          f'nearest: {size}'
        )
      below = model.width if n else model.first_features
      if features != below:
        raise ExportError(
          f'layer {n}: in_features={features}, must be what is below it; '
          f'nearest: {below}'
        )


def _with_readout(model: Model, readout: Mapping[str, Any]) -> Model:
  names = [name for name in _READOUT if name in readout]
  named = {name: operators.single(name, readout[name]) for name in names}
  outputs = named['bias'].shape[-1:]
  wanted = {'kernel': (model.width, *outputs), 'bias': outputs}
  if 'direct_kernel' in named:
    wanted['direct_kernel'] = (model.first_features, *outputs)
  try:
    weights.check_shapes(named, wanted)
  except ExportError as error:
    raise ExportError(f'readout: {error}') from error
  return model._replace(
    readout=(named['kernel'], named['bias']), direct=named.get('direct_kernel')
  )
