"""An LSTM of ours as one of four plain gates, which is what other tools have.

    i, f, o = σ(z_i), σ(z_f), σ(z_o)     each with a peephole or none
    c' = f ⊙ c + i ⊙ g                   h' = o ⊙ φ(c')

What toggles change of a gate becomes weights of a plain one, by `gates.fold`:

    coupled        f = 1 − σ(z_i) = σ(−z_i)      the weights of i, negated
                   i = σ(z_i + coupling_shift)   the shift is added to b_i
    a gate is off  1 = σ(100), rounded           no weights, bias 100
    no peephole    p = 0
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstm_variants.bridges import weights
from lstm_variants.bridges.weights import ExportError
from lstm_variants.cells import gates, layout, lstm, variants

# Its σ is 1 in 32 bits and in 64; in onnxruntime from 18 on, at 17 it is not.
SATURATED = 100.0


# The toggles that are written, here or by the callers, or refused below: one
# that comes later must not be left out in silence.
_WRITTEN = (
  *('input_gate', 'forget_gate', 'output_gate', 'coupled', 'coupling_shift'),
  *('peephole_i', 'peephole_f', 'peephole_o'),
  *('input_activation', 'output_activation', 'gate_recurrence'),
)


def check(toggles: lstm.Toggles | str | None) -> lstm.Toggles:
  """Return toggles as Python values; None is vanilla.

  Args:
    toggles: static, or arrays of one element, or the name of a variant.

  Raises:
    ExportError: they are none, of several runs, contradict each other, or have
      gate recurrence.
  """
  if toggles is None or isinstance(toggles, str):
    toggles = _named('vanilla' if toggles is None else toggles)
  if not isinstance(toggles, lstm.Toggles):
    raise ExportError(
      f'toggles={toggles!r}: must be Toggles; nearest: '
      "lv.VARIANTS['vanilla'].toggles"
    )
  for name, value in toggles._asdict().items():
    if np.size(value) != 1:
      raise ExportError(
        f'{name}: of {np.size(value)} runs, must be of one; nearest: {name}[0]'
      )
  toggles = lstm.Toggles(*(np.asarray(value).item() for value in toggles))
  try:
    lstm.check_toggles(toggles)
  except ValueError as error:
    raise ExportError(str(error)) from error
  for name, default in lstm.Toggles()._asdict().items():
    if name not in _WRITTEN and getattr(toggles, name) != default:
      raise ExportError(
        f'{name}={getattr(toggles, name)}: the gates of other tools have none '
        f'such; nearest: {name}={default}'
      )
  if toggles.gate_recurrence:
    raise ExportError(
      'gate_recurrence=True: the gates of other tools do not see the last '
      'gates; nearest: gate_recurrence=False'
    )
  return toggles


def _named(variant: str) -> lstm.Toggles:
  try:
    return variants.find_toggles(variant)
  except ValueError as error:
    raise ExportError(f'toggles={variant!r}: {error}') from error


def rewrite(params: lstm.Params, toggles: lstm.Toggles) -> lstm.Params:
  """Return weights with which four plain gates do what `toggles` say.

  The toggles of the activation functions are left to the caller.

  Args:
    params: of one run, arrays of any library.
    toggles: from `check`.

  Returns:
    NumPy arrays, of 64 bits where they were, else of 32; exact but for the
    rounding of b_i + coupling_shift. All the gates have weights; `peephole` is
    None if none has one, `gate_kernel` always.

  Raises:
    ExportError: arrays that are not those of a cell.
  """
  params = _checked(params, toggles)
  size = len(params.recurrent_kernel)
  rows, peepholes = gates.fold(params, toggles, saturated=SATURATED, xp=np)
  seen = None
  if any(p is not None for p in peepholes):
    absent = np.zeros(size, rows.dtype)
    seen = np.stack([absent if p is None else p for p in peepholes])
  return weights.as_params(rows[size:-1], rows[:size], rows[-1], seen)


def vanilla(
  params: lstm.Params, toggles: lstm.Toggles | str | None, tool: str
) -> lstm.Params:
  """Return the weights with which the vanilla LSTM does the same.

  Args:
    params: of one run.
    toggles: None is vanilla.
    tool: that has the vanilla LSTM only.

  Returns:
    As `rewrite`.

  Raises:
    ExportError: it cannot, or arrays that are not those of a cell.
  """
  toggles = check(toggles)
  for name, plain in (
    ('peephole_i', False),
    ('peephole_f', False),
    ('peephole_o', False),
    ('input_activation', True),
    ('output_activation', True),
  ):
    if bool(getattr(toggles, name)) != plain:
      raise ExportError(
        f'{name}={not plain}: {tool} has none such; nearest: {name}={plain}'
      )
  return rewrite(params, toggles)


def _checked(params: Any, toggles: lstm.Toggles) -> lstm.Params:
  """Return the arrays of a cell."""
  if not isinstance(params, lstm.Params):
    raise ExportError(
      f'params: a {type(params).__name__}, must be Params of an LSTM; nearest: '
      'lv.init_params(...)'
    )
  arrays: Any = {
    k: None if leaf is None else weights.array(k, leaf)
    for k, leaf in params._asdict().items()
  }
  check_layout(layout.DENSE, arrays, toggles)
  return lstm.Params(**arrays)


def check_layout(
  form: layout.Form, arrays: Mapping[str, Any], toggles: lstm.Toggles
) -> None:
  """Refuse arrays that are not the leaves of a cell with these toggles.

  Raises:
    ExportError: naming the first.
  """
  features = arrays['kernel'].shape[:-1][-1:]
  size = arrays['recurrent_kernel'].shape[:-1][-1:]
  if form is layout.DIAGONAL:
    size = arrays['recurrent_kernel'].shape[-1:]
  allowed = layout.choices(form, toggles, sum(features), sum(size))
  for leaf, array in arrays.items():
    shapes = allowed[leaf]
    if array is None and None not in shapes:
      raise ExportError(
        f'{leaf}: missing, must have {list(shapes[0] or ())}; nearest: '
        'lv.init_params(..., toggles=toggles)'
      )
    if array is not None and array.shape not in shapes:
      wanted = next(shape for shape in shapes if shape is not None)
      weights.check_shapes(arrays, {leaf: wanted})
