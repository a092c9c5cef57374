"""Trains for long and prints what grows: python -m tests.faults.soak WORKDIR.

Prints one JSON object: the resident memory in bytes and the number of open
files, both after every 1,000 updates, and the programs compiled after the
first chunk.
"""

import json
import os
import pathlib
import sys

import jax

from lstm_variants.launch import local
from lstm_variants.runs import checkpoint
from tests.faults import study as study_config

EVERY = 1000
_INTERVAL = 50


def soak(workdir: str, updates: int) -> dict[str, list]:
  """Train one population, evaluated and saved every 50 updates."""
  memory, files, compiled = [], [], []
  save = checkpoint.save

  def watch(directory, identity, state, progress, keep):
    save(directory, identity, state, progress, keep)
    if progress.update == _INTERVAL:
      jax.monitoring.register_event_duration_secs_listener(count)
    if progress.update % EVERY == 0:
      memory.append(_resident())
      files.append(len(os.listdir('/proc/self/fd')))

  def count(event: str, duration_secs: float, **unused) -> None:
    if 'backend_compile' in event:
      compiled.append(duration_secs)

  checkpoint.save = watch  # pyrefly: ignore[bad-assignment]
  config = study_config.get_config()
  config.update_from_flattened_dict(
    {
      'training.updates': updates,
      'training.evaluation_interval': _INTERVAL,
      'training.evaluation_batches': 4,
      'training.save_interval': _INTERVAL,
    }
  )
  runs = local.expand(config, study_config.get_hyper)[:3]
  local.train(workdir, 'soak', config, runs)
  return {'memory': memory, 'files': files, 'compiled': compiled}


def _resident() -> int:
  pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
  return pages * os.sysconf('SC_PAGE_SIZE')


if __name__ == '__main__':
  found = soak(sys.argv[1], int(sys.argv[2]))
  print(json.dumps(found))
