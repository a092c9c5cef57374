"""The compiler's options exist and reach the training program."""

import jax
import pytest

from lstm_variants.training import compiling


def _compile(options):
  return jax.jit(lambda x: x + 1, compiler_options=options).lower(1.0).compile()


@pytest.mark.parametrize('option', compiling.CPU_OPTIONS)
def test_every_option_is_known_to_this_jaxlib(option):
  _compile({option: compiling.CPU_OPTIONS[option]})


def test_an_option_that_is_gone_would_be_noticed():
  with pytest.raises(Exception, match='No such compile option'):
    _compile({'xla_cpu_option_of_yesterday': True})


def test_other_backends_get_none(monkeypatch):
  assert compiling.options() == compiling.CPU_OPTIONS
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert compiling.options() == {}
