"""The steps of a diagonal recurrence in parallel, by Newton's method.

The states s_1 … s_T of a recurrence s_t = f(s_{t-1}, x_t) are the root of
s_t − f(s_{t-1}, x_t) for all t at once. Newton's method linearises f about a
guess and solves

    s_t = J_t s_{t-1} + (f(ŝ_{t-1}, x_t) − J_t ŝ_{t-1}),   J_t = ∂f/∂s (ŝ_{t-1})

which is linear, so that an associative scan does it in log T parallel steps.
Where units do not mix, J is a small block for each unit: 1 × 1 of an IndRNN,
2 × 2 of an LSTM (c, h), 5 × 5 with gate recurrence (c, h, i, f, o).

The solution is checked: unless all of it satisfies the recurrence, the plain
scan is run in its place. It equals the scan to rounding, of which a recurrence
that expands makes more from step to step, in the scan too. The gradient is that
of the solution, by the same linear recurrence backwards; of first order only.

Reference: Lim et al., ICLR 2024, arXiv:2309.12252 (DEER); Danieli et al. 2025,
arXiv:2510.21450 (ParaRNN).
"""

import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants import arguments
from lstm_variants.cells import contract
from lstm_variants.cells import unroll as unroll_lib


class Report(NamedTuple):
  """How it went.

  Attributes:
    converged: whether the states are Newton's; else they are the scan's.
    iterations: of Newton's method.
    residual: the largest |s_t − f(s_{t-1}, x_t)| / max(1, |s_t|) at its end.
    update: the largest change by the last iteration, likewise: how far from
      the root the states before it were.
  """

  converged: jax.Array
  iterations: jax.Array
  residual: jax.Array
  update: jax.Array


def unroll(
  cell: contract.Cell,
  params: Any,
  settings: Any,
  inputs: jax.Array,
  carry: Any = None,
  *,
  mask: jax.Array | None = None,
  time_major: bool = False,
  tolerance: float = 1e-6,
  iterations: int = 50,
) -> tuple[Any, jax.Array, Report]:
  """Run a cell over a batch of sequences, all steps in parallel.

  Needs about d² + 2d arrays `[time, batch, H]` for a state of d numbers a unit,
  twice over for the scan, where `Cell.unroll` needs d.

  Args:
    cell: with `diagonal` True.
    params: of the cell.
    settings: of the cell; its toggles may be traced.
    inputs: `[batch, time, F]`.
    carry: the state before the first step; zero if None.
    mask: see `lstm.unroll`.
    time_major: inputs, mask and hidden states are `[time, batch, ...]`.
    tolerance: of the residual, and a tenth of that of the last update, for a
      solution to be taken; at least 4 ε of the dtype.
    iterations: of Newton's method at most.

  Returns:
    The carry after the last step, the hidden states, `[batch, time, H]`, and a
    `Report`.

  Raises:
    ArgumentError: a cell whose units mix, tolerance or iterations not above 0.
    AssertionError: shapes that do not fit, a mask that is not boolean.
  """
  _check(cell, tolerance, iterations)
  params = jax.tree.map(jnp.asarray, params)
  inputs, mask = unroll_lib.time_first(inputs, mask, time_major)
  inputs = unroll_lib.clean(inputs, mask)
  size = cell.size_of(params, inputs.shape[-1])
  carry = contract.start(cell.init_carry, settings, size, params, inputs, carry)
  assert cell.project is not None and cell.advance is not None
  step = functools.partial(_step, cell.advance, settings, carry)
  operands = (params, cell.project(params, settings, inputs), mask)
  first = _as_array(carry)
  tolerance = max(tolerance, 4 * float(jnp.finfo(first.dtype).eps))
  if not inputs.shape[0]:  # no step to solve for
    states = jnp.zeros((0, *first.shape), first.dtype)
    zero = jnp.zeros((), first.dtype)
    report = Report(jnp.array(True), jnp.array(0), zero, zero)
    last = carry
  else:
    fixed = lax.stop_gradient((operands, first))
    states, report = _solve(step, *fixed, tolerance, iterations)
    states = _differentiable(step, operands, first, states)
    last = _as_carry(carry, states[-1])
  hiddens = _as_carry(carry, states).h
  return last, hiddens if time_major else jnp.swapaxes(hiddens, 0, 1), report


def _check(cell: contract.Cell, tolerance: float, iterations: int) -> None:
  if not cell.diagonal:
    raise arguments.ArgumentError(
      f'the units of the cell ({cell.summary}) see each other; nearest: '
      'diagonal_lstm'
    )
  if not tolerance > 0:
    raise arguments.ArgumentError(
      f'tolerance={tolerance}: must be above 0; nearest: 1e-6'
    )
  if iterations < 1:
    raise arguments.ArgumentError(
      f'iterations={iterations}: must be at least 1; nearest: 1'
    )


def _as_array(carry: Any) -> jax.Array:
  """Return the state `[..., d, H]` of a carry of d numbers a unit."""
  size = carry.h.shape[-1]
  leaves = [
    x.reshape(*x.shape[:-1], x.shape[-1] // size, size)
    for x in jax.tree.leaves(carry)
  ]
  return jnp.concatenate(leaves, axis=-2)


def _as_carry(like: Any, state: jax.Array) -> Any:
  """Return the carry, with the leaves that `like` has, of `[..., d, H]`."""
  leaves, tree = jax.tree.flatten(like)
  counts = [leaf.shape[-1] // state.shape[-1] for leaf in leaves]
  ends = [sum(counts[: n + 1]) for n in range(len(counts) - 1)]
  parts = jnp.split(state, ends, axis=-2)
  parts = [
    part.reshape(*part.shape[:-2], leaf.shape[-1])
    for part, leaf in zip(parts, leaves, strict=True)
  ]
  return jax.tree.unflatten(tree, parts)


def _step(advance, settings, like, operands, before):
  """Return f for all the steps at once: `[time, batch, d, H]` to the same."""
  params, projected, mask = operands
  carry, _ = advance(params, settings, _as_carry(like, before), projected)
  after = _as_array(carry).astype(before.dtype)
  return (
    after if mask is None else jnp.where(mask[..., None, None], after, before)
  )


def _shifted(first: jax.Array, states: jax.Array) -> jax.Array:
  """Return the states before each step, of those after each step."""
  return jnp.concatenate((first[None], states[:-1]))


def _solve(step, operands, first, tolerance, iterations):
  """Return the states `[time, batch, d, H]` and a `Report`."""
  f = functools.partial(step, operands)

  def residual_of(states):
    return _largest(states - f(_shifted(first, states)), states)

  def is_open(carry):
    _, count, residual, update = carry
    return ~_is_root(residual, update, tolerance) & (count < iterations)

  def improve(carry):
    states, count, _, _ = carry
    before = _shifted(first, states)
    after, slopes = f(before), _slopes(f, before)
    constant = after - _times(slopes, before)
    constant = constant.at[0].add(_times(slopes[0], first))
    _, new = lax.associative_scan(_compose, (slopes, constant))
    # Far from the root the products of slopes may overflow.
    new = jnp.where(jnp.isfinite(new), new, after)
    return new, count + 1, residual_of(new), _largest(new - states, new)

  length = jax.tree.leaves(operands[1])[0].shape[0]
  guess = f(jnp.broadcast_to(first, (length, *first.shape)))
  infinite = jnp.asarray(jnp.inf, first.dtype)
  states, count, residual, update = lax.while_loop(
    is_open, improve, (guess, jnp.array(0), infinite, infinite)
  )
  converged = _is_root(residual, update, tolerance)
  states = lax.cond(
    converged, lambda: states, lambda: _in_turn(step, operands, first)
  )
  return states, Report(converged, count, residual, update)


def _is_root(residual, update, tolerance):
  return (residual <= tolerance) & (update <= 10 * tolerance)


def _largest(gap: jax.Array, states: jax.Array) -> jax.Array:
  """Return the largest |gap| / max(1, |state|), ∞ if one is not finite.

  Not by the maximum alone, in which XLA:CPU loses a NaN.
  """
  size = jnp.abs(gap) / jnp.maximum(jnp.abs(states), 1)
  return jnp.max(jnp.where(jnp.isfinite(size), size, jnp.inf))


def _in_turn(step, operands, first):
  """Return the states by the plain scan."""
  params, projected, mask = operands

  def body(state, xs):
    state = step((params, *xs), state)
    return state, state

  return lax.scan(body, first, (projected, mask))[1]


def _slopes(f, before: jax.Array) -> jax.Array:
  """Return J, `[time, batch, d, d, H]`, rows of what follows."""
  basis = jnp.eye(before.shape[-2], dtype=before.dtype)

  def column(direction):
    tangent = jnp.broadcast_to(direction[:, None], before.shape)
    return jax.jvp(f, (before,), (tangent,))[1]

  return jnp.moveaxis(jax.vmap(column)(basis), 0, -2)


def _times(slopes: jax.Array, states: jax.Array) -> jax.Array:
  """Return J s of every step, sequence and unit."""
  return jnp.sum(slopes * states[..., None, :, :], axis=-2)


def _compose(first, second):
  """Compose two affine maps, the one that comes first on the left."""
  (slopes_1, constant_1), (slopes_2, constant_2) = first, second
  slopes = jnp.sum(
    slopes_2[..., :, :, None, :] * slopes_1[..., None, :, :, :], axis=-3
  )
  return slopes, _times(slopes_2, constant_1) + constant_2


def _differentiable(step, operands, first, states):
  """Return the states, with the gradient by operands and first state."""
  before = _shifted(lax.stop_gradient(first), states)
  slopes = _slopes(functools.partial(step, lax.stop_gradient(operands)), before)
  return _attach(states, step(operands, before), first, slopes)


@jax.custom_vjp
def _attach(states, after, first, slopes):
  """Return `states`; their gradient goes on to `after` and `first`.

  With s_t = J_t s_{t-1} + ∂f_t the adjoint is λ_t = s̄_t + J_{t+1}ᵀ λ_{t+1}, of
  f at step t, and J_1ᵀ λ_1 of the first state.
  """
  del after, first, slopes
  return states


def _attach_forward(states, after, first, slopes):
  del after, first
  return states, slopes


def _attach_backward(slopes, d_states):
  transposed = jnp.swapaxes(slopes, -3, -2)
  following = jnp.concatenate((transposed[1:], jnp.zeros_like(transposed[:1])))
  _, adjoint = lax.associative_scan(
    _compose, (following, d_states), reverse=True
  )
  # The product of slopes that no error meets may overflow; ∞ · 0 is not 0.
  adjoint = lax.cond(
    jnp.all(jnp.isfinite(adjoint)),
    lambda: adjoint,
    lambda: _adjoint_in_turn(following, d_states),
  )
  d_first = _times(transposed[0], adjoint[0])
  return jnp.zeros_like(d_states), adjoint, d_first, jnp.zeros_like(slopes)


def _adjoint_in_turn(following, d_states):
  """Return λ by the plain scan."""

  def body(later, xs):
    slopes, d_state = xs
    adjoint = d_state + _times(slopes, later)
    return adjoint, adjoint

  zero = jnp.zeros_like(d_states[0])
  return lax.scan(body, zero, (following, d_states), reverse=True)[1]


_attach.defvjp(_attach_forward, _attach_backward)
