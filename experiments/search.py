"""Search hyper-parameters: generations of trials, each a population."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('search', sys.argv[1:])
