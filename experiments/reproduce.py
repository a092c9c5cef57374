"""Test published claims: theirs, ours, and the verdict."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('reproduce', sys.argv[1:])
