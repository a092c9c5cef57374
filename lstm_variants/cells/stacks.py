"""Stacks, arrays `[time, ...]`, that a loop over time reads and fills."""

from collections.abc import Iterable
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp


def zeros(length: int, row: Any) -> Any:
  """Return zeros `[length, ...]` for every array of a tree."""
  return jax.tree.map(
    lambda x: jnp.zeros_like(x, shape=(length, *x.shape)), row
  )


def at(stack: Any, t: jax.Array | int) -> Any:
  """Return row t of every array of a tree."""
  return jax.tree.map(
    lambda x: lax.dynamic_index_in_dim(x, t, keepdims=False), stack
  )


def rows(stack: Any, start: jax.Array | int, length: int) -> Any:
  """Return rows `[length, batch, ...]` of a tree as `[length · batch, ...]`."""
  return jax.tree.map(
    lambda x: lax.dynamic_slice_in_dim(x, start, length).reshape(
      -1, *x.shape[2:]
    ),
    stack,
  )


def put(stack: Any, row: Any, t: jax.Array | int) -> Any:
  """Set row t of every array of a tree."""
  return jax.tree.map(
    lambda x, r: lax.dynamic_update_index_in_dim(x, r, t, 0), stack, row
  )


def put_parts(
  stack: jax.Array, parts: Iterable[jax.Array], t: jax.Array | int
) -> jax.Array:
  """Set the first columns of row t to arrays `[batch, ...]` side by side.

  With a write for each: an elementwise operation that ends in a concatenation
  is not vectorised by XLA:CPU.
  """
  column = 0
  for part in parts:
    stack = lax.dynamic_update_slice(stack, part[None], (t, 0, column))
    column += part.shape[-1]
  return stack


def cast(new: Any, old: Any) -> Any:
  """Return a carry of the dtypes of the one before it."""
  return jax.tree.map(
    lambda n, o: n if n.dtype == o.dtype else n.astype(o.dtype), new, old
  )


def settle(mask: jax.Array | None, new: Any, old: Any) -> Any:
  """Return what a step hands on: `new`, cast, or `old` where it is left out."""
  return hold(mask, cast(new, old), old)


def hold(mask: jax.Array | None, new: Any, old: Any) -> Any:
  """Choose `new` where `mask` `[batch]` is True or None, else `old`."""
  if mask is None:
    return new
  return jax.tree.map(
    lambda n, o: jnp.where(mask.reshape(-1, *[1] * (n.ndim - 1)), n, o),
    new,
    old,
  )


def vary_alike(numbers: Any, others: Any) -> Any:
  """Make all differ between devices, inside `jax.shard_map`, if one does.

  Its check refuses a loop that adds what differs to what does not. A zero that
  differs where any of them does is added; without `shard_map` it is nothing.

  Args:
    numbers: a tree of floats.
    others: a tree of what may differ too, and stays as it is.
  """
  leaves = jax.tree.leaves((numbers, others))
  dtype = leaves[0].dtype
  zero = sum(jnp.zeros_like(x, shape=(), dtype=dtype) for x in leaves)
  return jax.tree.map(lambda x: x + zero, numbers)
