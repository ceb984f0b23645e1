"""An environment whose programs start at once: each is a fork of one process that has torch loaded.

It stands for the installed environment in tests of scripts, which start a dozen programs each.
``python -m tests.support.warm FD`` is that process; FD is the socket on which it listens.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IN_ONE_PROCESS = pytest.mark.xdist_group("warm environment")  # which starts it once
PROGRAMS = ("intra-distill", "fairseq-train")
# sends its arguments, folder and environment, with its standard streams; gets the exit code
CLIENT = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
call = {{"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}}
socket.send_fds(server, [b"streams"], [0, 1, 2])
server.sendall(json.dumps(call).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(9) or 1))
"""


@contextmanager
def warm_environment(folder: Path, **variables: str) -> Iterator[Path]:
    """Make the environment, with its process as long as the block lasts.

    Args:
        folder: of the environment; short, as the path of a socket has to be
        variables: of the environment when modules are imported, which may read them only then
    """
    address = str(folder / "socket")
    (folder / "bin").mkdir(parents=True)
    for name in PROGRAMS:
        program = folder / "bin" / name
        program.write_text(CLIENT.format(python=sys.executable, address=address))
        program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", str(listener.fileno())],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,  # no device: programs may have pipes, in which none can seek
            stderr=subprocess.PIPE,
        )
    try:
        yield folder
    finally:
        process.kill()
        process.wait()


def serve(listener: socket.socket) -> None:
    """Answer each connection by a child, which runs the program and sends its exit code."""
    from fairseq_cli import train

    from intra_distill import cli

    cli.build_parser(cli.COMMANDS)  # imports all commands
    for module in ("matplotlib.figure", "torch._dynamo"):  # which some import when they need it
        import_module(module)
    programs = {"intra-distill": cli.main, "fairseq-train": train.cli_main}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection.sendall(str(run(connection, programs)).encode())
            os._exit(0)
        connection.close()


def run(connection: socket.socket, programs: dict[str, Callable[[], None]]) -> int:
    """Run a program as its client would → its exit code."""
    _, streams, _, _ = socket.recv_fds(connection, len(b"streams"), 3)
    call = json.load(connection.makefile())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["env"])
    sys.argv = call["argv"]
    status = 0
    try:
        programs[Path(sys.argv[0]).name]()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
