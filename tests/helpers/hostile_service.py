"""Serves the backend on a free port, with the fake predictor and names that mean what the test says.

The first argument is the settings, as JSON. The second is the names: a list of answers each, one a look-up (the last
one stays), and each answer a list of addresses. Prints the port; ends when its standard input is closed. Run by
ml_backend/test_hostile_hosts.py, in a process of its own because names are a matter of the whole process.
"""

import json
import socket
import sys
import threading

import waitress

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes


def resolve_as_told(names: dict[str, list[list[str]]]) -> None:
    """Let the process look names up in ``names`` first; addresses are still what they are."""
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host not in names:
            return real(host, port, *args, **kwargs)
        answers = names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        pairs = zip(families, addresses, strict=True)
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in pairs]

    socket.getaddrinfo = getaddrinfo


def main() -> None:
    settings, names = (json.loads(argument) for argument in sys.argv[1:])
    resolve_as_told(names)
    app = create_app(ServiceSettings(**settings), load_predictor=fakes.FakePredictor)
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=8)
    threading.Thread(target=server.run, daemon=True).start()
    print(server.effective_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
