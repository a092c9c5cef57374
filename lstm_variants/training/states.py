"""The state of a population as named arrays, as they are on the disk."""

from collections.abc import Callable, Sequence
import pathlib
from typing import Any

import jax
import numpy as np

from lstm_variants import console, models
from lstm_variants.cells import layout
from lstm_variants.cells import toggles as toggles_lib
from lstm_variants.config import populations
from lstm_variants.config.settings import Run
from lstm_variants.runs import checkpoint
from lstm_variants.training import population as population_lib
from lstm_variants.training import step

# Times the bytes of a state: with weights that no toggle used, which older
# directories have, an LSTM has up to 13 H² numbers, where one whose gates are
# all off has H².
_SLACK = 16


def named_leaves(tree: Any) -> dict[str, Any]:
  """Return leaves by path, as 'layers/0/kernel'."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
  }


def describe(population: populations.Population) -> step.State:
  """Return shapes and dtypes of the state of all runs."""
  settings = population.settings
  with jax.enable_x64(settings.dtype == 'float64'):
    return population_lib.describe_state(
      settings, [run.hyperparams for run in population.runs]
    )


def load(
  directory: pathlib.Path,
  population: populations.Population,
  warn: Callable[[str], None] = console.warn,
) -> tuple[step.State, checkpoint.Progress] | None:
  """Read the newest checkpoint that is whole; see `checkpoint.load`."""
  if checkpoint.newest_update(directory) < 0:
    return None  # Before the state is traced for its shapes.
  template = describe(population)
  saved = checkpoint.load(
    directory, population.identity, expected(template, population), warn
  )
  if saved is None:
    return None
  arrays, progress = saved
  return restore(template, arrays), progress


def load_all(
  directory: pathlib.Path, population: populations.Population
) -> list[tuple[step.State, checkpoint.Progress]]:
  """Read every checkpoint that is whole, oldest first."""
  template = describe(population)
  saved = checkpoint.load_all(
    directory, population.identity, expected(template, population)
  )
  return [(restore(template, arrays), progress) for arrays, progress in saved]


def restore(template: Any, arrays: dict[str, np.ndarray]) -> Any:
  """Return a tree as `template` of named arrays."""
  leaves: Sequence[Any] = [arrays[name] for name in named_leaves(template)]
  return jax.tree.unflatten(jax.tree.structure(template), leaves)


def translate(
  arrays: dict[str, np.ndarray], population: populations.Population
) -> dict[str, np.ndarray]:
  """Return the arrays of a directory of any format as those of now.

  Format 1 had the weights of every gate and peephole in every LSTM, also where
  no toggle used them: they are left out.
  """
  toggles = [run.hyperparams.toggles for run in population.runs]
  if population.format_version > 1 or toggles[0] is None:
    return arrays
  drawn = models.drawn_settings(
    population.settings.architecture, toggles_lib.stack(toggles)
  )
  return layout.prune_arrays(arrays, drawn)


def prune(params: Any, run: Run) -> Any:
  """Return the parameters of one run that its toggles use.

  In a population there are those that any of its runs uses.
  """
  if run.hyperparams.toggles is None:
    return params
  drawn = models.drawn_settings(
    run.settings.architecture, run.hyperparams.toggles
  )
  return layout.prune(params, drawn)


def expected(
  template: Any, population: populations.Population | None = None
) -> checkpoint.Expected:
  """Return what a state as `template` consists of on the disk.

  Args:
    template: a tree of arrays, or of shapes and dtypes.
    population: whose state it is; None: nothing of it is translated.
  """
  leaves = {
    name: checkpoint.Leaf(tuple(leaf.shape), np.dtype(leaf.dtype))
    for name, leaf in named_leaves(template).items()
  }
  size = sum(
    int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves.values()
  )
  if population is None or population.format_version > 1:
    return checkpoint.Expected(leaves, lambda arrays: arrays, size)
  return checkpoint.Expected(
    leaves, lambda arrays: translate(arrays, population), _SLACK * size
  )
