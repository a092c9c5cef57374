"""A variant of one's own: no forget gate, and an output gate that sees c."""

import lstm_variants as lv

TOGGLES = lv.Toggles(forget_gate=False, peephole_o=True)
OURS = lv.Variant(TOGGLES, 'no forget gate, the output gate sees c', 'ours')
lv.register_variant('watched_output', OURS)
