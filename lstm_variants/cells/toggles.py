"""The switches of the LSTM cell, static or traced."""

from collections.abc import Callable, Iterable, Sequence
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants import arguments

Switch = bool | jax.Array


class Toggles(NamedTuple):
  """The switches of the cell; the defaults are the vanilla LSTM.

  A leaf is a Python bool (the program is specialised to it) or a boolean array
  (traced: one compiled program serves both settings, and `jax.vmap` can give
  every run of a population its own). Note that `jax.jit(f)(Toggles(...))` makes
  arrays of the bools: to specialise, mark the argument static or close over it.
  Anything else is refused where toggles are used (`check_toggles`), not here:
  JAX builds trees of whatever stands for an array, as of None.

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


def is_possible(toggle: Switch) -> bool:
  """Tell whether a toggle may be on: it is, or it is traced."""
  return not is_static(toggle) or bool(toggle)


def select(
  toggle: Switch,
  on: Callable[[], jax.Array],
  off: Callable[[], jax.Array],
) -> jax.Array:
  """Choose between two functions: a bool calls one of them, an array both.

  For an array, `jnp.where` chooses between their results. The gradient of
  `where` passes NaN from the branch not taken, so both branches must be finite
  for finite arguments.
  """
  if is_static(toggle):
    return on() if toggle else off()
  return jnp.where(toggle, on(), off())


def split(toggles: Toggles) -> tuple[Toggles, Toggles]:
  """Take static and traced toggles apart, for a program that knows the first.

  Returns:
    The static toggles, hashable, None where one is traced; and the traced ones,
    None where one is static.
  """
  static = (t if is_static(t) else None for t in toggles)
  traced = (None if is_static(t) else t for t in toggles)
  return Toggles(*static), Toggles(*traced)  # pyrefly: ignore[bad-argument-type]


def join(static: Toggles, traced: Toggles) -> Toggles:
  """Put together what `split` took apart."""
  pairs = zip(static, traced, strict=True)
  return Toggles._make(t if s is None else s for s, t in pairs)


def stack(settings: Sequence[Toggles]) -> Toggles:
  """Return the toggles of several runs as those of one program.

  A toggle that is the same in all of them stays static, so that what no run
  needs is not computed; the others are NumPy arrays `[runs]`.

  Args:
    settings: static toggles, of each run.
  """
  columns = [list(column) for column in zip(*settings, strict=True)]
  return Toggles._make(
    column[0] if len(set(column)) == 1 else np.asarray(column)
    for column in columns
  )


def trace(toggles: Toggles, *, keep: Iterable[str] = ()) -> Toggles:
  """Return the toggles as arrays, so that settings share a program.

  Args:
    toggles: static or traced.
    keep: names of those that stay as they are.
  """
  kept = {name: getattr(toggles, name) for name in keep}
  return jax.tree.map(jnp.asarray, toggles)._replace(**kept)


def check_toggles(toggles: Toggles) -> None:
  """Refuse what is no toggle, and one that contradicts or voids another.

  A toggle is a Python bool, or one boolean of NumPy or JAX, `[]`, which is
  traced; the coupling shift is a finite number, or an array of one. Only static
  toggles can contradict each other; traced ones pass.

  Raises:
    ArgumentError: a message that names the toggle, the rule and a valid choice.
  """
  if not isinstance(toggles, Toggles):
    raise arguments.ArgumentError(
      f'toggles={toggles!r}: must be Toggles; nearest: '
      "lv.VARIANTS['vanilla'].toggles"
    )
  for name, value in toggles._asdict().items():
    if name == 'coupling_shift':
      _check_shift(value)
    else:
      _check_switch(name, value)
  _check_together(toggles)


def _check_switch(name: str, value: Any) -> None:
  """Refuse a toggle that is neither a bool nor one boolean."""
  if isinstance(value, bool):
    return
  if not _is_array(value):
    default = Toggles._field_defaults[name]
    nearest = bool(value) if isinstance(value, (int, float)) else default
    raise arguments.ArgumentError(
      f'{name}={value!r}: not True or False; nearest: {nearest}'
    )
  if value.dtype != bool:
    raise arguments.ArgumentError(
      f'{name}: an array of {value.dtype}, not of booleans; nearest: True'
    )
  _check_scalar(name, value)


def _check_shift(value: Any) -> None:
  """Refuse a coupling shift that is neither a finite number nor an array."""
  name = 'coupling_shift'
  if _is_array(value) and not isinstance(
    value, float
  ):  # NumPy's float64 is one
    if not jnp.issubdtype(value.dtype, jnp.number):
      raise arguments.ArgumentError(
        f'{name}: an array of {value.dtype}, not of numbers; nearest: 0.0'
      )
    _check_scalar(name, value)
    return
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    raise arguments.ArgumentError(
      f'{name}={value!r}: not a number; nearest: 0.0'
    )
  if not math.isfinite(value):
    raise arguments.ArgumentError(
      f'{name}={value}: must be finite; nearest: 0.0'
    )


def _is_array(value: Any) -> bool:
  """Tell whether a value is of NumPy or JAX, traced or described."""
  return hasattr(value, 'dtype') and hasattr(value, 'shape')


def _check_scalar(name: str, value: Any) -> None:
  """Refuse an array of several values."""
  if value.shape:
    raise arguments.ArgumentError(
      f'{name}: an array {list(value.shape)}, must be one value; nearest: '
      f'{name}[0], or a value a run by jax.vmap'
    )


def _check_together(toggles: Toggles) -> None:
  """Refuse static toggles of which one contradicts or voids another."""
  on = {k: is_static(v) and bool(v) for k, v in toggles._asdict().items()}
  off = {k: is_static(v) and not v for k, v in toggles._asdict().items()}
  for peephole, gate in (
    ('peephole_i', 'input_gate'),
    ('peephole_f', 'forget_gate'),
    ('peephole_o', 'output_gate'),
  ):
    if on[peephole] and off[gate]:
      raise arguments.ArgumentError(
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
      raise arguments.ArgumentError(message)
