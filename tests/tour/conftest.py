"""Programs here are small and run once: they are compiled hastily."""

import jax
import pytest


@pytest.fixture(scope='module', autouse=True)
def compile_hastily_here(compile_hastily):
  """Leave out most optimizations; `compile_hastily` turns them on again."""
  del compile_hastily
  jax.config.update('jax_disable_most_optimizations', True)
