"""The flag --from: runs that begin with the weights of another one."""

from collections.abc import Callable
from typing import Any

from absl import flags

from lstm_variants.runs import directory
from lstm_variants.training import agreement, given, trained

flags.disclaim_key_flags()

# Called with the config, the directory and the mode.
Begin = Callable[[Any, str, directory.Mode], given.Given | None]


def define_from() -> Begin:
  """Define --from; the result is `begin` with what was given."""
  source = flags.DEFINE_string(
    'from',
    None,
    'Begin with the weights of another run, WORKDIR:RUN; RUN as of export: its '
    'id, a beginning of it, fields, or best.',
  )
  return lambda config, workdir, mode: begin(
    source.value, config, workdir, mode
  )


def begin(
  source: str | None, config: Any, workdir: str, mode: directory.Mode
) -> given.Given | None:
  """Return the weights with which the runs of a study begin.

  Args:
    source: 'WORKDIR:RUN'; None: the seeds draw them. A study that is gone on
      with has them itself, also where its source is gone.
    config: its training.start is set.
    workdir: of the study.
    mode: what to do with a study that is there.

  Returns:
    The weights, or None.

  Raises:
    GivenError: no such run, or the study began with another.
  """
  weights = _of_first(lambda: _find(source, workdir, mode))
  if weights is not None:
    config.training.start = weights.digest
  return weights


def _find(
  source: str | None, workdir: str, mode: directory.Mode
) -> given.Given | None:
  """Return the weights of a study that exists, or of a run; see `begin`."""
  goes_on = mode in (directory.Mode.RESUME, directory.Mode.SHARE)
  weights = given.read(workdir) if goes_on else None
  if weights and source not in (None, weights.source):
    raise given.GivenError(
      f'--from={source}: the study in {workdir} began from {weights.source}; '
      f'nearest: --from={weights.source}'
    )
  if weights is None and source is not None:
    weights = trained.weights(source)
  return weights


def _of_first(find: Callable[[], given.Given | None]) -> given.Given | None:
  """Return what the first of several processes finds, on its disk."""
  if agreement.count() == 1:
    return find()
  weights = find() if agreement.is_first() else None
  source = agreement.value_of_first(lambda: weights.source if weights else '')
  arrays = agreement.arrays_of_first(
    lambda: weights.arrays if weights else None
  )
  return None if arrays is None else given.Given(source, dict(arrays))
