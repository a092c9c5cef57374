"""Every field of a config, once: its name, default, rule, role and sentence.

    Field('optimizer.learning_rate', 1e-3, Real(above=0), RUN, 'Step size.')

The table makes the default config, the refusals, `Settings`, `Hyperparams`,
docs/config.md and the list that --help shows. A component that others may
choose (a cell, an optimizer, a schedule) brings the fields that it reads; `of`
tells which choices read a field. Set to anything but its default elsewhere, a
field is refused. No jax, and nothing of ours but the rules.
"""

import enum
from typing import Any, NamedTuple

from lstm_variants.config import rules


class Role(enum.Enum):
  """What a field is to a run.

  PROGRAM: the compiled program is specialised to it; runs that differ in it
    are of different populations.
  RUN: a number that is traced; the runs of one population may differ in it.
  CONDUCT: for how long a run trains, and when it is looked at and saved. Not
    part of the run's identity: it may change when a study is gone on with.
  """

  PROGRAM = 'program'
  RUN = 'run'
  CONDUCT = 'conduct'


PROGRAM, RUN, CONDUCT = Role.PROGRAM, Role.RUN, Role.CONDUCT


class Field(NamedTuple):
  """One configurable value.

  Attributes:
    name: dotted, as 'optimizer.learning_rate'.
    default: what it is where nobody says anything. None: left open, the
      component that reads it has a default of its own.
    rule: of `rules`: refuses a value, and knows its type.
    role: see `Role`.
    doc: what it is, with its unit; whole sentences.
    of: names of the choices that read it (optimizers for 'optimizer.…', cells
      for 'model.…', schedules for 'optimizer.schedule…'); empty: all do.
    since: the first format of run directories that recorded it; where an older
      one lacks it, it had its default, or `before`.
    before: the value that directories without the field were trained with, if
      that is not the default.
  """

  name: str
  default: Any
  rule: rules.Rule
  role: Role
  doc: str
  of: tuple[str, ...] = ()
  since: int = 1
  before: Any = None
