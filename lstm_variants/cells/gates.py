"""The gates of the LSTM in the form that the scan runs.

`lstm.apply_gates` is the home of the equations; this module says the same in
few operations, for finite values, and has its derivative;
`tests/cells/gradient_test.py` holds the one against the other.

Two observations make it small. First, most toggles are statements about
parameters, so `fold` applies them once, before the scan, and a step costs the
same whatever is on:

    no peephole     p = 0
    coupled         f = 1 − σ(z_i + p_i ⊙ c) = σ(−z_i − p_i ⊙ c): the column
                    blocks of f are those of i with the sign turned
    coupling_shift  added to the bias of i
    missing gate    weights 0 and a bias so large that σ is 1 and its slope 0

Second, what is left of the gates is one vectorised expression
α tanh(βz) + γ + δz with constants per gate: σ is (½, ½, ½, 0), tanh is
(1, 1, 0, 0), the identity is (0, ·, 0, 1). Their slopes follow from their
values, so the gradient keeps the values and repeats no exponential.
"""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from lstm_variants.cells import unroll
from lstm_variants.cells.carry import Carry, fit_carry
from lstm_variants.cells.gradient import Operands, Pointwise
from lstm_variants.cells.toggles import is_static, select, Switch, Toggles

# σ of it is 1 exactly, from 16 to 64 bits.
_SATURATED = 1e4


class Form(NamedTuple):
  """What of the toggles is known before tracing; a toggle None is traced.

  Attributes:
    peephole_in: some run may have peepholes to i or f.
    peephole_out: some run may have a peephole to o.
    input_activation: of g.
    output_activation: of h.
    gate_recurrence: the signal is (h, i, f, o) rather than h.
  """

  peephole_in: bool
  peephole_out: bool
  input_activation: bool | None
  output_activation: bool | None
  gate_recurrence: bool


class Switches(NamedTuple):
  """The toggles that are traced, else None."""

  input_activation: jax.Array | None
  output_activation: jax.Array | None


def scan(
  params: Any,
  toggles: Toggles,
  inputs: jax.Array,
  carry: Carry,
  mask: jax.Array | None,
  gradient: unroll.Gradient,
) -> tuple[Carry, jax.Array]:
  """Run the cell over `[time, batch, F]`; see `lstm.unroll`."""
  for toggle in toggles:
    if not is_static(toggle):
      chex.assert_rank(toggle, 0)  # of a run; vmap gives every run its own
  dtype = jnp.result_type(inputs, *params, *carry)
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
  params: Any, toggles: Toggles
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  """Put the toggles of gates and peepholes into the parameters.

  Args:
    params: `lstm.Params`.
    toggles: static or traced.

  Returns:
    The kernel of the scan, `[signal + F + 1, 4H]`, and the peepholes i, f, o,
    `[H]` each; those that no run can have are left out.
  """
  form = form_of(toggles)
  parts = [params.recurrent_kernel]
  if form.gate_recurrence:
    to_i, to_f, to_o = jnp.split(params.gate_kernel, 3, axis=1)
    to_gates = jnp.concatenate((to_i, to_f, jnp.zeros_like(to_i), to_o), axis=1)
    on = toggles.gate_recurrence
    parts.append(select(on, lambda: to_gates, lambda: jnp.zeros_like(to_gates)))
  rows = jnp.concatenate((*parts, params.kernel, params.bias[None]), axis=0)
  i, f, g, o = jnp.split(rows, 4, axis=1)
  p_i, p_f, p_o = (
    _present(toggle, p)
    for toggle, p in zip(toggles[3:6], params.peephole, strict=True)
  )
  f = select(toggles.coupled, lambda: -i, lambda: f)
  p_f = select(toggles.coupled, lambda: -p_i, lambda: p_f)
  if not (is_static(toggles.coupling_shift) and toggles.coupling_shift == 0):
    i = i.at[-1].add(jnp.asarray(toggles.coupling_shift, i.dtype))
  (i, p_i), (f, p_f), (o, p_o) = (
    _gate(toggle, rows, p)
    for toggle, rows, p in zip(
      toggles[:3], (i, f, o), (p_i, p_f, p_o), strict=True
    )
  )
  peephole = (p_i, p_f) * form.peephole_in + (p_o,) * form.peephole_out
  return jnp.concatenate((i, f, g, o), axis=1), peephole


def _present(toggle: Switch, weights: jax.Array) -> jax.Array:
  return select(toggle, lambda: weights, lambda: jnp.zeros_like(weights))


def _gate(toggle, rows, peephole):
  """Return the rows and peephole of a gate, or those that keep it at 1."""
  missing = jnp.zeros_like(rows).at[-1].set(_SATURATED)
  return (
    select(toggle, lambda: rows, lambda: missing),
    _present(toggle, peephole),
  )


def form_of(toggles: Toggles) -> Form:
  """Return what is static about `toggles`."""

  def possible(toggle):
    return not is_static(toggle) or bool(toggle)

  def known(toggle):
    return bool(toggle) if is_static(toggle) else None

  return Form(
    possible(toggles.peephole_i) or possible(toggles.peephole_f),
    possible(toggles.peephole_o),
    known(toggles.input_activation),
    known(toggles.output_activation),
    possible(toggles.gate_recurrence),
  )


def pointwise(toggles: Toggles) -> tuple[Pointwise, Switches]:
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
  """
  form = form_of(toggles)
  switches = Switches(
    *(
      None if is_static(toggle) else jnp.asarray(toggle)
      for toggle in (toggles.input_activation, toggles.output_activation)
    )
  )
  return _pointwise(form), switches


@functools.cache
def _pointwise(form: Form) -> Pointwise:
  return Pointwise(
    functools.partial(_forward, form),
    functools.partial(_backward, form),
    functools.partial(_weigh, form),
  )


def _forward(form, peephole, switches, state, z):
  c = state
  size = c.shape[-1]
  # As one block [batch, 4H] the gates are one vectorised loop. The output gate
  # stays out where it has to wait for c'.
  gates = 3 if form.peephole_out else 4
  block = z[..., : gates * size]
  if form.peephole_in:
    rows = jnp.pad(jnp.concatenate(peephole[:2]), (0, (gates - 2) * size))
    block = block + rows * jnp.concatenate((c,) * gates, axis=-1)
  alpha, beta, gamma, delta = _coefficients(form, switches, gates, z.dtype)
  values = jnp.repeat(alpha, size) * jnp.tanh(jnp.repeat(beta, size) * block)
  values = values + jnp.repeat(gamma, size)
  if delta is not None:
    values = values + jnp.repeat(delta, size) * block
  i, f, g, *o = jnp.split(values, gates, axis=-1)
  c = f * c + i * g
  if form.peephole_out:
    z_o = z[..., 3 * size :] + peephole[-1] * c
    o = [0.5 * jnp.tanh(0.5 * z_o) + 0.5]
  h = o[0] * _squash(form, switches, c)
  signal = jnp.concatenate((h, i, f, *o), -1) if form.gate_recurrence else h
  return c, signal, (values, *o) if form.peephole_out else (values,)


def _backward(form, peephole, switches, state, values, d_c, d_signal):
  c = state
  i, f, g, o = jnp.split(values, 4, axis=-1)
  d_h, *d_gates = (
    jnp.split(d_signal, 4, axis=-1) if form.gate_recurrence else (d_signal,)
  )
  d_i, d_f, d_o = d_gates or (0.0, 0.0, 0.0)
  new_c = f * c + i * g
  squashed = _squash(form, switches, new_c)

  dz_o = (d_h * squashed + d_o) * o * (1 - o)
  d_c = d_c + d_h * o * _slope(
    form.output_activation, switches.output_activation, squashed
  )
  if form.peephole_out:
    d_c = d_c + dz_o * peephole[-1]
  dz_i = (d_c * g + d_i) * i * (1 - i)
  dz_f = (d_c * c + d_f) * f * (1 - f)
  dz_g = d_c * i * _slope(form.input_activation, switches.input_activation, g)
  d_c = d_c * f
  if form.peephole_in:
    d_c = d_c + dz_i * peephole[0] + dz_f * peephole[1]
  return d_c, (dz_i, dz_f, dz_g, dz_o)


def _weigh(form, dz, c, new_c):
  """Return the gradient by the peepholes: Σ z̄_i ⊙ c, Σ z̄_f ⊙ c, Σ z̄_o ⊙ c'."""
  dz_i, dz_f, _, dz_o = jnp.split(dz, 4, axis=-1)
  products = (dz_i * c, dz_f * c) * form.peephole_in
  products += (dz_o * new_c,) * form.peephole_out
  wide = jnp.promote_types(dz.dtype, jnp.float32)
  ones = jnp.ones((1, dz.shape[0]), wide)
  return tuple((ones @ product.astype(wide))[0] for product in products)


def _coefficients(form, switches, gates, dtype):
  """Return α, β, γ, δ of i, f, g and maybe o, `[gates]`; δ may be None.

  g, the third, has its activation, or the identity.
  """
  on = _either(form.input_activation, switches.input_activation)

  def column(*values):
    return jnp.asarray(values[:gates], dtype)

  half = column(0.5, 0.5, 0.0, 0.5)
  at_g = column(0.0, 0.0, 1.0, 0.0)
  alpha = select(on, lambda: half + at_g, lambda: half)
  delta = None
  if form.input_activation is not True:
    delta = select(on, lambda: jnp.zeros_like(at_g), lambda: at_g)
  return alpha, half + at_g, half, delta


def _squash(form: Form, switches: Switches, c: jax.Array) -> jax.Array:
  on = _either(form.output_activation, switches.output_activation)
  return select(on, lambda: jnp.tanh(c), lambda: c)


def _slope(known, switch, value: jax.Array) -> jax.Array:
  """The slope of tanh, or of the identity, from its value."""
  on = _either(known, switch)
  return select(on, lambda: 1 - value * value, lambda: jnp.ones_like(value))


def _either(known: bool | None, switch: jax.Array | None) -> Switch:
  """Return a toggle from where it is: static, or traced."""
  if known is not None:
    return known
  assert switch is not None
  return switch
