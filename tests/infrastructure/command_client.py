"""Hands a command to `command_server`: ``python -IS command_client.py SOCKET ARGUMENTS…``, in milliseconds.

The server's process for it gets this one's arguments, folder, environment and standard streams; this one ends
with its status.
"""

import json
import os
import socket
import sys

LOST = 70  # the process of the command died, or the server is gone


def hand_over(path: str, arguments: list[str]) -> int:
    """The status with which the command ended."""
    wanted = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"\n"], [0, 1, 2])
        connection.sendall(json.dumps(wanted).encode())
        connection.shutdown(socket.SHUT_WR)
        status = connection.recv(8)
    return int(status) if status else LOST


if __name__ == "__main__":
    sys.exit(hand_over(sys.argv[1], sys.argv[2:]))
