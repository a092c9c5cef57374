"""The LSTM of the papers, one sequence and one time step at a time, in NumPy.

Written from the equations of Greff et al. 2017 (arXiv:1503.04069, section 2 and
3) and van der Westhuizen & Lasenby 2018 (arXiv:1804.04849), gate by gate. It
accepts complex weights, for derivatives by the complex step.
"""

from typing import Any, NamedTuple

import numpy as np

# Where each gate's block lies along a stacked axis: i, f, g, o and i, f, o.
BLOCKS = {'i': 0, 'f': 1, 'g': 2, 'o': 3}
GATES = {'i': 0, 'f': 1, 'o': 2}


class Weights(NamedTuple):
  """One matrix or vector for each gate, or pair of gates, by letter."""

  w: dict[str, np.ndarray]
  r: dict[str, np.ndarray]
  b: dict[str, np.ndarray]
  p: dict[str, np.ndarray]
  gates: dict[str, np.ndarray]


class Result(NamedTuple):
  """Hidden states `[time, H]`, the last c and h `[H]`, the last gates."""

  hiddens: np.ndarray
  c: np.ndarray
  h: np.ndarray
  gates: dict[str, np.ndarray]


def take_apart(
  kernel: Any,
  recurrent_kernel: Any,
  bias: Any,
  peephole: Any = None,
  gate_kernel: Any = None,
  on: dict[str, Any] | None = None,
) -> Weights:
  """Cut stacked arrays into the weights of each gate, zero where none are.

  With `on`, every toggle by name, arrays may be those of the gates that have
  weights; else they are those of all the gates.
  """
  size = np.shape(recurrent_kernel)[0]
  columns, rows = 'ifgo', 'ifo'
  if on is not None:
    off = {'i': not on['input_gate'], 'o': not on['output_gate'], 'g': False}
    off['f'] = on['coupled'] or not on['forget_gate']
    if np.shape(bias)[-1] != 4 * size:
      columns = ''.join(k for k in 'ifgo' if not off[k])
    if peephole is not None and len(peephole) != 3:
      rows = ''.join(k for k in 'ifo' if on[f'peephole_{k}'])
  targets = 'ifo'
  if gate_kernel is not None and np.shape(gate_kernel)[1] != 3 * size:
    targets = columns.replace('g', '')

  def cut(array, names):
    parts = np.split(np.asarray(array), len(names), axis=-1)
    zeros = np.zeros_like(parts[0])
    return {
      k: dict(zip(names, parts, strict=True)).get(k, zeros) for k in BLOCKS
    }

  p: dict[str, np.ndarray] = dict.fromkeys('ifo', np.zeros(size))
  if peephole is not None:
    p |= dict(zip(rows, np.asarray(peephole), strict=True))
  fed: dict[str, Any] = dict.fromkeys('ifo', np.zeros((3 * size, size)))
  if gate_kernel is not None:
    fed |= {k: cut(gate_kernel, targets)[k] for k in targets}
  return Weights(
    w=cut(kernel, columns),
    r=cut(recurrent_kernel, columns),
    b=cut(bias, columns),
    p=p,
    gates={
      source + target: fed[target][row * size : (row + 1) * size]
      for source, row in GATES.items()
      for target in GATES
    },
  )


def logistic(z: np.ndarray) -> np.ndarray:
  """1 / (1 + e^-z)."""
  return 1.0 / (1.0 + np.exp(-z))


def one_step(
  weights: Weights, on: dict[str, Any], x: Any, c: Any, h: Any, last: dict
) -> tuple[Any, Any, dict[str, np.ndarray]]:
  """One time step; `on` holds every toggle by name, `last` the last gates."""
  w, r, b, p, u = weights
  net = {k: w[k].T @ x + r[k].T @ h + b[k] for k in 'ifgo'}
  if on['gate_recurrence']:
    for target in 'ifo':
      for source in 'ifo':
        net[target] = net[target] + u[source + target].T @ last[source]
  if on['peephole_i']:
    net['i'] = net['i'] + p['i'] * c
  if on['peephole_f']:
    net['f'] = net['f'] + p['f'] * c

  one = np.ones_like(net['i'])
  write = logistic(net['i'] + on['coupling_shift']) if on['input_gate'] else one
  if on['coupled']:
    keep = 1.0 - logistic(net['i'])
  elif on['forget_gate']:
    keep = logistic(net['f'])
  else:
    keep = one
  candidate = np.tanh(net['g']) if on['input_activation'] else net['g']
  cell = candidate * write + c * keep

  if on['peephole_o']:
    net['o'] = net['o'] + p['o'] * cell
  show = logistic(net['o']) if on['output_gate'] else one
  hidden = show * (np.tanh(cell) if on['output_activation'] else cell)
  return cell, hidden, {'i': write, 'f': keep, 'o': show}


def sequence(
  weights: Weights, on: dict[str, Any], inputs: Any, c: Any, h: Any, gates: Any
) -> Result:
  """Run over `[time, F]`; c and h are `[H]`, gates `[3H]` in order i, f, o."""
  last: dict[str, np.ndarray] = dict(
    zip('ifo', np.split(np.asarray(gates), 3), strict=True)
  )
  hiddens = []
  for x in inputs:
    c, h, last = one_step(weights, on, x, c, h, last)
    hiddens.append(h)
  return Result(np.stack(hiddens), c, h, last)
