"""The LSTM whose recurrent matrices are diagonal: every toggle, no mixing.

    z = x W + (r_i ⊙ h, r_f ⊙ h, r_g ⊙ h, r_o ⊙ h) + b
        + Σ_a (G_ai ⊙ a, G_af ⊙ a, 0, G_ao ⊙ a)_{t-1}   a in i, f, o, with
                                                        gate_recurrence

and then the gates of the LSTM. A unit sees the other units only through the
layer above it, so the steps can be computed in parallel: see `newton`.
"""

from collections.abc import Mapping
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, layout, lstm
from lstm_variants.cells.carry import Carry, fit_carry, init_carry
from lstm_variants.cells.toggles import Toggles
from lstm_variants.cells.variants import find_toggles


class Params(NamedTuple):
  """Parameters of the cell: those that its toggles use; see `lstm.Params`.

  Attributes:
    kernel: input weights W, `[F, nH]`.
    recurrent_kernel: the diagonals r, `[n, H]`.
    bias: b, `[nH]`.
    peephole: diagonal weights p from the cell state, `[k, H]`, or None.
    gate_kernel: the diagonals from the last gates i, f, o (first axis) to the m
      of these gates that have weights (second axis), `[3, m, H]`, or None.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array
  peephole: jax.Array | None = None
  gate_kernel: jax.Array | None = None

  FORM = layout.DIAGONAL


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  toggles: Toggles | str | None,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `lstm.init`.

  A diagonal is a row of 1 × 1 matrices: ±1 if orthogonal, U[−1, 1] if uniform.
  """
  toggles = find_toggles('vanilla' if toggles is None else toggles)
  size, dtype = hidden_features, options.dtype
  keys = {
    leaf: jax.random.fold_in(key, n) for n, leaf in enumerate(Params._fields)
  }
  inputs_init, _ = initializers.find(options.recurrent_init)
  gate_keys = jax.random.split(keys['kernel'], 4)
  used = layout.in_use(toggles)['kernel']
  kernels = [
    inputs_init(gate_key, (in_features, size), dtype)
    for gate, gate_key in zip(layout.ALL['kernel'], gate_keys, strict=True)
    if gate in used
  ]
  diagonals = jax.random.uniform(
    keys['recurrent_kernel'], (4, size), dtype, -1.0, 1.0
  )
  if options.recurrent_init == 'orthogonal':
    diagonals = jnp.where(diagonals < 0, -1, 1).astype(dtype)
  bias = initializers.gate_bias(
    *(keys['bias'], size, toggles.coupled),
    options.forget_bias,
    options.chrono_t_max,
  ).astype(dtype)
  keep = functools.partial(layout.keep, layout.DIAGONAL, toggles, size)
  return Params(
    kernel=jnp.concatenate(kernels, axis=1),
    recurrent_kernel=keep('recurrent_kernel', lambda: diagonals),
    bias=keep('bias', lambda: bias),
    peephole=keep(
      'peephole',
      lambda: initializers.uniform(keys['peephole'], (3, size), dtype),
    ),
    gate_kernel=keep(
      'gate_kernel',
      lambda: jax.random.uniform(
        keys['gate_kernel'], (3, 3, size), dtype, -(3**-0.5), 3**-0.5
      ),
    ),
  )


def project(params: Params, toggles: Toggles, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., 4H]`, zero for a gate without weights."""
  z = inputs @ params.kernel + params.bias
  size = params.recurrent_kernel.shape[-1]
  gates = layout.take_apart(layout.DIAGONAL, toggles, size, 'bias', z)
  if len(gates) == 4:
    return z
  return layout.put_together('bias', gates, -1, gates['g'])


def reveal(
  params: Params, toggles: Toggles, carry: Carry, projected: jax.Array
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates, not h."""
  carry = fit_carry(toggles, Carry(*carry))
  take_apart = functools.partial(
    layout.take_apart, layout.DIAGONAL, toggles, carry.h.shape[-1]
  )
  own = carry.h[..., None, :] * params.recurrent_kernel
  rows = take_apart('recurrent_kernel', own)
  if carry.gates is not None and params.gate_kernel is not None:
    gates = carry.gates.reshape(*carry.h.shape[:-1], 3, 1, carry.h.shape[-1])
    # Of each gate (second axis) the sum over the last gates.
    feeds = jnp.sum(gates * params.gate_kernel, -3)
    feeds = take_apart('gate_kernel', feeds)
    rows = {k: v + feeds[k] if k in feeds else v for k, v in rows.items()}
  four = layout.put_together('recurrent_kernel', rows, -2, rows['g'])
  z = projected + four.reshape(projected.shape)
  return lstm.reveal(params.peephole, toggles, carry, z)


def count_params(
  toggles: Toggles | str, in_features: int, hidden_features: int
) -> int:
  """Count the parameters, those in use, under static toggles.

  Raises:
    ValueError: contradicting or traced toggles, an unknown name.
  """
  return layout.count(
    layout.DIAGONAL, find_toggles(toggles), in_features, hidden_features
  )


CELLS: Mapping[str, contract.Cell] = {
  'diagonal_lstm': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.recurrent_kernel.shape[1],
    count=count_params,
    keeps=True,
    summary='the LSTM with diagonal recurrent matrices; has all its toggles',
    reference='Danieli et al. 2025, arXiv:2510.21450 (ParaLSTM)',
    states=('c', 'h'),
    penalised=True,
    operator='diagonal LSTM',
    toggled=True,
    diagonal=True,
  )
}
