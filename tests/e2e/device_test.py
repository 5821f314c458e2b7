"""score, generate, eval and extend in bfloat16 on a device give what the CPU gives in float32, to bfloat16's rounding.
scripts/test_gpu.sh runs it with cuda, CI with cpu.

    device_test.py PROGRAM [cpu|cuda]
"""

import json
import os
import random
import subprocess
import sys
import unittest

from cli_case import CliCase
from tiny_model import recipe_text, write_tiny_llama

TOKENS = 900  # several blocks, windows and tiles; more than a small chunk


class DeviceTest(CliCase):
    DEVICE = "cpu"

    def setUp(self):
        super().setUp()
        write_tiny_llama(self.dir / "model", head_size=64, context=4096)
        self.model = self.dir / "hybrid"
        self.run_program("convert", self.dir / "model", self.model, "--layers", "middle:1/3", "--sparse",
                         "sink=1,window=2,stride=3", "--context", "4K")
        self.random = random.Random(3)
        self.ids = [self.random.randrange(258) for _ in range(TOKENS)]

    def score(self, ids, device, dtype, *options):
        line = json.dumps({"ids": ids}) + "\n"
        out, _ = self.run_program("score", self.model, "--device", device, "--dtype", dtype, *options, stdin=line)
        return json.loads(out)

    def text(self):
        words = ["the", "sea", "under", "a", "grey", "sky", "was", "calm"]
        return " ".join(self.random.choice(words) for _ in range(TOKENS))

    def test_score(self):
        exact, rounded = (self.score(self.ids, "cpu", dtype)["logprobs"][1:] for dtype in ("float32", "bfloat16"))
        allowed = 2 * max(abs(a - b) for a, b in zip(exact, rounded))
        for chunk in ("64", "300", "4096"):
            found = self.score(self.ids, self.DEVICE, "bfloat16", "--chunk", chunk)["logprobs"][1:]
            self.assertEqual(len(found), TOKENS - 1)
            self.assertLessEqual(max(abs(a - b) for a, b in zip(exact, found)), allowed)

    def test_generate(self):
        prompt = self.put("prompt.txt", self.text()[:2000])
        out, _ = self.run_program("generate", self.model, "--prompt-file", prompt, "--max-tokens", 24, "--ignore-eos",
                                  "--json", "--device", self.DEVICE, "--dtype", "bfloat16")
        reply = json.loads(out)
        self.assertEqual(len(reply["ids"]), 24)
        line, _ = self.run_program("tokenize", self.model, stdin=json.dumps({"text": prompt.read_text()}) + "\n")
        ids = json.loads(line)["ids"]
        self.assertEqual(len(ids), reply["prompt_tokens"])
        # The cache, step by step, chooses what the whole sequence says is the most probable, or nearly so.
        scored = self.score(ids + reply["ids"], "cpu", "float32", "--top", 1)
        for place in range(len(ids), len(ids) + 24):
            self.assertLess(scored["top"][place][0][1] - scored["logprobs"][place], 0.1)

    def test_random_weights_are_served(self):
        server = subprocess.Popen([self.PROGRAM, "serve", self.model, "--random-weights", "--context", "8K", "--port", "0", "--quiet",
                                   "--device", self.DEVICE, "--dtype", "bfloat16"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.terminate)
        url = server.stdout.readline().decode().removeprefix("listening on ").strip()
        for cached in (0, 4 * 256):
            out, _ = self.run_program("bench", "serve", url, "--ids", "0-255", "--lengths", "300:20", "--requests", 4, "--warm-up", 0,
                                      "--json", "--quiet")
            found = json.loads(out)
            self.assertEqual((found["whole"], found["prompt_tokens"], found["reply_tokens"]), (4, 1200, 80))
            self.assertGreaterEqual(found["cached_tokens"], cached)

    def test_perplexity(self):
        text = self.put("text.txt", self.text())
        losses = []
        for device, dtype in [("cpu", "float32"), (self.DEVICE, "bfloat16")]:
            out, _ = self.run_program("eval", "perplexity", self.model, "--text", text, "--length", "2K", "--json",
                                      "--out", self.dir / f"report-{dtype}", "--quiet", "--device", device, "--dtype", dtype)
            losses.append(json.loads(out)["models"][0]["overall"]["mean_nll"])
        self.assertAlmostEqual(losses[0], losses[1], delta=0.01)

    def test_suite(self):
        """Many choices and replies in one step, more than a decode graph takes."""
        def texts(count):
            return [self.text()[:2000 if i == 3 else self.random.randrange(5, 200)] for i in range(count)]
        choices = [{"context": text, "choices": ["the sea", "a", text[:40]], "gold": 0} for text in texts(30)]
        prompts = [{"prompt": text, "references": ["the"], "new_tokens": 4} for text in texts(70)]
        tasks = [f"jsonl:{self.put(name, ''.join(json.dumps(item) + chr(10) for item in items))}"
                 for name, items in (("choices.jsonl", choices), ("replies.jsonl", prompts))]
        found = []
        for device, dtype in [("cpu", "float32"), (self.DEVICE, "bfloat16")]:
            self.run_program("eval", "suite", self.model, "--tasks", ",".join(tasks), "--out", self.dir / dtype, "--quiet",
                             "--device", device, "--dtype", dtype)
            lines = [(self.dir / f"{dtype}/items/hybrid/{name}.jsonl").read_text().splitlines()[1:]
                     for name in ("choices", "replies")]
            found.append([{item["id"]: item for item in map(json.loads, some)} for some in lines])
        for exact, rounded in zip(found[0][0].values(), found[1][0].values()):
            for choice, a, b in zip(choices[int(exact["id"])]["choices"], exact["loglikelihoods"], rounded["loglikelihoods"]):
                self.assertAlmostEqual(a, b, delta=0.03 * len(choice) + 0.05)
        same = sum(item["reply"] == found[1][1][id]["reply"] for id, item in found[0][1].items())
        self.assertEqual([len(some[1]) for some in found], [70, 70])
        self.assertGreaterEqual(same, 50)

    def test_extend(self):
        text = "\n<|endoftext|>\n".join(self.text() for _ in range(6))
        self.run_program("prepare", self.put("train.txt", text), self.dir / "data", "--model", self.model,
                         "--held-out", "0", "--quiet")
        losses = []
        for device, precision in [("cpu", "float32"), (self.DEVICE, "bfloat16")]:
            recipe = self.put(f"{precision}.toml", recipe_text(
                self.dir, model={"path": f"{self.model}", "output": f"{self.dir}/{precision}"},
                architecture={"sparse": "sink=1,window=2,stride=3", "context": 4096},
                data={"sequence_length": TOKENS}, train={"steps": 6, "precision": precision}))
            self.run_program("extend", recipe, "--device", device, "--quiet")
            lines = (self.dir / precision / "metrics.jsonl").read_text().splitlines()
            losses.append([json.loads(line)["loss"] for line in lines if '"loss"' in line])
        self.assertEqual([len(run) for run in losses], [6, 6])
        self.assertLess(losses[0][5], losses[0][0])
        for exact, found in zip(*losses):
            self.assertAlmostEqual(exact, found, delta=0.02)


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    if len(sys.argv) > 1:
        DeviceTest.DEVICE = sys.argv.pop(1)
    unittest.main()
