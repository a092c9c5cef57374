"""Compare the models of a study with a baseline."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('compare', sys.argv[1:])
