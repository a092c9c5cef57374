"""Published claims: what was said, our runs for it, and what they say.

`CLAIMS` maps the name of each to it, the oldest paper first.
"""

from collections.abc import Mapping

from lstm_variants.claims import (
  claim,
  classics,
  languages,
  memory,
  odyssey,
)

CLAIMS: Mapping[str, claim.Claim] = {
  each.name: each
  for each in (
    *classics.CLAIMS,
    *memory.CLAIMS,
    *odyssey.CLAIMS,
    *languages.CLAIMS,
  )
}
