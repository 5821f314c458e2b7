"""The program's frame and `longgen tokenize`.

    cli_test.py PROGRAM
"""

import json
import os
import re
import resource
import select
import subprocess
import sys
import unittest

from cli_case import CliCase
from tiny_model import END, write_model

GROUPS = ["Models", "Data", "Training", "Inference", "Evaluation", "Performance", "This program"]


class FrameTest(CliCase):
    def test_help_lists_the_commands_by_group(self):
        out = self.help()
        self.assertIn("Usage: longgen COMMAND", out)
        found = [line[:-1] for line in out.splitlines() if line[:-1] in GROUPS]
        self.assertEqual(found, [group for group in GROUPS if group in found], "groups in their order")
        self.assertLess(out.index("\nData:"), out.index("  tokenize "))
        self.assertIn("  prepare ", out)
        self.assertIn("Exit codes: 0", out)

    def test_every_command_has_help(self):
        commands = re.findall(r"^  ([a-z]+)  +\S", self.help(), re.MULTILINE)
        self.assertGreaterEqual(len(commands), 2)
        for command in commands:
            self.assertIn(f"Usage: longgen {command}", self.help(command))

    def test_version(self):
        out, err = self.run_program("--version")
        self.assertRegex(out, r"\Alonggen \d+\.\d+\.\d+\nattention kernels: (baseline|avx2|avx512)\nGPU: (none, )?[^\n]+\n\Z")
        self.assertEqual(err, "")

    def test_usage_errors(self):
        self.assertEqual(self.usage_error(), "a command is required.")
        self.assertEqual(self.usage_error("fly"), 'there is no command "fly".')
        self.assertEqual(self.usage_error("fly", "--high"), 'there is no command "fly".')
        self.assertIn("--high", self.usage_error("--high"))
        self.assertIn("--high", self.usage_error("tokenize", "model", "--high"))
        self.assertIn("more", self.usage_error("tokenize", "model", "more"))
        self.assertIn("MODEL", self.usage_error("tokenize"))

    def test_closed_standard_files_are_not_taken_by_others(self):
        # Were stdout simply closed, the first file opened (tokenizer.json, a shard) would become stdout.
        model = write_model(self.dir / "model")
        command = f"'{self.PROGRAM}' tokenize '{model}' >&- 2>&- <&-"
        self.assertEqual(subprocess.run(["sh", "-c", command], timeout=60).returncode, 0)

    def test_a_full_disk_is_an_error(self):
        model = write_model(self.dir / "model")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([self.PROGRAM, "tokenize", model], input=b'{"text": "a"}', stdout=full,
                                  stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.decode(),
                         "longgen: error: stdout: cannot be written: No space left on device.\n")


class TokenizeTest(CliCase):
    def setUp(self):
        super().setUp()
        self.model = write_model(self.dir / "model", begin=True)

    def encode(self, *texts, options=()):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        out, err = self.run_program("tokenize", self.model, *options, stdin=lines)
        self.assertEqual(err, "")
        return [json.loads(line)["ids"] for line in out.splitlines()]

    def decode(self, *lists, options=()):
        lines = "".join(json.dumps({"ids": ids}) + "\n" for ids in lists)
        out, _ = self.run_program("tokenize", self.model, "--decode", *options, stdin=lines)
        return [json.loads(line)["text"] for line in out.splitlines()]

    def test_round_trip(self):
        texts = ["the cat", "", "thé 日本 👍\n\t\"\\ \u0000", "<|end|>", "a" * 100000]
        lists = self.encode(*texts)
        self.assertEqual(lists[0], [257, *b" cat"])
        self.assertEqual(lists[1], [])
        self.assertEqual(self.decode(*lists), texts)

    def test_special_tokens_only_on_request(self):
        text = "a<|end|>b"
        self.assertEqual(self.encode(text), [list(text.encode())])
        self.assertEqual(self.encode(text, options=["--special"]), [[258, ord("a"), END, ord("b")]])
        ids = [258, ord("a"), END]
        self.assertEqual(self.decode(ids), ["a"])
        self.assertEqual(self.decode(ids, options=["--special"]), ["<|begin|>a<|end|>"])

    def test_half_characters_become_replacement_characters(self):
        self.assertEqual(self.decode([0xE2, 0x82], [0xFF, 65]), ["\ufffd", "\ufffdA"])

    def test_lines(self):
        # Blank lines count but give nothing; other fields are ignored; the last line needs no line break.
        out, _ = self.run_program("tokenize", self.model,
                                  stdin='{"text": "a", "id": 7}\r\n\n  \t\r\n{"x": [1], "text": "b"}')
        self.assertEqual(out, '{"ids":[97]}\n{"ids":[98]}\n')
        self.assertEqual(self.run_program("tokenize", self.model), ("", ""))

    def test_bad_lines_name_line_and_reason(self):
        good = '{"text": "a"}\n\n'
        cases = [('{"text": "a}', 'stdin:3: not valid JSON at column 13: the text ends in the middle: a string has no closing '
                                  'quote (").'),
                 ("{", "stdin:3: not valid JSON"), ('{"text": "a"} x', "stdin:3: not valid JSON"),
                 ("[1]", "stdin:3: expected an object, found [1]"), ("{}", "stdin:3: field text is missing"),
                 ('{"text": 5}', "stdin:3: field text: expected a string, found 5"),
                 ('{"text": null}', "stdin:3: field text: expected a string, found null"),
                 ('{"text": "a", "text": "b"}', 'stdin:3: the key "text" stands twice'),
                 ('{"text": "\\ud800"}', "stdin:3: not valid JSON"),
                 ("[" * 100000, "stdin:3: JSON nested deeper than 64"),
                 (b'{"text": "\xff"}', "stdin:3: not valid JSON")]
        for line, reason in cases:
            data = good.encode() + (line if isinstance(line, bytes) else line.encode()) + b"\n" + good.encode()
            message, out = self.error("tokenize", self.model, stdin=data)
            self.assertTrue(message.startswith(reason), message)
            self.assertEqual(out, '{"ids":[97]}\n', "what came before is answered")

    def test_messages_do_not_reach_into_the_terminal(self):
        _, err = self.run_program("tokenize", self.model, stdin=b'{"text": "a"} \x1b[31m\xff', code=1)
        self.assertTrue(err.startswith("longgen: error: stdin:1: not valid JSON"), err)
        self.assertEqual([c for c in err if ord(c) < 32 and c != "\n"], [])

    def test_bad_ids_name_line_and_reason(self):
        cases = [('{"ids": "a"}', "stdin:1: field ids: expected a list of integers"),
                 ('{"ids": [1, -1]}', "stdin:1: field ids: expected a list of integers from 0"),
                 ('{"ids": [1.0]}', "stdin:1: field ids: expected a list of integers"),
                 ('{"ids": [99999999999999999999]}', "stdin:1: field ids: expected a list of integers"),
                 ('{"ids": [18446744073709551615]}', "stdin:1: field ids: expected a list of integers"),
                 ('{"ids": [260]}', "stdin:1: field ids: [tokenizer] expected an id of the vocabulary (260 ids)"),
                 ('{"text": "a"}', "stdin:1: field ids is missing")]
        for line, reason in cases:
            message, _ = self.error("tokenize", self.model, "--decode", stdin=line)
            self.assertTrue(message.startswith(reason), message)

    def test_a_model_without_tokenizer(self):
        message, _ = self.error("tokenize", self.dir / "nothing")
        self.assertEqual(message, f"{self.dir}/nothing: expected a model directory, found nothing of this name.")
        (self.dir / "bad").mkdir()
        self.put("bad/tokenizer.json", "{")
        message, _ = self.error("tokenize", self.dir / "bad")
        self.assertIn("bad/tokenizer.json: not valid JSON", message)

    def test_nobody_reads_the_output(self):
        # Far more than a pipe holds, so that the program is still writing when the reader goes.
        lines = (json.dumps({"text": "x" * 1000}) + "\n").encode() * 2000
        path = self.put("lines.jsonl", lines)
        with open(path, "rb") as stdin:
            process = subprocess.Popen([self.PROGRAM, "tokenize", self.model], stdin=stdin, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
        first = process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=60), 0)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        self.assertEqual(len(json.loads(first)["ids"]), 1000)

    def test_each_line_is_answered_at_once(self):
        process = subprocess.Popen([self.PROGRAM, "tokenize", self.model], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        for text in ["a", "the", "b"]:
            process.stdin.write((json.dumps({"text": text}) + "\n").encode())
            process.stdin.flush()
            self.assertTrue(select.select([process.stdout], [], [], 60)[0], "no answer within a minute")
            json.loads(os.read(process.stdout.fileno(), 1000))
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b"")
        self.assertEqual(process.wait(timeout=60), 0)
        process.stdout.close()

    def test_a_line_over_the_limit(self):
        path = self.put("long.jsonl", '{"text": "a"}\n')
        with open(path, "ab") as file:
            file.truncate(14 + 2**30 + 1)  # zeros that take no room on the disk
        with open(path, "rb") as stdin:
            done = subprocess.run([self.PROGRAM, "tokenize", self.model], stdin=stdin, capture_output=True,
                                  timeout=300)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b'{"ids":[97]}\n')
        self.assertEqual(done.stderr.decode(), "longgen: error: stdin:2: expected a line of at most 1.00 GiB, found a "
                                               "longer one. Divide the text.\n")

    def peak_memory(self, num_lines):
        # Line by line: a new process counts what Python held when it was made as its own peak.
        line = json.dumps({"text": "the cat sat " * 800}) + "\n"
        path = self.dir / "many.jsonl"
        with open(path, "w") as file:
            for _ in range(num_lines):
                file.write(line)
        with open(path, "rb") as stdin:
            process = subprocess.Popen([self.PROGRAM, "tokenize", self.model], stdin=stdin,
                                       stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return usage.ru_maxrss * 1024

    def test_memory_does_not_grow_with_the_input(self):
        small, large = self.peak_memory(100), self.peak_memory(4000)  # 1 MB and 38 MB
        self.assertLess(large - small, 8e6)


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
