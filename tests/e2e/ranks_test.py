"""Training by several processes: the same bits, and what happens when one of them is killed, stopped or different.

Usage: ranks_test.py PROGRAM
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

from cli_case import CliCase
from tiny_model import documents_text, recipe_text, write_tiny_llama

TORCHRUN = pathlib.Path(sys.executable).parent / "torchrun"


def children(process):
    """Process ids by rank."""
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            rank = re.search(r"(?:^|\0)RANK=(\d+)", (folder / "environ").read_text()) if parent == process.pid else None
        except OSError:  # it has ended
            continue
        if rank:
            found[int(rank[1])] = int(folder.name)
    return found


def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Ranks(CliCase):
    LONG = ["--set", "train.steps=100000", "--set", "save.every=0"]

    def setUp(self):
        super().setUp()
        write_tiny_llama(self.dir / "model")
        self.run_program("prepare", self.put("text.txt", documents_text(40)), self.dir / "data", "--model", self.dir / "model",
                         "--quiet")
        self.recipe = self.put("recipe.toml", recipe_text(
            self.dir, data={"sequence_length": 128}, save={"every": 2},
            train={"steps": 4, "batch_size": 6, "accumulation": 3}))
        self.run_dir = self.dir / "run"

    def weights(self, run):
        return (run / "model/model.safetensors").read_bytes()

    def alone(self):
        output = self.dir / "alone"
        self.run_program("extend", self.recipe, "--quiet", "--set", f"model.output={output}")
        return self.weights(output)

    def start(self, *options, environment=None):
        process = subprocess.Popen([self.PROGRAM, "extend", self.recipe, *options], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=os.environ | (environment or {}))
        self.addCleanup(process.kill)
        return process

    def start_long(self, *options):
        """Two ranks in the middle of a long run, by rank."""
        log, begin = self.run_dir / "metrics.jsonl", time.time()
        process = self.start("--ranks", "2", *self.LONG, *options)
        deadline = time.monotonic() + 60
        while not (log.exists() and log.stat().st_size > 500 and log.stat().st_mtime > begin + 0.1):
            self.assertIsNone(process.poll(), process.stderr.read() if process.poll() is not None else "")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        ranks = children(process)
        self.assertEqual(sorted(ranks), [0, 1])
        return process, ranks

    def end(self, process, code, within=30):
        """Waits; gives stderr."""
        begin = time.monotonic()
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, err.decode())
        self.assertLess(time.monotonic() - begin, within)
        return err.decode()

    def expect_gone(self, ranks):
        deadline = time.monotonic() + 10
        while any(lives(pid) for pid in ranks.values()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_same_weights_and_one_that_is_killed(self):
        process = self.start("--ranks", "3", "--json")
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        self.assertIs(json.loads(out)["finished"], True)
        self.assertEqual(err.count(b"took "), 1, err)  # one bar
        alone = self.alone()
        self.assertEqual(self.weights(self.run_dir), alone)
        self.assertRegex((self.run_dir / "rank-2.log").read_text(), r"\Arank 2 of 3, started by --ranks\n")

        process, ranks = self.start_long("--force", "--set", "save.every=2")
        os.kill(ranks[1], signal.SIGKILL)
        err = self.end(process, 1, within=10)
        self.assertIn(f"longgen: error: rank 1 was ended by signal 9 (Killed). The other ranks were ended. The last line "
                      f"of its log, {self.run_dir}/rank-1.log:\n  rank 1 of 2, started by --ranks\n", err)
        self.expect_gone(ranks)

    def test_one_that_is_stopped(self):
        process, ranks = self.start_long("--rank-timeout", "2")
        os.kill(ranks[1], signal.SIGSTOP)
        begin = time.monotonic()
        err = self.end(process, 1)
        self.assertGreater(time.monotonic() - begin, 1)
        self.assertIn("longgen: error: rank 1 has given no sign of life for 2.0s: it is stopped, or its host cannot be "
                      "reached. The other ranks were ended. Its log: ", err)
        self.expect_gone(ranks)

    def test_the_one_that_started_them(self):
        process, ranks = self.start_long()
        process.send_signal(signal.SIGINT)
        err = self.end(process, 130)
        self.assertEqual(err.count("stopping; once more to stop at once"), 1, err)
        self.assertTrue(list((self.run_dir / "checkpoints").iterdir()))
        self.expect_gone(ranks)
        process, ranks = self.start_long("--resume")
        process.kill()
        process.wait()
        self.expect_gone(ranks)

    def srun(self, rank, job, *options):
        return self.start(*options, environment={
            "SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": str(rank),
            "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_ID": str(job),
            "SLURM_STEP_ID": "0"})

    def test_ranks_of_srun_that_differ(self):
        job = os.getpid()  # gives the port
        processes = [self.srun(rank, job, "--set", f"train.learning_rate=0.00{rank + 1}") for rank in (1, 0)]
        for process in processes:
            err = self.end(process, 1)
            self.assertIn("rank 1 differs from rank 0 in its recipe:\n  rank 0: learning_rate = 0.001\n  rank 1: "
                          "learning_rate = 0.002\n", err)
        self.assertFalse((self.run_dir / "recipe.toml").exists())

    @unittest.skipUnless(TORCHRUN.exists(), "no torchrun beside this Python")
    def test_torchrun(self):
        done = subprocess.run([TORCHRUN, "--nproc_per_node", "2", "--no-python", self.PROGRAM, "extend", self.recipe],
                              capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"rank 0 of 2, started by torchrun", done.stderr)
        self.assertEqual(self.weights(self.run_dir), self.alone())

    def test_wrong_calls(self):
        message, _ = self.error("extend", self.recipe, "--ranks", "4")
        self.assertIn("train.accumulation: expected at least 4 micro-batches a step, one for each of the ranks, found 3.",
                      message + (self.run_dir / "rank-1.log").read_text())
        process = self.start("--ranks", "2", environment={"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"})
        self.assertIn("--ranks starts the ranks itself, but this process is rank 0 of 2 that torchrun started: give one "
                      "of them.", self.end(process, 2))


if __name__ == "__main__":
    # Threads that wait must not spin: on a busy machine their partners would not get a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
