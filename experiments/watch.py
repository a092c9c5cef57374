"""Show a study in a browser while it trains."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('watch', sys.argv[1:])
