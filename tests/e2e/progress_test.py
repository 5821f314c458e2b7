"""Progress bars on terminals of several widths: no line is wider, and what takes long shows something meanwhile."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import unittest

from cli_case import CliCase
from terminal import Terminal
from tiny_model import recipe_text, write_tiny_llama

WIDTHS = [200, 80, 60, 40, 20]


class ProgressCase(CliCase):
    def setUp(self):
        super().setUp()
        write_tiny_llama(self.dir / "tiny", context=4096)
        self.text = self.put("text.txt", "\n<|endoftext|>\n".join(["the sea under a grey sky was calm " * 12] * 60))

    def prepare(self):
        self.run_program("prepare", self.text, self.dir / "data", "--model", self.dir / "tiny", "--quiet")
        return self.put("a recipe's file.toml", recipe_text(
            self.dir, model={"path": f"{self.dir}/tiny"}, data={"sequence_length": 256},
            train={"steps": 2, "batch_size": 32, "accumulation": 8}))

    def lines(self, *arguments, columns=80):
        """What a command drew on its terminal, line by line."""
        terminal = Terminal([self.PROGRAM, *arguments], columns, stdout=subprocess.DEVNULL)
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.finish(), 0, terminal.drawn)
        return terminal.redraws()


class Widths(ProgressCase):
    def check(self, label, *arguments):
        for columns in WIDTHS:
            bars = [line for line in self.lines(*arguments, columns=columns) if line.startswith(label)]
            self.assertGreater(len(bars), 1, arguments)
            for bar in bars:
                self.assertLess(len(bar), columns, bar)
                self.assertRegex(bar, r"\d+%")
            self.assertIn("100%", bars[-1])

    def test_every_command_with_a_bar(self):
        recipe = self.prepare()
        self.check("import", "import", self.dir / "tiny", self.dir / "out", "--force")
        self.check("prepare", "prepare", self.text, self.dir / "more", "--model", self.dir / "tiny", "--force")
        self.check("compose", "compose", self.dir / "tiny", "--text", self.text, "--length", "4K", "--documents", 3, "--tasks",
                   "recall,chains", "--out", self.dir / "tasks.jsonl", "--force")
        self.check("tiny", "eval", "perplexity", self.dir / "tiny", "--text", self.text, "--length", 256)
        self.check("tiny", "eval", "needle", self.dir / "tiny", "--lengths", "1K,2K", "--depths", "0,50")
        self.check("extend", "extend", recipe, "--force")

    def test_bytes_have_binary_units(self):
        last = [line for line in self.lines("import", self.dir / "tiny", self.dir / "out") if "import" in line][-1]
        self.assertRegex(last, r"^import \[#{20}\] 100% (\S+ KiB)/\1 \S+ [KMG]iB/s took \S+s$")

    def test_a_narrower_window_gets_shorter_lines(self):
        terminal = Terminal([self.PROGRAM, "extend", self.prepare(), "--set", "train.steps=1000"], 120,
                            stdout=subprocess.DEVNULL)
        self.addCleanup(terminal.close)
        terminal.wait_for("tokens/s")
        self.assertGreater(max(map(len, terminal.redraws())), 80)
        terminal.resize(50)
        terminal.read(1)
        seen = len(terminal.drawn)
        place = terminal.wait_for("extend ", seen)
        terminal.wait_for("extend ", place)
        narrow = terminal.drawn[place:].decode().split("\r\x1b[K")[0]
        self.assertLess(len("extend " + narrow), 50)


class Meanwhile(ProgressCase):
    def percents(self, label, lines):
        return {int(match[1]) for line in lines if line.startswith(label) and (match := re.search(r"(\d+)%", line))}

    def test_extend_within_a_step(self):
        lines = self.lines("extend", self.prepare(), "--set", "train.steps=1", "--set", "train.batch_size=128",
                           "--set", "train.accumulation=32")
        self.assertGreater(len(self.percents("extend", lines) - {0, 100}), 2, lines)
        self.assertTrue(any(re.search(r"step 1/1$", line) for line in lines), lines)

    def test_generate_within_a_chunk(self):
        prompt = self.put("prompt.txt", "a long text " * 1500)  # half a second a layer; a bar is drawn each tenth
        lines = self.lines("generate", self.dir / "tiny", "--prompt-file", prompt, "--chunk", "1M", "--threads", 1,
                           "--max-tokens", 1)
        self.assertTrue({33, 67} & self.percents("prompt", lines), lines)

    def test_needles_within_a_sample(self):
        lines = self.lines("eval", "needle", self.dir / "tiny", "--lengths", "8K", "--depths", "50", "--threads", 1)
        self.assertGreater(len(self.percents("tiny", lines) - {0, 100}), 2, lines)

    def test_score_within_a_line(self):
        # 5 seconds; nothing is drawn in the first one.
        self.put("lines", '{"text": "' + "a long text " * 2500 + '"}\n')
        terminal = Terminal(["sh", "-c", f"{self.PROGRAM} score {self.dir}/tiny --threads 1 < {self.dir}/lines"],
                            stdout=subprocess.DEVNULL)
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.finish(), 0)
        self.assertTrue(any(line.startswith("stdin:1 [") for line in terminal.redraws()), terminal.drawn)


class Resuming(ProgressCase):
    """What extend prints when it is stopped is the command that goes on, for any shell."""

    def stop_and_resume(self, *options):
        recipe = self.prepare()
        process = subprocess.Popen([self.PROGRAM, "extend", recipe, "--set", "train.steps=6", "--set",
                                    "data.packing=whole", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        log = self.dir / "run/metrics.jsonl"
        while process.poll() is None and not (log.exists() and log.stat().st_size):  # until the first step is done
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, err)
        return recipe, out.decode()

    def test_the_command_as_text(self):
        recipe, out = self.stop_and_resume("--quiet")
        match = re.search(r"^saved; go on with: (.*)$", out, re.MULTILINE)
        self.assertIsNotNone(match, out)
        self.assertEqual(shlex.split(match[1]), [self.PROGRAM, "extend", str(recipe), "--set", "train.steps=6", "--set",
                                                 "data.packing=whole", "--quiet", "--resume"])
        done = subprocess.run(["sh", "-c", match[1]], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("finished: 6 of 6 steps", done.stdout)


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
