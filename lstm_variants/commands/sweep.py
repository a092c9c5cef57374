"""Train a study: every run of its grid, those of equal shape in one program.

    lstm-variants sweep --config=studies/variants --workdir=runs/variants

The config file states the grid in get_hyper(hyper), see
lstm_variants/config/grid.py. Each compiled program leaves its results in
WORKDIR/populations/NAME/. Interrupted, repeat the command with --resume.

What follows a colon goes to get_config(argument) and get_hyper(hyper,
argument) as text, where a study takes one:

    lstm-variants sweep --config=studies/odyssey:200 --workdir=runs/odyssey_200
"""

from collections.abc import Callable, Iterable
import pathlib
import sys
from typing import Any

from lstm_variants import console
from lstm_variants.commands import (
  command,
  config_file,
  distributed,
  first_weights,
  launching,
)
from lstm_variants.config import source
from lstm_variants.launch import local, shared
from lstm_variants.runs import directory
from lstm_variants.training import (
  backend,
  kept_programs,
  profiling,
  watching,
)

_CONFIG = command.define_config()
_WORKDIR = command.define_workdir()
_MODE = command.define_mode()
_WAIT = command.define_wait(launches=True)
_PROFILE = command.define_profile()
_FIRST_WEIGHTS = first_weights.define_from()
_LAUNCH = launching.define_launch()
_CHECK_PROCESSES = distributed.define()


def main() -> None:
  """Check every run, then train them."""
  _CHECK_PROCESSES()
  mode, wait, launch = _MODE(), _WAIT(), _LAUNCH()
  traced = _PROFILE() if distributed.is_first() else None
  if launch is not None:  # what it starts joins the study
    distributed.check_not_joined('--launch')
    mode = directory.Mode.SHARE
  backend.use_every_core()
  path = config_file.value_of('--config', sys.argv) or ''
  weights = _FIRST_WEIGHTS(_CONFIG.value, _WORKDIR.value, mode)
  records = local.recorded(_WORKDIR.value, mode)
  runs = local.expand(_CONFIG.value, _load_grid(path), records)
  name = pathlib.Path(source.split_argument(path)[0]).stem
  if launch is not None:
    plan = local.make_plan(_WORKDIR.value, runs, mode, weights)  # it may refuse
    launch(_WORKDIR.value, shared.completion(_WORKDIR.value, plan.members))
    return
  backend.check()
  kept_programs.keep()
  profile = profiling.Profile(traced) if traced else None
  watch = watching.Watch(profile=profile)
  others = shared.train_as(
    *(_WORKDIR.value, name, _CONFIG.value, runs, mode, weights, watch),
    wait=wait,
  )
  if profile:
    profile.tell()
  if others:
    command.say_taken(_WORKDIR.value, others)
  else:
    command.say_results(_WORKDIR.value)


def _load_grid(path: str) -> Callable[[Any], Iterable[Any]]:
  """Return the `get_hyper` of FILE, or of FILE:ARGUMENT with its argument."""
  get_hyper = source.load_grid(path)
  if get_hyper is None:
    raise local.GridError(
      f'--config={source.split_argument(path)[0]}: has no get_hyper(hyper) to '
      'state a grid; nearest: --config=studies/quickstart, or '
      f'{console.command_line("train")} for one run'
    )
  return get_hyper
