"""Draws without replacement, for tasks that hide things in a sequence."""

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base


def choose(
  key: jax.Array, batch_size: int, population: base.Length, size: int
) -> jax.Array:
  """Draw a subset of {0, …, population − 1} for each sequence.

  Every subset is equally likely. In step i = 0, 1, … a number t is drawn from
  U{0, …, j}, j = population − size + i; it joins the subset, or j does where t
  is in it already. So the cost does not grow with the population.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    population: how many there are to choose from, at least `size`; may be
      traced.
    size: of the subset.

  Returns:
    The members in rising order, `[batch, size]`.

  Reference:
    Bentley & Floyd, Communications of the ACM 30(9), 1987.
  """
  highest = population - size + jnp.arange(size)
  draws = jax.random.randint(key, (batch_size, size), 0, highest + 1)

  def join(step: jax.Array, chosen: jax.Array) -> jax.Array:
    drawn = draws[:, step]
    taken = jnp.any(chosen == drawn[:, None], axis=1)
    return chosen.at[:, step].set(jnp.where(taken, highest[step], drawn))

  nothing = jnp.full((batch_size, size), -1)
  return jnp.sort(jax.lax.fori_loop(0, size, join, nothing), axis=1)


def check_room(spec: base.Spec) -> None:
  """Refuse more items than the shortest T has steps.

  Raises:
    SpecError: with the number that fits.
  """
  if spec.items > spec.shortest:
    raise base.SpecError(
      'items',
      spec.items,
      f'more than the {spec.shortest} steps that hold them; '
      f'nearest: {spec.shortest}',
    )


def hide(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  items: int,
  symbols: int,
) -> tuple[jax.Array, jax.Array]:
  """Draw symbols and put them, in order, at random ones of T steps.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T.
    items: how many to hide, at most T.
    symbols: they are drawn from {1, …, symbols}.

  Returns:
    The symbols, `[batch, items]`, and the steps, 0 where none is hidden,
    `[batch, num_steps]`.
  """
  symbol_key, place_key = jax.random.split(key)
  drawn = jax.random.randint(symbol_key, (batch_size, items), 1, symbols + 1)
  places = choose(place_key, batch_size, length, items)
  nothing = jnp.zeros((batch_size, num_steps), drawn.dtype)
  return drawn, nothing.at[jnp.arange(batch_size)[:, None], places].set(drawn)


def arrange(
  key: jax.Array, batch_size: int, population: base.Length, size: int
) -> jax.Array:
  """Draw `size` distinct numbers, in random order, for each sequence.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    population: how many there are to choose from, at least `size`.
    size: how many to draw.

  Returns:
    Numbers from {0, …, population − 1}, `[batch, size]`; every arrangement is
    equally likely.
  """
  chosen_key, order_key = jax.random.split(key)
  chosen = choose(chosen_key, batch_size, population, size)
  return jax.random.permutation(order_key, chosen, axis=1, independent=True)
