"""What XLA runs on; environments that it refuses are in the matrix."""

import os
import types

from lstm_variants.training import backend


def test_every_core_becomes_a_device_unless_the_environment_says_otherwise(
  monkeypatch,
):
  updates = []
  config = types.SimpleNamespace(update=lambda *args: updates.append(args))
  monkeypatch.setattr(backend, 'jax', types.SimpleNamespace(config=config))
  monkeypatch.delenv('JAX_NUM_CPU_DEVICES', raising=False)
  monkeypatch.setenv('XLA_FLAGS', '')
  backend.use_every_core()
  cores = (
    len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 0
  )
  assert updates == [('jax_num_cpu_devices', cores or os.cpu_count())]
  monkeypatch.setenv('JAX_NUM_CPU_DEVICES', '3')
  backend.use_every_core()
  monkeypatch.delenv('JAX_NUM_CPU_DEVICES')
  monkeypatch.setenv('XLA_FLAGS', '--xla_force_host_platform_device_count=3')
  backend.use_every_core()
  assert len(updates) == 1


def test_flags_that_xla_knows_are_fine(monkeypatch, capsys):
  monkeypatch.setenv('XLA_FLAGS', '--xla_cpu_use_thunk_runtime=false')
  backend.check()
  assert 'ignored by this version' in capsys.readouterr().err


def test_a_module_that_has_computed_already_costs_cores_and_a_line(
  monkeypatch, capsys
):
  def refuse(name, value):
    raise RuntimeError(name, value)

  started = types.SimpleNamespace(
    config=types.SimpleNamespace(update=refuse), device_count=lambda: 1
  )
  monkeypatch.setattr(backend, 'jax', started)
  monkeypatch.setattr(backend.memory, 'cores', lambda: 4)
  monkeypatch.delenv('JAX_NUM_CPU_DEVICES', raising=False)
  monkeypatch.setenv('XLA_FLAGS', '')
  backend.use_every_core()
  line = capsys.readouterr().err
  assert '1 of 4 CPU cores are used; nearest: JAX_NUM_CPU_DEVICES=4' in line
  backend.use_every_core()  # as of another study of the same script
  assert not capsys.readouterr().err
