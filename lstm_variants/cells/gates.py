"""The gates of the LSTM in the form that the scan runs.

`lstm.apply_gates` is the definition; this module computes the same for finite
values in fewer operations, with a derivative that is written out.
`tests/cells/gradient_test.py` compares the two.

Two observations make it short. First, most toggles can be expressed by the
parameters: `fold` applies them once, before the scan, and a step costs the same
whatever is on:

    no peephole     p = 0
    coupled         f = 1 − σ(z_i + p_i ⊙ c) = σ(−z_i − p_i ⊙ c): the column
                    blocks of f are those of i with the sign turned
    coupling_shift  added to the bias of i
    missing gate    weights 0 and a bias so large that σ is 1 and its slope 0

Second, all gates are then one vectorised expression α tanh(βz) + γ + δz with
constants for each gate: σ has (½, ½, ½, 0), tanh has (1, 1, 0, 0), the identity
has (0, ·, 0, 1). Slopes follow from values, so the gradient stores the values
and repeats no exponential.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import layout, unroll
from lstm_variants.cells import toggles as toggles_lib
from lstm_variants.cells.carry import Carry, fit_carry
from lstm_variants.cells.gradient import Operands, Pointwise
from lstm_variants.cells.toggles import is_possible, is_static, select, Toggles

# σ of it is 1 exactly, from 16 to 64 bits.
_SATURATED = 1e4


class Peepholes(NamedTuple):
  """Weights from the cell state to the gates, `[H]` each, or None.

  Those of i and f are both there if one of them may be on.
  """

  i: jax.Array | None
  f: jax.Array | None
  o: jax.Array | None


def scan(
  params: Any,
  toggles: Toggles,
  inputs: jax.Array,
  carry: Carry,
  mask: jax.Array | None,
  gradient: unroll.Gradient,
) -> tuple[Carry, jax.Array]:
  """Run the cell over `[time, batch, F]`; see `lstm.unroll`.

  The scan has one kernel for all inputs of a step: the signal (the last h, and
  with gate recurrence the last gates), x and the constant 1.
  """
  dtype = jnp.result_type(inputs, *jax.tree.leaves((params, carry)))
  kernel, peephole = fold(params, toggles)
  cell, switches = pointwise(toggles)
  kernel, peephole, inputs, carry = jax.tree.map(
    lambda x: x.astype(dtype), (kernel, peephole, inputs, carry)
  )
  c, signal, signals = unroll.scan(
    cell,
    Operands(kernel, peephole, switches, inputs, mask),
    carry.c,
    jnp.concatenate(carry[1:], axis=-1),
    gradient,
  )
  size = carry.h.shape[-1]
  gates = signal[:, size:] if carry.gates is not None else None
  last = fit_carry(toggles, Carry(c, signal[:, :size], gates))
  return last, signals[..., :size]


def fold(
  params: Any,
  toggles: Toggles,
  *,
  saturated: float = _SATURATED,
  xp: Any = jnp,
) -> tuple[Any, Peepholes]:
  """Put the toggles of gates and peepholes into the parameters.

  Args:
    params: `lstm.Params`.
    toggles: static or traced.
    saturated: the bias of a gate that is off, of which σ is 1.
    xp: the arrays' library, jax.numpy, or NumPy for static toggles.

  Returns:
    The kernel of the scan, `[signal + F + 1, 4H]`, and the peepholes; those
    that no run can have are None.
  """
  rows = _rows(params, toggles, xp)
  size = params.recurrent_kernel.shape[0]
  kernel = _fold_gates(rows, toggles, saturated, xp)
  seen = peepholes(params.peephole, toggles, size)
  return kernel, _fold_peepholes(seen, toggles, xp.zeros_like(kernel[0, :size]))


def _fold_gates(
  rows: dict[str, Any], toggles: Toggles, saturated: float, xp: Any
) -> Any:
  """Return the kernel of the scan, from the rows of each gate."""

  def absent():
    zeros = xp.zeros_like(rows['g'])
    return xp.concatenate((zeros[:-1], xp.full_like(zeros[-1:], saturated)))

  def write():
    shift = toggles.coupling_shift
    if is_static(shift) and shift == 0:
      return rows['i']
    bias = rows['i'][-1:] + xp.asarray(shift, rows['i'].dtype)
    return xp.concatenate((rows['i'][:-1], bias))

  def keep():
    return select(toggles.coupled, lambda: -rows['i'], lambda: rows['f'])

  gates = (
    select(toggles.input_gate, write, absent),
    select(toggles.forget_gate, keep, absent),
    rows['g'],
    select(toggles.output_gate, lambda: rows['o'], absent),
  )
  return xp.concatenate(gates, axis=1)


def _fold_peepholes(
  seen: dict[str, Any], toggles: Toggles, zeros: Any
) -> Peepholes:
  """Return the peepholes of the scan, from those that there are by gate."""

  def unseen():
    return zeros

  def write():
    return select(toggles.peephole_i, lambda: seen['i'], unseen)

  def own():
    return select(toggles.peephole_f, lambda: seen['f'], unseen)

  def keep():
    return select(toggles.coupled, lambda: -write(), own)

  def read():
    return select(toggles.peephole_o, lambda: seen['o'], unseen)

  i = f = o = None
  possible = remaining(toggles)
  if possible.peephole_i:
    i = select(toggles.input_gate, write, unseen)
    f = select(toggles.forget_gate, keep, unseen)
  if possible.peephole_o:
    o = select(toggles.output_gate, read, unseen)
  return Peepholes(i, f, o)


def _rows(params: Any, toggles: Toggles, xp: Any) -> dict[str, Any]:
  """Return what is multiplied by [h, last gates, x, 1] for each gate."""
  size = params.recurrent_kernel.shape[0]
  take_apart = functools.partial(layout.take_apart, layout.DENSE, toggles, size)
  parts = [params.recurrent_kernel]
  if is_possible(toggles.gate_recurrence):
    to_gates = take_apart('gate_kernel', params.gate_kernel)
    zeros = xp.zeros((3 * size, size), params.bias.dtype)
    gates = take_apart('bias', params.bias)
    wide = xp.concatenate([to_gates.get(gate, zeros) for gate in gates], axis=1)
    on = toggles.gate_recurrence
    parts.append(select(on, lambda: wide, lambda: xp.zeros_like(wide)))
  rows = xp.concatenate((*parts, params.kernel, params.bias[None]), axis=0)
  return take_apart('bias', rows)


def peepholes(peephole: Any, toggles: Toggles, size: int) -> dict[str, Any]:
  """Return the peepholes that there are by gate, `[H]` each.

  Args:
    peephole: see `lstm.Params`.
    toggles: static or traced.
    size: H.
  """
  rows = layout.take_apart(layout.DENSE, toggles, size, 'peephole', peephole)
  return {gate: row[0] for gate, row in rows.items()}


def remaining(toggles: Toggles) -> Toggles:
  """Return what is left of the toggles when they are folded into weights.

  Peepholes and gate recurrence are on if they are possible; gates are there.
  """
  peephole_in = is_possible(toggles.peephole_i) or is_possible(
    toggles.peephole_f
  )
  return Toggles(
    peephole_i=peephole_in,
    peephole_f=peephole_in,
    peephole_o=is_possible(toggles.peephole_o),
    input_activation=toggles.input_activation,
    output_activation=toggles.output_activation,
    gate_recurrence=is_possible(toggles.gate_recurrence),
  )


def pointwise(toggles: Toggles) -> tuple[Pointwise, Toggles]:
  """Return the pointwise half of the step, for parameters out of `fold`.

      i, f, g = α tanh(β (z + p ⊙ c)) + γ + δ z
      c'      = f ⊙ c + i ⊙ g
      o       = σ(z_o + p_o ⊙ c')
      h'      = o ⊙ φ(c')                   φ is tanh or the identity

  The state is c, the signal h', or (h', i, f, o) with gate recurrence. With a
  bar for the derivative of the loss by each, and a = φ(c'):

      z̄_o = h̄ ⊙ a ⊙ σ'(o)
      c̄'  = c̄ + h̄ ⊙ o ⊙ φ'(a) + z̄_o ⊙ p_o
      z̄_i = c̄' ⊙ g ⊙ σ'(i)    z̄_f = c̄' ⊙ c ⊙ σ'(f)    z̄_g = c̄' ⊙ i ⊙ tanh'(g)
      c̄   = c̄' ⊙ f + z̄_i ⊙ p_i + z̄_f ⊙ p_f

  where σ'(a) = a (1 − a) and tanh'(a) = 1 − a², and the gates' own bars are
  added to those of i, f, o with gate recurrence.

  Returns:
    The functions, which know the static toggles, and the traced ones.
  """
  static, traced = toggles_lib.split(remaining(toggles))
  return _pointwise(static), jax.tree.map(jnp.asarray, traced)


@functools.cache
def _pointwise(static: Toggles) -> Pointwise:
  return Pointwise(
    functools.partial(_forward, static),
    functools.partial(_backward, static),
    functools.partial(_weigh, static),
  )


def _forward(static, peephole, traced, state, z):
  toggles = toggles_lib.join(static, traced)
  c = state
  size = c.shape[-1]
  # As one block [batch, 4H] the gates are one vectorised loop. The output gate
  # stays out where it has to wait for c'.
  gates = 3 if toggles.peephole_o else 4
  block = z[..., : gates * size]
  if toggles.peephole_i:
    rows = jnp.concatenate((peephole.i, peephole.f))
    rows = jnp.pad(rows, (0, (gates - 2) * size))
    block = block + rows * jnp.concatenate((c,) * gates, axis=-1)
  alpha, beta, gamma, delta = _coefficients(toggles, gates, z.dtype)
  values = jnp.repeat(alpha, size) * jnp.tanh(jnp.repeat(beta, size) * block)
  values = values + jnp.repeat(gamma, size)
  if delta is not None:
    values = values + jnp.repeat(delta, size) * block
  parts = jnp.split(values, gates, axis=-1)
  i, f, g = parts[:3]
  c = f * c + i * g
  if toggles.peephole_o:
    z_o = z[..., 3 * size :] + peephole.o * c
    o = 0.5 * jnp.tanh(0.5 * z_o) + 0.5
    kept = (values, o)
  else:
    o = parts[3]
    kept = (values,)
  h = o * _squash(toggles, c)
  if toggles.gate_recurrence:
    return c, jnp.concatenate((h, i, f, o), axis=-1), kept
  return c, h, kept


def _backward(static, peephole, traced, state, values, d_c, d_signal):
  toggles = toggles_lib.join(static, traced)
  c = state
  i, f, g, o = jnp.split(values, 4, axis=-1)
  if toggles.gate_recurrence:
    d_h, d_i, d_f, d_o = jnp.split(d_signal, 4, axis=-1)
  else:
    d_h, d_i, d_f, d_o = d_signal, 0.0, 0.0, 0.0
  new_c = f * c + i * g
  squashed = _squash(toggles, new_c)

  dz_o = (d_h * squashed + d_o) * o * (1 - o)
  d_c = d_c + d_h * o * _slope(toggles.output_activation, squashed)
  if toggles.peephole_o:
    d_c = d_c + dz_o * peephole.o
  dz_i = (d_c * g + d_i) * i * (1 - i)
  dz_f = (d_c * c + d_f) * f * (1 - f)
  dz_g = d_c * i * _slope(toggles.input_activation, g)
  d_c = d_c * f
  if toggles.peephole_i:
    d_c = d_c + dz_i * peephole.i + dz_f * peephole.f
  return d_c, (dz_i, dz_f, dz_g, dz_o)


def _weigh(static, dz, c, new_c):
  """Return the gradient by the peepholes: Σ z̄_i ⊙ c, Σ z̄_f ⊙ c, Σ z̄_o ⊙ c'."""
  dz_i, dz_f, _, dz_o = jnp.split(dz, 4, axis=-1)
  wide = jnp.promote_types(dz.dtype, jnp.float32)
  ones = jnp.ones((1, dz.shape[0]), wide)

  def summed(product):
    return (ones @ product.astype(wide))[0]

  return Peepholes(
    i=summed(dz_i * c) if static.peephole_i else None,
    f=summed(dz_f * c) if static.peephole_f else None,
    o=summed(dz_o * new_c) if static.peephole_o else None,
  )


def _coefficients(toggles, gates, dtype):
  """Return α, β, γ, δ of i, f, g and maybe o, `[gates]`; δ may be None.

  g, the third, has its activation, or the identity.
  """

  def column(*values):
    return jnp.asarray(values[:gates], dtype)

  half = column(0.5, 0.5, 0.0, 0.5)
  at_g = column(0.0, 0.0, 1.0, 0.0)
  on = toggles.input_activation
  alpha = select(on, lambda: half + at_g, lambda: half)
  delta = None
  if on is not True:
    delta = select(on, lambda: jnp.zeros_like(at_g), lambda: at_g)
  return alpha, half + at_g, half, delta


def _squash(toggles: Toggles, c: jax.Array) -> jax.Array:
  return select(toggles.output_activation, lambda: jnp.tanh(c), lambda: c)


def _slope(on: toggles_lib.Switch, value: jax.Array) -> jax.Array:
  """Return the slope of tanh, or of the identity, from its value."""
  return select(on, lambda: 1 - value * value, lambda: jnp.ones_like(value))
