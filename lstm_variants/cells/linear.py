"""Cells whose recurrence is linear: all steps at once, or one after another.

    s' = a ⊙ s + b                      a, b of the inputs alone

Two steps in turn are one, (a₁, b₁) ∘ (a₂, b₂) = (a₂ a₁, a₂ b₁ + b₂), and ∘ is
associative: all steps together are a parallel prefix sum, here by
`jax.lax.associative_scan` (Blelloch 1990; Martin & Cundy 2018,
arXiv:1709.04057). It does more work than the steps in turn, in a number of
rounds that grows with the logarithm of their number.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import contract
from lstm_variants.cells import unroll as unroll_lib

# every(params, settings, carry, projected) -> the carries after each of the
# steps, `[time, batch, ...]`; `projected` is `[time, batch, ...]`.
Every = Callable[[Any, Any, Any, Any], Any]

# Of the setting `parallel`.
PARALLEL = contract.Range(
  None, None, 'all steps at once, instead of one after another'
)


def cell(*, every: Every, **rest: Any) -> contract.Cell:
  """Return a cell that runs in parallel where its setting `parallel` says so.

  Args:
    every: what `advance` makes of all the steps in turn, without a mask.
    **rest: of `contract.stepwise`; the carry is a NamedTuple with h, which
      `advance` returns as the hidden state.
  """
  turns = contract.stepwise(**rest)
  run = functools.partial(_unroll, turns, every)
  return dataclasses.replace(turns, scan=run)


def join(
  first: tuple[jax.Array, jax.Array], second: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
  """Return a and b of two steps in turn."""
  (a_1, b_1), (a_2, b_2) = first, second
  return a_2 * a_1, a_2 * b_1 + b_2


def prefix(a: jax.Array, b: jax.Array, state: jax.Array) -> jax.Array:
  """Return the states after each step of s' = a ⊙ s + b.

  Args:
    a: `[time, ...]`, of a shape that goes with that of b.
    b: `[time, ...]`.
    state: s before the first step, `[...]`.
  """
  b = jnp.concatenate((a[:1] * state + b[:1], b[1:]))
  _, states = lax.associative_scan(join, (a, b))
  return states


def _unroll(
  turns: contract.Cell,
  every: Every,
  params: Any,
  settings: Any,
  inputs: jax.Array,
  carry: Any = None,
  *,
  mask: jax.Array | None = None,
  time_major: bool = False,
  gradient: unroll_lib.Gradient = 'fused',
) -> tuple[Any, jax.Array]:
  """Run over `[batch, time, F]`; see `contract.Cell.unroll`."""
  if not settings.parallel:
    return turns.unroll(
      *(params, settings, inputs, carry),
      mask=mask,
      time_major=time_major,
      gradient=gradient,
    )
  unroll_lib.check_gradient(gradient)
  params = jax.tree.map(jnp.asarray, params)
  inputs, mask = unroll_lib.time_first(inputs, mask, time_major)
  inputs = unroll_lib.clean(inputs, mask)
  size = turns.size_of(params, inputs.shape[-1])
  first = contract.start(
    turns.init_carry, settings, size, params, inputs, carry
  )
  if mask is not None:
    # Steps that are left out come last, where nothing is read of them.
    order = jnp.argsort(~mask, axis=0, stable=True)
    inputs = jnp.take_along_axis(inputs, order[..., None], axis=0)
  after = every(
    params, settings, first, _project(turns, params, settings, inputs)
  )
  carries = jax.tree.map(
    lambda one, rest: jnp.concatenate((one[None], rest.astype(one.dtype))),
    *(first, after),
  )
  last, hiddens = _read(carries, mask)
  return last, hiddens if time_major else jnp.swapaxes(hiddens, 0, 1)


def _project(turns, params, settings, inputs):
  assert turns.project is not None
  return turns.project(params, settings, inputs)


def _read(carries: Any, mask: jax.Array | None) -> tuple[Any, jax.Array]:
  """Return the last carry and the hidden state at every step.

  Args:
    carries: before the first step, and after each that is not left out.
    mask: None, or boolean `[time, batch]`.
  """
  if mask is None:
    return jax.tree.map(lambda leaf: leaf[-1], carries), carries.h[1:]
  count = jnp.cumsum(mask, axis=0)
  hiddens = jnp.take_along_axis(carries.h, count[..., None], axis=0)
  pick = jax.vmap(lambda leaf, number: leaf[number], in_axes=(1, 0))
  seen = jnp.sum(mask, axis=0)
  return jax.tree.map(lambda leaf: pick(leaf, seen), carries), hiddens
