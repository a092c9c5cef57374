"""Reproduces one claim of a small study: python -m tests.faults.tiny_claim …

As `reproduce`, which has no other claim here.
"""

import sys

from lstm_variants import __main__ as program
from lstm_variants import claims
from lstm_variants.claims import claim, questions

NAME = 'tiny'

if __name__ == '__main__':
  claims.CLAIMS = {
    NAME: claim.Claim(
      name=NAME,
      says='an LSTM fails in 120 updates',
      published='none',
      source='nobody',
      config='tests/faults/study.py',
      minutes=0.1,
      training=claim.Training(960, 'made up'),
      rule='held-out loss below 0.001',
      questions=[questions.fails(questions.model('vanilla'))],
      otherwise='nothing',
    )
  }
  program.run('reproduce', sys.argv[1:])
