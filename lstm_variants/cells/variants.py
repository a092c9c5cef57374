"""Named settings of the LSTM's toggles, each with its citation.

To add a variant that existing toggles express, add an entry here, or call
`lv.register_variant` from outside; the tests and docs/variants.md follow the
registry.
"""

from typing import NamedTuple

from lstm_variants import arguments, registry
from lstm_variants.cells.toggles import check_toggles, is_static, Toggles


class Variant(NamedTuple):
  """A named setting of the toggles.

  Attributes:
    toggles: static `Toggles`.
    summary: what differs, in one line.
    reference: author, year and where.
    alias_of: another name of the same setting, or ''.
  """

  toggles: Toggles
  summary: str
  reference: str
  alias_of: str = ''


GERS_2000 = (
  'Gers, Schmidhuber & Cummins, Neural Computation 12(10), 2000: Learning to '
  'Forget'
)
GERS_2002 = (
  'Gers, Schraudolph & Schmidhuber, JMLR 3, 2002: Learning Precise Timing with '
  'LSTM Recurrent Networks'
)
GREFF = (
  'Greff et al., IEEE TNNLS 28(10), 2017, arXiv:1503.04069: LSTM: A Search '
  'Space Odyssey'
)
JANET = (
  'van der Westhuizen & Lasenby, 2018, arXiv:1804.04849: The Unreasonable '
  'Effectiveness of the Forget Gate'
)

_VANILLA = Toggles()
# Greff et al. call this one V: their vanilla has peepholes.
_PEEPHOLE = Toggles(peephole_i=True, peephole_f=True, peephole_o=True)
# A coupled forget gate has no weights, so no peephole, of its own.
_COUPLED_PEEPHOLE = _PEEPHOLE._replace(coupled=True, peephole_f=False)

VARIANTS: registry.Registry[Variant] = registry.Registry(
  'variant',
  {
    'vanilla': Variant(
      _VANILLA, 'input, forget and output gate; no peepholes', GERS_2000
    ),
    'peephole': Variant(
      _PEEPHOLE, 'every gate sees the cell state (V of Greff et al.)', GERS_2002
    ),
    'peephole_i': Variant(
      Toggles(peephole_i=True),
      'only the input gate sees the cell state',
      GERS_2002 + ' (the toggle alone is ours)',
    ),
    'peephole_f': Variant(
      Toggles(peephole_f=True),
      'only the forget gate sees the cell state',
      GERS_2002 + ' (the toggle alone is ours)',
    ),
    'peephole_o': Variant(
      Toggles(peephole_o=True),
      'only the output gate sees the new cell state',
      GERS_2002 + ' (the toggle alone is ours)',
    ),
    'coupled': Variant(
      Toggles(coupled=True),
      'f = 1 - i, no peepholes',
      GREFF + ' (CIFG, here without peepholes)',
    ),
    'coupled_peephole': Variant(
      _COUPLED_PEEPHOLE, 'f = 1 - i, with peepholes on i and o', GREFF
    ),
    'nig': Variant(
      _PEEPHOLE._replace(input_gate=False, peephole_i=False),
      'no input gate: i = 1',
      GREFF,
    ),
    'nfg': Variant(
      _PEEPHOLE._replace(forget_gate=False, peephole_f=False),
      'no forget gate: f = 1',
      GREFF,
    ),
    'nog': Variant(
      _PEEPHOLE._replace(output_gate=False, peephole_o=False),
      'no output gate: o = 1',
      GREFF,
    ),
    'niaf': Variant(
      _PEEPHOLE._replace(input_activation=False),
      'no input activation function: g = z_g',
      GREFF,
    ),
    'noaf': Variant(
      _PEEPHOLE._replace(output_activation=False),
      'no output activation function: h = o * c',
      GREFF,
    ),
    'np': Variant(_VANILLA, 'no peepholes', GREFF, alias_of='vanilla'),
    'cifg': Variant(
      _COUPLED_PEEPHOLE,
      'coupled input and forget gate',
      GREFF,
      alias_of='coupled_peephole',
    ),
    'fgr': Variant(
      _PEEPHOLE._replace(gate_recurrence=True),
      'full gate recurrence: the last gates feed the gates',
      GREFF,
    ),
    'janet': Variant(
      Toggles(
        coupled=True,
        coupling_shift=1.0,
        output_gate=False,
        output_activation=False,
      ),
      'just another network: only a forget gate; h = c',
      JANET,
    ),
  },
)


def check_variant(variant: Variant) -> None:
  """Refuse what is no setting of the LSTM's toggles, known before tracing.

  Raises:
    ArgumentError: what is wrong, one line.
  """
  if not isinstance(variant, Variant):
    raise arguments.ArgumentError(
      f'{variant!r} is no lv.Variant(toggles, summary, …)'
    )
  if not isinstance(variant.toggles, Toggles):
    raise arguments.ArgumentError(
      f'toggles={variant.toggles!r} are no lv.Toggles(…)'
    )
  check_toggles(variant.toggles)
  check_static(variant.toggles)


def check_static(toggles: Toggles) -> None:
  """Refuse toggles that are arrays, for a program of their own.

  Raises:
    ArgumentError: which toggle; one line.
  """
  for toggle, value in toggles._asdict().items():
    if not is_static(value):
      raise arguments.ArgumentError(
        f'{toggle}: an array, must be a Python value; nearest: bool({toggle})'
      )


def find_toggles(toggles: Toggles | str) -> Toggles:
  """Return checked toggles, given them or the name of a variant.

  Raises:
    UnknownError: an unknown variant.
    ArgumentError: what is no toggle, contradicting toggles.
  """
  if isinstance(toggles, str):
    toggles = VARIANTS[toggles].toggles
  check_toggles(toggles)
  return toggles
