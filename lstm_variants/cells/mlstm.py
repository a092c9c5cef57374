"""The mLSTM of xLSTM: a matrix for a state, with exponential gates.

For each head, of D units with a state C `[D, D]` and n `[D]`:

    q = x W_q + b_q         k = (x W_k + b_k) / √D          v = x W_v + b_v
    i = exp(x w_i + b_i)    f = σ(x w_f + b_f)              a number each
                              = exp(x w_f + b_f)            exponential_forget
    C' = f C + i k vᵀ       n' = f n + i k                  0 at first
    h  = σ(x W_o + b_o) ⊙ C'ᵀ q / max(|n'ᵀ q|, 1)

Values are stored by keys, and what q finds is divided by how much was stored
for it. No gate sees h: there are no recurrent weights. As in the paper exp
never overflows, for what is carried is C e⁻ᵐ and n e⁻ᵐ, in their place:

    m' = max(log f + m, log i)                              0 at first
    C' = exp(log f + m − m') C + exp(log i − m') k vᵀ       n' alike
    h  = σ(x W_o + b_o) ⊙ C'ᵀ q / max(|n'ᵀ q|, e⁻ᵐ')

which leaves h as it is: the floor of 1 in the paper's equations and the e⁻ᵐ of
its code are the same. The code adds 10⁻⁶ to the divisor, by which h depends a
little on m; here the floor is e⁻⁴⁰ at least, so that no gradient overflows.
While n is 0 nothing is kept yet, and with exponential_forget log f + m counts
as 0.

This is the recurrence alone, with the output gate of the paper's equations. Its
blocks have a convolution over four steps before q and k, gates that see q, k
and v, a norm for each head, and projections around them, in the place of the
output gate a silu; here the readout follows h.

At first b_f = forget_bias, and log σ(forget_bias) with exponential_forget: f is
σ(forget_bias) in both, whatever its weights make of x; the other biases are 0.
The paper's code spreads b_f from 3 to 6 over the heads, and begins with w_i =
w_f = 0.
"""

from collections.abc import Mapping
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers

# The floor of the divisor is at least exp(−_DEEPEST): its square is a normal
# number in single precision.
_DEEPEST = 40.0


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    heads: states C; divides hidden_features.
    exponential_forget: f is exp instead of σ.
  """

  heads: int = 1
  exponential_forget: bool = False


class Params(NamedTuple):
  """Parameters of the cell.

  Attributes:
    kernel: W of q, k, v and o, `[F, 4H]`.
    bias: b of the same, `[4H]`.
    gate_kernel: w of i and f, `[F, 2 heads]`.
    gate_bias: b of the same, `[2 heads]`.
  """

  kernel: jax.Array
  bias: jax.Array
  gate_kernel: jax.Array
  gate_bias: jax.Array


class Carry(NamedTuple):
  """The state of the cell.

  Attributes:
    memory: C of each head, scaled by e⁻ᵐ, `[..., heads, D, D]`: keys, values.
    normaliser: n, scaled by e⁻ᵐ, `[..., heads, D]`.
    stabiliser: m, `[..., heads]`.
    h: hidden state, which no step reads, `[..., H]`.
  """

  memory: jax.Array
  normaliser: jax.Array
  stabiliser: jax.Array
  h: jax.Array


class Projected(NamedTuple):
  """What a step needs of its input.

  Attributes:
    query: q, `[..., heads, D]`.
    key: k, `[..., heads, D]`.
    value: v, `[..., heads, D]`.
    output: σ(x W_o + b_o), `[..., H]`.
    log_input: log i, `[..., heads]`.
    log_forget: log f, `[..., heads]`.
  """

  query: jax.Array
  key: jax.Array
  value: jax.Array
  output: jax.Array
  log_input: jax.Array
  log_forget: jax.Array


def check(settings: Settings, hidden_features: int) -> None:
  """Refuse heads that do not divide the units.

  Raises:
    SettingError: the rule and the nearest valid choice.
  """
  contract.check_divides('heads', settings.heads, hidden_features)


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell.

  Raises:
    SettingError: heads that do not divide the units.
    ValueError: an unknown `recurrent_init`, or `chrono_t_max` out of range.
  """
  check(settings, hidden_features)
  heads, dtype = settings.heads, options.dtype
  draw, _ = initializers.find(options.recurrent_init)
  kernel_key, gate_key, bias_key = (
    jax.random.fold_in(key, leaf) for leaf in range(3)
  )
  forget = initializers.keep_bias(
    bias_key, heads, options.forget_bias, options.chrono_t_max
  )
  if settings.exponential_forget:
    forget = jax.nn.log_sigmoid(forget)

  def weights(key: jax.Array, size: int, count: int) -> jax.Array:
    shape = in_features, size
    parts = [draw(one, shape, dtype) for one in jax.random.split(key, count)]
    return jnp.concatenate(parts, axis=1)

  return Params(
    kernel=weights(kernel_key, hidden_features, 4),
    bias=jnp.zeros(4 * hidden_features, dtype),
    gate_kernel=weights(gate_key, heads, 2),
    gate_bias=jnp.concatenate((jnp.zeros(heads), forget)).astype(dtype),
  )


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the carry before the first step, zeros."""
  heads = *batch_shape, settings.heads
  size = hidden_features // settings.heads
  return Carry(
    memory=jnp.zeros((*heads, size, size), dtype),
    normaliser=jnp.zeros((*heads, size), dtype),
    stabiliser=jnp.zeros(heads, dtype),
    h=jnp.zeros((*batch_shape, hidden_features), dtype),
  )


def project(params: Params, settings: Settings, inputs: jax.Array) -> Projected:
  """Return queries, keys, values and gates, of any number of axes."""
  made = inputs @ params.kernel + params.bias
  *parts, output = jnp.split(made, 4, axis=-1)
  heads = *output.shape[:-1], settings.heads, output.shape[-1] // settings.heads
  query, key, value = (part.reshape(heads) for part in parts)
  gates = inputs @ params.gate_kernel + params.gate_bias
  log_input, forget = jnp.split(gates, 2, axis=-1)
  return Projected(
    query=query,
    key=key * key.shape[-1] ** -0.5,
    value=value,
    output=jax.nn.sigmoid(output),
    log_input=log_input,
    log_forget=(
      forget if settings.exponential_forget else jax.nn.log_sigmoid(forget)
    ),
  )


def advance(
  params: Params, settings: Settings, carry: Carry, projected: Projected
) -> tuple[Carry, jax.Array]:
  """Advance by one step: the stabilised equations of the module."""
  del params
  carry = _move(settings, carry, projected)
  return carry, carry.h


@functools.partial(jax.checkpoint, static_argnums=(0,))
def _move(settings: Settings, carry: Carry, projected: Projected) -> Carry:
  """Return the carry; the gradient keeps nothing of what is in between."""
  kept = projected.log_forget + carry.stabiliser
  if settings.exponential_forget:
    kept = jnp.where(jnp.all(carry.normaliser == 0, axis=-1), 0, kept)
  # h does not depend on it, and so has no gradient by it.
  m = jax.lax.stop_gradient(jnp.maximum(kept, projected.log_input))
  f, i = jnp.exp(kept - m), jnp.exp(projected.log_input - m)
  key = i[..., None] * projected.key
  memory = (
    f[..., None, None] * carry.memory
    + key[..., None] * projected.value[..., None, :]
  )
  normaliser = f[..., None] * carry.normaliser + key
  found = jnp.sum(memory * projected.query[..., None], axis=-2)
  stored = jnp.sum(normaliser * projected.query, axis=-1)
  floor = jnp.exp(-jnp.minimum(m, _DEEPEST))
  found = found / jnp.maximum(jnp.abs(stored), floor)[..., None]
  hidden = projected.output * found.reshape(projected.output.shape)
  return Carry(memory, normaliser, m, hidden)


CELLS: Mapping[str, contract.Cell] = {
  'mlstm': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    size=lambda params: params.bias.shape[0] // 4,
    summary='a matrix written by keys, exponential gates, with heads (xLSTM)',
    reference='Beck et al. 2024, arXiv:2405.04517',
    keeps=True,
    settings=Settings(),
    ranges={
      'heads': contract.Range(
        1, 1024, 'groups of units with weights of their own'
      ),
      'exponential_forget': contract.Range(None, None, 'f = exp instead of σ'),
    },
    check=check,
    states=(),
  )
}
