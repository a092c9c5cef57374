"""Every field of a run, with its default; the other configs change a few.

docs/config.md lists the fields: default, rule, role, who reads each, and what
it is. `python -m experiments.train --help` does likewise.
"""

from ml_collections import config_dict

from lstm_variants.config import default


def get_config() -> config_dict.ConfigDict:
  """Return the default config: a vanilla LSTM on the adding problem."""
  return default.get_config()
