"""Test published claims: theirs, ours, and the verdict."""

from lstm_variants.commands import command
from lstm_variants.commands import reproduce as program

if __name__ == '__main__':
  command.start(program)
