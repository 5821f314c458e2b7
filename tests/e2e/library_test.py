"""liblonggen.so gives what the program prints: the same texts, replies and log-probabilities.

Usage: library_test.py PROGRAM LIBRARY_TOOL
"""

import json
import subprocess
import sys
import unittest

from cli_case import CliCase
from tiny_model import write_tiny_llama

CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
          "+ '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
TEXTS = ["the theory of them", "grüße"]


class LibraryTest(CliCase):
    TOOL = ""

    def setUp(self):
        super().setUp()
        self.model = self.dir / "model"
        write_tiny_llama(self.model, context=512)
        (self.model / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML}))

    def library(self, *arguments, code=0):
        done = subprocess.run([self.TOOL, *map(str, arguments)], capture_output=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return done.stdout, done.stderr.decode()

    def program(self, *arguments, stdin=""):
        done = subprocess.run([self.PROGRAM, *map(str, arguments)], input=stdin.encode(), capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def test_texts_are_those_of_generate(self):
        for temperature in "0", "1.5":
            expected = self.program("generate", self.model, "--prompt", TEXTS[0], "--temperature", temperature,
                                    "--max-tokens", 24, "--dtype", "float32")
            self.assertGreater(len(expected), 8)
            text, messages = self.library(self.model, "generate", TEXTS[0], temperature)
            self.assertEqual(text, expected)
            self.assertEqual(messages, "")

    def test_replies_are_those_of_chat(self):
        expected = self.program("chat", self.model, "--system", "brief", "--max-tokens", 24, "--dtype", "float32",
                                stdin="\n".join(TEXTS) + "\n")
        self.assertEqual(self.library(self.model, "chat", "brief", *TEXTS)[0], expected)

    def test_log_probabilities_are_those_of_score(self):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
        expected = [json.loads(line)["logprobs"][1:]
                    for line in self.program("score", self.model, "--dtype", "float32", stdin=lines).splitlines()]
        found = [[float(word) for word in line.split()] for line in self.library(self.model, "score", *TEXTS)[0].splitlines()]
        self.assertEqual(found, expected)

    def test_errors_are_caught_as_errors_across_the_library(self):
        _, messages = self.library(self.dir, "generate", "a", 0, code=1)
        self.assertIn("config.json", messages)


if __name__ == "__main__":
    CliCase.PROGRAM, LibraryTest.TOOL = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
