"""Every field of a run, with its default; the other configs change a few.

docs/config.md lists the fields: default, rule, role, who reads each, and what
it is. `lstm-variants train --help` does likewise.
"""

from ml_collections import config_dict

import lstm_variants as lv


def get_config() -> config_dict.ConfigDict:
  """Return the default config: a vanilla LSTM on the adding problem."""
  return lv.default_config()
