"""The LSTM cells of flax: our vanilla one, in three layouts."""

from collections.abc import Mapping
import os
from typing import Any

from flax import nnx
import numpy as np

from lstm_variants import names as names_lib
from lstm_variants.bridges import plain_gates
from lstm_variants.bridges import weights as weights_lib
from lstm_variants.bridges.weights import ExportError, WeightsError
from lstm_variants.cells import lstm

# layout -> its layers of the inputs and of the hidden state, of i, f, g, o or
# of all of them. Those of linen.OptimizedLSTMCell are linen.LSTMCell's.
LAYOUTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
  'nnx.LSTMCell': (('ii', 'if_', 'ig', 'io'), ('hi', 'hf', 'hg', 'ho')),
  'nnx.OptimizedLSTMCell': (('dense_i',), ('dense_h',)),
  'linen.LSTMCell': (('ii', 'if', 'ig', 'io'), ('hi', 'hf', 'hg', 'ho')),
}


def to_flax(
  params: lstm.Params,
  toggles: lstm.Toggles | str | None = None,
  layout: str = 'nnx.LSTMCell',
) -> dict[str, dict[str, np.ndarray]]:
  """Return the parameters of a flax cell.

  Args:
    params: of the cell.
    toggles: or the name of a variant; None is vanilla.
    layout: a name from `LAYOUTS`.

  Returns:
    `{layer: {'kernel': …, 'bias': …}}`: `nnx.update(cell, …)` takes it, and in
    Linen it is what 'params' holds.

  Raises:
    ExportError: what flax cannot express, arrays that are not those of a cell,
      an unknown layout.
  """
  if layout not in LAYOUTS:
    raise ExportError(
      f'layout={layout!r}: unknown{names_lib.tail(layout, LAYOUTS)}'
    )
  plain = plain_gates.vanilla(params, toggles, 'flax')
  on_inputs, on_hidden = LAYOUTS[layout]
  count = len(on_inputs)
  layers = {
    name: {'kernel': kernel}
    for name, kernel in zip(
      on_inputs, np.split(plain.kernel, count, axis=1), strict=True
    )
  }
  kernels = np.split(plain.recurrent_kernel, count, axis=1)
  biases = np.split(plain.bias, count)
  for name, kernel, bias in zip(on_hidden, kernels, biases, strict=True):
    layers[name] = {'kernel': kernel, 'bias': bias}
  return layers


def from_flax(weights: Any) -> lstm.Params:
  """Return the parameters of a flax cell, which is vanilla.

  Args:
    weights: an `nnx.LSTMCell` or `nnx.OptimizedLSTMCell`, its state, or what
      'params' of a Linen one holds; nested, or by dotted name; or a safetensors
      file.

  Raises:
    WeightsError: missing or unknown names, wrong shapes, a cell with other
      functions.
  """
  if isinstance(weights, (str, os.PathLike)):
    weights = weights_lib.load(weights)
  if isinstance(weights, nnx.Module):
    _check_functions(weights)
    weights = nnx.state(weights, nnx.Param)
  if isinstance(weights, nnx.State):
    weights = nnx.to_pure_dict(weights)
  arrays = {
    name: weights_lib.array(name, leaf, WeightsError)
    for name, leaf in weights_lib.flatten(weights)
  }
  # The layout with the most names in common.
  on_inputs, on_hidden = max(
    LAYOUTS.values(),
    key=lambda names: sum(f'{k}.kernel' in arrays for k in sum(names, ())),
  )
  w = [f'{name}.kernel' for name in on_inputs]
  r = [f'{name}.kernel' for name in on_hidden]
  b = [f'{name}.bias' for name in on_hidden]
  weights_lib.check_names(arrays, [*w, *r, *b])
  features, size = (len(np.atleast_1d(arrays[k[0]])) for k in (w, r))
  width = 4 * size // len(b)
  wanted = {
    **dict.fromkeys(w, (features, width)),
    **dict.fromkeys(r, (size, width)),
    **dict.fromkeys(b, (width,)),
  }
  weights_lib.check_shapes(arrays, wanted, WeightsError)
  return weights_lib.as_params(
    *(np.concatenate([arrays[k] for k in names], -1) for names in (w, r, b))
  )


def _check_functions(cell: nnx.Module) -> None:
  """Refuse a cell with other functions than the LSTM."""
  for name, usual in (('gate_fn', nnx.sigmoid), ('activation_fn', nnx.tanh)):
    chosen = getattr(cell, name, usual)
    if chosen is not usual:
      raise WeightsError(
        f'{name}={getattr(chosen, "__name__", chosen)}: our LSTM has another; '
        f'nearest: {usual.__name__}'
      )
