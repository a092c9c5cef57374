"""What the batches cost: sampling beside a whole update, for every task.

    python -m benchmarks.sampling

At each dialect's usual T, with the width, batch size and model of
configs/base.py. Batches are made inside of the compiled program: nothing
crosses from the host.
"""

from collections.abc import Callable, Sequence
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp

from benchmarks import pages, timing
from configs import base
from lstm_variants import tasks
from lstm_variants.config import rules, settings
from lstm_variants.training import step

_TASKS = flags.DEFINE_list(
  'tasks', [], 'NAME_DIALECT, …; nothing: all that need no files.'
)
UPDATES = 20
SAMPLE, UPDATE = 'sampling', 'update'
# In the smoke version.
_FEW, _SHORT = 3, 20


def contestants(run: settings.Run) -> dict[str, Callable[[], None]]:
  """Return what makes the batches of some updates, and those updates."""
  chosen, hyperparams = run.settings, run.hyperparams
  task = chosen.task
  state = step.init_state(chosen, hyperparams)

  def sample(total, update):
    key = jax.random.fold_in(jax.random.key(1), update)
    batch = task.sample(key, chosen.batch_size)
    # Something of every part, so that nothing is left out.
    return total + sum(jnp.sum(part) for part in batch), None

  def update(state, _):
    return step.train_step(chosen, hyperparams, state)[0], None

  programs: dict[str, tuple[Any, Any]] = {
    SAMPLE: (sample, jnp.float32(0)),
    UPDATE: (update, state),
  }
  return {
    name: _scanned(body, start) for name, (body, start) in programs.items()
  }


def _scanned(body: Callable, start: Any) -> Callable[[], None]:
  program = jax.jit(
    lambda carry: jax.lax.scan(body, carry, jnp.arange(UPDATES))[0]
  )
  return lambda: jax.block_until_ready(program(start))


def keys() -> Sequence[str]:
  """Return what is measured: every dialect once."""
  for key in _TASKS.value:
    try:
      tasks.TASKS.choice(key)
    except KeyError:
      raise SystemExit(
        f'--tasks={key}: unknown; docs/tasks.md lists them'
      ) from None
  if _TASKS.value:
    return _TASKS.value
  found = [
    f'{name}_{dialect}'
    for name, dialects in tasks.DIALECTS.items()
    for dialect in dialects
  ]
  return found[:_FEW] if pages.QUICK.value else found


def configure(key: str) -> settings.Run:
  """Return a run of the task with all else as in configs/base.py."""
  config: Any = base.get_config()
  config.task.name, config.task.dialect = tasks.TASKS.choice(key)
  if pages.QUICK.value:
    config.task.length = _SHORT
    config.training.batch_size = 4
  return settings.from_config(config)


def page() -> list[str]:
  """Return the page."""
  rows, skipped, shares = [], {}, []
  for key in keys():
    pages.progress(key)
    try:
      run = configure(key)
    except rules.InputError as error:
      skipped[key] = str(error)
      continue
    measured = timing.measure(contestants(run), pages.repeats(), UPDATES)
    share = timing.quotient(measured[SAMPLE], measured[UPDATE])
    shares.append(share)
    rows.append(
      (
        f'`{key}`',
        f'{run.settings.task.num_steps:,}',
        timing.show(measured[SAMPLE]),
        timing.show(measured[UPDATE]),
        f'{share:.1%}',
      )
    )
  return [
    '## Sampling',
    'µs per batch and per update (which makes its batch too): median '
    '[quartiles] over the rounds. Vanilla LSTM, '
    'sizes as in configs/base.py, the usual T of each dialect.',
    *pages.table(('task', 'steps', SAMPLE, UPDATE, 'share'), rows),
    f'The largest share: {max(shares):.1%}.',
    '',
    *pages.skipped_lines(skipped),
  ]


if __name__ == '__main__':
  pages.run('sampling', page)
