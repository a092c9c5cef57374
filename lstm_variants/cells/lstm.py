"""The LSTM cell: one step function in which every published variant is data.

Letters in shapes: `B` batch, `T` time, `F` in_features, `H` hidden_features.
Gates are ordered i, f, g, o (flax, torch) wherever four of them are stacked.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from lstm_variants import arguments
from lstm_variants.cells import contract, initializers, layout, remedies
from lstm_variants.cells import gates as gates_lib
from lstm_variants.cells import unroll as unroll_lib
from lstm_variants.cells.carry import Carry, fit_carry, init_carry
from lstm_variants.cells.toggles import check_toggles as check_toggles
from lstm_variants.cells.toggles import select, Switch, Toggles
from lstm_variants.cells.variants import find_toggles


class Params(NamedTuple):
  """Parameters of the cell: those that its toggles use.

  A gate that is off has no weights, nor has a coupled forget gate. The blocks
  of the n gates that have weights lie side by side, in the order i, f, g, o;
  see `layout`. With the weights of all gates n = 4 and k = m = 3.

  Attributes:
    kernel: input weights W, `[F, nH]`.
    recurrent_kernel: recurrent weights R, `[H, nH]`.
    bias: b, `[nH]`.
    peephole: diagonal weights p from the cell state to the k of the gates i, f,
      o that see it, `[k, H]`; None where none does.
    gate_kernel: weights G from the last gates i, f, o (rows) to the m of these
      gates that have weights (columns), `[3H, mH]`; None without gate
      recurrence.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array
  peephole: jax.Array | None = None
  gate_kernel: jax.Array | None = None

  FORM = layout.DENSE


def init_params(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  *,
  toggles: Toggles | str | None = None,
  forget_bias: float | jax.Array = 1.0,
  chrono_t_max: float | jax.Array = 0.0,
  recurrent_init: str = 'orthogonal',
  dtype: jnp.dtype = jnp.float32,
) -> Params:
  """Draw the parameters of a cell; see `init`.

  For all variants to start out remembering alike, the forget bias goes to b_f,
  or with `coupled` (f = 1 − σ(z_i)) as −forget_bias to b_i.

  Args:
    key: a PRNG key.
    in_features: F.
    hidden_features: H.
    toggles: static or traced toggles, or the name of a variant; None is the
      vanilla LSTM.
    forget_bias: the forget gate starts near σ(forget_bias).
    chrono_t_max: when above 0, the longest dependency T_max in steps of the
      chrono initialisation, which replaces the forget bias:
      b_f ~ log U[1, T_max − 1], b_i = −b_f.
    recurrent_init: a name from `initializers.RECURRENT`; of kernel and
      recurrent_kernel. peephole and gate_kernel are U[±1/√H], U[±1/√(3H)].
    dtype: of every leaf.

  Raises:
    lv.Error: what is no key, no size, no toggle, contradicting static toggles,
      or an unknown name.

  Reference:
    Jozefowicz et al., ICML 2015 (forget bias 1); Tallec & Ollivier, ICLR 2018,
    arXiv:1804.11188, eq. 16 (chrono).
  """
  contract.check_key(key)
  arguments.integer('in_features', in_features)
  arguments.integer('hidden_features', hidden_features)
  options = contract.Init(forget_bias, chrono_t_max, recurrent_init, dtype)
  return init(key, in_features, hidden_features, toggles, options)


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  toggles: Toggles | str | None,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `contract.Cell.init`.

  Every block of a gate is drawn by itself, and those that no toggle uses are
  left out: equal keys give equal blocks whatever the toggles, so that runs of
  one seed are paired across variants.
  """
  toggles = find_toggles('vanilla' if toggles is None else toggles)
  dtype = options.dtype
  size = hidden_features
  keys = {
    leaf: jax.random.fold_in(key, n) for n, leaf in enumerate(Params._fields)
  }
  used = layout.in_use(toggles)['kernel']
  kernel, recurrent_kernel = initializers.blocks(
    key,
    in_features,
    size,
    4,
    options.recurrent_init,
    dtype,
    [layout.ALL['kernel'].index(gate) for gate in used],
  )
  bias = initializers.gate_bias(
    *(keys['bias'], size, toggles.coupled),
    options.forget_bias,
    options.chrono_t_max,
  ).astype(dtype)
  draw = functools.partial(initializers.uniform, dtype=dtype)
  keep = functools.partial(layout.keep, layout.DENSE, toggles, size)
  return Params(
    kernel=kernel,
    recurrent_kernel=recurrent_kernel,
    bias=keep('bias', lambda: bias),
    peephole=keep('peephole', lambda: draw(keys['peephole'], (3, size))),
    gate_kernel=keep(
      'gate_kernel', lambda: draw(keys['gate_kernel'], (3 * size, 3 * size))
    ),
  )


def step(
  params: Params,
  toggles: Toggles | str,
  carry: tuple[jax.Array, ...],
  inputs: jax.Array,
) -> tuple[Carry, jax.Array]:
  """Advance the cell by one time step.

      z   = x W + h R + b                 z = (z_i, z_f, z_g, z_o)
            + (i, f, o)_{t-1} G           with gate_recurrence: feeds i, f, o

  followed by the gates: see `apply_gates`.

  Args:
    params: `Params`.
    toggles: `Toggles`, static or traced, or the name of a variant.
    carry: `Carry`, or a plain pair (c, h); the gates of the step before are
      zero where they are missing.
    inputs: x, `[..., F]`.

  Returns:
    The new `Carry` and the hidden state h, `[..., H]`.

  Raises:
    lv.Error: what is no toggle, contradicting static toggles, an unknown
      name, what is no array, shapes that do not fit the toggles or each other.
  """
  toggles = find_toggles(toggles)
  params, state = _as_params(params), _as_carry(carry)
  inputs = unroll_lib.as_array('inputs', inputs)
  _check_shapes(params, toggles, state, inputs)
  return advance(params, toggles, fit_carry(toggles, state), inputs)


def advance(
  params: Params, toggles: Toggles, carry: Carry, inputs: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance the cell by one time step; see `step`, which checks first."""
  z = project(params, toggles, carry, inputs)
  return apply_gates(params.peephole, toggles, carry, z)


def project(
  params: Params, toggles: Toggles, carry: Carry, inputs: jax.Array
) -> jax.Array:
  """Return the pre-activations z of a step, `[..., 4H]`, without peepholes.

  Those of a gate without weights are zero. The last gates take part if the
  carry has them, with gate recurrence.
  """
  z = inputs @ params.kernel + carry.h @ params.recurrent_kernel + params.bias
  take_apart = functools.partial(
    layout.take_apart, layout.DENSE, toggles, carry.h.shape[-1]
  )
  gates = take_apart('bias', z)
  if carry.gates is not None and params.gate_kernel is not None:
    feeds = take_apart('gate_kernel', carry.gates @ params.gate_kernel)
    gates = {k: v + feeds[k] if k in feeds else v for k, v in gates.items()}
  elif len(gates) == 4:
    return z
  return layout.put_together('bias', gates, -1, gates['g'])


def apply_gates(
  peephole: jax.Array | None,
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
    peephole: see `Params`.
    toggles: static or traced.
    carry: of the step before.
    z: pre-activations, `[..., 4H]`.
    keep: None, or a factor of g, `[..., H]`; see `remedies`.
    normalise: a function of c' that is applied on its way to h'; see
      `remedies`.

  Reference:
    Hochreiter & Schmidhuber 1997; Gers et al. 2000 (forget gate), JMLR 3, 2002
    (peepholes); Greff et al. 2017, arXiv:1503.04069 (ablations, coupling, gate
    recurrence); van der Westhuizen & Lasenby 2018, arXiv:1804.04849 (shift).
  """
  carry, _ = reveal(peephole, toggles, carry, z, keep, normalise)
  return carry, carry.h


def reveal(
  peephole: jax.Array | None,
  toggles: Toggles,
  carry: Carry,
  z: jax.Array,
  keep: jax.Array | None = None,
  normalise: Callable[[jax.Array], jax.Array] = lambda c: c,
) -> tuple[Carry, contract.Gates]:
  """Compute `apply_gates`; return the new carry and the gates."""
  z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
  c_tm1 = carry.c
  p = gates_lib.peepholes(peephole, toggles, carry.c.shape[-1])
  shift = jnp.asarray(toggles.coupling_shift, z.dtype)

  z_i = select(toggles.peephole_i, lambda: z_i + p['i'] * c_tm1, lambda: z_i)
  z_f = select(toggles.peephole_f, lambda: z_f + p['f'] * c_tm1, lambda: z_f)
  z_f = select(toggles.coupled, lambda: -z_i, lambda: z_f)
  i = _gate(toggles.input_gate, z_i + shift)
  f = _gate(toggles.forget_gate, z_f)
  g = select(toggles.input_activation, lambda: jnp.tanh(z_g), lambda: z_g)
  g = g if keep is None else g * keep
  c = f * c_tm1 + i * g
  z_o = select(toggles.peephole_o, lambda: z_o + p['o'] * c, lambda: z_o)
  o = _gate(toggles.output_gate, z_o)
  normalised = normalise(c)
  h = o * select(
    toggles.output_activation, lambda: jnp.tanh(normalised), lambda: normalised
  )

  revealed = contract.Gates({'i': i, 'f': f, 'o': o}, g, keep=f, state=c)
  if carry.gates is None:
    return Carry(c, h), revealed
  gates = jnp.concatenate((i, f, o), axis=-1)
  gates = select(
    toggles.gate_recurrence, lambda: gates, lambda: jnp.zeros_like(gates)
  )
  return Carry(c, h, gates), revealed


def gates(
  params: Params, toggles: Toggles | str, carry: Carry, inputs: jax.Array
) -> contract.Gates:
  """Return the gates of a step; see `contract.Cell.gates`."""
  toggles = find_toggles(toggles)
  carry = fit_carry(toggles, Carry(*carry))
  z = project(params, toggles, carry, inputs)
  return reveal(params.peephole, toggles, carry, z)[1]


def unroll(
  params: Params,
  toggles: Toggles | str,
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
    toggles: `Toggles`, static or traced, or the name of a variant.
    inputs: `[batch, time, F]`.
    carry: the state before the first step, `[batch, H]` each; zero if None.
    mask: None, or boolean `[batch, time]` for sequences of different lengths:
      where it is False a step keeps the carry and repeats the hidden state.
    time_major: inputs, mask and hidden states are `[time, batch, ...]`.
    gradient: see `unroll.scan`; 'autodiff' is for forward mode.

  Returns:
    The `Carry` after the last step and the hidden states, `[batch, time, H]`.

  Raises:
    lv.Error: as in `step`; or if the mask is not boolean, `gradient` is
      unknown, or the inputs are sharded over explicit mesh axes (axes of type
      Auto are accepted).
  """
  toggles = find_toggles(toggles)
  params = _as_params(params)
  inputs, mask = unroll_lib.time_first(inputs, mask, time_major)
  if carry is None:
    size = len(params.recurrent_kernel)
    dtype = jnp.result_type(inputs, params.bias)
    carry = init_carry(toggles, inputs.shape[1:2], size, dtype)
  state = _as_carry(carry)
  x_t = jax.ShapeDtypeStruct(inputs.shape[1:], inputs.dtype)
  _check_shapes(params, toggles, state, x_t)
  carry, hiddens = gates_lib.scan(
    params, toggles, inputs, fit_carry(toggles, state), mask, gradient
  )
  return carry, hiddens if time_major else jnp.swapaxes(hiddens, 0, 1)


def _gate(toggle: Switch, z: jax.Array) -> jax.Array:
  """Return σ(z), or 1 when the toggle is off.

  It is ½ tanh(½ z) + ½, which is a third cheaper than the logistic function.
  """
  return select(
    toggle, lambda: 0.5 * jnp.tanh(0.5 * z) + 0.5, lambda: jnp.ones_like(z)
  )


def _as_params(params: Any) -> Params:
  """Return parameters, NumPy's too, as arrays."""
  if not isinstance(params, Params):
    raise arguments.ArgumentError(
      f'params: a {type(params).__name__}, must be lv.Params; nearest: '
      'lv.init_params(key, in_features, hidden_features)'
    )
  return jax.tree.map(jnp.asarray, params)


def _as_carry(carry: Any) -> Carry:
  """Return a carry, or a plain tuple of NumPy's arrays, as a `Carry`."""
  if not isinstance(carry, tuple | list) or len(carry) not in (2, 3):
    raise arguments.ArgumentError(
      f'carry: a {type(carry).__name__}, must be the pair (c, h), or (c, h, '
      'gates); nearest: lv.Carry(c, h)'
    )
  state = Carry(*carry)
  return jax.tree.map(functools.partial(unroll_lib.as_array, 'carry'), state)


def _check_shapes(
  params: Params,
  toggles: Toggles,
  carry: Carry,
  inputs: jax.Array | jax.ShapeDtypeStruct,
) -> None:
  layout.check_shapes(layout.DENSE, params, toggles)
  features, size = params.kernel.shape[0], len(params.recurrent_kernel)
  batch = inputs.shape[:-1]
  arguments.shape('inputs', inputs.shape, (*batch, features))
  arguments.shape('c of the carry', carry.c.shape, (*batch, size))
  arguments.shape('h of the carry', carry.h.shape, (*batch, size))
  if carry.gates is not None:
    gates = (*batch, 3 * size)
    arguments.shape('gates of the carry', carry.gates.shape, gates)


def count_params(
  toggles: Toggles | str, in_features: int, hidden_features: int
) -> int:
  """Count the parameters, those in use, under static toggles.

  Raises:
    ValueError: contradicting or traced toggles, an unknown name.
  """
  return layout.count(
    layout.DENSE, find_toggles(toggles), in_features, hidden_features
  )


def remedied_step(
  params: Params,
  toggles: Toggles,
  carry: tuple[jax.Array, ...],
  inputs: jax.Array,
  gains: remedies.Gains | None,
  keep: jax.Array | None,
) -> tuple[Carry, jax.Array]:
  """Advance by one step; see `contract.Cell.with_remedies`.

      z  = LN(x W) + LN(h R + (i, f, o)_{t-1} G) + b      over all of z
      c' = f ⊙ c + i ⊙ keep ⊙ g
      h' = o ⊙ tanh(LN(c'))

  The paper adds a bias to each LN; here those of z are the one that z has
  anyway.

  Reference:
    Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplementary material; Semeniuta
    et al. 2016, arXiv:1603.05118.
  """
  state = fit_carry(toggles, Carry(*carry))
  if gains is None:
    z = project(params, toggles, state, inputs)
    return apply_gates(params.peephole, toggles, state, z, keep=keep)
  # Of a gate that is off, too: what is normalised is the same in every run of a
  # population.
  chex.assert_axis_dimension(params.bias, 0, 4 * state.h.shape[-1])
  # Apart, not by a difference, of which little would be left.
  alone = params._replace(bias=jnp.zeros_like(params.bias))
  of_state = project(alone, toggles, state, jnp.zeros_like(inputs))
  z = (
    remedies.normalise(inputs @ params.kernel, gains.inputs)
    + remedies.normalise(of_state, gains.recurrent)
    + params.bias
  )
  return apply_gates(
    params.peephole,
    toggles,
    state,
    z,
    keep=keep,
    normalise=lambda c: remedies.normalise(c, gains.state, gains.state_bias),
  )


# Its settings are its toggles; None stands for any cell's default ones.
CELLS: Mapping[str, contract.Cell] = {
  'lstm': contract.Cell(
    init=init,
    init_carry=init_carry,
    step=step,
    scan=unroll,
    count=count_params,
    size=lambda params: params.recurrent_kernel.shape[0],
    summary='every LSTM with toggles',
    reference='docs/variants.md',
    keeps=True,
    gates=gates,
    with_remedies=remedied_step,
    gains=remedies.Form(4, recurrent=True, state=True),
    drops=True,
    states=('c', 'h'),
    penalised=True,
    fused=True,
    operator='LSTM',
    toggled=True,
  )
}
