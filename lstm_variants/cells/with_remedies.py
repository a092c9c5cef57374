"""The cells that take layer normalisation and recurrent dropout.

Their step with both: `(params, settings, carry, inputs, gains, keep) -> (carry,
hidden)`; gains and keep may be None, and are then left out. See `remedies`.
"""

from collections.abc import Mapping
import types
from typing import Any

import chex
import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, gru, lstm, remedies, simple_rnn
from lstm_variants.cells.carry import fit_carry


def lstm_step(
  params: lstm.Params,
  toggles: lstm.Toggles,
  carry: Any,
  inputs: jax.Array,
  gains: remedies.Gains | None,
  keep: jax.Array | None,
) -> tuple[lstm.Carry, jax.Array]:
  """Advance an LSTM by one step.

      z  = LN(x W) + LN(h R + (i, f, o)_{t-1} G) + b      over all of z
      c' = f ⊙ c + i ⊙ keep ⊙ g
      h' = o ⊙ tanh(LN(c'))

  The paper adds a bias to each LN; here those of z are the one that z has
  anyway.

  Reference:
    Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplementary material; Semeniuta
    et al. 2016, arXiv:1603.05118.
  """
  carry = fit_carry(toggles, lstm.Carry(*carry))
  if gains is None:
    z = lstm.project(params, toggles, carry, inputs)
    return lstm.apply_gates(params.peephole, toggles, carry, z, keep=keep)
  # Of a gate that is off, too: what is normalised is the same in every run of a
  # population.
  chex.assert_axis_dimension(params.bias, 0, 4 * carry.h.shape[-1])
  # Apart, not by a difference, of which little would be left.
  alone = params._replace(bias=jnp.zeros_like(params.bias))
  of_state = lstm.project(alone, toggles, carry, jnp.zeros_like(inputs))
  z = (
    remedies.normalise(inputs @ params.kernel, gains.inputs)
    + remedies.normalise(of_state, gains.recurrent)
    + params.bias
  )
  return lstm.apply_gates(
    params.peephole,
    toggles,
    carry,
    z,
    keep=keep,
    normalise=lambda c: remedies.normalise(c, gains.state, gains.state_bias),
  )


def gru_step(
  params: gru.Params,
  settings: None,
  carry: Any,
  inputs: jax.Array,
  gains: remedies.Gains | None,
  keep: jax.Array | None,
) -> tuple[gru.Carry, jax.Array]:
  """Advance the GRU that resets after the product by one step.

  z, r = σ(LN(x W_zr) + LN(h R_zr) + b_zr)         over both
  g    = tanh(LN(x W_g) + b_g + r ⊙ (LN(h R_g) + b_n))
  h'   = z ⊙ h + (1 − z) ⊙ keep ⊙ g
  """
  del settings
  (h,) = carry
  x, recurrent = inputs @ params.kernel, h @ params.recurrent_kernel
  if gains is not None:
    x = _normalise_apart(x, gains.inputs)
    recurrent = _normalise_apart(recurrent, gains.recurrent)
  return gru.apply_gates(params, gru.Carry(h), x + params.bias, recurrent, keep)


def _normalise_apart(z: jax.Array, gain: Any) -> jax.Array:
  """Normalise the gates of a GRU, and its candidate by itself."""
  ends = (2 * z.shape[-1] // 3,)
  parts = zip(jnp.split(z, ends, axis=-1), jnp.split(gain, ends), strict=True)
  return jnp.concatenate([remedies.normalise(*part) for part in parts], axis=-1)


def simple_rnn_step(
  params: simple_rnn.Params,
  settings: None,
  carry: Any,
  inputs: jax.Array,
  gains: remedies.Gains | None,
  keep: None,
) -> tuple[simple_rnn.Carry, jax.Array]:
  """Advance the simple RNN by one step: h' = tanh(LN(x W + h R) + b)."""
  del settings, keep
  (h,) = carry
  z = inputs @ params.kernel + h @ params.recurrent_kernel
  z = z if gains is None else remedies.normalise(z, gains.inputs)
  h = jnp.tanh(z + params.bias)
  return simple_rnn.Carry(h), h


def extend(
  cells: Mapping[str, contract.Cell],
) -> Mapping[str, contract.Cell]:
  """Return the cells, those above with these remedies."""
  steps = {
    'lstm': (lstm_step, remedies.Form(4, recurrent=True, state=True), True),
    'gru': (gru_step, remedies.Form(3, recurrent=True, state=False), True),
    'simple_rnn': (
      simple_rnn_step,
      remedies.Form(1, recurrent=False, state=False),
      False,
    ),
  }
  extended = dict(cells)
  for name, (step, form, drops) in steps.items():
    extended[name] = cells[name]._replace(
      with_remedies=step, gains=form, drops=drops
    )
  return types.MappingProxyType(extended)
