"""LSTM variants: one cell, every variant a setting of its toggles.

The names below are loaded when first used, so that what needs no jax, as
reading results, does not wait for it.
"""

import importlib
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
  from lstm_variants.bridges.onnx import export_onnx as export_onnx
  from lstm_variants.cells import CELLS as CELLS
  from lstm_variants.cells import register_cell as register_cell
  from lstm_variants.cells import register_variant as register_variant
  from lstm_variants.cells.contract import Cell as Cell
  from lstm_variants.cells.contract import Init as Init
  from lstm_variants.cells.contract import Range as Range
  from lstm_variants.cells.flax_cell import cell_from_flax as cell_from_flax
  from lstm_variants.cells.lstm import Carry as Carry
  from lstm_variants.cells.lstm import init_params as init_params
  from lstm_variants.cells.lstm import Params as Params
  from lstm_variants.cells.lstm import step as step
  from lstm_variants.cells.lstm import Toggles as Toggles
  from lstm_variants.cells.lstm import unroll as unroll
  from lstm_variants.cells.variants import Variant as Variant
  from lstm_variants.cells.variants import VARIANTS as VARIANTS
  from lstm_variants.config.default import default_config as default_config
  from lstm_variants.config.fields import Field as Field
  from lstm_variants.config.fields import PROGRAM as PROGRAM
  from lstm_variants.config.fields import RUN as RUN
  from lstm_variants.config.rules import Boolean as Boolean
  from lstm_variants.config.rules import Integer as Integer
  from lstm_variants.config.rules import Real as Real
  from lstm_variants.errors import Error as Error
  from lstm_variants.models.modules import LSTMCell as LSTMCell
  from lstm_variants.models.modules import RNNCell as RNNCell
  from lstm_variants.models.modules import SequenceModel as SequenceModel
  from lstm_variants.optimizers import Optimizer as Optimizer
  from lstm_variants.optimizers import register_optimizer as register_optimizer
  from lstm_variants.results import open_results as open_results
  from lstm_variants.results import Results as Results
  from lstm_variants.study import Study as Study
  from lstm_variants.tasks import make_task as make_task
  from lstm_variants.tasks import register_task as register_task
  from lstm_variants.tasks import TASKS as TASKS
  from lstm_variants.tasks.base import Batch as Batch
  from lstm_variants.tasks.base import channels as channels
  from lstm_variants.tasks.base import Dialect as Dialect
  from lstm_variants.tasks.base import HeldOut as HeldOut
  from lstm_variants.tasks.base import Mean as Mean
  from lstm_variants.tasks.base import symbols as symbols
  from lstm_variants.tasks.base import Task as Task
  from lstm_variants.trackers import register_tracker as register_tracker
  from lstm_variants.trackers import Tracker as Tracker

__version__ = '0.3.0'

_HOMES = {
  'cells': ('CELLS', 'register_cell', 'register_variant'),
  'cells.contract': ('Cell', 'Init', 'Range'),
  'cells.flax_cell': ('cell_from_flax',),
  'cells.lstm': (
    'Carry',
    'Params',
    'Toggles',
    'init_params',
    'step',
    'unroll',
  ),
  'bridges.onnx': ('export_onnx',),
  'cells.variants': ('VARIANTS', 'Variant'),
  'config.default': ('default_config',),
  'config.fields': ('Field', 'PROGRAM', 'RUN'),
  'config.rules': ('Boolean', 'Integer', 'Real'),
  'errors': ('Error',),
  'models.modules': ('LSTMCell', 'RNNCell', 'SequenceModel'),
  'optimizers': ('Optimizer', 'register_optimizer'),
  'results': ('Results', 'open_results'),
  'study': ('Study',),
  'tasks': ('TASKS', 'make_task', 'register_task'),
  'tasks.base': (
    'Batch',
    'Dialect',
    'HeldOut',
    'Mean',
    'Task',
    'channels',
    'symbols',
  ),
  'trackers': ('Tracker', 'register_tracker'),
}


def __getattr__(name: str) -> Any:
  for module, names in _HOMES.items():
    if name in names:
      home = importlib.import_module(f'lstm_variants.{module}')
      return getattr(home, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
  return sorted(name for names in _HOMES.values() for name in names)
