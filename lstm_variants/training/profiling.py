"""A profile of a few chunks of updates: where the time of a training goes.

DIRECTORY/plugins/profile/TIME/HOST.xplane.pb     for TensorBoard (XProf)
DIRECTORY/plugins/profile/TIME/perfetto_trace.json.gz     for Perfetto
"""

from collections.abc import Callable
import pathlib
from typing import Any

import jax

from lstm_variants import console
from lstm_variants.runs import files

_CHUNKS = 2
TRACE = 'perfetto_trace.json.gz'


class Profile:
  """Traces the first chunks of the first population, once it is compiled."""

  def __init__(self, directory: str, chunks: int = _CHUNKS):
    """Take a directory, which is made.

    Raises:
      StorageError: if nothing can be written there.
    """
    self._directory, self._chunks = pathlib.Path(directory), chunks
    self._begun = 0
    self._traces = False
    with files.refusals(self._directory):
      self._directory.mkdir(parents=True, exist_ok=True)
      (self._directory / 'plugins').mkdir(exist_ok=True)

  def tell(self) -> None:
    """Say so where nothing was left to train, and so nothing to trace."""
    if self._begun == 0:
      console.note(
        f'--profile={self._directory}: nothing was left to train, so nothing '
        'was traced; nearest: another --workdir, or --overwrite'
      )

  def around(self, advance: Callable[..., Any]) -> Callable[..., Any]:
    """Return `(state, updates) -> …` of a population, with the trace."""

    def traced(state: Any, updates: int) -> Any:
      if updates:
        self._before_chunk()
      return advance(state, updates)

    return traced

  def _before_chunk(self) -> None:
    """Begin the trace, or end it where enough was seen."""
    if self._begun == 0:
      jax.profiler.start_trace(self._directory, create_perfetto_trace=True)
      self._traces = True
    if self._begun == self._chunks:
      self.stop()
    self._begun += 1

  def stop(self) -> None:
    """End the trace, if there is one, and say where it is."""
    if not self._traces:
      return
    self._traces = False
    with files.refusals(self._directory):
      jax.profiler.stop_trace()
    newest = max(self._directory.rglob(TRACE), key=lambda p: p.stat().st_mtime)
    console.say(f'profile: {newest}, for ui.perfetto.dev')
    console.say(f'profile: tensorboard --logdir={self._directory}, with xprof')
