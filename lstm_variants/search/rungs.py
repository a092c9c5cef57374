"""Successive halving: at a rung a population is divided, and goes on smaller.

A population whose trials are judged is divided into one of those that are
retired, which is finished, and one of those that go on: it has their states,
lane by lane, the optimizer's included, and is resumed like any that was
interrupted. So a run makes the updates that it would have made alone, and each
is in one population in the end.

Whatever is killed in between is done again from what is there: the population
that is divided is put aside (WORKDIR/divided/) and removed when its parts are
whole.

Reference:
  Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943.
"""

from collections.abc import Mapping, Sequence
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from lstm_variants.config import populations
from lstm_variants.config import settings as settings_lib
from lstm_variants.runs import checkpoint, files, lock, results
from lstm_variants.runs import writer as writer_lib
from lstm_variants.training import resume, states


def at_most(run: settings_lib.Run, updates: int) -> settings_lib.Run:
  """Return a run that ends after so many updates; it is the same run."""
  training = {**run.config['training'], 'updates': updates}
  return run._replace(
    settings=run.settings.replace(updates=updates),
    config={**run.config, 'training': training},
  )


def divide(
  workdir: str,
  whole: Sequence[populations.Population],
  parts: Sequence[populations.Population],
  updates: int,
) -> None:
  """Divide populations that have reached a rung.

  Args:
    workdir: the directory of an open study.
    whole: trained to the rung, or divided already.
    parts: of what they become; one that ends at the rung is finished, the
      others are to be resumed.
    updates: at the rung.

  Raises:
    LostError: others have the study by now.
    StorageError: something cannot be written.
    CheckpointError: the state at the rung cannot be read.
  """
  kept = {part.name for part in parts}
  for population in whole:
    if population.name in kept:
      continue  # it goes on, or ends, as it is
    aside = pathlib.Path(workdir) / results.DIVIDED / population.name
    final = pathlib.Path(workdir) / 'populations' / population.name
    if final.exists():
      lock.check(pathlib.Path(workdir))
      with files.refusals(aside):
        aside.parent.mkdir(exist_ok=True)
        os.replace(final, aside)
        files.sync_directory(aside.parent)
        files.sync_directory(final.parent)
    if not aside.exists():
      continue  # that was done before
    # Another host may have saved a moment ago.
    files.look_anew(aside / resume.CHECKPOINTS)
    names = set(population.run_names)
    for part in parts:
      if names.issuperset(part.run_names):
        _take(workdir, aside, population, part, updates)
    lock.check(pathlib.Path(workdir))
    with files.refusals(aside):
      shutil.rmtree(aside)


def _take(
  workdir: str,
  aside: pathlib.Path,
  whole: populations.Population,
  part: populations.Population,
  updates: int,
) -> None:
  """Write a part of a population, unless it is there."""
  with writer_lib.PopulationWriter(workdir, part.name) as writer:
    ends = part.settings.updates == updates
    if ends:
      # Nobody trains it: whoever slept as he wrote it shall not finish it.
      writer.adopt()
    saved = writer.begun() / resume.CHECKPOINTS
    begun = not ends and any(saved.glob(f'*{checkpoint.SUFFIX}'))
    if begun or writer.final.exists():
      return
    lanes = [whole.run_names.index(name) for name in part.run_names]
    # Of less updates where all of its runs have diverged.
    restored = states.load(aside / resume.CHECKPOINTS, whole)
    if restored is None:
      raise checkpoint.CheckpointError(
        f'{aside}: has no checkpoint to go on from; put it back'
      )
    state, progress = restored
    arrays = _lanes(state, part, lanes)
    writer.start()
    names = set(part.run_names)
    metrics = files.read_json_lines(aside / results.METRICS)
    writer.append_metrics(row for row in metrics if row['run'] in names)
    writer.sync()
    checkpoint.save(
      writer.partial / resume.CHECKPOINTS,
      part.identity,
      arrays,
      progress._replace(
        seconds=progress.seconds * len(lanes) / len(whole.run_names),
        metrics_bytes=writer.metrics_bytes,
        metrics_sha256=writer.metrics_sha256,
      ),
      part.settings.keep_checkpoints,
    )
    if ends:
      _finish(writer, aside, part, arrays)


def _lanes(
  state: Any, part: populations.Population, lanes: Sequence[int]
) -> dict[str, np.ndarray]:
  """Return the arrays of some lanes of a state, by the name of each leaf.

  A smaller population has fewer of them where a weight is used by none of its
  runs.
  """
  whole = states.named_leaves(state)
  wanted = states.named_leaves(states.describe(part))
  return {name: np.asarray(whole[name])[list(lanes)] for name in wanted}


def _finish(
  writer: writer_lib.PopulationWriter,
  aside: pathlib.Path,
  part: populations.Population,
  arrays: Mapping[str, np.ndarray],
) -> None:
  """Write the results of runs that are retired."""
  rows = {row['id']: row for row in files.read_json_lines(aside / 'runs.jsonl')}
  params = {
    name.removeprefix('params/'): leaf
    for name, leaf in arrays.items()
    if name.startswith('params/')
  }
  size = sum(leaf[0].size for leaf in params.values())
  writer.finish(
    [
      {
        **rows[name],
        'population': part.name,
        'index': index,
        'params': size,
      }
      for index, name in enumerate(part.run_names)
    ],
    params,
    {
      **files.read_json(aside / 'provenance.json'),
      'divided_from': aside.name,
    },
  )
