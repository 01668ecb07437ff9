"""Counts the round trips to PostgreSQL where they happen: in the messages of a client."""

import contextlib
import socket
import struct
import threading
from collections.abc import Generator

# Messages that a client waits after (https://www.postgresql.org/docs/current/
# protocol-message-formats.html): Query, Sync, Flush.
WAITED_FOR = b"QSH"


class Wire:
    """A port that passes everything on to PostgreSQL, and counts."""

    def __init__(self, server: socket.socket, port: int) -> None:
        self.round_trips = 0
        self._server, self._port = server, port
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def redirect(self, url: str) -> str:
        """Return a database URL that leads through here."""
        return url.replace(f":{self._port}/", f":{self._server.getsockname()[1]}/")

    def close(self) -> None:
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                postgres = socket.create_connection(("127.0.0.1", self._port))
                for end in (client, postgres):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, postgres]
                for source, target, count in (
                    (client, postgres, True),
                    (postgres, client, False),
                ):
                    arguments = (source, target, count)
                    threading.Thread(
                        target=self._pass_on, args=arguments, daemon=True
                    ).start()

    def _pass_on(
        self, source: socket.socket, target: socket.socket, count: bool
    ) -> None:
        rest, started = b"", False
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if count:
                    # Before it is passed on: the answer must not come first.
                    rest, started = self._count(rest + data, started)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _count(self, data: bytes, started: bool) -> tuple[bytes, bool]:
        """Count in what has come; return what is not complete yet."""
        while True:
            # The first messages have no type, only a length and a code: a request for
            # SSL is one of them, the start of the session the last.
            prefix = 1 if started else 0
            if len(data) < prefix + 8 - 4 * prefix:
                return data, started
            (length,) = struct.unpack_from("!I", data, prefix)
            if len(data) < prefix + length:
                return data, started
            if started:
                self.round_trips += data[0] in WAITED_FOR
            else:
                started = data[4:8] == b"\0\3\0\0"
            data = data[prefix + length :]


@contextlib.contextmanager
def count_round_trips(port: int) -> Generator[Wire]:
    """Open a way to the PostgreSQL on `port` that counts, while the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        wire = Wire(server, port)
        try:
            yield wire
        finally:
            wire.close()
