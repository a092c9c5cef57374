"""The switches of the LSTM cell, static or traced."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Switch = bool | jax.Array


class Toggles(NamedTuple):
  """The switches of the cell; the defaults are the vanilla LSTM.

  A leaf is a Python bool (the program is specialised to it) or a boolean array
  (traced: one compiled program serves both settings, and `jax.vmap` can give
  every run of a population its own). Note that `jax.jit(f)(Toggles(...))` makes
  arrays of the bools: to specialise, mark the argument static or close over it.

  Attributes:
    input_gate: i = σ(·); 1 when off.
    forget_gate: f = σ(·); 1 when off.
    output_gate: o = σ(·); 1 when off.
    peephole_i: the input gate sees c_{t-1}.
    peephole_f: the forget gate sees c_{t-1}.
    peephole_o: the output gate sees c_t, the new cell state.
    coupled: f = 1 − σ(z_i + p_i ⊙ c): the forget gate has no weights.
    coupling_shift: added to the input gate's pre-activation, after the forget
      gate was coupled to it (β of JANET); a float, 0 for none.
    input_activation: g = tanh(z_g); z_g when off.
    output_activation: h = o ⊙ tanh(c); o ⊙ c when off.
    gate_recurrence: the last gates feed the gates i, f, o.
  """

  input_gate: Switch = True
  forget_gate: Switch = True
  output_gate: Switch = True
  peephole_i: Switch = False
  peephole_f: Switch = False
  peephole_o: Switch = False
  coupled: Switch = False
  coupling_shift: float | jax.Array = 0.0
  input_activation: Switch = True
  output_activation: Switch = True
  gate_recurrence: Switch = False


def is_static(toggle: Switch | float) -> bool:
  """Tell whether a toggle is a Python number, known before tracing."""
  return isinstance(toggle, (bool, int, float))


def select(
  toggle: Switch,
  on: Callable[[], jax.Array],
  off: Callable[[], jax.Array],
) -> jax.Array:
  """Choose between two thunks: in Python on a bool, by `where` on an array.

  `where` passes NaN gradients of the branch not taken, so both branches must be
  finite for finite arguments.
  """
  if is_static(toggle):
    return on() if toggle else off()
  return jnp.where(toggle, on(), off())


def check_toggles(toggles: Toggles) -> None:
  """Refuse settings in which one toggle contradicts or voids another.

  Only static toggles can be checked; traced ones pass.

  Raises:
    ValueError: a message that names the toggle, the rule and a valid choice.
  """
  on = {k: is_static(v) and bool(v) for k, v in toggles._asdict().items()}
  off = {k: is_static(v) and not v for k, v in toggles._asdict().items()}
  for peephole, gate in (
    ('peephole_i', 'input_gate'),
    ('peephole_f', 'forget_gate'),
    ('peephole_o', 'output_gate'),
  ):
    if on[peephole] and off[gate]:
      raise ValueError(
        f'{peephole}=True needs {gate}=True: there is no gate to feed; set '
        f'{peephole}=False'
      )
  rules = (
    (
      on['coupled'] and off['input_gate'],
      'coupled=True needs input_gate=True: f = 1 - i has nothing to follow; '
      'set coupled=False',
    ),
    (
      on['coupled'] and off['forget_gate'],
      'coupled=True needs forget_gate=True: coupling defines the forget gate; '
      'set coupled=False',
    ),
    (
      on['coupled'] and on['peephole_f'],
      'peephole_f=True has no effect with coupled=True: f = 1 - i has no '
      'weights of its own; set peephole_f=False',
    ),
    (
      on['coupling_shift'] and off['coupled'],
      f'coupling_shift={toggles.coupling_shift} needs coupled=True; set '
      'coupling_shift=0.0',
    ),
  )
  for broken, message in rules:
    if broken:
      raise ValueError(message)


def count_params(
  toggles: Toggles, in_features: int, hidden_features: int
) -> int:
  """Count the parameters in use under static toggles.

  A gate that is off, and a coupled forget gate, has no weights in use.

  Raises:
    ValueError: contradicting or traced toggles.
  """
  if not all(map(is_static, toggles)):
    raise ValueError('count_params needs static toggles, Python bools')
  check_toggles(toggles)
  size = hidden_features
  own_forget_gate = toggles.forget_gate and not toggles.coupled
  gates = sum(
    map(bool, (toggles.input_gate, own_forget_gate, toggles.output_gate))
  )
  peepholes = sum(
    map(bool, (toggles.peephole_i, toggles.peephole_f, toggles.peephole_o))
  )
  dense = (gates + 1) * size * (in_features + size + 1)
  recurrence = 3 * size * gates * size if toggles.gate_recurrence else 0
  return dense + peepholes * size + recurrence
