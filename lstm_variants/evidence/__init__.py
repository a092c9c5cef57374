"""What a study's trained models show: takes a study, yields drawings."""

from collections.abc import Callable, Iterator, Mapping
import types

from lstm_variants.evidence import subjects
from lstm_variants.evidence.gates import draw as gates
from lstm_variants.evidence.gradient_flow import draw as gradient_flow
from lstm_variants.evidence.importance import draw as importance
from lstm_variants.evidence.lengths import draw as lengths
from lstm_variants.evidence.survival import draw as survival
from lstm_variants.report import gallery

Draw = Callable[[subjects.Study, str], Iterator[gallery.Drawing]]
# Kind of figure -> what draws it of a study, beside a baseline.
KINDS: Mapping[str, Draw] = types.MappingProxyType(
  {
    'gradient_flow': gradient_flow.draw,
    'gates': gates.draw,
    'lengths': lengths.draw,
    'importance': importance.draw,
    'survival': survival.draw,
  }
)
