"""Show a task: sequences, chance level, rule, what was published."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('show', sys.argv[1:])
