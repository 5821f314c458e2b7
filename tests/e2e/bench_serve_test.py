"""longgen bench serve, against a server whose delays are known and against longgen serve.

    bench_serve_test.py PROGRAM
"""

import csv
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from cli_case import CliCase
from fake_openai import FakeOpenAi
from tiny_model import END, FFN, LAYERS, VOCAB, WIDTH

# What a machine that does other things, too, may add to a time of the server's, in seconds.
SLACK = 0.25


class LoadCase(CliCase):
    def measure(self, url, *options, code=0):
        out, _ = self.run_program("bench", "serve", url, "--json", "--quiet", *options, code=code)
        return json.loads(out)


class KnownDelays(LoadCase):
    def test_times_are_those_of_the_server(self):
        fake = FakeOpenAi(first_seconds=0.2, gap_seconds=0.03)
        with fake.running() as url:
            found = self.measure(url, "--requests", 6, "--lengths", "40:11", "--csv", self.dir / "rows.csv",
                                 "--goal", "ttft=190ms")
        # A server is never quicker than it is; most times are as long as its own.
        self.assertGreaterEqual(found["first_token_s"]["p50"], 0.2)
        self.assertLess(found["first_token_s"]["p50"], 0.2 + SLACK)
        self.assertAlmostEqual(found["gap_s"]["mean"], 0.03, delta=0.006)
        self.assertAlmostEqual(found["gap_s"]["p50"], 0.03, delta=0.01)
        self.assertAlmostEqual(found["time_per_output_token_s"]["p50"], 0.03, delta=0.006)
        self.assertGreaterEqual(found["answer_s"]["p50"], 0.5)
        self.assertLess(found["answer_s"]["p50"], 0.5 + SLACK)
        self.assertEqual((found["requests"], found["whole"], found["errors"]), (6, 6, {}))
        self.assertEqual((found["prompt_tokens"], found["reply_tokens"], found["texts"]), (240, 66, 66))
        self.assertEqual(found["cached_tokens"], 120)
        self.assertAlmostEqual(found["reply_tokens_per_s"], 66 / found["seconds"])
        self.assertEqual(found["within_goal"], 0)
        self.assertEqual((found["server"], found["notes"]), ("nobody 1.2 (%s)" % self.header(), []))
        rows = list(csv.DictReader((self.dir / "rows.csv").read_text().splitlines()))
        self.assertEqual([row["prompt_tokens"] for row in rows], ["40"] * 6)
        self.assertEqual(fake.requests[-1]["min_tokens"], 11)
        self.assertEqual(fake.most_at_once, 6)

    @staticmethod
    def header():
        return f"fake Python/{sys.version.split()[0]}"

    def test_events_of_several_tokens(self):
        fake = FakeOpenAi(tokens_per_event=4, gap_seconds=0.04)
        with fake.running() as url:
            for refused in [(), ("continuous_usage_stats",)]:
                fake.refused = refused
                found = self.measure(url, "--requests", 2, "--lengths", "10:16")
                self.assertEqual((found["reply_tokens"], found["texts"]), (32, 8))
                self.assertAlmostEqual(found["gap_s"]["p50"], 0.04, delta=0.01)
                # Without numbers in each event the first one counts as one token.
                later = 15 if refused else 12
                self.assertAlmostEqual(found["time_per_output_token_s"]["p50"], 0.12 / later, delta=0.004)
                self.assertIn("texts carried more than one token: 8 texts for 32 tokens (gaps are of texts, tokens are the "
                              "server's count)", found["notes"])

    def test_arrivals_and_concurrency(self):
        fake = FakeOpenAi(first_seconds=0.1, gap_seconds=0)
        with fake.running() as url:
            found = self.measure(url, "--requests", 9, "--lengths", "4:1", "--concurrency", 3, "--warm-up", 0)
            self.assertEqual(fake.most_at_once, 3)
            self.assertGreaterEqual(found["seconds"], 0.3)
            self.assertLess(found["seconds"], 0.3 + 3 * SLACK)
            found = self.measure(url, "--requests", 20, "--lengths", "4:1", "--rate", 40, "--seed", 3, "--csv",
                                 self.dir / "rows.csv")
        rows = list(csv.DictReader((self.dir / "rows.csv").read_text().splitlines()))
        due = [float(row["due_s"]) for row in rows]
        self.assertEqual(due, sorted(due))
        self.assertTrue(0.2 < due[-1] < 1.2, due)
        for row in rows:
            self.assertGreaterEqual(float(row["begun_s"]), float(row["due_s"]) - 1e-5)
        self.assertLess(found["late_s"]["p50"], 0.05)

    def test_prompts_of_words(self):
        fake = FakeOpenAi(first_seconds=0, gap_seconds=0)
        text = self.put("text.txt", " ".join(f"word{i}" for i in range(500)))
        with fake.running() as url:
            found = self.measure(url, "--requests", 3, "--lengths", "100-300:2", "--text", text)
            self.assertEqual(found["notes"], [])
            first = fake.requests[-1]["prompt"].split()
            self.assertEqual(int(first[1][4:]), (int(first[0][4:]) + 1) % 500)
            # A chat's length is learnt from its usage: the template has tokens, too.
            found = self.measure(url, "--requests", 3, "--lengths", "120:2", "--endpoint", "chat")
            self.assertEqual((found["prompt_tokens"], found["notes"]), (360, []))
            fake.tokenizes = False
            found = self.measure(url, "--requests", 3, "--lengths", "120:2", "--text", "words")
            self.assertEqual((found["prompt_tokens"], found["notes"]), (360, []))

    def test_fields_that_a_server_refuses(self):
        fake = FakeOpenAi(first_seconds=0, gap_seconds=0, refused=("min_tokens", "ignore_eos", "stream_options"),
                          says_usage=False)
        with fake.running() as url:
            found = self.measure(url, "--requests", 2, "--lengths", "10:3")
        self.assertEqual(found["refused_fields"], ["min_tokens", "ignore_eos", "stream_options"])
        self.assertIn("a token is a text of the stream: there is no usage", found["notes"])
        self.assertEqual((found["reply_tokens"], found["cached_tokens"]), (6, None))
        self.assertEqual(set(fake.requests[-1]), {"model", "prompt", "max_tokens", "temperature", "stream"})

    def test_errors_by_kind(self):
        # The first two are the one that asks what the server knows, and the warm-up.
        kinds = [None, None, 429, "torn", "no JSON", "no end", "error", 500, "whole", "silent", None]
        fake = FakeOpenAi(first_seconds=0.02, gap_seconds=0.01, fails=lambda number: kinds[number])
        with fake.running() as url:
            found = self.measure(url, "--requests", 9, "--lengths", "10:8", "--timeout", 1, "--concurrency", 1, code=1)
        self.assertEqual({kind: (error["count"], error["first"]) for kind, error in found["errors"].items()}, {
            "status 429": (1, "status 429 it is"),
            "status 500": (1, "status 500 it is"),
            "torn answer": (1, "the connection ended in the middle of the answer."),
            "malformed answer": (1, found["errors"]["malformed answer"]["first"]),
            "stream without an end": (1, "the answer ended before the reply did."),
            "error in the stream": (1, "the engine failed"),
            "no stream": (1, 'the answer is of type "application/json".'),
            "timeout": (1, "the server sent nothing for so long.")})
        self.assertIn("event of the stream", found["errors"]["malformed answer"]["first"])
        self.assertEqual((found["requests"], found["whole"], found["first_token_s"]["count"]), (9, 1, 1))

    def test_what_is_longer_than_the_context_is_not_sent(self):
        fake = FakeOpenAi(first_seconds=0, gap_seconds=0)
        with fake.running() as url:
            message, _ = self.error("bench", "serve", url, "--lengths", "4K:8")
        self.assertEqual(message, "a prompt of 4,096 tokens and a reply of 8 are more than the context of fake-model, 4,096 "
                                  "(max_model_len). Ask for less.")
        self.assertEqual(len(fake.requests), 1)

    def test_keys_come_from_a_file(self):
        fake = FakeOpenAi(first_seconds=0, gap_seconds=0, key="secret")
        with fake.running() as url:
            message, _ = self.error("bench", "serve", url)
            self.assertEqual(message, "the server wants another key (wrong key). Give --api-key-file FILE.")
            key = self.put("key", "secret\n")
            self.assertEqual(self.measure(url, "--requests", 1, "--lengths", "4:1", "--api-key-file", key)["whole"], 1)

    def test_a_scenario(self):
        fake = FakeOpenAi(first_seconds=0.3, gap_seconds=0.02)
        with fake.running() as url:
            found = self.measure(url, "--scenario", "decoders:4,prompt:1K,steps:20,reply:2000")
        self.assertAlmostEqual(found["single_tokens_per_s"], 50, delta=10)
        self.assertAlmostEqual(found["ratios"]["decode_together_over_single"], 4, delta=0.8)
        self.assertAlmostEqual(found["undisturbed_gap_s"]["p50"], 0.02, delta=0.01)
        # Each of the four is watched for 20 tokens, and until the last one has them.
        self.assertTrue(80 <= found["undisturbed_gap_s"]["count"] <= 160, found)
        for time_of in ["cold", "warm", "beside", "short", "behind"]:
            self.assertGreaterEqual(found[f"{time_of}_first_token_s"], 0.3)
            self.assertLess(found[f"{time_of}_first_token_s"], 0.3 + SLACK)
        # Every decoder has a gap a step while the prompt is read.
        self.assertTrue(4 * 10 <= found["disturbed_gap_s"]["count"] <= 4 * 25, found)
        self.assertIsNone(found["step_budget_s"])
        self.assertNotIn("gap_p99_over_allowed", found["ratios"])
        self.assertEqual(len(fake.requests[-1]["prompt"]), 1024)

    def test_a_trace(self):
        lines = [{"timestamp": 0, "input_length": 600, "output_length": 2, "hash_ids": [1, 2]},
                 {"timestamp": 400, "input_length": 520, "output_length": 3, "hash_ids": [1, 3]}]
        trace = self.put("trace.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        fake = FakeOpenAi(first_seconds=0, gap_seconds=0)
        with fake.running() as url:
            found = self.measure(url, "--trace", trace, "--trace-speed", 2, "--warm-up", 0)
        self.assertEqual((found["requests"], found["prompt_tokens"], found["reply_tokens"]), (2, 1120, 5))
        self.assertGreaterEqual(found["seconds"], 0.2)
        first, second = [request["prompt"] for request in fake.requests[-2:]]
        self.assertEqual(first[:512], second[:512])
        self.assertNotEqual(first[512:520], second[512:])

    def test_ctrl_c_reports_what_is_done(self):
        fake = FakeOpenAi(first_seconds=0, gap_seconds=0.01)
        with fake.running() as url:
            process = subprocess.Popen([self.PROGRAM, "bench", "serve", url, "--requests", "1000", "--lengths", "4:10",
                                        "--concurrency", "2", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while len(fake.requests) < 8:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertRegex(out.decode(), r"stopped: \d+ requests not sent\nstopped: \d requests?\n")

    def test_reports(self):
        with FakeOpenAi(first_seconds=0, gap_seconds=0).running() as url:
            out, _ = self.run_program("bench", "serve", url, "--requests", 4, "--lengths", "4:8", "--quiet", "--out",
                                      self.dir / "report", "--html", self.dir / "page.html")
        self.assertRegex(out, r"4 of 4 requests whole in .*\n")
        self.assertLessEqual({"load.json", "load.csv", "load.dat", "load.gp"},
                             {path.name for path in (self.dir / "report").iterdir()})
        self.assertIn("A load for fake-model", (self.dir / "page.html").read_text())

    def test_usage(self):
        for options, message in [
                (["--trace", "x", "--rate", "1"], "--trace says when requests come: leave --rate out."),
                (["--groups", "2"], "--groups needs --shared-prefix."),
                (["--scenario", "decoders:2", "--endpoint", "chat"],
                 "--scenario has prompts of token ids: leave --text and --endpoint chat out.")]:
            self.assertEqual(self.usage_error("bench", "serve", "http://127.0.0.1:1", *options), message)
        message, _ = self.error("bench", "serve", "127.0.0.1:8000")
        self.assertEqual(message, 'URL: expected http://HOST[:PORT][/PATH], found "127.0.0.1:8000".')
        message, _ = self.error("bench", "serve", "http://127.0.0.1:1")
        self.assertEqual(message, "http://127.0.0.1:1, GET /v1/models: cannot connect: Connection refused.")


class RandomWeights(LoadCase):
    """longgen serve, of a model that has only a config.json."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        (pathlib.Path(folder.name) / "config.json").write_text(json.dumps({
            "model_type": "llama", "num_hidden_layers": LAYERS, "hidden_size": WIDTH, "intermediate_size": FFN,
            "vocab_size": VOCAB, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
            "max_position_embeddings": 256, "rope_theta": 10000.0, "eos_token_id": END}))
        cls.server = subprocess.Popen(
            [cls.PROGRAM, "serve", folder.name, "--random-weights", "--layers", "1", "--sparse", "sink=1,window=2",
             "--context", "32K", "--served-model-name", "random", "--port", "0", "--quiet", "--threads", "1",
             "--max-kv", "256M", "--step-budget", "40", "--chunk", "64"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.stdout.close)
        cls.addClassCleanup(cls.server.terminate)
        line = cls.server.stdout.readline().decode()
        cls.url = re.fullmatch(r"listening on (http://\S+)\n", line)[1]

    def test_a_load_with_shared_prefixes(self):
        found = self.measure(self.url, "--ids", "0-255", "--requests", 8, "--concurrency", 2, "--lengths", "70:9",
                             "--shared-prefix", 256, "--groups", 2)
        self.assertEqual((found["server"], found["model"]), ("longgen", "random"))
        self.assertEqual((found["whole"], found["prompt_tokens"], found["reply_tokens"]), (8, 8 * 326, 72))
        # The first two of a group make the prefix known, the others find it.
        self.assertGreaterEqual(found["cached_tokens"], 4 * 256)
        self.assertAlmostEqual(found["hit_rate"], found["cached_tokens"] / found["prompt_tokens"], delta=1e-6)
        self.assertGreater(found["predicted_over_measured"], 0)
        self.assertEqual((found["refused_fields"], found["notes"]), ([], []))

    def test_texts_are_refused(self):
        message, _ = self.error("bench", "serve", self.url, "--text", "words")
        self.assertIn("this server has a model with random weights and no tokenizer", message)

    def test_a_scenario(self):
        found = self.measure(self.url, "--ids", "0-255", "--scenario", "decoders:2,prompt:8K,steps:16,reply:8K")
        self.assertEqual(found["scenario"]["prompt"], 8192)
        self.assertEqual(found["step_budget_s"], 0.04)
        self.assertGreater(found["together_tokens_per_s"], 0)
        self.assertGreaterEqual(found["warm_cached_tokens"], 8192 - 64)
        ratios = found["ratios"]
        self.assertLess(ratios["warm_over_cold"], 1)
        allowed = 0.04 + found["undisturbed_gap_s"]["p50"]
        self.assertAlmostEqual(ratios["gap_worst_over_allowed"], found["disturbed_gap_s"]["worst"] / allowed)
        self.assertAlmostEqual(ratios["prefill_beside_over_alone"],
                               found["cold_first_token_s"] / found["beside_first_token_s"])
        self.assertAlmostEqual(ratios["behind_less_alone_in_budgets"],
                               (found["behind_first_token_s"] - found["short_first_token_s"]) / 0.04)

    def test_a_decoder_must_not_end_while_it_is_watched(self):
        message, _ = self.error("bench", "serve", self.url, "--ids", "0-255", "--scenario",
                                "decoders:1,prompt:2K,steps:8,reply:12")
        self.assertEqual(message, "a decoder's reply ended before it was measured: it had 12 tokens. "
                         "Let it have more with reply:N.")

    def test_options_of_random_weights(self):
        self.assertEqual(self.usage_error("serve", "llama2-7b", "--layers", "1"),
                         "--layers and --context make a model, which needs --random-weights.")
        self.assertEqual(self.usage_error("serve", "llama2-7b", "--random-weights", "--sparse", "sink"),
                         "--sparse says what layers outside --layers see: give --layers too.")
        message, _ = self.error("serve", "llama2-8b", "--random-weights", "--port", "0")
        self.assertIn('model "llama2-8b" is no preset', message)


if __name__ == "__main__":
    CliCase.PROGRAM = sys.argv.pop(1)
    unittest.main()
