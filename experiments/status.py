"""Tell how far a study is: done, in training, left, and the time that takes."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('status', sys.argv[1:])
