"""A real SLURM of a controller and two nodes on this machine, no systemd.

Needs Debian's slurm-wlm and munge, and root. Each node has a name of its own
and processes of its own (namespaces of Linux): what ends its first process ends
all of them, as a power cut does. Key, socket and files are in one directory.
"""

import collections
from collections.abc import Callable, Mapping
import os
import pathlib
import secrets
import socket
import subprocess
import time

from tests.cluster import harness

NODES = {'node1': 17001, 'node2': 17002}
# Of the controller.
_PORT = 16817
# Seconds that a daemon, or a state, is waited for.
_PATIENCE = 120.0

# Times are short: a node is dead after ten seconds, credentials expire soon, as
# a job that begins again waits for them.
_CONF = """\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=5
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
JobRequeue=1
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=30
MaxArraySize=1001
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL PriorityTier=9
"""
_MUNGE = ('key', 'seed', 'pid', 'log')
_NODE = 'NodeName={name} NodeAddr=127.0.0.1 Port={port} CPUs=1'


class Slurm:
  """The daemons; a context, at whose end they end."""

  def __init__(self, place: pathlib.Path):
    """Write the configuration.

    Args:
      place: an empty directory; its path is short, as that of a socket.
    """
    self.place = place
    conf = place / 'slurm.conf'
    host = socket.gethostname().partition('.')[0]
    nodes = [_NODE.format(name=name, port=port) for name, port in NODES.items()]
    conf.write_text(
      _CONF.format(place=place, host=host, port=_PORT, nodes='\n'.join(nodes))
    )
    self.environ: Mapping[str, str] = {**os.environ, 'SLURM_CONF': str(conf)}

    self._daemons: dict[str, subprocess.Popen[bytes]] = {}

  def __enter__(self) -> 'Slurm':
    try:
      self._begin()
    except BaseException:
      self.__exit__()
      raise
    return self

  def _begin(self) -> None:
    self.place.chmod(0o755)  # or munge would find nobody to talk to
    (self.place / 'state').mkdir()
    key = self.place / 'munge.key'
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(1024))
    self._start(
      'munged',
      *('munged', '--foreground', f'--socket={self.place}/munge.socket'),
      *(f'--{each}-file={self.place}/munge.{each}' for each in _MUNGE),
    )
    self.wait_for((self.place / 'munge.socket').exists)
    self._start('slurmctld', 'slurmctld', '-c', '-D')
    for name in NODES:
      (self.place / name).mkdir()
      self.start_node(name)
    self.wait_for(lambda: self.nodes() == {'idle': len(NODES)})

  def __exit__(self, *unused: object) -> None:
    for name, daemon in reversed(self._daemons.items()):
      if name in NODES:
        self.kill_node(name)
      daemon.terminate()
      daemon.wait(30)

  def start_node(self, name: str) -> None:
    """Start a node."""
    inside = f'hostname {name} && exec slurmd -D -N {name}'
    self._start(name, *harness.ALONE, '--uts', 'sh', '-c', inside)

  def kill_node(self, name: str) -> None:
    """End a node as a power cut does: with all that runs there."""
    self._daemons[name].kill()
    self._daemons[name].wait(30)

  def nodes(self) -> dict[str, int]:
    """Return how many nodes are in which state."""
    states = self.call('sinfo', '-h', '-N', '-p', 'main', '-o', '%t')
    return dict(collections.Counter(states.split()))

  def elements(self, job: str) -> dict[str, str]:
    """Return the elements of a job that are not gone -> state and node."""
    lines = self.call('squeue', '-h', '-r', '-j', job, '-o', '%i %T %N')
    return {
      element: rest
      for element, _, rest in (
        line.partition(' ') for line in lines.splitlines()
      )
    }

  def wait_for(
    self, happens: Callable[[], bool], seconds: float = _PATIENCE
  ) -> None:
    """Wait until something happens; else fail with what the daemons wrote."""
    end = time.monotonic() + seconds
    while not happens():
      if time.monotonic() > end:
        logs = [
          f'{path}:\n{path.read_text()[-2000:]}'
          for path in sorted(self.place.glob('*.[lo][ou][gt]'))
        ]
        raise AssertionError('\n'.join(logs))
      time.sleep(0.2)

  def call(self, *words: str) -> str:
    """Return what a program of SLURM prints."""
    done = subprocess.run(
      words, env=self.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout

  def _start(self, name: str, *words: str) -> None:
    with open(self.place / f'{name}.out', 'ab') as output:
      self._daemons[name] = subprocess.Popen(
        words, env=self.environ, stdout=output, stderr=output
      )
