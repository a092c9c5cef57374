"""Models on top of cells, as pure functions: what training runs.

`settings` here are those of the cell: the toggles of an LSTM, or what another
cell takes in their place.
"""

from collections.abc import Sequence
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants import arguments, cells
from lstm_variants.cells import contract, remedies, unroll
from lstm_variants.models.architecture import Architecture as Architecture
from lstm_variants.models.architecture import (
  check_architecture as check_architecture,
)
from lstm_variants.models.architecture import count_params as count_params
from lstm_variants.models.architecture import (
  drawn_settings,
  first_features,
  settings_of,
  width_of,
)
from lstm_variants.models.architecture import embed as embed
from lstm_variants.models.architecture import read_out as read_out

# Of the keys of the cells that run backwards, of the embedding, and of the
# direct connections.
_BACKWARD, _EMBEDDING, _DIRECT = 0x6261636B, 0x656D6264, 0x64697265


class Dropout(NamedTuple):
  """Dropout between the layers, in training.

      x = D ⊙ h / (1 − p),  D ~ Bernoulli(1 − p) for each step, sequence, unit

  h are the outputs of a layer, x the inputs of the one above it; a residual
  connection adds h. In evaluation x = h.

  Attributes:
    key: a PRNG key.
    rate: p, the probability of dropping a number.

  Reference:
    Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329.
  """

  key: jax.Array
  rate: float | jax.Array


def init_model(
  key: jax.Array,
  architecture: Architecture,
  toggles: Any = None,
  *,
  forget_bias: float | jax.Array = 1.0,
  chrono_t_max: float | jax.Array = 0.0,
  dtype: jnp.dtype = jnp.float32,
) -> dict[str, Any]:
  """Draw the parameters of a model.

  Args:
    key: a PRNG key.
    architecture: static.
    toggles: of the cell, static or traced.
    forget_bias: see `contract.Init`.
    chrono_t_max: see `contract.Init`.
    dtype: of every leaf.

  Returns:
    `{'layers': (cell parameters, ...), 'readout': {'kernel', 'bias'}}`; the
    readout has a LeCun-normal kernel `[width, out_features]` and a zero bias,
    and with direct connections a LeCun-normal 'direct_kernel' beside it.
    Beside the layers there are 'gains', of layer normalisation, and 'carries',
    the learned states `{name: [H]}`, where the architecture has them, for each
    layer; and all three again in 'backward' of a bidirectional model. An
    'embedding' `[in_features, E]` has rows of length 1 on average, as one-hot
    symbols have: normal, of variance 1 / E.
  """
  sizes = architecture
  cell = cells.CELLS[sizes.cell]
  settings = drawn_settings(architecture, toggles)
  options = contract.Init(
    forget_bias, chrono_t_max, sizes.recurrent_init, dtype
  )

  def init(key, in_features, hidden_features):
    return cell.init(key, in_features, hidden_features, settings, options)

  keys = jax.random.split(key, sizes.num_layers + 1)
  params = _init_direction(keys[1:], sizes, init, dtype)
  params['readout'] = _init_readout(key, keys[0], sizes, dtype)
  if sizes.embedding_features:
    shape = sizes.in_features, sizes.embedding_features
    normal = jax.random.normal(jax.random.fold_in(key, _EMBEDDING), shape)
    params['embedding'] = (normal * shape[1] ** -0.5).astype(dtype)
  if sizes.bidirectional:
    # A stream that no cell draws from: they fold in the numbers of leaves.
    keys = jax.random.split(jax.random.fold_in(key, _BACKWARD), len(keys) - 1)
    params['backward'] = _init_direction(keys, sizes, init, dtype)
  return params


def _init_readout(key, kernel_key, sizes, dtype) -> dict[str, jax.Array]:
  """Draw the readout; with direct connections no other draw is another."""
  draw = jax.nn.initializers.lecun_normal()
  readout = {
    'kernel': draw(kernel_key, (width_of(sizes), sizes.out_features), dtype),
    'bias': jnp.zeros((sizes.out_features,), dtype),
  }
  if sizes.direct_connections:
    shape = first_features(sizes), sizes.out_features
    direct_key = jax.random.fold_in(key, _DIRECT)
    readout['direct_kernel'] = draw(direct_key, shape, dtype)
  return readout


def _init_direction(keys, sizes, init, dtype) -> dict[str, Any]:
  """Draw what the layers have in one direction."""
  cell, hidden = cells.CELLS[sizes.cell], sizes.hidden_features
  params: dict[str, Any] = {
    'layers': tuple(
      init(key, width_of(sizes) if layer else first_features(sizes), hidden)
      for layer, key in enumerate(keys)
    )
  }
  if sizes.layer_norm:
    params['gains'] = tuple(
      remedies.init_gains(cell.gains, hidden, dtype) for _ in keys
    )
  if sizes.learned_carry:
    params['carries'] = tuple(
      {name: jnp.zeros((hidden,), dtype) for name in cell.zones} for _ in keys
    )
  return params


def apply_model(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  carries: Sequence[Any] | None = None,
  *,
  mask: jax.Array | None = None,
  segment: int | None = None,
  gradient: unroll.Gradient = 'fused',
  noise: remedies.Noise | None = None,
  dropout: Dropout | None = None,
) -> tuple[tuple[Any, ...], jax.Array]:
  """Run a model over a batch of sequences.

  Args:
    params: from `init_model`.
    architecture: the shapes of the model, static.
    toggles: the toggles of an LSTM, static or traced; None for another cell.
    inputs: `[batch, time, in_features]`.
    carries: the carry of each layer before the first step, a pair of carries
      for each layer of a bidirectional model; None: the model's own, zero or
      learned.
    mask: None, or boolean `[batch, time]`; see `lstm.unroll`.
    segment: None, or a number of steps: the gradient then keeps only the
      carries between segments and computes each segment again (Chen et al.
      2016, arXiv:1604.06174). √time needs the least memory, for a long time
      below 3/√time of what None needs.
    gradient: see `unroll.scan`; 'autodiff' is for forward mode.
    noise: None, or zoneout and recurrent dropout.
    dropout: None, or dropout between the layers.

  Returns:
    The carries after the last step, which is the first step in the backward
    direction; and the outputs, `[batch, time, out_features]`.

  Raises:
    ArgumentError: if inputs or mask do not fit the architecture; if there are
      more or fewer carries than layers; if `segment` is no integer of at least
      1, or is given for a bidirectional model; if `gradient` is unknown.
  """
  inputs = unroll.as_array('inputs', inputs)
  wanted = (None, None, architecture.in_features)
  arguments.shape('inputs', inputs.shape, wanted)
  settings = settings_of(architecture, toggles)
  x, mask = unroll.time_first(inputs, mask, time_major=False)
  if carries is None:
    carries = first_carries(params, architecture, settings, inputs)
  _check_carries(architecture, carries)
  run = functools.partial(
    _run, params, architecture, settings, gradient, noise, dropout
  )
  is_random = noise is not None or dropout is not None
  xs = x, mask, jnp.arange(len(x)) if is_random else None
  if segment is not None:
    _check_segment(architecture, segment)
    run = functools.partial(unroll.in_segments, run, segment)
  last, outputs = run(tuple(carries), xs)
  return last, jnp.swapaxes(outputs, 0, 1)


def _check_carries(architecture: Architecture, carries: Sequence[Any]) -> None:
  """Refuse another number of carries than there are layers."""
  if len(carries) != architecture.num_layers:
    raise arguments.ArgumentError(
      f'{len(carries)} carries for num_layers={architecture.num_layers}; '
      'give one for each layer, or None'
    )


def _check_segment(architecture: Architecture, segment: int) -> None:
  """Refuse segments of a model that also runs backwards."""
  if architecture.bidirectional:
    raise arguments.ArgumentError(
      f'segment={segment}: a bidirectional model has none; nearest: None'
    )


def first_carries(
  params: dict[str, Any],
  architecture: Architecture,
  settings: Any,
  inputs: jax.Array,
) -> tuple[Any, ...]:
  """Return the states before the first step: zero, or learned.

  Args:
    params: from `init_model`.
    architecture: static.
    settings: of the cell.
    inputs: `[batch, ...]`.

  Returns:
    A carry per layer, of a bidirectional model a pair.
  """
  sizes = architecture
  dtype = jnp.result_type(inputs, params['readout']['kernel'])
  zero = cells.CELLS[sizes.cell].init_carry(
    settings, inputs.shape[:1], sizes.hidden_features, dtype
  )

  def of_direction(params):
    if not sizes.learned_carry:
      return (zero,) * sizes.num_layers
    return tuple(
      remedies.replace(
        zero,
        **{
          name: jnp.broadcast_to(state, zero.h.shape).astype(dtype)
          for name, state in states.items()
        },
      )
      for states in params['carries']
    )

  forward = of_direction(params)
  if not sizes.bidirectional:
    return forward
  return tuple(zip(forward, of_direction(params['backward']), strict=True))


def _run(params, architecture, settings, gradient, noise, dropout, carries, xs):
  """Run the layers and the readout, with the time axis first.

  `_run_layer` calls the `unroll` of the cell, for an LSTM `lstm.unroll`.

  Args:
    params: as in `apply_model`.
    architecture: as in `apply_model`.
    settings: the settings of the cell.
    gradient: as in `apply_model`.
    noise: as in `apply_model`.
    dropout: as in `apply_model`.
    carries: the carry of each layer before the first step.
    xs: inputs `[time, batch, F]`; mask `[time, batch]` or None; and the numbers
      of the steps `[time]`, None if nothing is random.

  Returns:
    The carries after the last step, and the outputs.
  """
  inputs, mask, steps = xs
  first = hiddens = embed(params, inputs)
  last = []
  for layer, carry in enumerate(carries):
    below = inputs = hiddens
    if dropout is not None and layer:
      inputs = _drop(dropout, layer, steps, below)
    run = functools.partial(
      _run_layer, architecture, settings, gradient, noise, layer
    )
    if architecture.bidirectional:
      ahead, forward = run(params, carry[0], inputs, mask, steps)
      flipped = jax.tree.map(lambda x: x[::-1], (inputs, mask, steps))
      back, backward = run(
        params['backward'], carry[1], *flipped, is_backward=True
      )
      carry = ahead, back
      hiddens = jnp.concatenate((forward, backward[::-1]), axis=-1)
    else:
      carry, hiddens = run(params, carry, inputs, mask, steps)
    if architecture.residual and layer:
      hiddens = hiddens + below
    last.append(carry)
  return tuple(last), read_out(params, first, hiddens)


def _drop(
  dropout: Dropout, layer: int, steps: jax.Array, hiddens: jax.Array
) -> jax.Array:
  """Return `[time, batch, F]` of which a share is left out; see `Dropout`."""
  kept = 1 - jnp.asarray(dropout.rate, jnp.float32)
  key = jax.random.fold_in(dropout.key, layer)

  # By the number of the step: a segment draws as the whole does.
  def factor(step: jax.Array) -> jax.Array:
    of_step = jax.random.fold_in(key, step)
    drawn = jax.random.bernoulli(of_step, kept, hiddens.shape[1:])
    return jnp.where(drawn, 1 / kept, 0).astype(hiddens.dtype)

  return hiddens * jax.vmap(factor)(steps)


def _run_layer(
  architecture: Architecture,
  settings: Any,
  gradient: unroll.Gradient,
  noise: remedies.Noise | None,
  layer: int,
  params: dict[str, Any],
  carry: Any,
  inputs: jax.Array,
  mask: jax.Array | None,
  steps: jax.Array | None,
  *,
  is_backward: bool = False,
) -> tuple[Any, jax.Array]:
  """Run one layer in one direction; an LSTM is run by `lstm.unroll`."""
  cell = cells.CELLS[architecture.cell]
  of_layer = params['layers'][layer]
  if noise is None and not architecture.layer_norm:
    return cell.unroll(
      of_layer,
      settings,
      inputs,
      carry,
      mask=mask,
      time_major=True,
      gradient=gradient,
    )
  unroll.check_gradient(gradient)
  if noise is not None and noise.key is not None:
    # Each layer and direction has random numbers of its own.
    key = jax.random.fold_in(noise.key, 2 * layer + is_backward)
    noise = noise._replace(key=key)
  return remedies.unroll(
    cell,
    of_layer,
    settings,
    inputs,
    contract.start(
      cell.init_carry,
      settings,
      architecture.hidden_features,
      of_layer,
      inputs,
      carry,
    ),
    steps,
    mask,
    params['gains'][layer] if architecture.layer_norm else None,
    noise,
  )
