"""Models on top of cells: a stack of layers and a readout, as pure functions.

`modules` has them for flax.nnx.
"""

from lstm_variants.models.apply import apply_model as apply_model
from lstm_variants.models.apply import Dropout as Dropout
from lstm_variants.models.apply import embed as embed
from lstm_variants.models.apply import first_carries as first_carries
from lstm_variants.models.apply import init_model as init_model
from lstm_variants.models.architecture import Architecture as Architecture
from lstm_variants.models.architecture import (
  check_architecture as check_architecture,
)
from lstm_variants.models.architecture import count_params as count_params
from lstm_variants.models.architecture import drawn_settings as drawn_settings
from lstm_variants.models.architecture import settings_of as settings_of
