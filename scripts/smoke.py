"""Starts the service of the project in the working directory, and uses it once."""

import json
import signal
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import Request, urlopen

START_TIMEOUT_SECONDS = 60


def ask(path: str, body: object = None) -> object:
    """Return the answer to a GET, or to a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(URL + path, data, {"content-type": "application/json"})
    with urlopen(request, timeout=10) as response:
        answer = json.load(response)
        print(f"{request.get_method()} {path} → {response.status}")
    print(json.dumps(answer, indent=2))
    return answer


def wait_until_ready(service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            with urlopen(f"{URL}/readyz", timeout=5):
                return
        except (URLError, OSError) as error:
            if service.poll() is not None:
                sys.exit(f"The service ended with exit code {service.returncode}.")
            if time.monotonic() > deadline:
                sys.exit(f"The service is not ready: {error}")
            time.sleep(0.05)


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
URL = f"http://127.0.0.1:{port}"
started = time.monotonic()
service = subprocess.Popen(["dev", "--port", str(port)])
try:
    wait_until_ready(service)
    created = ask("/items", {"name": "Lamp", "quantity": 3})
    if ask("/items") != {"items": [created], "next": None}:
        sys.exit("The list does not hold the item that was created.")
    print(f"Ready and asked after {time.monotonic() - started:.1f} s.")
finally:
    service.send_signal(signal.SIGINT)
    service.wait(timeout=30)
