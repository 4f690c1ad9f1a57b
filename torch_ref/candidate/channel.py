"""Messages between gradgate and a candidate's process. None of it is ever unpickled."""

import json
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from torch_ref.cases.case import Array, Numbers

LENGTH = struct.Struct("<I")  # of the header that follows, in bytes
LONGEST = 1 << 24  # bytes of a header
USUAL = 1 << 16  # bytes: most messages are shorter
KINDS = "biufcSUmM"  # of dtypes whose arrays are their bytes


class Channel:
    """One end of the conversation: headers in JSON on a socket, the bytes of arrays in a file that both have open.

    The two take turns, so that the file is never written and read at once.
    """

    def __init__(self, connection: socket.socket, memory: int) -> None:
        self.connection, self.memory = connection, memory

    def send(self, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Say this. Raises OSError when the other end is gone."""
        offset, said = 0, []
        for name, array in arrays.items():
            offset = self._write(array.tobytes(), offset)
            said.append((name, array.dtype.str, array.shape))
        text = json.dumps({**header, "arrays": said, "size": offset}).encode()
        self.connection.sendall(LENGTH.pack(len(text)) + text)

    def receive(self) -> tuple[dict[str, Any], Numbers]:
        """What the other end says, with arrays of one's own.

        Raises EOFError when that end is closed, OSError when this one is, and ValueError for what is no message.
        """
        text = self._text()
        try:
            header = json.loads(text)
            data, arrays, offset = self._bytes(header["size"]), {}, 0
            for name, kind, shape in header["arrays"]:
                dtype = np.dtype(kind)
                if dtype.kind not in KINDS:
                    raise ValueError(f"an array of {dtype}")
                arrays[name] = array = np.ndarray(shape, dtype, data, offset)  # TypeError where the data do not suffice
                offset += array.nbytes
        except (LookupError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError) as error:
            raise ValueError(str(error)) from error
        return header, arrays

    def _text(self) -> str:
        data = self.connection.recv(USUAL)
        while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack_from(data)[0] <= LONGEST:
            more = self.connection.recv(USUAL)
            if not more:
                raise EOFError
            data += more
        if len(data) != LENGTH.size + LENGTH.unpack_from(data)[0]:
            raise ValueError("no header")
        return data[LENGTH.size :].decode()

    def _bytes(self, size: int) -> bytearray:
        """So many bytes of the file. Raises ValueError if it has fewer."""
        data = bytearray()
        while len(data) < size:
            some = os.pread(self.memory, size - len(data), len(data))
            if not some:
                raise ValueError("fewer bytes than said")
            data += some
        return data

    def _write(self, data: bytes, offset: int) -> int:
        """Put the data into the file, at the offset. Returns that of their end."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self.memory, rest, offset)
            rest, offset = rest[written:], offset + written
        return offset
