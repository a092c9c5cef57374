"""Models on top of cells, as pure functions: what training runs."""

import functools
from typing import Any, NamedTuple

import chex
from flax import nnx
import jax
import jax.numpy as jnp

from lstm_variants import cells
from lstm_variants.cells import unroll


class Architecture(NamedTuple):
  """What fixes the shapes of a model: a stack of equal layers and a readout.

  Attributes:
    cell: a name from `cells.CELLS`.
    num_layers: number of recurrent layers, at least 1.
    in_features: of the inputs.
    hidden_features: of every layer.
    out_features: of the readout.
    recurrent_init: a name from `initializers.RECURRENT`.
  """

  cell: str
  num_layers: int
  in_features: int
  hidden_features: int
  out_features: int
  recurrent_init: str = 'orthogonal'


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
    forget_bias: see `lstm.init_params`.
    chrono_t_max: see `lstm.init_params`.
    dtype: of every leaf.

  Returns:
    `{'layers': (cell parameters, ...), 'readout': {'kernel', 'bias'}}`; the
    readout has a LeCun-normal kernel `[H, out_features]` and a zero bias.
  """
  sizes = architecture
  cell = cells.CELLS[sizes.cell]
  keys = jax.random.split(key, sizes.num_layers + 1)
  layers = []
  for layer in range(sizes.num_layers):
    features = sizes.hidden_features if layer else sizes.in_features
    layers.append(
      cell.init_params(
        keys[layer + 1],
        features,
        sizes.hidden_features,
        toggles=toggles,
        forget_bias=forget_bias,
        chrono_t_max=chrono_t_max,
        recurrent_init=sizes.recurrent_init,
        dtype=dtype,
      )
    )
  kernel = nnx.initializers.lecun_normal()(
    keys[0], (sizes.hidden_features, sizes.out_features), dtype
  )
  bias = jnp.zeros((sizes.out_features,), dtype)
  return {'layers': tuple(layers), 'readout': {'kernel': kernel, 'bias': bias}}


def apply_model(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  carries: tuple[Any, ...] | None = None,
  *,
  mask: jax.Array | None = None,
  segment: int | None = None,
  gradient: unroll.Gradient = 'fused',
) -> tuple[tuple[Any, ...], jax.Array]:
  """Run a model over a batch of sequences.

  Args:
    params: from `init_model`.
    architecture: static.
    toggles: of the cell, static or traced.
    inputs: `[batch, time, in_features]`.
    carries: one carry per layer; zero if None.
    mask: None, or boolean `[batch, time]`; see `lstm.unroll`.
    segment: None, or a number of steps: the gradient then keeps only the
      carries between segments and computes each segment again (Chen et al.
      2016, arXiv:1604.06174). √time needs the least memory, below 3/√time of
      what None needs where time is long.
    gradient: see `unroll.scan`; 'autodiff' is for forward mode.

  Returns:
    The carries after the last step and the outputs,
    `[batch, time, out_features]`.

  Raises:
    AssertionError: inputs or a mask that do not fit the architecture.
    ValueError: a number of carries that is not that of the layers, a `segment`
      that is not an integer of at least 1, an unknown `gradient`.
  """
  chex.assert_shape(inputs, (None, None, architecture.in_features))
  xs = unroll.time_first(inputs, mask, time_major=False)
  if carries is None:
    dtype = jnp.result_type(inputs, params['readout']['kernel'])
    carry = cells.CELLS[architecture.cell].init_carry(
      toggles, inputs.shape[:1], architecture.hidden_features, dtype
    )
    carries = (carry,) * architecture.num_layers
  if len(carries) != architecture.num_layers:
    raise ValueError(
      f'{len(carries)} carries for num_layers={architecture.num_layers}; '
      'give one for each layer, or None'
    )
  run = functools.partial(_run, params, architecture.cell, toggles, gradient)
  if segment is None:
    last, outputs = run(carries, xs)
  else:
    last, outputs = unroll.in_segments(run, segment, carries, xs)
  return last, jnp.swapaxes(outputs, 0, 1)


def _run(params, cell, toggles, gradient, carries, xs):
  """Run the layers and the readout over inputs and mask, time major."""
  (hiddens, mask), last = xs, []
  for layer, carry in zip(params['layers'], carries, strict=True):
    carry, hiddens = cells.CELLS[cell].unroll(
      layer,
      toggles,
      hiddens,
      carry,
      mask=mask,
      time_major=True,
      gradient=gradient,
    )
    last.append(carry)
  readout = params['readout']
  return tuple(last), hiddens @ readout['kernel'] + readout['bias']


def count_params(architecture: Architecture, toggles: Any) -> int:
  """Count the parameters in use: those of gates and toggles that are on."""
  sizes = architecture
  cell = cells.CELLS[sizes.cell]
  first = cell.count_params(toggles, sizes.in_features, sizes.hidden_features)
  others = cell.count_params(
    toggles, sizes.hidden_features, sizes.hidden_features
  )
  readout = (sizes.hidden_features + 1) * sizes.out_features
  return first + (sizes.num_layers - 1) * others + readout
