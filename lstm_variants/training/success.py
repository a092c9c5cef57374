"""Success: whether metrics or the stream of training sequences meet a rule."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from lstm_variants.tasks import base


def limited(
  success: base.HeldOut, metrics: Mapping[str, jax.Array]
) -> jax.Array:
  """Return the metrics that a rule limits, in its order, `[limits]`."""
  return jnp.stack([metrics[name] for name, _ in success.limits])


def is_within(success: base.HeldOut, metrics: jax.Array) -> jax.Array:
  """Tell whether all of `limited` are below their limits."""
  limits = [limit for _, limit in success.limits]
  return jnp.all(metrics < jnp.asarray(limits, metrics.dtype))


def push(recent: jax.Array | None, errors: jax.Array) -> jax.Array | None:
  """Append `errors` and drop as many of the oldest."""
  if recent is None:
    return None
  joined = jnp.concatenate((recent, errors.astype(recent.dtype)))
  return joined[joined.shape[0] - recent.shape[0] :]


def is_met(task: base.Task, recent: jax.Array | None) -> jax.Array:
  """Tell whether the errors meet the rule, if it is one of the stream."""
  if recent is None or not isinstance(task.success, base.LastSequences):
    return jnp.asarray(False)
  outside = jnp.sum(~(recent < task.success.tolerance))
  within = outside <= task.success.allowed
  return within & (jnp.mean(recent) < task.success.mean)


def first(
  marked: jax.Array, happens: jax.Array, update: jax.Array
) -> jax.Array:
  """Return `update` if it happens for the first time, else what was marked."""
  return jnp.where((marked < 0) & happens, update, marked)
