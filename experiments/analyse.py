"""Draw what a study's models do with gradients, gates and lengths."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('analyse', sys.argv[1:])
