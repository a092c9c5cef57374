"""List the configs of the house, or copy one out to change it."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('config', sys.argv[1:])
