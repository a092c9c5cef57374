"""Losses and metrics that several tasks share: `(outputs, batch) -> …`."""

import jax
import jax.numpy as jnp
import optax

from lstm_variants.tasks import base

# A share below it is none, in a held-out set of any size.
NONE = 1e-9


def classification(
  outputs: jax.Array, batch: base.Batch
) -> dict[str, base.Mean]:
  """Return cross-entropy and mistakes over the steps with mask 1.

  Args:
    outputs: logits `[batch, time, classes]`.
    batch: targets are class indices `[batch, time]`.

  Returns:
    'loss': the mean cross-entropy in nats; 'wrong': the share of steps whose
    most active output is not the target; 'failed': the share of sequences with
    a wrong step.
  """
  entropy = optax.softmax_cross_entropy_with_integer_labels(
    outputs, batch.targets
  )
  right = jnp.argmax(outputs, axis=-1) == batch.targets
  # NaN is nowhere right, though it may be where argmax finds the largest.
  wrong = ~(right & jnp.isfinite(entropy)) & (batch.mask > 0)
  steps = jnp.sum(batch.mask)
  failed = jnp.any(wrong, axis=1).astype(entropy.dtype)
  return {
    'loss': base.Mean(jnp.sum(jnp.where(batch.mask > 0, entropy, 0.0)), steps),
    'wrong': base.Mean(jnp.sum(wrong, dtype=entropy.dtype), steps),
    'failed': base.Mean(
      jnp.sum(failed), jnp.asarray(failed.size, failed.dtype)
    ),
  }


def class_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return each sequence's largest |softmax(output) − one-hot|, `[batch]`.

  Over the outputs of all steps with mask 1; the target's is among the largest.
  """
  log_chance = jnp.take_along_axis(
    jax.nn.log_softmax(outputs), batch.targets[..., None], axis=-1
  )[..., 0]
  errors = -jnp.expm1(log_chance)
  return jnp.max(jnp.where(batch.mask > 0, errors, 0.0), axis=1)


def absolute_errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Return each sequence's largest |output − target|, `[batch]`.

  Over the outputs of all steps with mask 1.
  """
  errors = jnp.max(jnp.abs(outputs - batch.targets), axis=-1)
  return jnp.max(jnp.where(batch.mask > 0, errors, 0.0), axis=1)


def regression(
  outputs: jax.Array, batch: base.Batch, tolerance: float
) -> dict[str, base.Mean]:
  """Return squared error and mistakes over the steps with mask 1.

  Args:
    outputs: `[batch, time, channels]`.
    batch: targets `[batch, time, channels]`.
    tolerance: an absolute error below it is right.

  Returns:
    'loss': the mean squared error; 'wrong': the share of steps with an output
    that is not within `tolerance`; 'failed': the share of sequences with a
    wrong step.
  """
  errors = outputs - batch.targets
  squares = jnp.mean(errors**2, axis=-1)
  right = jnp.all(jnp.abs(errors) < tolerance, axis=-1)
  wrong = ~right & (batch.mask > 0)
  steps = jnp.sum(batch.mask)
  failed = jnp.any(wrong, axis=1).astype(squares.dtype)
  return {
    'loss': base.Mean(jnp.sum(jnp.where(batch.mask > 0, squares, 0.0)), steps),
    'wrong': base.Mean(jnp.sum(wrong, dtype=squares.dtype), steps),
    'failed': base.Mean(
      jnp.sum(failed), jnp.asarray(failed.size, failed.dtype)
    ),
  }
