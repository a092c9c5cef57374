"""Train a study: every run of its grid, those of equal shape in one program."""

from lstm_variants.commands import command
from lstm_variants.commands import sweep as program

if __name__ == '__main__':
  command.start(program)
