"""Cells as the recurrent operators of ONNX: arrays and attributes.

    LSTM    i, f, o = σ(…)      each with a peephole or none; o sees the new c
            g = tanh(…), or linear              h' = o ⊙ tanh(c'), or o ⊙ c'
    GRU     resets after the product, or before it
    RNN     h' = φ(x W + h R + b)               φ is tanh, or max(0, ·)

Coupled gates and gates that are off are written as plain ones (see
`plain_gates`): the attribute `input_forget`, which would couple them, knows no
shift, and not every runtime heeds it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.bridges import plain_gates, weights
from lstm_variants.bridges.weights import ExportError
from lstm_variants.cells import layout, lstm

# ONNX has our gates i, f, g, o as i, o, f, g and our peepholes as i, o, f.
_GATES = (0, 3, 1, 2)
_PEEPHOLES = (0, 2, 1)
# What each operator carries.
STATES = {'LSTM': ('c', 'h'), 'GRU': ('h',), 'RNN': ('h',)}


class Layer(NamedTuple):
  """One direction of a recurrent layer.

  Attributes:
    operator: 'LSTM', 'GRU' or 'RNN'.
    kernel: W, `[gates · H, F]`.
    recurrent_kernel: R, `[gates · H, H]`.
    bias: of the inputs, then of the recurrence, `[2 · gates · H]`.
    peephole: P, `[3H]`; None where no gate has one.
    functions: the operator's activation functions.
    attributes: what else it is given.
  """

  operator: str
  kernel: np.ndarray
  recurrent_kernel: np.ndarray
  bias: np.ndarray
  peephole: np.ndarray | None
  functions: tuple[str, ...]
  attributes: Mapping[str, int]


def attributes(layers: Sequence[Layer]) -> dict[str, Any]:
  """Return the attributes of an operator of these directions."""
  functions = [name for layer in layers for name in layer.functions]
  named = {
    'hidden_size': layers[0].recurrent_kernel.shape[1],
    'direction': 'forward' if len(layers) == 1 else 'bidirectional',
    'activations': functions,
    **layers[0].attributes,
  }
  linear = functions.count('Affine')
  if linear:  # α x + β, whose defaults are not those of the identity
    named['activation_alpha'] = [1.0] * linear
    named['activation_beta'] = [0.0] * linear
  return named


def single(name: str, value: Any) -> np.ndarray:
  """Return an array of 32 bits; of fewer is exact, of more is refused."""
  array = weights.array(name, value)
  if array.dtype != np.float32:
    raise ExportError(
      f'{name}: has type {array.dtype}, onnxruntime computes recurrent layers '
      'in 32 bits only; nearest: leaf.astype(numpy.float32) of each leaf'
    )
  return array


def _lstm(params: Any, toggles: lstm.Toggles) -> Layer:
  plain = plain_gates.rewrite(params, toggles)
  w, r, b = (
    np.concatenate(
      [np.split(single(k, getattr(plain, k)).T, 4)[n] for n in _GATES]
    )
    for k in ('kernel', 'recurrent_kernel', 'bias')
  )
  peephole = None
  if plain.peephole is not None:
    rows = single('peephole', plain.peephole)
    peephole = np.concatenate([rows[n] for n in _PEEPHOLES])
  return Layer(
    'LSTM',
    w,
    r,
    np.concatenate((b, np.zeros_like(b))),
    peephole,
    (
      'Sigmoid',
      'Tanh' if toggles.input_activation else 'Affine',
      'Tanh' if toggles.output_activation else 'Affine',
    ),
    {},
  )


def _diagonal_lstm(params: Any, toggles: lstm.Toggles) -> Layer:
  """Write the diagonals out as matrices."""
  arrays = {
    k: None if leaf is None else weights.array(k, leaf)
    for k, leaf in params._asdict().items()
  }
  plain_gates.check_layout(layout.DIAGONAL, arrays, toggles)
  rows = single('recurrent_kernel', params.recurrent_kernel)
  matrices = np.concatenate([np.diag(row) for row in rows], axis=1)
  full = weights.as_params(
    params.kernel, matrices, params.bias, params.peephole
  )
  return _lstm(full, toggles)


def _gru(params: Any, toggles: None) -> Layer:
  del toggles
  w, r, b = _transposed(params, 3)
  rest = np.zeros_like(b)
  after = params.recurrent_bias is not None
  if after:
    size = r.shape[1]
    bias = {'recurrent_bias': single('recurrent_bias', params.recurrent_bias)}
    weights.check_shapes(bias, {'recurrent_bias': (size,)})
    rest[-size:] = bias['recurrent_bias']
  return Layer(
    'GRU',
    w,
    r,
    np.concatenate((b, rest)),
    None,
    ('Sigmoid', 'Tanh'),
    {'linear_before_reset': int(after)},
  )


def _rnn(function: str) -> Callable[[Any, None], Layer]:
  def make(params: Any, toggles: None) -> Layer:
    del toggles
    w, r, b = _transposed(params, 1)
    bias = np.concatenate((b, np.zeros_like(b)))
    return Layer('RNN', w, r, bias, None, (function,), {})

  return make


def _transposed(params: Any, gates: int) -> list[np.ndarray]:
  """Return W, R and b of a cell with so many blocks, columns first."""
  names = ('kernel', 'recurrent_kernel', 'bias')
  arrays = {k: single(k, getattr(params, k)) for k in names}
  size = arrays['bias'].shape[-1] // gates
  shapes = (
    (*arrays['kernel'].shape[:-1][-1:], gates * size),
    (size, gates * size),
    (gates * size,),
  )
  weights.check_shapes(arrays, dict(zip(names, shapes, strict=True)))
  return [leaf.T for leaf in arrays.values()]


# `Cell.operator` -> (the parameters of a cell, its toggles) -> layer.
OPERATORS: Mapping[str, Callable[[Any, Any], Layer]] = {
  'LSTM': _lstm,
  'diagonal LSTM': _diagonal_lstm,
  'GRU': _gru,
  'RNN Tanh': _rnn('Tanh'),
  'RNN Relu': _rnn('Relu'),
}
