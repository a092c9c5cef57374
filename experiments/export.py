"""Write the model of a run for other tools."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('export', sys.argv[1:])
