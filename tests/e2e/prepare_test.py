"""`longgen prepare` on files of every kind.

    prepare_test.py PROGRAM
"""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

from cli_case import CliCase
from tiny_model import END, write_model

SLOW_WORD = "the" * 100000  # the letters of a word are merged one pair after the other: 30 ms


class PrepareTest(CliCase):
    def setUp(self):
        super().setUp()
        self.model = write_model(self.dir / "model", config={"eos_token_id": END})

    def prepare(self, *paths, options=()):
        """Prepares into out; gives the report."""
        out, _ = self.run_program("prepare", *paths, self.dir / "out", "--model", self.model, "--json", "--quiet",
                                  *options)
        return json.loads(out)

    def documents(self, split="train"):
        """The documents of out as bytes; checks the end token of each."""
        data = b"".join(path.read_bytes() for path in sorted((self.dir / "out").glob(f"{split}-*.bin")))
        ids = memoryview(data).cast("H")
        documents, start = [], 0
        for i, id in enumerate(ids):
            if id == END:
                documents.append(b"".join({256: b"th", 257: b"the"}.get(t) or bytes([t]) for t in ids[start:i]))
                start = i + 1
        self.assertEqual(start, len(ids))
        return documents

    def test_every_kind_of_file(self):
        text = "one\n<|endoftext|>\nthe two\nlines\n"
        lines = json.dumps({"text": "three"}) + "\n" + json.dumps({"text": "vier é"}) + "\n"
        folder = self.put("in/a.txt", text).parent
        self.put("in/b.txt.gz", gzip.compress(text.encode()))
        self.put("in/c.jsonl", lines)
        self.put("in/d.jsonl.gz", gzip.compress(lines.encode()))
        expected = [b"one", b"the two\nlines"] * 2 + ["three".encode(), "vier é".encode()] * 2
        report = self.prepare(folder, options=["--held-out", "0"])
        self.assertEqual(self.documents(), expected)
        ends, merged = 8, 2 * len("he") + 2 * len("h")  # "the" and the "th" of "three" are one token each
        self.assertEqual(report["train"], {"documents": 8, "tokens": sum(map(len, expected)) + ends - merged})
        self.assertEqual(report["held_out"], {"documents": 0, "tokens": 0})
        self.assertEqual((report["sources"], report["token_type"]), (4, "uint16"))
        self.assertEqual(report["end_id"], END)
        self.assertIsNone(report["begin_id"])

    @unittest.skipUnless(shutil.which("zstd"), "needs the zstd program")
    def test_zstandard(self):
        path = self.put("a.txt", "one\n<|endoftext|>\ntwo")
        subprocess.run(["zstd", "-q", path], check=True)
        self.prepare(self.dir / "a.txt.zst", options=["--held-out", "0"])
        self.assertEqual(self.documents(), [b"one", b"two"])

    def test_text_report(self):
        path = self.put("a.txt", "one\n<|endoftext|>\n\n<|endoftext|>\ntwo")
        out, err = self.run_program("prepare", path, self.dir / "out", "--model", self.model, "--held-out", "0")
        self.assertIn("6 B of text from 1 file in", out)
        self.assertRegex(out, r"train +2 documents, 8 tokens\n")
        self.assertRegex(out, r"end token +<\|end\|> \(259\)\n")
        self.assertRegex(out, r"left out +1 empty document, 0 bad lines\n")
        self.assertIn("prepare [####", err)

    def test_field_held_out_and_seed(self):
        path = self.put("a.jsonl", "".join(json.dumps({"body": f"{i}"}) + "\n" for i in range(1000)))

        def held_out(seed):
            options = ["--text-field", "body", "--held-out", "0.3", "--seed", seed, "--force", "--shard-tokens", "1K"]
            report = self.prepare(path, options=options)
            self.assertEqual(report["train"]["documents"] + report["held_out"]["documents"], 1000)
            documents = self.documents("held_out")
            self.assertEqual(sorted(self.documents() + documents), sorted(b"%d" % i for i in range(1000)))
            return documents

        first = held_out(1)
        self.assertTrue(200 < len(first) < 400, len(first))  # 300, deviation 14.5
        self.assertEqual(first, held_out(1))
        self.assertNotEqual(first, held_out(2))
        self.assertEqual((self.dir / "out/train-00000.bin").stat().st_size, 2048)

    def test_threads_make_no_difference(self):
        path = self.put("a.jsonl", "".join(json.dumps({"text": "the word " * (i % 50)}) + "\n" for i in range(3000)))
        contents = []
        for threads in [1, 5]:
            self.prepare(path, options=["--threads", threads, "--force"])
            contents.append({p.name: p.read_bytes() for p in (self.dir / "out").iterdir()})
        self.assertEqual(contents[0], contents[1])

    def test_conversations_and_answers(self):
        template = ("{% for m in messages %}{{ m.role + ': ' + m.content + '<|end|>' }}{% endfor %}"
                    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}")
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b<|end|>"}]
        lines = [{"messages": messages}, {"text": "the sea", "answers": [[1, 2]]}]
        path = self.put("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        message, _ = self.error("prepare", path, self.dir / "out", "--model", self.model)
        self.assertTrue(message.startswith(f"{path}:1: messages need a chat template, and none was found: "), message)
        self.assertIn("--chat-template FILE names another one.", message)
        file = self.put("own.jinja", template)
        report = self.prepare(path, options=["--held-out", "0", "--chat-template", file])
        # user: a END assistant: b <|end|> END, of which the template wrote the ENDs.
        learned = len("b<|end|>") + 1
        self.assertEqual(report["ignored_tokens"], len("user: a") + 1 + len("assistant: "))
        self.assertEqual(report["answer_tokens"], 1, "the token of \"the\" shares a byte with the answer")
        self.assertEqual((self.dir / "out/train-00000.marks").read_bytes(),
                         b"\0" * report["ignored_tokens"] + b"\1" * learned + b"\2" + b"\1" * len(" sea") + b"\1")
        options = ["--held-out", "0", "--text-only", "--force"]
        message, _ = self.error("prepare", path, self.dir / "out", "--model", self.model, *options)
        self.assertIn(':1: the field "text" is missing', message)

    def test_bad_lines(self):
        path = self.put("a.jsonl", '{"text": "a"}\nnonsense\n{"text": "b"}\n{}\n')
        message, out = self.error("prepare", path, self.dir / "out", "--model", self.model)
        self.assertTrue(message.startswith(f"{path}:2: not valid JSON"), message)
        self.assertIn("Pass --skip-bad", message)
        self.assertEqual((out, self.names()), ("", ["a.jsonl", "model"]))
        out, err = self.run_program("prepare", path, self.dir / "out", "--model", self.model, "--skip-bad",
                                    "--held-out", "0", "--json", "--quiet")
        self.assertEqual(json.loads(out)["bad_lines"], 2)
        self.assertIn(f"left out: {path}:2: not valid JSON", err)
        self.assertIn(f"left out: {path}:4: the field \"text\" is missing", err)
        self.assertEqual(self.documents(), [b"a", b"b"])

    def test_an_existing_output_needs_force(self):
        old, new = self.put("old.txt", "old"), self.put("new.txt", "new")
        options = ["--held-out", "0"]
        self.prepare(old, options=options)
        message, _ = self.error("prepare", new, self.dir / "out", "--model", self.model)
        self.assertEqual(message,
                         f"{self.dir}/out: exists already. Choose another name or pass --force to replace it.")
        self.assertEqual(self.documents(), [b"old"])
        self.prepare(new, options=[*options, "--force"])
        self.assertEqual(self.documents(), [b"new"])

    def test_usage_errors(self):
        base = ["prepare", "a.txt", "out", "--model", self.model]
        self.assertIn("expected at least one IN, and OUT", self.usage_error("prepare", "a", "--model", self.model))
        self.assertIn("IN is required", self.usage_error("prepare", "--model", self.model))
        self.assertIn("--model is required", self.usage_error("prepare", "a.txt", "out"))
        for share in ["1.5", "nan", "-0.1", "x"]:
            self.assertIn("--held-out: expected a number from 0 to 1", self.usage_error(*base, "--held-out", share))
        for seed in ["-1", "1.5", "18446744073709551616"]:
            self.assertIn("--seed: expected a number from 0", self.usage_error(*base, "--seed", seed))
        self.assertIn("--shard-tokens: expected at least 1, found 0", self.usage_error(*base, "--shard-tokens", 0))
        self.assertIn('expected a count such as 16384, 16K or 1M, found "x"',
                      self.usage_error(*base, "--shard-tokens", "x"))
        self.assertIn("--threads: expected a number from 0 to 1024", self.usage_error(*base, "--threads", 5000))

    def test_mistakes(self):
        def message(*arguments):
            return self.error("prepare", *arguments)[0]

        text = self.put("a.txt", "a")
        out = self.dir / "out"
        self.assertIn("nothing.txt", message(self.dir / "nothing.txt", out, "--model", self.model))
        self.assertIn("expected a model directory, found a folder without config.json.",
                      message(text, out, "--model", self.dir))
        self.assertIn("held-out share: expected at least 0 and below 1, found 1",
                      message(text, out, "--model", self.model, "--held-out", "1"))
        self.assertEqual(self.names(), ["a.txt", "model"])


class DocumentTokenTest(CliCase):
    """Where the begin and end tokens come from."""

    def tokens(self, *options, **files):
        """Begin and end id of a model with these files."""
        shutil.rmtree(self.dir / "model", ignore_errors=True)
        model = write_model(self.dir / "model", **files)
        out, _ = self.run_program("prepare", self.put("a.txt", "a"), self.dir / "out", "--model", model, "--force",
                                  "--held-out", "0", "--json", "--quiet", *options)
        report = json.loads(out)
        ids = memoryview((self.dir / "out/train-00000.bin").read_bytes()).cast("H").tolist()
        expected = [report["begin_id"], ord("a"), report["end_id"]]
        self.assertEqual(ids, [id for id in expected if id is not None])
        return report["begin_id"], report["end_id"]

    def failure(self, *options, **files):
        shutil.rmtree(self.dir / "model", ignore_errors=True)
        model = write_model(self.dir / "model", **files)
        return self.error("prepare", self.put("a.txt", "a"), self.dir / "out", "--model", model, *options)[0]

    def test_the_end_token_is_the_models_eos(self):
        self.assertEqual(self.tokens(config={"eos_token_id": 7}), (None, 7))
        self.assertEqual(self.tokens(config={"eos_token_id": 7}, generation_config={"eos_token_id": [9, 8]}), (None, 9))
        self.assertEqual(self.tokens(config={"eos_token_id": 7}, generation_config={"eos_token_id": None}), (None, 7))
        self.assertEqual(self.tokens(config={}, tokenizer_config={"eos_token": "<|end|>"}), (None, END))
        self.assertEqual(self.tokens(tokenizer_config={"eos_token": {"content": "<|end|>"}}), (None, END))
        # special_tokens_map.json counts where tokenizer_config.json has no list of tokens, and goes first.
        begin, end = {"eos_token": "<|begin|>"}, {"eos_token": "<|end|>"}
        self.assertEqual(self.tokens(special_tokens_map=end), (None, END))
        self.assertEqual(self.tokens(special_tokens_map=end, tokenizer_config=begin), (None, END))
        self.assertEqual(self.tokens(special_tokens_map=begin, tokenizer_config=end | {"added_tokens_decoder": {}}),
                         (None, END))

    def test_the_begin_token_is_what_the_tokenizer_adds(self):
        self.assertEqual(self.tokens(begin=True, config={"eos_token_id": END}), (258, END))
        self.assertEqual(self.tokens(config={"bos_token_id": 258, "eos_token_id": END}), (None, END))

    def test_options_come_first(self):
        self.assertEqual(self.tokens("--end-token", "the", begin=True), (258, 257))
        self.assertEqual(self.tokens("--begin-token", "none", "--end-token", "<|end|>", begin=True), (None, END))
        self.assertEqual(self.tokens("--begin-token", "<|begin|>", "--end-token", "none"), (258, None))

    def test_mistakes(self):
        self.assertIn("Pass --end-token TOKEN, or --end-token none", self.failure())
        self.assertIn("Pass --end-token TOKEN, or --end-token none", self.failure(tokenizer_config={"eos_token": ""}))
        self.assertIn("config.json: field eos_token_id: expected an integer from 0 to 259, found 260",
                      self.failure(config={"eos_token_id": 260}))
        self.assertIn('the model has no id 260 (vocab_size 260), which the tokenizer gives to "</s>"',
                      self.failure(tokenizer_config={"eos_token": "</s>"}, config={"vocab_size": 260}))
        self.assertIn('--end-token: expected a token of the model\'s tokenizer.json or none, found "</s>"',
                      self.failure("--end-token", "</s>"))
        self.assertEqual(self.names(), ["a.txt", "model"])


class InterruptTest(CliCase):
    def start(self, document, count):
        """A run that is slow because each document is one long word; returns once it has begun to work."""
        model = write_model(self.dir / "model", config={"eos_token_id": END})
        self.put("slow.jsonl", (json.dumps({"text": document}) + "\n") * count)
        process = subprocess.Popen(
            [self.PROGRAM, "prepare", self.dir / "slow.jsonl", self.dir / "out", "--model", model, "--threads", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        hidden = self.dir / f".out.tmp.{process.pid}"
        deadline = time.monotonic() + 60
        while not hidden.exists() and time.monotonic() < deadline:
            self.assertIsNone(process.poll(), "ended before it could be stopped")
            time.sleep(0.01)
        self.assertTrue(hidden.exists())
        return process

    def test_a_stopped_run_leaves_nothing(self):
        for number, code in [(signal.SIGTERM, 143), (signal.SIGINT, 130)]:
            process = self.start(SLOW_WORD, 100)
            process.send_signal(number)
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, code, err)
            self.assertEqual(out, b"")
            self.assertIn(b"stopping; once more to stop at once", err)
            self.assertIn(b"out: stopped before the end. Nothing was written.", err)
            self.assertEqual(self.names(), ["model", "slow.jsonl"])

    def test_the_second_signal_stops_at_once(self):
        process = self.start(SLOW_WORD * 30, 1)  # a second without a place to stop
        process.send_signal(signal.SIGINT)
        first = b""
        while not first.endswith(b"at once\n"):
            part = process.stderr.read1(100)
            self.assertNotEqual(part, b"", first)
            first += part
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(err, b"", "it did not get to report")
        self.assertIn(f".out.tmp.{process.pid}", self.names(), "nor to remove what it had begun")
        self.assertNotIn("out", self.names())


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
