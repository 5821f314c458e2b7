"""What the tests of the program share: a folder of their own, and running it."""

import functools
import pathlib
import re
import subprocess
import tempfile
import unittest


@functools.cache
def help_of(program, *command):
    """What `program command --help` prints. Asked for once: a start of the program takes a sixth of a second."""
    done = subprocess.run([program, *command, "--help"], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b""), (command, done.stderr)
    return done.stdout.decode()


class CliCase(unittest.TestCase):
    PROGRAM = ""  # set by the test's main

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def put(self, name, content):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run_program(self, *arguments, stdin="", code=0):
        """Runs to the end and checks the exit code. Gives stdout and stderr as text."""
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run([self.PROGRAM, *map(str, arguments)], input=data, capture_output=True, timeout=300)
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{arguments}\nstdout: {out[:2000]}\nstderr: {err[:2000]}")
        return out, err

    def help(self, *command):
        """What --help of a command says: ("eval", "needle"), or () of the program."""
        return help_of(self.PROGRAM, *command)

    def usage_error(self, *arguments):
        """The message of a call that must end with exit code 2 and nothing on stdout."""
        out, err = self.run_program(*arguments, code=2)
        self.assertEqual(out, "")
        match = re.fullmatch(r"longgen: error: (.*)\nSee \"longgen.* --help\"\.\n", err, re.DOTALL)
        self.assertIsNotNone(match, err)
        return match[1]

    def error(self, *arguments, stdin=""):
        """The message of a call that must end with exit code 1; also what stdout had before it."""
        out, err = self.run_program(*arguments, stdin=stdin, code=1)
        last = err.splitlines()[-1]
        self.assertTrue(last.startswith("longgen: error: "), err)
        return last.removeprefix("longgen: error: "), out

    def names(self):
        """What stands in the test's folder, hidden files too."""
        return sorted(path.name for path in self.dir.iterdir())
