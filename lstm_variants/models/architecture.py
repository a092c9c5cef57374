"""What fixes the shapes of a model, and how many parameters it has."""

from typing import Any, NamedTuple

import jax

from lstm_variants import arguments, cells
from lstm_variants.cells import layout, remedies
from lstm_variants.cells.toggles import Toggles


class Architecture(NamedTuple):
  """What fixes the shapes of a model: a stack of equal layers and a readout.

  Attributes:
    cell: a name from `cells.CELLS`.
    num_layers: number of recurrent layers, at least 1.
    in_features: of the inputs.
    hidden_features: of every layer, in each direction.
    out_features: of the readout.
    recurrent_init: a name from `initializers.RECURRENT`.
    cell_settings: of a cell that has no toggles (`Cell.settings`); None for
      the default ones.
    layer_norm: with layer normalisation, see `remedies`.
    learned_carry: the state before the first step is learned, from zero on.
    residual: what a layer above the first gets is added to what it puts out.
    bidirectional: each layer has a second cell that runs from the last step to
      the first; what is above sees both, side by side.
    embedding_features: E; inputs, one-hot symbols, go through a learned matrix
      `[in_features, E]` before the first layer. 0: they do not.
    direct_connections: the readout sees what the first layer gets, too, by
      weights of their own.
  """

  cell: str
  num_layers: int
  in_features: int
  hidden_features: int
  out_features: int
  recurrent_init: str = 'orthogonal'
  cell_settings: Any = None
  layer_norm: bool = False
  learned_carry: bool = False
  residual: bool = False
  bidirectional: bool = False
  embedding_features: int = 0
  direct_connections: bool = False


def check_architecture(architecture: Architecture) -> None:
  """Refuse what a stack of so many layers of the cell cannot have.

  Raises:
    ArgumentError: what, the value, the rule.
  """
  sizes = architecture
  cell = cells.find(sizes.cell)
  if sizes.cell_settings is not None:
    cells.check_settings(sizes.cell, sizes.cell_settings, sizes.hidden_features)
  for name in ('num_layers', 'in_features', 'hidden_features', 'out_features'):
    arguments.integer(name, getattr(sizes, name))
  arguments.integer('embedding_features', sizes.embedding_features, least=0)
  if sizes.residual and sizes.num_layers < 2:
    raise arguments.ArgumentError(
      'residual=True needs num_layers of 2 or more: the first layer has inputs '
      'of another size'
    )
  for name, possible in (
    ('layer_norm', cell.gains is not None),
    ('learned_carry', bool(cell.zones)),
  ):
    if getattr(sizes, name) and not possible:
      raise arguments.ArgumentError(
        f'{name}=True: {sizes.cell} has no place for it'
      )


def settings_of(architecture: Architecture, toggles: Any) -> Any:
  """Return what a cell calls its settings."""
  if toggles is not None:
    return toggles
  default = cells.CELLS[architecture.cell].settings
  chosen = architecture.cell_settings
  return default if chosen is None else chosen


def drawn_settings(architecture: Architecture, toggles: Any) -> Any:
  """Return the settings whose weights a model has; see `layout.in_use`.

  Layer normalisation is over the sums of all the gates, also of those that are
  off, so it leaves out none.
  """
  settings = settings_of(architecture, toggles)
  if architecture.layer_norm and isinstance(settings, Toggles):
    return layout.with_every_gate(settings)
  return settings


def width_of(architecture: Architecture) -> int:
  """Return the features that a layer puts out."""
  return architecture.hidden_features * (1 + architecture.bidirectional)


def first_features(architecture: Architecture) -> int:
  """Return the features that the first layer gets."""
  return architecture.embedding_features or architecture.in_features


def embed(params: dict[str, Any], inputs: jax.Array) -> jax.Array:
  """Return what the first layer gets: the inputs, or their embedding.

  A symbol, one-hot, picks its row of the matrix; padding, all zero, is zero.

  Args:
    params: of a model, see `models.init_model`.
    inputs: `[..., in_features]`.
  """
  if 'embedding' not in params:
    return inputs
  return inputs @ params['embedding']


def read_out(
  params: dict[str, Any], first: jax.Array, hiddens: jax.Array
) -> jax.Array:
  """Return the outputs: a linear function of the hidden states, as a rule.

      y = h W + b
      y = h W + b + x D       with direct connections

  Args:
    params: of a model, see `models.init_model`.
    first: what the first layer gets, x, `[..., first features]`.
    hiddens: what the last layer puts out, h, `[..., width]`.

  Returns:
    `[..., out_features]`.
  """
  readout = params['readout']
  outputs = hiddens @ readout['kernel'] + readout['bias']
  if 'direct_kernel' not in readout:
    return outputs
  return outputs + first @ readout['direct_kernel']


def count_params(architecture: Architecture, toggles: Any) -> int:
  """Count the parameters in use: those of gates and toggles that are on."""
  sizes = architecture
  cell, settings = cells.CELLS[sizes.cell], settings_of(architecture, toggles)
  features = first_features(sizes), *[width_of(sizes)] * (sizes.num_layers - 1)
  count = sum(
    cell.count_params(settings, of_layer, sizes.hidden_features)
    for of_layer in features
  )
  if sizes.layer_norm:
    gains = remedies.count_gains(cell.gains, sizes.hidden_features)
    count += sizes.num_layers * gains
  if sizes.learned_carry:
    count += sizes.num_layers * len(cell.zones) * sizes.hidden_features
  read = width_of(sizes) + 1
  if sizes.direct_connections:
    read += first_features(sizes)
  embedding = sizes.in_features * sizes.embedding_features
  count *= 1 + sizes.bidirectional
  return count + read * sizes.out_features + embedding
