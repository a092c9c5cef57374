"""The LSTM cell: one step function in which every published variant is data.

Letters in shapes: `B` batch, `T` time, `F` in_features, `H` hidden_features.
Gates are ordered i, f, g, o (flax, torch) wherever four of them are stacked.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers
from lstm_variants.cells import gates as gates_lib
from lstm_variants.cells import unroll as unroll_lib
from lstm_variants.cells.carry import Carry, fit_carry, init_carry
from lstm_variants.cells.toggles import (
  check_toggles,
  select,
  Switch,
  Toggles,
)
from lstm_variants.cells.toggles import count_params as count_params


class Params(NamedTuple):
  """Parameters of the cell, the same tree for every variant.

  Attributes:
    kernel: input weights W, `[F, 4H]`.
    recurrent_kernel: recurrent weights R, `[H, 4H]`.
    bias: b, `[4H]`.
    peephole: diagonal weights p from the cell state to i, f, o, `[3, H]`.
    gate_kernel: weights G from the last gates i, f, o (rows) to the gates
      i, f, o (columns), `[3H, 3H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array
  peephole: jax.Array
  gate_kernel: jax.Array


def init_params(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  *,
  toggles: Toggles | None = None,
  forget_bias: float | jax.Array = 1.0,
  chrono_t_max: float | jax.Array = 0.0,
  recurrent_init: str = 'orthogonal',
  dtype: jnp.dtype = jnp.float32,
) -> Params:
  """Draw the parameters of a cell.

  Every leaf has a key of its own: equal keys give equal leaves whatever the
  toggles, so that runs of one seed are paired across variants. For all variants
  to start out remembering alike, the forget bias goes to b_f, or with `coupled`
  (f = 1 − σ(z_i)) as −forget_bias to b_i.

  Args:
    key: a PRNG key.
    in_features: F.
    hidden_features: H.
    toggles: static or traced toggles; None is the vanilla LSTM.
    forget_bias: the forget gate starts near σ(forget_bias).
    chrono_t_max: when above 0, the longest dependency T_max in steps of the
      chrono initialisation, which replaces the forget bias:
      b_f ~ log U[1, T_max − 1], b_i = −b_f.
    recurrent_init: a name from `initializers.RECURRENT`; of kernel and
      recurrent_kernel. peephole and gate_kernel are U[±1/√H], U[±1/√(3H)].
    dtype: of every leaf.

  Raises:
    ValueError: contradicting static toggles, or an unknown `recurrent_init`.

  Reference:
    Jozefowicz et al., ICML 2015 (forget bias 1); Tallec & Ollivier, ICLR 2018,
    arXiv:1804.11188, eq. 16 (chrono).
  """
  toggles = Toggles() if toggles is None else toggles
  check_toggles(toggles)
  size = hidden_features
  keys = Params(*(jax.random.fold_in(key, leaf) for leaf in range(5)))
  kernel, recurrent_kernel = initializers.blocks(
    key, in_features, size, 4, recurrent_init, dtype
  )
  return Params(
    kernel=kernel,
    recurrent_kernel=recurrent_kernel,
    bias=initializers.gate_bias(
      keys.bias, size, toggles.coupled, forget_bias, chrono_t_max
    ).astype(dtype),
    peephole=initializers.uniform(keys.peephole, (3, size), dtype),
    gate_kernel=initializers.uniform(
      keys.gate_kernel, (3 * size, 3 * size), dtype
    ),
  )


def step(
  params: Params,
  toggles: Toggles,
  carry: tuple[jax.Array, ...],
  inputs: jax.Array,
) -> tuple[Carry, jax.Array]:
  """Advance the cell by one time step.

      z   = x W + h R + b                 z = (z_i, z_f, z_g, z_o)
            + (i, f, o)_{t-1} G           with gate_recurrence: feeds i, f, o

  followed by the gates: see `apply_gates`.

  Args:
    params: `Params`.
    toggles: `Toggles`, static or traced.
    carry: `Carry`, or a plain pair (c, h); the gates of the step before are
      zero where they are missing.
    inputs: x, `[..., F]`.

  Returns:
    The new `Carry` and the hidden state h, `[..., H]`.

  Raises:
    ValueError: contradicting static toggles.
    AssertionError: shapes that do not fit the parameters.
  """
  check_toggles(toggles)
  operands = (params, Carry(*carry), inputs)
  params, state, inputs = jax.tree.map(jnp.asarray, operands)  # NumPy's too
  _check_shapes(params, state, inputs)
  return advance(params, toggles, fit_carry(toggles, state), inputs)


def advance(
  params: Params, toggles: Toggles, carry: Carry, inputs: jax.Array
) -> tuple[Carry, jax.Array]:
  """`step` without its checks."""
  z = project(params, carry, inputs)
  return apply_gates(params.peephole, toggles, carry, z)


def project(params: Params, carry: Carry, inputs: jax.Array) -> jax.Array:
  """Return the matrix products of a step, z `[..., 4H]`.

  This half of the step knows no toggle. The gates' own recurrence is there
  exactly when the carry brings gates.
  """
  z = inputs @ params.kernel + carry.h @ params.recurrent_kernel + params.bias
  if carry.gates is None:
    return z
  z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
  gate_i, gate_f, gate_o = jnp.split(
    carry.gates @ params.gate_kernel, 3, axis=-1
  )
  return jnp.concatenate((z_i + gate_i, z_f + gate_f, z_g, z_o + gate_o), -1)


def apply_gates(
  peephole: jax.Array,
  toggles: Toggles,
  carry: Carry,
  z: jax.Array,
  *,
  keep: jax.Array | None = None,
  normalise: Callable[[jax.Array], jax.Array] = lambda c: c,
) -> tuple[Carry, jax.Array]:
  """Compute the pointwise half of a step: the one home of the equations.

      i   = σ(z_i + p_i ⊙ c)              peephole_i;   1 without input_gate
      f   = σ(z_f + p_f ⊙ c)              peephole_f;   1 without forget_gate
            1 − σ(z_i + p_i ⊙ c)          with coupled; then
                                          i = σ(z_i + p_i ⊙ c + coupling_shift)
      g   = tanh(z_g)                     z_g without input_activation
      c'  = f ⊙ c + i ⊙ g
      o   = σ(z_o + p_o ⊙ c')             peephole_o; 1 without output_gate
      h'  = o ⊙ tanh(c')                  o ⊙ c' without output_activation

  A missing gate stays 1 whatever contradicting, traced toggles feed it.

  Args:
    peephole: `[3, H]`, rows i, f, o.
    toggles: static or traced.
    carry: of the step before.
    z: pre-activations, `[..., 4H]`.
    keep: None, or a factor of g, `[..., H]`; see `remedies`.
    normalise: what is done to c' on its way to h'; see `remedies`.

  Reference:
    Hochreiter & Schmidhuber 1997; Gers et al. 2000 (forget gate), JMLR 3, 2002
    (peepholes); Greff et al. 2017, arXiv:1503.04069 (ablations, coupling, gate
    recurrence); van der Westhuizen & Lasenby 2018, arXiv:1804.04849 (shift).
  """
  carry, _ = reveal(peephole, toggles, carry, z, keep, normalise)
  return carry, carry.h


def reveal(
  peephole: jax.Array,
  toggles: Toggles,
  carry: Carry,
  z: jax.Array,
  keep: jax.Array | None = None,
  normalise: Callable[[jax.Array], jax.Array] = lambda c: c,
) -> tuple[Carry, contract.Gates]:
  """Compute `apply_gates`, and return the gates instead of h."""
  z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
  (p_i, p_f, p_o), c_tm1 = peephole, carry.c
  shift = jnp.asarray(toggles.coupling_shift, z.dtype)

  z_i = select(toggles.peephole_i, lambda: z_i + p_i * c_tm1, lambda: z_i)
  z_f = select(toggles.peephole_f, lambda: z_f + p_f * c_tm1, lambda: z_f)
  z_f = select(toggles.coupled, lambda: -z_i, lambda: z_f)
  i = _gate(toggles.input_gate, z_i + shift)
  f = _gate(toggles.forget_gate, z_f)
  g = select(toggles.input_activation, lambda: jnp.tanh(z_g), lambda: z_g)
  g = g if keep is None else g * keep
  c = f * c_tm1 + i * g
  z_o = select(toggles.peephole_o, lambda: z_o + p_o * c, lambda: z_o)
  o = _gate(toggles.output_gate, z_o)
  seen = normalise(c)
  on = toggles.output_activation
  h = o * select(on, lambda: jnp.tanh(seen), lambda: seen)

  shown = contract.Gates({'i': i, 'f': f, 'o': o}, g, keep=f, state=c)
  if carry.gates is None:
    return Carry(c, h), shown
  gates = jnp.concatenate((i, f, o), axis=-1)
  gates = select(
    toggles.gate_recurrence, lambda: gates, lambda: jnp.zeros_like(gates)
  )
  return Carry(c, h, gates), shown


def gates(
  params: Params, toggles: Toggles, carry: Carry, inputs: jax.Array
) -> contract.Gates:
  """Return the gates of a step; see `contract.Cell.gates`."""
  carry = fit_carry(toggles, Carry(*carry))
  z = project(params, carry, inputs)
  return reveal(params.peephole, toggles, carry, z)[1]


def unroll(
  params: Params,
  toggles: Toggles,
  inputs: jax.Array,
  carry: tuple[jax.Array, ...] | None = None,
  *,
  mask: jax.Array | None = None,
  time_major: bool = False,
  gradient: unroll_lib.Gradient = 'fused',
) -> tuple[Carry, jax.Array]:
  """Run the cell over a batch of sequences.

  Args:
    params: `Params`.
    toggles: `Toggles`, static or traced.
    inputs: `[batch, time, F]`.
    carry: the state before the first step, `[batch, H]` each; zero if None.
    mask: None, or boolean `[batch, time]` for sequences of different lengths: a
      step where it is False leaves the carry, and repeats the hidden state.
    time_major: inputs, mask and hidden states are `[time, batch, ...]`.
    gradient: see `unroll.scan`; 'autodiff' is for forward mode.

  Returns:
    The `Carry` after the last step and the hidden states, `[batch, time, H]`.

  Raises:
    ValueError: contradicting static toggles, an unknown `gradient`, inputs
      sharded over explicit mesh axes (those of type Auto are taken).
    AssertionError: shapes that do not fit, a mask that is not boolean.
  """
  check_toggles(toggles)
  params = jax.tree.map(jnp.asarray, params)  # NumPy's too
  inputs, mask = unroll_lib.time_first(inputs, mask, time_major)
  if carry is None:
    size, dtype = params.peephole.shape[1], jnp.result_type(inputs, params.bias)
    carry = init_carry(toggles, inputs.shape[1:2], size, dtype)
  state: Carry = jax.tree.map(jnp.asarray, Carry(*carry))
  x_t = jax.ShapeDtypeStruct(inputs.shape[1:], inputs.dtype)
  _check_shapes(params, state, x_t)
  carry, hiddens = gates_lib.scan(
    params, toggles, inputs, fit_carry(toggles, state), mask, gradient
  )
  return carry, hiddens if time_major else jnp.swapaxes(hiddens, 0, 1)


def _gate(toggle: Switch, z: jax.Array) -> jax.Array:
  """σ(z) as ½ tanh(½ z) + ½, a third cheaper than the logistic; 1 when off."""
  return select(
    toggle, lambda: 0.5 * jnp.tanh(0.5 * z) + 0.5, lambda: jnp.ones_like(z)
  )


def _check_shapes(
  params: Params, carry: Carry, inputs: jax.Array | jax.ShapeDtypeStruct
) -> None:
  size = params.recurrent_kernel.shape[0]
  features = params.kernel.shape[0]
  chex.assert_shape(
    list(params),
    [
      (features, 4 * size),
      (size, 4 * size),
      (4 * size,),
      (3, size),
      (3 * size, 3 * size),
    ],
  )
  batch = inputs.shape[:-1]
  chex.assert_shape(inputs, (*batch, features))
  chex.assert_shape([carry.c, carry.h], (*batch, size))
  if carry.gates is not None:
    chex.assert_shape(carry.gates, (*batch, 3 * size))
