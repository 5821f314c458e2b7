"""cmake/find_nvcc.cmake chooses the compiler of the GPU plug-in. Usage: find_nvcc_test.py REPOSITORY
Made-up compilers say their versions: no toolkit and no GPU is needed."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
CMAKE = shutil.which("cmake")


def make_nvcc(path, version):
    path.parent.mkdir(parents=True, exist_ok=True)
    major_minor = ".".join(version.split(".")[:2])
    path.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {major_minor}, V{version}'\n")
    path.chmod(0o755)
    return path


class FindNvcc(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.wheel = self.folder / "site-packages/nvidia/cu13/bin/nvcc"
        self.on_path = self.folder / "toolkit/bin/nvcc"

    def find(self, cudacxx=None):
        """(path of the compiler, what was found)."""
        script = self.folder / "find.cmake"
        script.write_text(f'include({ROOT}/cmake/find_nvcc.cmake)\nfind_nvcc({self.folder}/site-packages)\n'
                          'message("[${LONGGEN_NVCC}]\\n${LONGGEN_NVCC_FOUND}")\n')
        environment = {"PATH": f"{self.on_path.parent}:/usr/bin:/bin"}
        if cudacxx:
            environment["CUDACXX"] = str(cudacxx)
        done = subprocess.run([CMAKE, "-P", script], env=environment, capture_output=True, text=True, check=True)
        path, found = done.stderr.strip().split("\n", 1)
        return path[1:-1], found

    def test_none(self):
        self.assertEqual(self.find(), ("", "none"))

    def test_wheel_alone(self):
        make_nvcc(self.wheel, "13.0.88")
        self.assertEqual(self.find(), (str(self.wheel), f"{self.wheel} 13.0.88"))

    def test_toolkit_comes_before_the_wheel(self):
        make_nvcc(self.wheel, "13.0.88")
        make_nvcc(self.on_path, "13.1.2")
        self.assertEqual(self.find()[0], str(self.on_path))

    def test_toolkit_of_another_major_version_is_passed_over(self):
        make_nvcc(self.on_path, "12.0.140")
        self.assertEqual(self.find(), ("", f"{self.on_path} 12.0.140"))
        make_nvcc(self.wheel, "13.0.88")
        self.assertEqual(self.find(), (str(self.wheel), f"{self.on_path} 12.0.140, {self.wheel} 13.0.88"))

    def test_cudacxx_comes_first(self):
        make_nvcc(self.on_path, "13.1.2")
        other = make_nvcc(self.folder / "other/nvcc", "13.2.1")
        self.assertEqual(self.find(other)[0], str(other))

    def test_what_does_not_say_its_version(self):
        make_nvcc(self.on_path, "13.0.88").write_text("#!/bin/sh\nexit 1\n")
        self.assertEqual(self.find(), ("", f"{self.on_path} does not say its version"))


if __name__ == "__main__":
    unittest.main()
