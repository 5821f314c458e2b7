"""longgen extend is killed at any moment, stopped, and left without room: the weights at the end are always those of a
run that nothing happened to."""

import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

from cli_case import CliCase
from tiny_model import documents_text, recipe_text, write_tiny_llama

STEPS = 24
NUM_KILLS = 12


class ExtendCase(CliCase):
    """A model, a dataset and a recipe, and what a whole run makes of them."""

    steps = STEPS
    more = {}  # of [train]

    def setUp(self):
        super().setUp()
        write_tiny_llama(self.dir / "model")
        self.run_program("prepare", self.put("text.txt", documents_text(60)), self.dir / "data", "--model", self.dir / "model",
                         "--held-out", "0.2", "--quiet")
        self.recipe = self.put("recipe.toml", recipe_text(
            self.dir, data={"sequence_length": 192}, eval={"every": 5, "sequences": 2}, save={"every": 1},
            train={"steps": self.steps, "batch_size": 2, "accumulation": 2, "threads": 2} | self.more))

    def whole_run(self):
        """Files of a run that nothing happens to: its weights, and (step, loss, held-out loss) of its log."""
        self.run_program("extend", self.recipe, "--quiet")
        result = self.result()
        shutil.rmtree(self.dir / "run")
        return result

    def result(self):
        return (self.dir / "run/model/model.safetensors").read_bytes(), self.log()

    def log(self):
        lines = [json.loads(line) for line in (self.dir / "run/metrics.jsonl").read_text().splitlines()]
        return [(line["step"], line["loss"], line.get("eval_loss")) for line in lines]

    def start(self, *options, **more):
        process = subprocess.Popen([self.PROGRAM, "extend", self.recipe, *options], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **more)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        return process

    def names_in(self, folder):
        folder = self.dir / "run" / folder
        try:
            return sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:  # not there yet, or just removed: the run goes on meanwhile
            return []

    def wait_for(self, process, condition, seconds=60):
        """Until the condition holds or the process ends. Polls without a pause, to kill at the very moment."""
        deadline = time.monotonic() + seconds
        while not condition() and process.poll() is None:
            self.assertLess(time.monotonic(), deadline, "what was waited for did not come")

    def log_bytes(self):
        try:
            return (self.dir / "run/metrics.jsonl").stat().st_size
        except FileNotFoundError:
            return 0


class KillTest(ExtendCase):
    def setUp(self):
        super().setUp()
        self.moments = random.Random(20240917)
        self.half_written = []  # names that kills left behind

    def kill(self, process):
        """False if it had ended before."""
        process.kill()
        _, err = process.communicate(timeout=60)
        self.assertIn(process.returncode, (0, -signal.SIGKILL), err.decode())
        self.half_written += [name for folder in ("", "checkpoints") for name in self.names_in(folder)
                              if name.endswith(f".tmp.{process.pid}")]
        return process.returncode != 0

    def kill_at_some_moment(self):
        """While it starts, reads the checkpoint, trains or saves."""
        process = self.start("--resume", "--quiet")
        if self.moments.random() < 0.5:
            old = self.log_bytes()
            self.wait_for(process, lambda: self.log_bytes() not in (0, old))
        time.sleep(self.moments.uniform(0, 3 * self.step_seconds))
        return self.kill(process)

    def kill_while_writing(self, folder, prefix):
        """While a folder whose name begins so is being written."""
        process = self.start("--resume", "--quiet")
        name = re.compile(re.escape("." + prefix) + rf".*\.tmp\.{process.pid}")
        self.wait_for(process, lambda: any(map(name.fullmatch, self.names_in(folder))))
        time.sleep(self.moments.uniform(0, 0.004))
        return self.kill(process)

    def kill_until_finished(self, kills):
        """Kills the run by each of the ways in turn, as long as it lasts, then lets it finish. Gives how often."""
        count = 0
        for kill in kills:
            if not kill():
                break
            count += 1
        self.run_program("extend", self.recipe, "--resume", "--quiet")
        return count

    def test_the_weights_are_those_of_a_whole_run(self):
        begin = time.monotonic()
        expected, log = self.whole_run()
        self.step_seconds = (time.monotonic() - begin) / STEPS
        self.assertEqual([step for step, _, _ in log], list(range(1, STEPS + 1)))
        self.assertLess(log[-1][1], log[0][1])
        num_kills = num_runs = 0
        while num_kills < NUM_KILLS or not any(name.startswith(".step-") for name in self.half_written):
            self.assertLess(num_runs, 10, f"only {num_kills} kills, none of them in a save or: {self.half_written}")
            num_runs += 1
            shutil.rmtree(self.dir / "run", ignore_errors=True)
            kills = [self.kill_at_some_moment, lambda: self.kill_while_writing("checkpoints", "step-")] * 6
            num_kills += self.kill_until_finished(kills + [lambda: self.kill_while_writing("", "model")] * 2)
            found, found_log = self.result()
            self.assertTrue(found == expected, "the weights differ")
            self.assertEqual(found_log, log)
            self.assertEqual(self.names_in("checkpoints"), [f"step-{STEPS - 2:08}", f"step-{STEPS - 1:08}"])
            self.assertEqual(self.names_in(""), ["checkpoints", "metrics.jsonl", "model", "recipe.toml", "state.json", "tensorboard"])


class KillWithBf16StatesTest(KillTest):
    more = {"precision": "bfloat16", "states": "bfloat16"}


class StopTest(ExtendCase):
    def test_ctrl_c_saves_and_stops(self):
        expected, log = self.whole_run()
        for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            shutil.rmtree(self.dir / "run", ignore_errors=True)
            process = self.start("--set", "save.every=0", "--json")
            self.wait_for(process, lambda: self.log_bytes() > 400)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, code, err.decode())
            report = json.loads(out)
            self.assertFalse(report["finished"])
            self.assertTrue(0 < report["steps"] < STEPS, report)
            self.assertEqual(self.names_in("checkpoints"), [f"step-{report['steps']:08}"])
            self.assertIn(b"stopping; once more to stop at once", err)
            out, _ = self.run_program("extend", self.recipe, "--resume")
            self.assertIn(f"finished: {STEPS} of {STEPS} steps", out)
            self.assertIn(f"model: {self.dir}/run/model", out)
            found, found_log = self.result()
            self.assertTrue(found == expected, "the weights differ")
            self.assertEqual(found_log, log)

    def test_a_stopped_run_says_how_to_go_on(self):
        process = self.start("--quiet")
        self.wait_for(process, lambda: self.log_bytes() > 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertIn(b"stopped: ", out)
        self.assertIn(f"go on with: {self.PROGRAM} extend {self.recipe} --quiet --resume\n".encode(), out)
        self.assertEqual(err, b"\nstopping; once more to stop at once\n")
        self.assertIn("holds checkpoints of a run. Give --resume", self.error("extend", self.recipe)[0])
        self.assertIn("give one of them", self.error("extend", self.recipe, "--resume", "--force")[0])


class NotFiniteTest(ExtendCase):
    steps = 4

    def test_steps_that_are_not_finite_give_no_model(self):
        weights = self.dir / "model/model.safetensors"
        data = bytearray(weights.read_bytes())
        (length,) = struct.unpack_from("<Q", data)
        entry = json.loads(data[8:8 + length])["model.layers.1.mlp.down_proj.weight"]
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        data[begin:end] = struct.pack("<f", 3e38) * ((end - begin) // 4)
        weights.write_bytes(data)
        out, err = self.run_program("extend", self.recipe, "--quiet", code=1)
        self.assertEqual(out, "")
        self.assertIn(f"longgen: error: {self.recipe}: train.max_skipped_steps: steps 1 to 4 gave a loss or a gradient "
                      "that is not finite and changed nothing, so the run stops; no model is written.\n", err)
        self.assertEqual(self.names_in("model"), [])
        self.assertEqual(self.names_in("checkpoints"), [])


class FullDiskTest(ExtendCase):
    steps = 6

    def check(self, message, checkpoints):
        self.assertTrue(message.startswith(f"longgen: error: {self.dir}/run/checkpoints/"), message)
        self.assertIn("cannot be written: ", message)
        self.assertEqual(checkpoints, ["step-00000001"])

    def test_a_file_that_may_not_grow(self):
        expected, _ = self.whole_run()
        self.run_until_step(1)
        checkpoint = self.dir / "run/checkpoints/step-00000001"

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, ((checkpoint / "model.safetensors").stat().st_size + 1000,) * 2)

        process = self.start("--resume", "--quiet", preexec_fn=limit, restore_signals=False)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (1, b""), err.decode())
        self.check(err.decode().splitlines()[-1], self.names_in("checkpoints"))
        self.run_program("extend", self.recipe, "--resume", "--quiet")
        self.assertTrue(self.result()[0] == expected, "the weights differ")

    def run_until_step(self, step):
        """Leaves a run whose last checkpoint is that of this step."""
        self.run_program("extend", self.recipe, "--quiet", "--set", "save.keep=1000")
        shutil.rmtree(self.dir / "run/model")
        for name in self.names_in("checkpoints"):
            if name > f"step-{step:08}":
                shutil.rmtree(self.dir / "run/checkpoints" / name)

    def run_on_a_full_disk(self, num_bytes, *options):
        """Trains on a small file system of the test's own, where the system lets users have one; gives the message,
        and what the run's folder and checkpoints/ then held. With more room the run goes on to DIR/done."""
        (self.dir / "run").mkdir()
        script = """
            dir="$1" size="$2"; shift 2
            mount -t tmpfs -o size="$size" none "$dir/run" || exit 99
            "$@" --quiet 2> "$dir/first.err"
            echo $? > "$dir/first.code"
            ls -A "$dir/run" > "$dir/first.run"
            ls -A "$dir/run/checkpoints" > "$dir/first.checkpoints"
            mount -o remount,size=64m "$dir/run"
            "$@" --quiet --resume && cp -r "$dir/run/model" "$dir/done"
        """
        done = subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", self.dir, str(num_bytes),
                               self.PROGRAM, "extend", self.recipe, *options], capture_output=True, timeout=120)
        if done.returncode in (1, 99) and not (self.dir / "first.code").exists():
            self.skipTest("no file system may be mounted here: " + done.stderr.decode().strip())
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        code, message, run, checkpoints = ((self.dir / f"first.{name}").read_text()
                                           for name in ("code", "err", "run", "checkpoints"))
        self.assertEqual(code, "1\n", message)
        self.assertIn("No space left on device", message)
        return message.splitlines()[-1], run.split(), checkpoints.split()

    def test_a_disk_without_room_for_a_checkpoint(self):
        expected, _ = self.whole_run()
        checkpoint_bytes = 3 * len(expected)  # the weights, and two moments
        message, _, checkpoints = self.run_on_a_full_disk(checkpoint_bytes * 3 // 2)
        self.check(message, checkpoints)
        self.assertTrue((self.dir / "done/model.safetensors").read_bytes() == expected, "the weights differ")

    def test_a_disk_without_room_for_the_model(self):
        expected, _ = self.whole_run()
        message, run, checkpoints = self.run_on_a_full_disk(len(expected) * 7 // 2, "--set", "save.every=5")
        self.assertRegex(message, rf"^longgen: error: {self.dir}/run/\.?model.*: cannot be written: No space left on device")
        self.assertEqual(checkpoints, ["step-00000005"])
        # Nothing of the model; its state is there before it, so that no model is without one.
        self.assertEqual(run, ["checkpoints", "metrics.jsonl", "recipe.toml", "state.json", "tensorboard"])
        self.assertTrue((self.dir / "done/model.safetensors").read_bytes() == expected, "the weights differ")


if __name__ == "__main__":
    # Threads that wait must not spin: on a busy machine their partners would not get a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
