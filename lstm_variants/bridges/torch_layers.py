"""The layers of `torch.nn.LSTM`: our vanilla ones, with two biases."""

from collections.abc import Mapping, Sequence
import os
import re
from typing import Any, NamedTuple

import numpy as np

from lstm_variants import names as names_lib
from lstm_variants.bridges import plain_gates
from lstm_variants.bridges import weights as weights_lib
from lstm_variants.bridges.weights import ExportError, WeightsError
from lstm_variants.cells import lstm

_NAME = re.compile(r'\w+_l(\d+)(_reverse)?')
_KINDS = ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')

Layers = lstm.Params | Sequence[lstm.Params]


class Stack(NamedTuple):
  """Layers one above the other.

  Attributes:
    layers: the parameters of each.
    backward: those of what runs backwards beside them; None if nothing does.
  """

  layers: tuple[lstm.Params, ...]
  backward: tuple[lstm.Params, ...] | None = None


def to_torch(
  layers: Layers,
  toggles: lstm.Toggles | str | None = None,
  *,
  backward: Layers | None = None,
  prefix: str = '',
) -> dict[str, np.ndarray]:
  """Return the state of a `torch.nn.LSTM`, by name.

  Args:
    layers: the parameters of one layer, or of each.
    toggles: or the name of a variant; None is vanilla.
    backward: of the layers that run backwards, where it is bidirectional.
    prefix: put before every name, as 'lstm.'.

  Returns:
    NumPy arrays; `bias_ih` is our bias, `bias_hh` zero.

  Raises:
    ExportError: what torch cannot express, arrays that are not those of a cell,
      layers that do not fit each other, or none.

  Reference:
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
  """
  stacks = [
    [plain_gates.vanilla(p, toggles, 'torch.nn.LSTM') for p in _sequence(stack)]
    for stack in ((layers,) if backward is None else (layers, backward))
  ]
  _check_fit(stacks)
  state = {}
  for suffix, stack in zip(('', '_reverse'), stacks, strict=False):
    for n, plain in enumerate(stack):
      leaves = (
        plain.kernel.T,
        plain.recurrent_kernel.T,
        plain.bias,
        np.zeros_like(plain.bias),
      )
      for kind, leaf in zip(_KINDS, leaves, strict=True):
        state[f'{prefix}{kind}_l{n}{suffix}'] = np.ascontiguousarray(leaf)
  return state


def _check_fit(stacks: Sequence[Sequence[lstm.Params]]) -> None:
  """Refuse layers that cannot stand above or beside each other."""
  depth = len(stacks[0])
  if not depth:
    raise ExportError('layers: none; nearest: one')
  if len(stacks[-1]) != depth:
    raise ExportError(
      f'backward: {len(stacks[-1])} layer(s) beside {depth}, must be as many; '
      f'nearest: {depth}'
    )
  features, size = len(stacks[0][0].kernel), len(stacks[0][0].recurrent_kernel)
  for stack in stacks:
    for n, layer in enumerate(stack):
      below = len(stacks) * size if n else features
      widths = len(layer.recurrent_kernel), len(layer.kernel)
      names = ('hidden_features', 'in_features')
      for name, width, wanted in zip(names, widths, (size, below), strict=True):
        if width != wanted:
          raise ExportError(
            f'layer {n}: {name}={width}, does not fit the other layers; '
            f'nearest: {wanted}'
          )


def from_torch(
  weights: Mapping[str, Any] | str | os.PathLike[str], prefix: str = ''
) -> Stack:
  """Return the layers of a `torch.nn.LSTM`.

  Args:
    weights: its state, by name, arrays or tensors; or a safetensors file.
    prefix: with which its names start in a larger model, as 'lstm.'; the names
      of other parts are left alone.

  Returns:
    Vanilla layers; our bias is the sum of torch's two.

  Raises:
    WeightsError: missing or unknown names, wrong shapes, a projection.
  """
  named = weights if isinstance(weights, Mapping) else weights_lib.load(weights)
  arrays = {
    name: weights_lib.array(name, leaf, WeightsError)
    for name, leaf in named.items()
    if name.startswith(prefix)
  }
  own = [name.removeprefix(prefix) for name in arrays]
  if not any(map(_NAME.fullmatch, own)):
    raise WeightsError(
      f'{prefix}weight_ih_l0: missing'
      + names_lib.hint(f'{prefix}weight_ih_l0', named)
    )
  if any(name.startswith('weight_hr') for name in own):
    raise WeightsError(
      f'{prefix}weight_hr_l0: a projection, which our LSTM does not have; '
      'nearest: torch.nn.LSTM with proj_size=0'
    )
  matches = [match for match in map(_NAME.fullmatch, own) if match]
  depth = len({int(match[1]) for match in matches})
  suffixes = ['', '_reverse'] if any(m[2] for m in matches) else ['']
  biased = any(name.startswith('bias') for name in own)
  kinds = _KINDS if biased else _KINDS[:2]  # bias=False
  # For each direction and layer the names of its arrays.
  names = [
    [[f'{prefix}{k}_l{n}{suffix}' for k in kinds] for n in range(depth)]
    for suffix in suffixes
  ]
  weights_lib.check_names(
    arrays, [k for n in range(depth) for stack in names for k in stack[n]]
  )
  first, recurrent, *_ = names[0][0]
  features, size = arrays[first].shape[-1], arrays[recurrent].shape[-1]
  widths = (features, *[len(suffixes) * size] * (depth - 1))
  return Stack(
    *(
      tuple(
        _layer(arrays, layer, below, size)
        for layer, below in zip(stack, widths, strict=True)
      )
      for stack in names
    )
  )


def _layer(
  arrays: Mapping[str, np.ndarray], names: Sequence[str], below: int, size: int
) -> lstm.Params:
  """Return a layer, given the names of its arrays."""
  shapes = ((4 * size, below), (4 * size, size), (4 * size,), (4 * size,))
  wanted = dict(zip(names, shapes, strict=False))
  weights_lib.check_shapes(arrays, wanted, WeightsError)
  w, r, *biases = (arrays[name] for name in names)
  bias = sum(biases, np.zeros(4 * size, w.dtype))
  return weights_lib.as_params(w.T, r.T, bias)


def _sequence(layers: Layers) -> Sequence[lstm.Params]:
  return (layers,) if isinstance(layers, lstm.Params) else tuple(layers)
