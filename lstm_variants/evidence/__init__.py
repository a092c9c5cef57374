"""What a study's trained models show: takes a study, yields drawings."""

from collections.abc import Callable, Iterator, Mapping
import types

from lstm_variants.analysis import gallery
from lstm_variants.evidence import (
  gates,
  gradient_flow,
  importance,
  lengths,
  subjects,
  survival,
)

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
