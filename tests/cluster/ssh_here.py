"""Three hosts on this machine that ssh reaches; needs root and Debian's sshd.

Each has processes of its own, a namespace of Linux, so that what ends the first
of them ends all, as a power cut does.
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
import pathlib
import shlex
import shutil
import socket
import subprocess

from tests.cluster import harness

HOSTS = {'one': 17101, 'two': 17102, 'three': 17103}
_SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {place}/key
AuthorizedKeysFile {place}/key.pub
PidFile none
StrictModes no
UsePAM no
SetEnv {environ}
"""
_CLIENT = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {place}/key
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
"""


@contextlib.contextmanager
def hosts(
  place: pathlib.Path, environ: Mapping[str, str]
) -> Iterator[tuple[dict[str, subprocess.Popen[bytes]], dict[str, str]]]:
  """Start the hosts.

  Args:
    place: an empty directory.
    environ: what they add to the environment of who comes.

  Yields:
    Their servers by name, and the environment in which `ssh` finds them.
  """
  pathlib.Path('/run/sshd').mkdir(exist_ok=True)  # Debian's asks for it
  _call('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', place / 'key')
  variables = ' '.join(f'"{name}={value}"' for name, value in environ.items())
  config, program = place / 'client', place / 'bin' / 'ssh'
  servers: dict[str, subprocess.Popen[bytes]] = {}
  with contextlib.ExitStack() as stack, open(config, 'w') as client:
    for name, port in HOSTS.items():
      given = {'name': name, 'port': port, 'place': place}
      client.write(_CLIENT.format(**given))
      server = place / name
      server.write_text(_SERVER.format(environ=variables, **given))
      # By its whole path, as it asks for.
      command = (*harness.ALONE, shutil.which('sshd') or '', '-D', '-e')
      process = subprocess.Popen([*command, '-f', server])
      servers[name] = stack.enter_context(process)
      stack.callback(process.kill)
    client.close()
    for port in HOSTS.values():
      harness.wait_for(lambda port=port: _answers(port), place)
    program.parent.mkdir()
    ssh = shlex.join([shutil.which('ssh') or '', '-F', str(config)])
    program.write_text(f'#!/bin/sh\nexec {ssh} "$@"\n')
    program.chmod(0o755)
    path = f'{program.parent}:{os.environ["PATH"]}'
    yield servers, {**os.environ, 'PATH': path}


def _answers(port: int) -> bool:
  with contextlib.suppress(OSError):
    with socket.create_connection(('127.0.0.1', port), 1):
      return True
  return False


def _call(*words: object) -> None:
  subprocess.run([str(word) for word in words], check=True)
