"""A chunk of one run: many updates, then an evaluation; pure.

Success on held-out data is judged by that evaluation. With
`training.success_interval` it is judged between the updates too, on the whole
held-out set and by the same rule: but only where the training batches since the
last time, which are there anyway, meet the rule on average, so that runs far
from it pay nothing.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_variants.config import settings as settings_lib
from lstm_variants.training import step
from lstm_variants.training import success as success_lib

Record = dict[str, jax.Array]


def run_chunk(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  state: step.State,
  start: jax.Array,
  updates: jax.Array,
) -> tuple[step.State, Record]:
  """Make `updates` updates of one run, then evaluate it.

  Args:
    settings: the run's settings, static.
    hyperparams: the run's hyper-parameters.
    state: the state before the chunk.
    start: the number of updates done, which is that of all runs.
    updates: the number of updates, a traced integer; 0 only evaluates.

  Returns:
    The state after the chunk; and its record: the means of the training loss
    and of the gradient norm over the chunk (NaN without an update), and the
    metrics on the held-out set.
  """
  zero = jnp.float32(0)
  dtype = jnp.promote_types(jnp.dtype(settings.dtype), jnp.float32)
  totals = step.Totals(zero.astype(dtype), zero, zero)
  if step.is_watched(settings):
    state, totals, metrics = _watch(
      settings, hyperparams, (state, totals), start, updates
    )
  else:

    def body(_, carry):
      state, totals = carry
      state, new = step.train_step(settings, hyperparams, state)
      return state, jax.tree.map(jnp.add, totals, new)

    state, totals = jax.lax.fori_loop(0, updates, body, (state, totals))
    state, metrics = step.evaluate(settings, hyperparams, state)
  return state, {
    'train_loss': totals.loss / totals.updates,
    'grad_norm': totals.grad_norm / totals.updates,
    **metrics,
  }


def _watch(
  settings: settings_lib.Settings,
  hyperparams: settings_lib.Hyperparams,
  begun: tuple[step.State, step.Totals],
  start: jax.Array,
  updates: jax.Array,
) -> tuple[step.State, step.Totals, Record]:
  """Make updates, and evaluate at their end and where success may be near.

  A loop over evaluations, and in it one over the updates before each: update
  and evaluation are compiled once. Looked at are the updates whose number in
  the run is a multiple of the interval, with the batches of as many updates;
  where these began in the chunk before, the evaluation between has looked.
  """
  interval = settings.success_interval
  success: Any = settings.held_out_task.success

  def update(carry):
    progress, _, _ = carry
    done, state, totals, sums = progress
    state, new, metrics = step.watched_step(settings, hyperparams, state)
    done, sums = done + 1, sums + metrics
    due = (start + done) % interval == 0
    open_ = (state.solved_at < 0) & (state.diverged_at < 0)
    within = success_lib.is_within(success, sums / interval)
    asked = due & (done >= interval) & open_ & within
    totals = jax.tree.map(jnp.add, totals, new)
    progress = done, state, totals, jnp.where(due, 0, sums)
    return progress, asked, _someone(settings, asked)

  def look(carry):
    progress, _, _ = carry
    never = jnp.asarray(False)
    progress, asked, _ = jax.lax.while_loop(
      lambda carry: (carry[0][0] < updates) & ~carry[-1],
      update,
      (progress, never, never),
    )
    done, state, *others = progress
    seen, metrics = step.evaluate(settings, hyperparams, state)
    ended = done >= updates
    # What another run of the program asked for, this one does not see.
    solved_at = jnp.where(asked | ended, seen.solved_at, state.solved_at)
    state = state._replace(solved_at=solved_at)
    return (done, state, *others), metrics, ended

  shapes = jax.eval_shape(
    lambda: (
      step.watched_step(settings, hyperparams, begun[0])[2],
      step.evaluate(settings, hyperparams, begun[0])[1],
    )
  )
  sums, none = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  progress, metrics, _ = jax.lax.while_loop(
    lambda carry: ~carry[-1],
    look,
    ((jnp.zeros_like(updates), *begun, sums), none, jnp.asarray(False)),
  )
  _, state, totals, _ = progress
  return state, totals, metrics


def _someone(settings: settings_lib.Settings, asked: jax.Array) -> jax.Array:
  """Tell whether any of the runs that go side by side asks for an evaluation.

  They stop for it together: under `vmap` a loop whose end each lane decides
  would compute every lane to the last end. Devices that share batches stop all
  at once, as they wait for each other in the evaluation.
  """
  someone = _any_lane(asked)
  if settings.batch_devices == 1:
    return someone
  count = jax.lax.psum(someone.astype(jnp.int32), (step.POPULATION, step.BATCH))
  return count > 0


@jax.custom_batching.custom_vmap
def _any_lane(flag: jax.Array) -> jax.Array:
  """Return the flag; under `vmap`, whether that of any lane is set."""
  return flag


@_any_lane.def_vmap
def _any_lane_of(
  axis_size: int, in_batched: list[Any], flag: jax.Array
) -> tuple[jax.Array, bool]:
  del axis_size
  return (_any_lane(jnp.any(flag)), False) if in_batched[0] else (flag, False)
