"""Weights & Biases: offline in WORKDIR/wandb/, or as WANDB_MODE says.

    wandb sync runs/study/wandb/offline-run-*

The variables of wandb hold: WANDB_MODE, WANDB_PROJECT (else the name of the
study), WANDB_DIR, WANDB_ENTITY, …
"""

from collections.abc import Mapping
import importlib
import math
import os
import pathlib
import shutil
from typing import Any

from lstm_variants.trackers.tracker import Member

# Of the row in runs.jsonl, what a list of runs shows.
SUMMARY = ('status', 'sequences_to_success', 'sequences', 'params_in_use')


class WandB:
  """Writes a run of wandb, whose steps are the sequences consumed.

  Offline, a run that is gone on with is written anew, in place of its earlier
  directory. Online, the server has what was sent: it goes on behind that.
  """

  def start(self, member: Member) -> int | None:
    """Begin a run, or go on under its id; see `Tracker`."""
    wandb: Any = importlib.import_module('wandb')  # an optional extra

    mode: Any = os.environ.get('WANDB_MODE', 'offline')
    place = pathlib.Path(os.environ.get('WANDB_DIR', member.workdir))
    if mode == 'offline':
      for earlier in (place / 'wandb').glob(f'offline-run-*-{member.id}'):
        shutil.rmtree(earlier)
    self._run = wandb.init(
      project=os.environ.get('WANDB_PROJECT', member.study),
      group=member.population,
      name=member.name,
      id=member.id,
      config=dict(member.config),
      dir=str(place),
      mode=mode,
      resume='allow',
      reinit='create_new',  # the runs of a population are open side by side
      settings=wandb.Settings(
        silent=True, console='off', disable_code=True, disable_git=True
      ),
    )
    return self._run.starting_step - 1 if self._run.resumed else None

  def log(self, sequences: int, metrics: Mapping[str, Any]) -> None:
    """Log a row; what is not finite is left out; see `Tracker`."""
    finite = {k: v for k, v in metrics.items() if math.isfinite(v)}
    self._run.log(finite, step=sequences)

  def finish(self, summary: Mapping[str, Any] | None) -> None:
    """End the run, or this part of it; see `Tracker`."""
    if summary is not None:
      self._run.summary.update({name: summary[name] for name in SUMMARY})
    self._run.finish()
