"""Tell how far a study is: done, in training, left, and the time that takes."""

from lstm_variants.commands import command
from lstm_variants.commands import status as program

if __name__ == '__main__':
  command.start(program)
