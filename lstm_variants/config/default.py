"""The default config: every field of the table, as a `ConfigDict`."""

from typing import Any

from ml_collections import config_dict

from lstm_variants.config import schema


def default_config() -> config_dict.ConfigDict:
  """Return the default config: a vanilla LSTM on the adding problem."""
  config = config_dict.ConfigDict()
  for name, row in schema.table().items():
    *parts, last = name.split('.')
    place: Any = config
    for part in parts:
      if part not in place:
        place[part] = config_dict.ConfigDict()
      place = place[part]
    if row.default is None:
      place[last] = config_dict.placeholder(row.rule.kind)
    else:
      place[last] = row.default
  return config
