"""List tasks, cells, variants, optimizers, fields and studies."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('list', sys.argv[1:])
