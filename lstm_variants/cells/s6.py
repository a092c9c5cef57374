"""The selective state space of Mamba: a decay that the input chooses.

For each of H units a state of N numbers, together S `[H, N]`:

    u  = x W_u                                      of H units
    Δ  = softplus(u W_Δ W_Δ' + b_Δ)                 a step of time, by unit
    B  = u W_B              C = u W_C               of N numbers
    S' = exp(Δ A) ⊙ S + (Δ ⊙ u) Bᵀ                  A = −e^A_log, `[H, N]`
    h  = S' C + D ⊙ u                               (S' C + D ⊙ u) ⊙ silu(x W_z)
                                                    with gate

W_Δ and W_Δ' are `[H, R]` and `[R, H]`, R = delta_rank, or H / 16 rounded up. A
is discretised by a zero-order hold, B by Euler's rule, Δ B, as in the authors'
code, where the paper's equation 4 has a zero-order hold for both. exp(Δ A) is
from 0 to 1: no step reflects, as counting modulo 2 needs.

With convolution u is made of the last four steps, unit by unit, of which three
are carried, zero before the first:

    u  = silu(Σ_j k_j ⊙ (x W_u)_{t−j} + b_k)        j = 0, …, 3

With both, this is Mamba's block without the projection of h that ends it, where
the readout follows. With parallel all steps are made at once (`linear`): that
needs memory for exp(Δ A) of every step.

At first, as in the code, A_n = −n, n = 1, …, N (S4D-real), D = 1, softplus(b_Δ)
is drawn log-uniformly from 0.001 to 0.1, W_Δ' from ±R^−½, W_Δ, W_B and W_C from
±H^−½, and k and b_k from ±½; W_u and W_z are those of `recurrent_init` for
inputs.
"""

from collections.abc import Mapping
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, linear

# Steps that the convolution sees, and between which softplus(b_Δ) lies.
_WIDTH, _STEPS = 4, (0.001, 0.1)


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    state_size: N, numbers of a unit's state.
    delta_rank: R; 0 for H / 16, rounded up.
    convolution: units see the last four steps.
    gate: h is gated by the input.
    parallel: all steps at once, instead of one after another.
  """

  state_size: int = 16
  delta_rank: int = 0
  convolution: bool = False
  gate: bool = False
  parallel: bool = False


class Params(NamedTuple):
  """Parameters of the cell.

  Attributes:
    kernel: W_u and with gate W_z, `[F, H]` or `[F, 2H]`.
    window_kernel: k, the oldest step first, `[4, H]`; None without convolution.
    window_bias: b_k, `[H]`; None without convolution.
    select: W_Δ, W_B and W_C side by side, `[H, R + 2N]`.
    delta_kernel: W_Δ', `[R, H]`.
    delta_bias: b_Δ, `[H]`.
    decay_log: A_log, `[H, N]`.
    skip: D, `[H]`.
  """

  kernel: jax.Array
  window_kernel: jax.Array | None
  window_bias: jax.Array | None
  select: jax.Array
  delta_kernel: jax.Array
  delta_bias: jax.Array
  decay_log: jax.Array
  skip: jax.Array


class Carry(NamedTuple):
  """The state of the cell.

  Attributes:
    state: S, `[..., H, N]`.
    h: hidden state, which no step reads, `[..., H]`.
  """

  state: jax.Array
  h: jax.Array


class Windowed(NamedTuple):
  """The state of the cell with convolution.

  Attributes:
    state: S, `[..., H, N]`.
    window: x W_u of the last three steps, the oldest first, `[..., 3, H]`.
    h: hidden state, which no step reads, `[..., H]`.
  """

  state: jax.Array
  window: jax.Array
  h: jax.Array


class Selected(NamedTuple):
  """What the input chooses.

  Attributes:
    u: `[..., H]`.
    delta: Δ, `[..., H]`.
    written: B, `[..., N]`.
    read: C, `[..., N]`.
  """

  u: jax.Array
  delta: jax.Array
  written: jax.Array
  read: jax.Array


class Projected(NamedTuple):
  """What a step needs of its input.

  Attributes:
    entered: x W_u, `[..., H]`; None without convolution.
    selected: None with convolution, which comes before it.
    gate: silu(x W_z), `[..., H]`; None without gate.
  """

  entered: jax.Array | None
  selected: Selected | None
  gate: jax.Array | None


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell as the module says.

  Raises:
    ValueError: an unknown `recurrent_init`.
  """
  draw, _ = initializers.find(options.recurrent_init)
  keys = jax.random.split(key, 6)
  size, states = hidden_features, settings.state_size
  rank = settings.delta_rank or math.ceil(size / 16)

  def uniform(key: jax.Array, shape: tuple[int, ...], fan: int) -> jax.Array:
    bound = fan**-0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

  kernels = [
    draw(one, (in_features, size), options.dtype)
    for one in jax.random.split(keys[0], 1 + settings.gate)
  ]
  window_key, bias_key = jax.random.split(keys[1])
  drawn = settings.convolution
  least, most = map(math.log, _STEPS)
  steps = jnp.exp(
    jax.random.uniform(keys[4], (size,), minval=least, maxval=most)
  )
  decay = jnp.arange(1, states + 1, dtype=jnp.float32)
  made = Params(
    kernel=jnp.concatenate(kernels, axis=1),
    window_kernel=uniform(window_key, (_WIDTH, size), _WIDTH)
    if drawn
    else None,
    window_bias=uniform(bias_key, (size,), _WIDTH) if drawn else None,
    select=uniform(keys[2], (size, rank + 2 * states), size),
    delta_kernel=uniform(keys[3], (rank, size), rank),
    # The inverse of softplus.
    delta_bias=jnp.log(jnp.expm1(steps)),
    decay_log=jnp.broadcast_to(jnp.log(decay), (size, states)),
    skip=jnp.ones(size),
  )
  return jax.tree.map(lambda leaf: leaf.astype(options.dtype), made)


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry | Windowed:
  """Return the carry before the first step, zeros."""
  h = jnp.zeros((*batch_shape, hidden_features), dtype)
  state = jnp.zeros((*h.shape, settings.state_size), dtype)
  if not settings.convolution:
    return Carry(state, h)
  before = *batch_shape, _WIDTH - 1, hidden_features
  return Windowed(state, jnp.zeros(before, dtype), h)


def project(params: Params, settings: Settings, inputs: jax.Array) -> Projected:
  """Return what of a step does not depend on the carry, of any axes."""
  entered, gate = inputs @ params.kernel, None
  if settings.gate:
    entered, gate = jnp.split(entered, 2, axis=-1)
    gate = jax.nn.silu(gate)
  if settings.convolution:
    return Projected(entered, None, gate)
  return Projected(None, _select(params, entered), gate)


def _select(params: Params, u: jax.Array) -> Selected:
  """Return Δ, B and C of u."""
  rank, states = params.delta_kernel.shape[0], params.decay_log.shape[1]
  low, written, read = jnp.split(
    u @ params.select, (rank, rank + states), axis=-1
  )
  delta = jax.nn.softplus(low @ params.delta_kernel + params.delta_bias)
  return Selected(u, delta, written, read)


def _convolve(
  params: Params, window: jax.Array, entered: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Return u and the windows after each of the steps.

  Args:
    params: with a convolution.
    window: before the first of the steps, `[..., 3, H]`.
    entered: x W_u, `[time, ..., H]`.
  """
  kernels, bias = params.window_kernel, params.window_bias
  assert kernels is not None and bias is not None
  time = entered.shape[0]
  steps = jnp.concatenate((jnp.moveaxis(window, -2, 0), entered))
  seen = [steps[start : start + time] for start in range(_WIDTH)]
  mixed = sum(
    (kernel * step for kernel, step in zip(kernels, seen, strict=True)), bias
  )
  return jax.nn.silu(mixed), jnp.stack(seen[1:], axis=-2)


def _factors(params: Params, selected: Selected) -> tuple[jax.Array, jax.Array]:
  """Return exp(Δ A) and (Δ ⊙ u) Bᵀ, `[..., H, N]` each."""
  delta = selected.delta[..., None]
  entered = delta * selected.u[..., None] * selected.written[..., None, :]
  return jnp.exp(-delta * jnp.exp(params.decay_log)), entered


def _read(
  params: Params, state: jax.Array, selected: Selected, gate: jax.Array | None
) -> jax.Array:
  """Return h of the states S'."""
  hidden = jnp.sum(state * selected.read[..., None, :], axis=-1)
  hidden = hidden + params.skip * selected.u
  return hidden if gate is None else hidden * gate


@jax.checkpoint
def _move(
  params: Params, state: jax.Array, selected: Selected, gate: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
  """Return S' and h; of what is in between the gradient keeps S alone."""
  kept, entered = _factors(params, selected)
  state = kept * state + entered
  return state, _read(params, state, selected, gate)


def advance(
  params: Params,
  settings: Settings,
  carry: Carry | Windowed,
  projected: Projected,
) -> tuple[Carry | Windowed, jax.Array]:
  """Advance by one step: the equations of the module."""
  del settings
  selected, window = projected.selected, None
  if isinstance(carry, Windowed):
    assert projected.entered is not None
    u, windows = _convolve(params, carry.window, projected.entered[None])
    selected, window = _select(params, u[0]), windows[0]
  assert selected is not None
  state, h = _move(params, carry.state, selected, projected.gate)
  return (Carry(state, h) if window is None else Windowed(state, window, h)), h


def every(
  params: Params,
  settings: Settings,
  carry: Carry | Windowed,
  projected: Projected,
) -> Carry | Windowed:
  """Return the carries after all steps, `[time, batch, ...]`."""
  del settings
  selected, windows = projected.selected, None
  if isinstance(carry, Windowed):
    assert projected.entered is not None
    u, windows = _convolve(params, carry.window, projected.entered)
    selected = _select(params, u)
  assert selected is not None
  state = linear.prefix(*_factors(params, selected), carry.state)
  h = _read(params, state, selected, projected.gate)
  return Carry(state, h) if windows is None else Windowed(state, windows, h)


CELLS: Mapping[str, contract.Cell] = {
  's6': linear.cell(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    every=every,
    size=lambda params: params.skip.shape[0],
    summary='selective state space: linear, decay by the input (Mamba)',
    reference='Gu & Dao 2023, arXiv:2312.00752',
    settings=Settings(),
    ranges={
      'state_size': contract.Range(1, 1024, "numbers of a unit's state"),
      'delta_rank': contract.Range(
        0, 65536, 'rank of the map to steps of time; 0: H / 16, rounded up'
      ),
      'convolution': contract.Range(
        None, None, 'units see the last four steps'
      ),
      'gate': contract.Range(None, None, 'h is gated by the input'),
      'parallel': linear.PARALLEL,
    },
    states=(),
  )
}
