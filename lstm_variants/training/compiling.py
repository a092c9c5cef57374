"""The compiler's options for a training program, set by the program itself."""

import jax

# Of XLA:CPU, each measured; tests/training/compiling_test.py holds them to
# exist. Region analysis sees that a row of a stack is read before it is
# written, and leaves out copies of the row, which small cells gain from.
# docs/performance.md has what else was tried and brought nothing.
CPU_OPTIONS = {'xla_cpu_copy_insertion_use_region_analysis': True}


def options() -> dict[str, bool | int | str]:
  """Return the `compiler_options` of `jax.jit` for the default backend."""
  return dict(CPU_OPTIONS) if jax.default_backend() == 'cpu' else {}
