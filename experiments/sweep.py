"""Train a study: every run of its grid, those of equal shape in one program."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('sweep', sys.argv[1:])
