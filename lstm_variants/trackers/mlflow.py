"""MLflow: WORKDIR/mlflow.db, or the store that MLFLOW_TRACKING_URI names.

mlflow ui --backend-store-uri=sqlite:///runs/study/mlflow.db
"""

from collections.abc import Mapping
import importlib
import logging
import math
import os
import time
from typing import Any

from lstm_variants.trackers.tracker import Member

_STORE = 'MLFLOW_TRACKING_URI'
_ID = 'lstm_variants.id'
_POPULATION = 'lstm_variants.population'
# Seconds for which rows are collected: a request takes a while. And of how many
# metrics one may be.
_PAUSE, _MOST = 5.0, 1000


class MLflow:
  """Writes a run of MLflow, whose steps are the sequences consumed.

  The study is the experiment. Gone on with, the same run continues behind its
  last row; one that has rows beyond the point where training goes on is thrown
  away and written anew.
  """

  def start(self, member: Member) -> int | None:
    """Begin a run, or go on; see `Tracker`."""
    mlflow: Any = importlib.import_module('mlflow')  # an optional extra
    self._entities: Any = importlib.import_module('mlflow.entities')
    logging.getLogger('mlflow').setLevel(logging.WARNING)
    logging.getLogger('alembic').setLevel(logging.WARNING)
    own = f'sqlite:///{member.workdir / "mlflow.db"}'
    store = os.environ.get(_STORE, own)
    self._client = mlflow.MlflowClient(tracking_uri=store)
    self._pending: list[Any] = []
    self._sent_at = time.monotonic()
    experiment = self._experiment(member)
    last = self._find(experiment, member)
    if last is None:
      tags = {_ID: member.id, _POPULATION: member.population}
      run = self._client.create_run(experiment, run_name=member.name, tags=tags)
      self._run = run.info.run_id
      self._client.log_batch(
        self._run,
        params=[
          self._entities.Param(name, str(value))
          for name, value in member.config.items()
        ],
      )
    return last

  def log(self, sequences: int, metrics: Mapping[str, Any]) -> None:
    """Log a row; what is not finite is left out; see `Tracker`."""
    now = int(time.time() * 1000)
    self._pending += [
      self._entities.Metric(name, float(value), now, sequences)
      for name, value in metrics.items()
      if math.isfinite(value)
    ]
    paused = time.monotonic() - self._sent_at > _PAUSE
    if paused or len(self._pending) > _MOST // 2:
      self._send()

  def finish(self, summary: Mapping[str, Any] | None) -> None:
    """End the run, or this part of it; see `Tracker`."""
    self._send()
    status = 'KILLED'
    if summary is not None:
      status = 'FAILED' if summary['status'] == 'diverged' else 'FINISHED'
      self._client.set_tag(self._run, 'status', summary['status'])
    self._client.set_terminated(self._run, status)

  def _send(self) -> None:
    self._client.log_batch(self._run, metrics=self._pending)
    self._pending, self._sent_at = [], time.monotonic()

  def _experiment(self, member: Member) -> str:
    """Return the id of the experiment of a study, made if missing."""
    known = self._client.get_experiment_by_name(member.study)
    if known is not None:
      return known.experiment_id
    place = None
    if _STORE not in os.environ:
      place = (member.workdir / 'mlflow').as_uri()
    return self._client.create_experiment(member.study, place)

  def _find(self, experiment: str, member: Member) -> int | None:
    """Go on with an earlier run; return its last step, None without one."""
    query = f"tags.`{_ID}` = '{member.id}'"
    for run in self._client.search_runs([experiment], query):
      history = self._client.get_metric_history(run.info.run_id, 'update')
      last = max((metric.step for metric in history), default=-1)
      if last <= member.after:
        self._run = run.info.run_id
        self._client.update_run(self._run, status='RUNNING')
        return last
      self._client.delete_run(run.info.run_id)
    return None
