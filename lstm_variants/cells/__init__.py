"""Recurrent cells: one time step each, all under one contract.

A cell is a module with `init_params`, `init_carry`, `step`, `unroll` and
`count_params`, of the signatures in `lstm`. To add one: a module and a line in
`CELLS`.
"""

from collections.abc import Mapping
import types

from lstm_variants.cells import lstm, simple_rnn

CELLS: Mapping[str, types.ModuleType] = types.MappingProxyType(
  {'lstm': lstm, 'simple_rnn': simple_rnn}
)
