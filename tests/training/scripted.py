"""A stand-in for a compiled population, around which the real loop trains."""

import math
from typing import Any

import jax
import numpy as np

from lstm_variants.training import population as population_lib
from lstm_variants.training import step

METRICS = ('train_loss', 'grad_norm', 'loss', 'wrong')


class Script:
  """A population whose runs are solved, or diverge, at given updates."""

  def __init__(self, monkeypatch, solved, diverged=None, loss=0.5):
    self.chunks, self.size = [], len(solved)
    self._solved, self._loss = np.array(solved), loss
    self._diverged = np.array(diverged or [math.inf] * len(solved))
    monkeypatch.setattr(
      population_lib, 'compile_population', lambda *unused: self._compiled()
    )

  def _compiled(self):
    # Padded as if for two devices.
    never: Any = np.full(self.size + 1, -1)
    update: Any = np.zeros(self.size + 1, int)
    state = step.State(
      {'w': np.ones((self.size + 1, 3), np.float32)},
      (),
      update,
      None,
      never,
      never,
    )
    return population_lib.Compiled(
      range(self.size), state, self._advance, self._place, 0.25, str
    )

  def _place(self, state):
    return jax.tree.map(lambda x: np.concatenate((x, x[-1:])), state)

  def _advance(self, state, updates):
    self.chunks.append(updates)
    done = int(state.update[0]) + updates
    state = state._replace(
      update=np.full(self.size + 1, done),
      solved_at=self._marks(self._solved, done),
      diverged_at=self._marks(self._diverged, done),
    )
    value = np.full(self.size + 1, self._loss)
    value[-1] = 1e9  # padding, to be seen nowhere
    return state, {name: value for name in METRICS}

  def _marks(self, at, done) -> Any:
    return np.append(np.where(at <= done, at, -1), -1).astype(int)
