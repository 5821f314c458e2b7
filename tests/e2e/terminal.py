"""A program on a terminal of its own: a pseudo-terminal with a size, keys to press, and what was drawn."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

TIMEOUT = 120  # seconds; only a failing test waits so long


class Terminal:
    """stdin and stderr of the program; its stdout is `stdout` (a file), or the terminal too."""

    def __init__(self, arguments, columns=80, rows=24, stdout=None, env=None):
        self.master, slave = pty.openpty()
        self.drawn = b""
        self.resize(columns, rows)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = {**os.environ, "TERM": "xterm", **(env or {})}
        self.process = subprocess.Popen([str(word) for word in arguments], stdin=slave, stderr=slave,
                                        stdout=slave if stdout is None else stdout, env=environment,
                                        preexec_fn=own_terminal)
        os.close(slave)

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        """Writes the keys, and reads meanwhile: a program that cannot draw does not read either."""
        rest = keys.encode()
        while rest:
            self.read(0)
            if select.select([], [self.master], [], TIMEOUT)[1]:
                rest = rest[os.write(self.master, rest[:256]):]

    def read(self, seconds=0.1):
        """Takes what is drawn within that time. False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            more = os.read(self.master, 65536)
        except OSError:  # the program has closed the terminal
            return False
        self.drawn += more
        return bool(more)

    def wait_for(self, text, since=0):
        """Reads until `text` stands in what was drawn after `since`; gives the place after it."""
        end = time.monotonic() + TIMEOUT
        while (place := self.drawn.find(text.encode(), since)) < 0:
            if not self.read() or time.monotonic() > end:
                raise AssertionError(f"no {text!r} in {self.drawn[since:]!r}")
        return place + len(text.encode())

    def finish(self):
        """Reads to the end, and gives the exit code (negative: the signal)."""
        end = time.monotonic() + TIMEOUT
        while self.read() and time.monotonic() < end:
            pass
        return self.process.wait(timeout=TIMEOUT)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.master)

    def redraws(self):
        """Every line that a progress bar wrote over the one before it, without the sequences that erase."""
        text = self.drawn.decode(errors="replace").replace("\r\n", "\n")
        return [line for line in re.split(r"\r\x1b\[K|\n", text) if line]
