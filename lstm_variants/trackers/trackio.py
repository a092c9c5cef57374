"""Trackio: where it keeps its projects, which is TRACKIO_DIR if that is set.

trackio show --project=quickstart
"""

from collections.abc import Callable, Mapping
import contextlib
import contextvars
import importlib
import io
import math
import os
from typing import Any

from lstm_variants.trackers.tracker import Member


class Trackio:
  """Writes a run of trackio, whose steps are the sequences consumed.

  Its name ends with the run's id, since other studies may have equal runs in
  the same project. Gone on with, a local run is written anew. One on a Space or
  a server (TRACKIO_SPACE_ID, TRACKIO_SERVER_URL) cannot be: it goes on, and has
  rows twice where training was killed behind a checkpoint.
  """

  def start(self, member: Member) -> int | None:
    """Begin a run; see `Tracker`."""
    trackio: Any = importlib.import_module('trackio')  # an optional extra

    project, name = member.study, f'{member.name}-{member.id[:8]}'
    remote = {'TRACKIO_SPACE_ID', 'TRACKIO_SERVER_URL'} & os.environ.keys()
    if not remote:
      with contextlib.suppress(ValueError):  # no such project yet
        for run in trackio.Api().runs(project):
          if run.name == name:
            run.delete()
    # It ends the run before, unless that began in another context.
    context = contextvars.Context()
    self._run = _quietly(
      lambda: context.run(
        trackio.init,
        project=project,
        name=name,
        group=member.population,
        config=dict(member.config),
        resume='allow' if remote else 'never',
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
      )
    )
    return member.after if remote and member.after >= 0 else None

  def log(self, sequences: int, metrics: Mapping[str, Any]) -> None:
    """Log a row; what is not finite is left out; see `Tracker`."""
    finite = {k: v for k, v in metrics.items() if math.isfinite(v)}
    self._run.log(finite, step=sequences)

  def finish(self, summary: Mapping[str, Any] | None) -> None:
    """End the run; see `Tracker`."""
    del summary
    _quietly(self._run.finish)


def _quietly(act: Callable[[], Any]) -> Any:
  """Act without the lines that trackio prints between ours."""
  with contextlib.redirect_stdout(io.StringIO()):
    return act()
