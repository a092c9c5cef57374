"""An LSTM of ours as one of four plain gates, which is what other tools have.

    i, f, o = σ(z_i), σ(z_f), σ(z_o)     each with a peephole or none
    c' = f ⊙ c + i ⊙ g                   h' = o ⊙ φ(c')

What toggles change of a gate becomes weights of a plain one:

    coupled        f = 1 − σ(z_i) = σ(−z_i)      the weights of i, negated
                   i = σ(z_i + coupling_shift)   the shift is added to b_i
    a gate is off  1 = σ(100), rounded           no weights, bias 100
    no peephole    p = 0
"""

from typing import Any

import numpy as np

from lstm_variants.bridges import weights
from lstm_variants.bridges.weights import ExportError
from lstm_variants.cells import lstm

# Its σ is 1 in 32 bits and in 64; in onnxruntime from 18 on, at 17 it is not.
SATURATED = 100.0
# Where the blocks of i, f, g, o lie.
_I, _F, _O = 0, 1, 3


def check(toggles: lstm.Toggles | None) -> lstm.Toggles:
  """Return toggles as Python values; None is vanilla.

  Args:
    toggles: static, or arrays of one element.

  Raises:
    ExportError: they are none, of several runs, contradict each other, or have
      gate recurrence.
  """
  toggles = lstm.Toggles() if toggles is None else toggles
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
  if toggles.gate_recurrence:
    raise ExportError(
      'gate_recurrence=True: the gates of other tools do not see the last '
      'gates; nearest: gate_recurrence=False'
    )
  return toggles


def rewrite(params: lstm.Params, toggles: lstm.Toggles) -> lstm.Params:
  """Return weights with which four plain gates do what `toggles` say.

  The toggles of the activation functions are left to the caller.

  Args:
    params: of one run, arrays of any library.
    toggles: from `check`.

  Returns:
    NumPy arrays, of 64 bits where they were, else of 32; exact but for the
    rounding of b_i + coupling_shift. `gate_kernel` is zero.

  Raises:
    ExportError: arrays that are not those of a cell.
  """
  kernel, recurrent_kernel, bias, peephole, _ = _checked(params)
  rows = np.concatenate((kernel, recurrent_kernel, bias[None]))
  gates = np.split(rows, 4, axis=1)
  seen = (toggles.peephole_i, toggles.peephole_f, toggles.peephole_o)
  p_i, p_f, p_o = (
    row * bool(on) for row, on in zip(peephole, seen, strict=True)
  )
  if toggles.coupled:
    gates[_F], p_f = -gates[_I], -p_i
    gates[_I][-1] += toggles.coupling_shift
  for block, on in (
    (_I, toggles.input_gate),
    (_F, toggles.forget_gate),
    (_O, toggles.output_gate),
  ):
    if not on:
      gates[block][:-1], gates[block][-1] = 0, SATURATED
  stacked = np.concatenate(gates, axis=1)
  return weights.as_params(
    stacked[: len(kernel)],
    stacked[len(kernel) : -1],
    stacked[-1],
    np.stack((p_i, p_f, p_o)),
  )


def vanilla(
  params: lstm.Params, toggles: lstm.Toggles | None, tool: str
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


def _checked(params: Any) -> lstm.Params:
  """Return the arrays of a cell."""
  if not isinstance(params, lstm.Params):
    raise ExportError(
      f'params: a {type(params).__name__}, must be Params of an LSTM; nearest: '
      'lv.init_params(...)'
    )
  arrays: Any = {
    k: weights.array(k, leaf) for k, leaf in params._asdict().items()
  }
  features = arrays['kernel'].shape[:-1]
  size = arrays['bias'].shape[-1] // 4 if arrays['bias'].ndim else 0
  shapes = (
    (*features[-1:], 4 * size),
    (size, 4 * size),
    (4 * size,),
    (3, size),
    (3 * size, 3 * size),
  )
  weights.check_shapes(
    arrays, dict(zip(lstm.Params._fields, shapes, strict=True))
  )
  return lstm.Params(**arrays)
