"""Experiments by name: what the configs of one paper share.

Its file has EXPERIMENTS, and

    --config=published/hs97:adding

is the study of one of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import config_dict

from lstm_variants import names as names_lib
from lstm_variants.config import default


class Experiment(NamedTuple):
  """A study: arms × seeds.

  Attributes:
    fields: what differs from the default config, dotted name -> value.
    arms: what tells the models that are compared apart, likewise.
    seeds: runs of each arm.
  """

  fields: Mapping[str, Any]
  arms: Sequence[Mapping[str, Any]]
  seeds: int


def get_config(
  experiments: Mapping[str, Experiment], name: str
) -> config_dict.ConfigDict:
  """Return the base config of an experiment.

  Raises:
    ValueError: there is none of that name.
  """
  config = default.default_config()
  config.update_from_flattened_dict(_find(experiments, name).fields)
  return config


def get_hyper(experiments: Mapping[str, Experiment], name: str, hyper):
  """Return arms × seeds.

  Raises:
    ValueError: as of `get_config`.
  """
  chosen = _find(experiments, name)
  arms = [
    {f'config.{field}': value for field, value in arm.items()}
    for arm in chosen.arms
  ]
  return hyper.product([arms, hyper.sweep('config.seed', range(chosen.seeds))])


def _find(experiments: Mapping[str, Experiment], name: str) -> Experiment:
  if name in experiments:
    return experiments[name]
  if not name:
    raise ValueError(
      'the name of an experiment must follow a colon, as '
      f':{next(iter(experiments))} (have: {", ".join(experiments)})'
    )
  raise ValueError(
    f'{name!r} is no experiment of this file'
    + names_lib.tail(name, experiments, ':{}'.format)
  )
