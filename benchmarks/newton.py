"""All steps at once by Newton's method, beside the scan, over long sequences.

    python -m benchmarks.newton

Hidden states of a diagonal LSTM, alone and with their gradient: time, scratch
memory, and how often Newton's method iterates.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from absl import flags
import jax
import jax.numpy as jnp

from benchmarks import pages, timing
from lstm_variants import cells
from lstm_variants.cells import newton, variants

_LENGTHS = flags.DEFINE_list(
  'lengths', ['1000', '10000', '100000'], 'Time steps.'
)
FEATURES, HIDDEN, BATCH = 2, 32, 1
SCAN, NEWTON = 'scan', 'newton'
# Of the initial parameters. With 2 the recurrence is chaotic, and falls back.
SCALE = 1.0


class Program(NamedTuple):
  """A compiled program, its scratch memory, and what it returns."""

  run: Callable[[], Any]
  temp_bytes: int | None


def build(length: int, gradient: bool) -> dict[str, Program]:
  """Return the scan and Newton's method on the same problem."""
  cell = cells.CELLS['diagonal_lstm']
  toggles = variants.VARIANTS['vanilla'].toggles
  params = cell.init_params(
    jax.random.key(0), FEATURES, HIDDEN, settings=toggles
  )
  params = jax.tree.map(lambda leaf: SCALE * leaf, params)
  inputs = jax.random.normal(jax.random.key(1), (BATCH, length, FEATURES))

  def by_scan(params: Any) -> tuple[jax.Array, Any]:
    _, hiddens = cell.unroll(params, toggles, inputs)
    return jnp.mean(jnp.square(hiddens)), jnp.zeros((4,))

  def by_newton(params: Any) -> tuple[jax.Array, Any]:
    _, hiddens, report = newton.unroll(cell, params, toggles, inputs)
    facts = jnp.stack([jnp.asarray(fact, jnp.float32) for fact in report])
    return jnp.mean(jnp.square(hiddens)), facts

  programs = {SCAN: by_scan, NEWTON: by_newton}
  return {name: _compile(f, gradient, params) for name, f in programs.items()}


def _compile(f: Callable, gradient: bool, params: Any) -> Program:
  whole = jax.value_and_grad(f, has_aux=True) if gradient else f
  compiled = jax.jit(whole).lower(params).compile()
  memory = compiled.memory_analysis()
  size = None if memory is None else memory.temp_size_in_bytes
  return Program(lambda: jax.block_until_ready(compiled(params)), size)


def row(length: int, gradient: bool) -> tuple[str, ...]:
  """Measure one length."""
  programs = build(length, gradient)
  measured = timing.measure(
    {name: program.run for name, program in programs.items()},
    pages.repeats(),
    1,
  )
  results = [program.run() for program in programs.values()]
  (expected, _), (loss, facts) = (r[0] if gradient else r for r in results)
  assert jnp.allclose(loss, expected, rtol=1e-4), 'not the same states'
  converged, iterations, residual, _ = (float(fact) for fact in facts)
  memory = [
    '—' if p.temp_bytes is None else f'{p.temp_bytes / 2**20:,.1f}'
    for p in programs.values()
  ]
  return (
    f'{length:,}',
    'with gradient' if gradient else 'states',
    timing.show(measured[SCAN], timing.MILLI),
    timing.show(measured[NEWTON], timing.MILLI),
    f'{timing.quotient(measured[SCAN], measured[NEWTON]):.2f}',
    *memory,
    f'{iterations:.0f}, {residual:.1g}' + ('' if converged else ': scan'),
  )


def page() -> list[str]:
  """Return the page."""
  lengths = ['50'] if pages.QUICK.value else _LENGTHS.value
  rows = []
  for length in map(int, lengths):
    for gradient in (False, True):
      pages.progress(f'{length} steps')
      rows.append(row(length, gradient))
  return [
    '## Parallel in time',
    f'A diagonal LSTM of {HIDDEN} units on {BATCH} sequence: milliseconds, '
    'median [quartiles] over the rounds; scratch memory in MiB; iterations of '
    "Newton's method and its last residual.",
    *pages.table(
      (
        'steps',
        'what',
        SCAN,
        NEWTON,
        f'{SCAN} / {NEWTON}',
        f'MiB, {SCAN}',
        f'MiB, {NEWTON}',
        'iterations, residual',
      ),
      rows,
    ),
  ]


if __name__ == '__main__':
  pages.run('newton', page)
