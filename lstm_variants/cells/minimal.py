"""minGRU and minLSTM: gates that see only the inputs, so no step waits.

    mingru:   z  = σ(x W_z + b_z)
              h' = (1 − z) ⊙ h + z ⊙ g
    minlstm:  f  = σ(x W_f + b_f)           i = σ(x W_i + b_i)
              h' = f / (f + i) ⊙ h + i / (f + i) ⊙ g
    both:     g  = x W_g + b_g              positive(x W_g + b_g) with
                                            positive_candidate
              positive(v) = v + ½ where v ≥ 0, else σ(v)

h' = a ⊙ h + b with a, b of the inputs alone: all steps are made at once
(`linear`), or in turn without parallel. f / (f + i) is computed as
σ(log f − log i).

positive_candidate is the candidate of the paper's appendix, which scans in the
space of logarithms and so needs h > 0. No logarithm is taken here: the products
of a ≤ 1 cannot overflow. The appendix contradicts itself on the first state: in
the parallel listing the first step sees positive(h₀), ½ for the zero state, in
the sequential one h₀ itself. It is h₀ here, zero if not given.

At first b_z = −forget_bias, so that 1 − z is σ(forget_bias); b_f = forget_bias
and b_i = −forget_bias, so that f / (f + i) is: b_f alone, however high, could
not bring it above ⅔.
"""

from collections.abc import Mapping
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, linear
from lstm_variants.cells.simple_rnn import Carry, init_carry


class Settings(NamedTuple):
  """Settings of the cells.

  Attributes:
    positive_candidate: g = positive(x W_g + b_g).
    parallel: all steps at once, instead of one after another.
  """

  positive_candidate: bool = False
  parallel: bool = True


class Params(NamedTuple):
  """Parameters; the blocks are those of z, g in minGRU, f, i, g in minLSTM.

  Attributes:
    kernel: input weights W, `[F, 2H]` or `[F, 3H]`.
    bias: b, `[2H]` or `[3H]`.
  """

  kernel: jax.Array
  bias: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
  *,
  blocks: int,
) -> Params:
  """Draw the parameters of a cell: b_z, or b_f = −b_i, from the options.

  The old state is kept by σ(forget_bias) at first; chrono spreads it. There are
  no recurrent weights.

  Args:
    key: a PRNG key.
    in_features: F.
    hidden_features: H.
    settings: they change nothing here.
    options: see `contract.Init`.
    blocks: 2 for minGRU, 3 for minLSTM.

  Raises:
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  del settings
  dtype = options.dtype
  inputs_init, _ = initializers.find(options.recurrent_init)
  keys = jax.random.split(jax.random.fold_in(key, 0), blocks)
  shape = (in_features, hidden_features)
  keep = initializers.keep_bias(
    jax.random.fold_in(key, 1),
    hidden_features,
    options.forget_bias,
    options.chrono_t_max,
  )
  biases = (keep, -keep, jnp.zeros_like(keep))[-blocks:]
  return Params(
    jnp.concatenate([inputs_init(k, shape, dtype) for k in keys], axis=1),
    jnp.concatenate(biases).astype(dtype),
  )


def project(
  params: Params, settings: Settings, inputs: jax.Array, *, blocks: int
) -> tuple[jax.Array, jax.Array]:
  """Return a and b of h' = a ⊙ h + b, `[..., H]` each."""
  gates = reveal(params, settings, inputs, blocks=blocks)
  *_, enters = gates.values.values()
  return gates.keep, enters * gates.candidate


def reveal(
  params: Params, settings: Settings, inputs: jax.Array, *, blocks: int
) -> contract.Gates:
  """Return the gates: z, or the shares f / (f + i) and i / (f + i)."""
  *gates, g = jnp.split(inputs @ params.kernel + params.bias, blocks, axis=-1)
  if settings.positive_candidate:
    g = jnp.where(g >= 0, g + 0.5, jax.nn.sigmoid(g))
  if blocks == 2:
    keep = -gates[0]
  else:
    z_f, z_i = gates
    keep = jax.nn.log_sigmoid(z_f) - jax.nn.log_sigmoid(z_i)
  keep, enters = jax.nn.sigmoid(keep), jax.nn.sigmoid(-keep)
  values = {'z': enters} if blocks == 2 else {'f': keep, 'i': enters}
  return contract.Gates(values, g, keep)


def advance(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: tuple[jax.Array, jax.Array],
) -> tuple[Carry, jax.Array]:
  """Advance by one step: h' = a ⊙ h + b."""
  del params, settings
  (h,), (a, b) = carry, projected
  h = a * h + b
  return Carry(h), h


def _gates(blocks, params, settings, unused_carry, inputs):
  """Return the gates of a step; see `contract.Cell.gates`."""
  return reveal(params, settings, inputs, blocks=blocks)


def every(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: tuple[jax.Array, jax.Array],
) -> Carry:
  """Return the carries after all steps, `[time, batch, H]`."""
  del params, settings
  return Carry(linear.prefix(*projected, carry.h))


def _cell(blocks: int, summary: str) -> contract.Cell:
  return linear.cell(
    init=functools.partial(init, blocks=blocks),
    init_carry=init_carry,
    project=functools.partial(project, blocks=blocks),
    advance=advance,
    every=every,
    gates=functools.partial(_gates, blocks),
    size=lambda params: params.bias.shape[0] // blocks,
    summary=summary,
    reference='Feng et al. 2024, arXiv:2410.01201',
    settings=Settings(),
    ranges={
      'positive_candidate': contract.Range(
        None, None, 'the candidate is positive'
      ),
      'parallel': linear.PARALLEL,
    },
    keeps=True,
    diagonal=True,
  )


CELLS: Mapping[str, contract.Cell] = {
  'mingru': _cell(2, 'GRU whose gate sees only the inputs, run in parallel'),
  'minlstm': _cell(3, 'LSTM whose gates see only the inputs, run in parallel'),
}
