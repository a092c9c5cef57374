"""Serves the page of a study, and the files that it links to, to a browser.

Only what is asked for by one of the server's own names is answered: a page from
elsewhere could else read the directory by a name of its own that leads here.
"""

from collections.abc import Callable, Collection
import http
import http.server
import pathlib
import sys
import urllib.parse

from lstm_variants import errors, opening
from lstm_variants.report import live

# Bytes of a file that is handed out, at most.
_LARGEST = 2**28
_TEXTS = ('.json', '.jsonl', '.csv', '.log', '.txt', '.md')
_IMAGES = {'.svg': 'image/svg+xml', '.png': 'image/png'}
# Of a file, of which anybody may be the author: it runs and loads nothing.
_CLOSED = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class PortError(errors.Error):
  """An address cannot be listened at; the message is one line."""


class Server(http.server.ThreadingHTTPServer):
  """Listens at an address, from the moment that it is made.

  Args:
    workdir: the run directory.
    study: of it.
    host: a name or number of this machine; '127.0.0.1': itself alone.
    port: 0: one that is free.

  Raises:
    PortError: it is taken, or the address is none of this machine.
  """

  daemon_threads = True

  def __init__(self, workdir: str, study: live.Study, host: str, port: int):
    self.workdir, self.study = pathlib.Path(workdir).absolute(), study
    try:
      if not host:  # would be every address of this machine
        raise OSError('no name')
      super().__init__((host, port), _Handler)
    except (OSError, OverflowError) as error:
      reason = getattr(error, 'strerror', None) or error
      raise PortError(
        f'--host={host} --port={port}: {reason}; nearest: --host=127.0.0.1 '
        '--port=0, which is any that is free'
      ) from error
    self.url = f'http://{host}:{self.server_port}/'
    alone = str(self.server_address[0]).startswith('127.')
    names = ('127.0.0.1', 'localhost', host.lower())
    self._names: Collection[str] = names if alone else ()

  def is_addressed(self, name: str) -> bool:
    """Tell whether a request is for this server, by the name that it gives.

    Args:
      name: with a port, unless that is the usual one.
    """
    return not self._names or name.lower().partition(':')[0] in self._names

  def handle_error(self, request: object, client_address: object) -> None:
    """Say nothing of a browser that has gone."""
    if not isinstance(sys.exc_info()[1], ConnectionError):
      super().handle_error(request, client_address)  # pyrefly: ignore


class _Handler(http.server.BaseHTTPRequestHandler):
  """Answers one request."""

  server: Server  # pyrefly: ignore
  server_version, sys_version = 'lstm-variants', ''

  def do_GET(self) -> None:
    """Answer with the page, its version, or a file of the run directory."""
    if not self.server.is_addressed(self.headers.get('Host', '')):
      self._refuse(http.HTTPStatus.FORBIDDEN, 'this name is not served')
      return
    path = urllib.parse.unquote(self.path.partition('?')[0])
    if path == '/':
      self._answer(self.server.study.page, 'text/html; charset=utf-8')
    elif path == '/version':
      self._answer(self.server.study.version, 'text/plain; charset=utf-8')
    else:
      self._file(path)

  def _answer(self, make: Callable[[], str], kind: str) -> None:
    try:
      text = make()
    except errors.Error as error:
      self._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, str(error))
      return
    self._send(http.HTTPStatus.OK, kind, text.encode())

  def _file(self, path: str) -> None:
    """Hand out a regular file within the directory, no hidden one."""
    parts = path.removeprefix('/').split('/')
    inside = all(part and not part.startswith('.') for part in parts)
    place = self.server.workdir.joinpath(*parts) if inside else None
    try:
      if place is None or not place.resolve().is_relative_to(
        self.server.workdir.resolve()
      ):
        raise FileNotFoundError(path)
      content = opening.read(place, _LARGEST)
    except (OSError, ValueError):
      self._refuse(
        http.HTTPStatus.NOT_FOUND, 'not there: compare writes some files'
      )
      return
    suffix = place.suffix
    kind = (
      'text/plain; charset=utf-8' if suffix in _TEXTS else _IMAGES.get(suffix)
    )
    self._send(
      http.HTTPStatus.OK, kind or 'application/octet-stream', content, _CLOSED
    )

  def _refuse(self, status: http.HTTPStatus, why: str) -> None:
    self._send(
      status, 'text/plain; charset=utf-8', f'{why}\n'.encode(errors='replace')
    )

  def _send(
    self,
    status: http.HTTPStatus,
    kind: str,
    content: bytes,
    policy: str = '',
  ) -> None:
    self.send_response(status)
    self.send_header('Content-Type', kind)
    self.send_header('Content-Length', str(len(content)))
    self.send_header('Cache-Control', 'no-store')
    self.send_header('X-Content-Type-Options', 'nosniff')
    self.send_header('Cross-Origin-Resource-Policy', 'same-origin')
    if policy:
      self.send_header('Content-Security-Policy', policy)
    self.end_headers()
    self.wfile.write(content)

  def log_message(self, format: str, *args: object) -> None:
    """Say nothing of a request."""
