"""scripts/test_gpu.sh on made-up programs: on a machine with a GPU nothing may be skipped without being counted as a
failure. Usage: test_gpu_script_test.py REPOSITORY"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
PROGRAMS = ("attend_gpu_test", "ops_gpu_test", "kv_cache_gpu_test", "train_gpu_test", "draw_gpu_test")
# What GoogleTest prints in brief mode.
PASSED = "echo '[==========] 2 tests from 1 test suite ran.'; echo '[  PASSED  ] 2 tests.'"
SKIPPED = "echo '[  PASSED  ] 0 tests.'; echo '[  SKIPPED ] 2 tests.'"
FAILED = "echo '[  FAILED  ] OpsGpu.Rope'; exit 1"
# The driver makes it: where it stands, the script rightly sees a GPU.
DEVICE_FILE = pathlib.Path("/dev/nvidia0")


class TestGpuScript(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for program in PROGRAMS:
            self.write(program, PASSED)
        self.write("longgen", "echo 'GPU: NVIDIA H200'")
        (self.folder / "device_test.py").write_text("")
        self.write("nvidia-smi", "echo 'GPU 0: NVIDIA H200'")

    def write(self, name, script):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run_script(self):
        done = subprocess.run([ROOT / "scripts/test_gpu.sh", self.folder], capture_output=True, text=True,
                              env={"PATH": f"{self.folder}:/usr/bin:/bin"})
        return done.returncode, done.stdout + done.stderr

    def test_everything_passes(self):
        status, text = self.run_script()
        self.assertEqual(status, 0, text)
        self.assertNotIn("skipped", text)

    def test_a_failure_is_one(self):
        self.write("ops_gpu_test", FAILED)
        self.assertEqual(self.run_script()[0], 1)

    def test_skipped_cases_fail_with_a_gpu(self):
        self.write("kv_cache_gpu_test", SKIPPED)
        status, text = self.run_script()
        self.assertEqual(status, 1, text)
        self.assertIn("[test_gpu] kv_cache_gpu_test FAILED: this machine has a GPU, and still it was skipped: 2 cases", text)

    def test_the_commands_skipped_fail_with_a_gpu(self):
        self.write("longgen", "echo 'GPU: none, the GPU plug-in is missing'")
        status, text = self.run_script()
        self.assertEqual(status, 1, text)
        self.assertIn("device_test.py FAILED: this machine has a GPU", text)

    @unittest.skipIf(DEVICE_FILE.exists(), f"this machine has {DEVICE_FILE}")
    def test_skipping_is_fine_without_a_gpu(self):
        self.write("nvidia-smi", "echo 'No devices were found'; exit 6")
        for program in PROGRAMS:
            self.write(program, SKIPPED)
        self.write("longgen", "echo 'GPU: none, this machine has no NVIDIA driver'")
        status, text = self.run_script()
        self.assertEqual(status, 0, text)
        self.assertIn("[test_gpu] ops_gpu_test skipped: 2 cases", text)
        self.assertIn("device_test.py skipped: GPU: none, this machine has no NVIDIA driver", text)


if __name__ == "__main__":
    unittest.main()
