"""Train one run."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('train', sys.argv[1:])
