"""The LSTM whose recurrent matrices are diagonal: every toggle, no mixing.

    z = x W + (r_i ⊙ h, r_f ⊙ h, r_g ⊙ h, r_o ⊙ h) + b
        + Σ_a (G_ai ⊙ a, G_af ⊙ a, 0, G_ao ⊙ a)_{t-1}   a in i, f, o, with
                                                        gate_recurrence

and then the gates of the LSTM. A unit sees the other units only through the
layer above it, so the steps can be computed in parallel: see `newton`.
"""

from collections.abc import Mapping
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, lstm
from lstm_variants.cells.carry import Carry, fit_carry, init_carry
from lstm_variants.cells.toggles import check_toggles, Toggles


class Params(NamedTuple):
  """Parameters of the cell, the same tree for every variant.

  Attributes:
    kernel: input weights W, `[F, 4H]`.
    recurrent_kernel: the diagonals r_i, r_f, r_g, r_o, `[4, H]`.
    bias: b, `[4H]`.
    peephole: diagonal weights p from the cell state to i, f, o, `[3, H]`.
    gate_kernel: the diagonals from the last gates i, f, o (first axis) to the
      gates i, f, o (second axis), `[3, 3, H]`.
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
  """Draw the parameters of a cell; see `lstm.init_params`.

  A diagonal is a row of 1 × 1 matrices: ±1 if orthogonal, U[−1, 1] if uniform.

  Raises:
    ValueError: contradicting static toggles, or an unknown `recurrent_init`.
  """
  toggles = Toggles() if toggles is None else toggles
  check_toggles(toggles)
  size = hidden_features
  keys = Params(*(jax.random.fold_in(key, leaf) for leaf in range(5)))
  inputs_init, _ = initializers.find(recurrent_init)
  kernels = [
    inputs_init(gate, (in_features, size), dtype)
    for gate in jax.random.split(keys.kernel, 4)
  ]
  diagonals = jax.random.uniform(
    keys.recurrent_kernel, (4, size), dtype, -1.0, 1.0
  )
  if recurrent_init == 'orthogonal':
    diagonals = jnp.where(diagonals < 0, -1, 1).astype(dtype)
  return Params(
    kernel=jnp.concatenate(kernels, axis=1),
    recurrent_kernel=diagonals,
    bias=initializers.gate_bias(
      keys.bias, size, toggles.coupled, forget_bias, chrono_t_max
    ).astype(dtype),
    peephole=initializers.uniform(keys.peephole, (3, size), dtype),
    gate_kernel=jax.random.uniform(
      keys.gate_kernel, (3, 3, size), dtype, -(3**-0.5), 3**-0.5
    ),
  )


def project(params: Params, toggles: Toggles, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., 4H]`."""
  del toggles
  return inputs @ params.kernel + params.bias


def advance(
  params: Params, toggles: Toggles, carry: Carry, projected: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance by one step."""
  carry, _ = reveal(params, toggles, carry, projected)
  return carry, carry.h


def reveal(
  params: Params, toggles: Toggles, carry: Carry, projected: jax.Array
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  carry = fit_carry(toggles, Carry(*carry))
  four = carry.h[..., None, :] * params.recurrent_kernel
  if carry.gates is not None:
    gates = carry.gates.reshape(*carry.h.shape[:-1], 3, 1, carry.h.shape[-1])
    to_i, to_f, to_o = jnp.moveaxis(
      jnp.sum(gates * params.gate_kernel, -3), -2, 0
    )
    four = four + jnp.stack((to_i, to_f, jnp.zeros_like(to_i), to_o), axis=-2)
  z = projected + four.reshape(projected.shape)
  return lstm.reveal(params.peephole, toggles, carry, z)


def count_params(
  toggles: Toggles, in_features: int, hidden_features: int
) -> int:
  """Count the parameters in use under static toggles.

  Raises:
    ValueError: contradicting or traced toggles.
  """
  # Those of H cells of one unit, each with all the inputs.
  return hidden_features * lstm.count_params(toggles, in_features, 1)


CELLS: Mapping[str, contract.Cell] = types.MappingProxyType(
  {
    'diagonal_lstm': contract.stepwise(
      init_params=init_params,
      init_carry=init_carry,
      project=project,
      advance=advance,
      reveal=reveal,
      size_of=lambda params: params.peephole.shape[1],
      count_params=count_params,
      summary='the LSTM with diagonal recurrent matrices; has all its toggles',
      reference='Danieli et al. 2025, arXiv:2510.21450 (ParaLSTM)',
      zones=('c', 'h'),
      toggled=True,
      diagonal=True,
    )
  }
)
