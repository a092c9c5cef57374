"""Writes one population's results, under a temporary name until the end."""

from collections.abc import Iterable, Mapping
import contextlib
import hashlib
import io
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from lstm_variants import errors, opening
from lstm_variants.runs import files, lock, results
from lstm_variants.runs import lease as lease_lib
from lstm_variants.runs import partial as partial_lib


class PopulationWriter:
  """Writes the results of one population.

      with PopulationWriter(workdir, name) as writer:
        writer.start()
        writer.append_metrics(rows)
        writer.finish(runs, params, provenance)

  All files are written to the directory `partial`; `finish` gives it its final
  name. The state of a killed population is there, and can be resumed.

  Attributes:
    final: the directory of a finished population.
    partial: the directory of the same population before it is finished.
    metrics_bytes: the length of metrics.jsonl.
  """

  def __init__(
    self,
    workdir: str,
    population: str,
    lease: lease_lib.Lease | None = None,
  ):
    """Write nothing yet.

    Args:
      workdir: of the study.
      population: its name.
      lease: of the population; None: this process has the whole study, by
        its lock.
    """
    self._workdir, self._lease = pathlib.Path(workdir), lease
    self.final = self._workdir / partial_lib.POPULATIONS / population
    token = lease.token if lease else lock.token(self._workdir)
    self.partial = partial_lib.place(workdir, population, token)
    self.metrics_bytes = 0
    self._hash = hashlib.sha256()
    self._metrics: Any = None

  def __enter__(self) -> 'PopulationWriter':
    return self

  def __exit__(self, *exc_info) -> None:
    if self._metrics is not None:
      with contextlib.suppress(OSError):
        self._metrics.close()

  @property
  def metrics_sha256(self) -> str:
    """The SHA-256 of metrics.jsonl so far."""
    return self._hash.hexdigest()

  def check(self) -> None:
    """Check that this process may still write.

    Raises:
      LostError: others have taken its lease over.
      StorageError: or the study.
    """
    if self._lease is None:
      lock.check(self._workdir)
    else:
      self._lease.check()

  def begun(self) -> pathlib.Path:
    """Return the directory of what is trained of the population."""
    if self.final.exists():
      return self.final
    return partial_lib.find(self._workdir, self.final.name) or self.partial

  def adopt(self) -> None:
    """Have what was trained before in `partial`; see `partial.adopt`."""
    partial_lib.adopt(self.partial, self.check)

  def start(self) -> None:
    """Begin a population; remove what an interrupted one left.

    Raises:
      StorageError: if the directory cannot be made.
    """
    self.check()
    shutil.rmtree(self.partial, ignore_errors=True)
    with files.refusals(self.partial):
      self.partial.mkdir(parents=True)
      self._metrics = open(self.partial / results.METRICS, 'wb')
      files.sync_directory(self.partial)
      files.sync_directory(self.partial.parent)

  def resume(self, size: int, sha256: str) -> int:
    """Resume a population; keep the first `size` bytes of metrics.jsonl.

    Returns:
      The number of bytes dropped: rows of updates after the checkpoint, which
      will be written again, and perhaps an incomplete last row.

    Raises:
      DamagedError: if the SHA-256 of these bytes is another one.
      StorageError: if the file cannot be cut.
    """
    path = self.partial / results.METRICS
    dropped = check_metrics(path, size, sha256)
    with files.refusals(path):
      # A copy: a process that sleeps may have this one open, and wake.
      with opening.open_file(path) as file:
        kept = file.read(size)
      files.write(path, kept)
      self._hash = hashlib.sha256(kept)
      self._metrics = open(path, 'ab')
    self.metrics_bytes = size
    return dropped

  def reopen(self) -> None:
    """Rename a finished population back, to train it longer.

    Raises:
      LostError, StorageError: as `check`; others may have finished it.
      StorageError: the system refuses.
    """
    self.check()
    with files.refusals(self.final):
      os.replace(self.final, self.partial)
      files.sync_directory(self.final.parent)
    try:
      self.check()  # this process may have slept between the two
    except errors.Error:
      with contextlib.suppress(OSError):
        os.rename(self.partial, self.final)
      raise

  def append_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to metrics.jsonl, and flush them for whoever follows it.

    Raises:
      LostError: others have taken the lease over.
      StorageError: if they cannot be written.
    """
    self.check()
    lines = b''.join(files.json_line(row) for row in rows)
    with files.refusals(self.partial / results.METRICS, len(lines)):
      self._metrics.write(lines)
      self._metrics.flush()
    self._hash.update(lines)
    self.metrics_bytes += len(lines)

  def sync(self) -> None:
    """Force metrics.jsonl to the disk, before a checkpoint relies on it."""
    self.check()
    with files.refusals(self.partial / results.METRICS):
      files.sync(self._metrics)

  def finish(
    self,
    runs: Iterable[Mapping[str, Any]],
    params: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any],
  ) -> None:
    """Write the remaining files and give the directory its final name.

    Raises:
      LostError, StorageError: as `check`.
      StorageError: if something cannot be written.
    """
    self.check()
    rows = b''.join(files.json_line(row) for row in runs)
    files.write(self.partial / 'runs.jsonl', rows)
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **params)
    files.write(self.partial / 'params.npz', arrays.getvalue())
    files.write_json(self.partial / 'provenance.json', provenance)
    self.sync()
    self._metrics.close()
    self.check()  # syncing may have taken long
    with files.refusals(self.final):
      os.replace(self.partial, self.final)
      files.sync_directory(self.final.parent)


class SilentWriter(PopulationWriter):
  """Writes nothing: of a process that trains along with the one that writes."""

  def check(self) -> None:
    """Check nothing."""

  def adopt(self) -> None:
    """Adopt nothing."""

  def start(self) -> None:
    """Begin nothing."""

  def resume(self, size: int, sha256: str) -> int:
    """Resume nothing."""
    del size, sha256
    return 0

  def reopen(self) -> None:
    """Rename nothing."""

  def append_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append nothing."""
    del rows

  def sync(self) -> None:
    """Sync nothing."""

  def finish(
    self,
    runs: Iterable[Mapping[str, Any]],
    params: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any],
  ) -> None:
    """Write nothing."""
    del runs, params, provenance


def check_metrics(path: pathlib.Path, size: int, sha256: str) -> int:
  """Check the first `size` bytes of a file; return how many come after them.

  Raises:
    DamagedError: they are not those with this SHA-256.
  """
  digest, remaining = hashlib.sha256(), size
  if path.is_symlink():  # it will be cut: what it leads to may be anybody's
    raise files.DamagedError(f'{path}: is a link')
  try:
    with opening.open_file(path) as file:
      length = os.fstat(file.fileno()).st_size
      while block := file.read(min(remaining, 2**20)):
        digest.update(block)
        remaining -= len(block)
  except OSError as error:
    raise files.DamagedError(f'{path}: {error.strerror}') from error
  if remaining or digest.hexdigest() != sha256:
    raise files.DamagedError(f'{path}: is not what was written')
  return length - size
