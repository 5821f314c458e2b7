"""cmake --install, and examples/generate built against it in an empty folder.

Usage: install_test.py BUILD SOURCE
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from tiny_model import write_tiny_llama


class InstallTest(unittest.TestCase):
    BUILD = SOURCE = pathlib.Path()

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.dir = pathlib.Path(folder.name)
        cls.prefix = cls.dir / "prefix"
        cls.run_command("cmake", "--install", cls.BUILD, "--prefix", cls.prefix)
        shutil.copytree(cls.SOURCE / "examples/generate", cls.dir / "example")
        write_tiny_llama(cls.dir / "model")

    @classmethod
    def run_command(cls, *command, code=0):
        done = subprocess.run(list(map(str, command)), capture_output=True, timeout=300, cwd=cls.dir)
        if done.returncode != code:
            raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}")
        return done.stdout.decode(), done.stderr.decode()

    def configure(self, *options, code=0):
        return self.run_command("cmake", "-S", "example", "-B", "build", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                                "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror", *options, code=code)

    def test_what_is_installed(self):
        found = {path.relative_to(self.prefix).as_posix() for path in self.prefix.rglob("*") if path.is_file()}
        headers = {name for name in found if name.startswith("include/")}
        self.assertEqual(headers, {"include/longgen/longgen.h", "include/longgen/base/error.h"})
        self.assertLessEqual({"bin/longgen", "share/doc/longgen/LICENSE"}, found)
        self.assertFalse([name for name in found if name.endswith(".a")])

    def test_the_installed_program_runs(self):
        for moved in "prefix", "elsewhere":  # a prefix may be moved as a whole
            if moved != "prefix":
                shutil.copytree(self.prefix, self.dir / moved, symlinks=True)
            out, _ = self.run_command(self.dir / moved / "bin/longgen", "--version")
            self.assertIn("longgen", out)

    def test_the_example_gives_the_programs_text(self):
        self.configure()
        self.run_command("cmake", "--build", "build")
        prompt = "the theory of them"
        text, _ = self.run_command("build/generate", "model", prompt)
        expected, _ = self.run_command(self.prefix / "bin/longgen", "generate", "model", "--prompt", prompt, "--temperature", 0,
                                       "--max-tokens", 64)
        self.assertGreater(len(expected), 8)
        self.assertEqual(text, expected)
        _, message = self.run_command("build/generate", "nowhere", prompt, code=1)
        self.assertIn("generate: nowhere: ", message)

    def test_without_libtorch_the_message_says_what_to_do(self):
        _, message = self.configure("-B", "build_without", "-DLONGGEN_TORCH_DIR=/nowhere/torch", code=1)
        words = " ".join(message.split())
        self.assertIn("longgen needs libtorch 2.11.0, with which it was built.", words)
        self.assertIn('Expected it in "/nowhere/torch", found no libtorch.', words)
        self.assertIn("-DLONGGEN_TORCH_DIR=FOLDER", words)
        other = self.dir / "other/torch"
        (other / "lib").mkdir(parents=True)
        (other / "lib/libtorch_cpu.so").touch()
        (other / "version.py").write_text("__version__ = '2.10.0+cu130'\n")
        _, message = self.configure("-B", "build_without", f"-DLONGGEN_TORCH_DIR={other}", code=1)
        self.assertIn("found 2.10.0.", " ".join(message.split()))


if __name__ == "__main__":
    InstallTest.BUILD, InstallTest.SOURCE = pathlib.Path(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1))
    unittest.main()
