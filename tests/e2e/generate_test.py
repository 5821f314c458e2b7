"""longgen generate and score: what of a file is the prompt, and the limits of context and vocabulary."""

import json
import os
import sys
import unittest

from cli_case import CliCase
from tiny_model import VOCAB, write_tiny_llama


class GenerateCase(CliCase):
    def setUp(self):
        super().setUp()
        write_tiny_llama(self.dir / "model")

    def generate(self, *options, max_tokens=4, stdin=""):
        out, err = self.run_program("generate", self.dir / "model", "--json", "--max-tokens", max_tokens, *options,
                                    stdin=stdin)
        return json.loads(out), err


class Prompts(GenerateCase):
    def test_marks_of_windows_are_no_part_of_a_file(self):
        clean, _ = self.generate("--prompt-file", self.put("clean.txt", "one\ntwo\r three\n"))
        self.assertEqual(clean["prompt_tokens"], 14)
        windows = b"\xef\xbb\xbfone\r\ntwo\r three\r\n"  # a CR alone stays
        for options, stdin in [(["--prompt-file", self.put("windows.txt", windows)], b""),
                               (["--prompt-file", "-"], windows), ([], windows)]:
            found, _ = self.generate(*options, stdin=stdin)
            self.assertEqual((found["prompt_tokens"], found["ids"]), (clean["prompt_tokens"], clean["ids"]))

    def test_an_argument_stays_as_it_is(self):
        found, _ = self.generate("--prompt", "\ufeffone\r\n")
        self.assertEqual(found["prompt_tokens"], 8)

    def test_utf16_is_an_error(self):
        message, _ = self.error("generate", self.dir / "model", "--prompt-file",
                                self.put("wide.txt", "one".encode("utf-16")))
        self.assertEqual(message, f"{self.dir}/wide.txt: expected UTF-8, found UTF-16. Save the text as UTF-8.")

    def test_a_mark_alone_is_an_empty_prompt(self):
        message, _ = self.error("generate", self.dir / "model", "--prompt-file", self.put("mark.txt", b"\xef\xbb\xbf"))
        self.assertIn("the prompt is empty", message)


class Context(GenerateCase):
    def warnings(self, *options, max_tokens=4):
        return [line for line in self.generate(*options, max_tokens=max_tokens)[1].splitlines() if "context" in line]

    def test_a_prompt_beyond_it(self):
        self.assertEqual(self.warnings("--prompt", "x" * 256, max_tokens=1), [])
        self.assertEqual(self.warnings("--prompt", "x" * 300), [
            "warning: the text has 300 tokens, more than the model's context of 256. It was not trained on so long "
            "ones: what it writes from there on gets worse, and may make no sense."])

    def test_a_text_that_grows_beyond_it(self):
        self.assertEqual(len(self.warnings("--prompt", "x" * 250, "--ignore-eos", max_tokens=20)), 1)

    def test_a_model_that_was_extended(self):
        self.run_program("convert", self.dir / "model", self.dir / "hybrid", "--context", 512)
        _, err = self.run_program("generate", self.dir / "hybrid", "--prompt", "x" * 600, "--max-tokens", 1)
        self.assertIn("600 tokens, more than the model's context of 512, 256 before it was extended.", err)

    def test_sparse_layers_that_keep_the_original_rope(self):
        out, _ = self.run_program("convert", self.dir / "model", self.dir / "hybrid", "--context", 512, "--sparse-rope",
                                  "original", "--sparse", "sink=1,window=1")
        self.assertIn("; base 10,000 in sparse layers\n", out)
        base = json.loads((self.dir / "hybrid/config.json").read_text())["longgen"]["sparse_rope"]
        self.assertEqual(base, {"rope_theta": 10000.0, "rope_type": "default"})
        texts = {self.run_program("generate", self.dir / "hybrid", "--prompt", "word " * 60, "--max-tokens", 8,
                                  "--temperature", 0, "--ignore-eos", "--chunk", chunk)[0] for chunk in (16, 300)}
        self.assertEqual(len(texts), 1, "the cache turns as one pass over the whole text does")


class Vocabulary(GenerateCase):
    """A model whose embedding has more rows than its tokenizer has tokens."""

    def setUp(self):
        super().setUp()
        tokenizer = json.loads((self.dir / "model/tokenizer.json").read_text())
        tokenizer["added_tokens"] = []
        tokenizer["post_processor"] = None
        (self.dir / "model/tokenizer.json").write_text(json.dumps(tokenizer))  # ids 0 to 257
        config = json.loads((self.dir / "model/config.json").read_text())
        config["eos_token_id"] = None
        (self.dir / "model/config.json").write_text(json.dumps(config))

    def test_generate_and_score_name_no_id_without_a_token(self):
        found, _ = self.generate("--prompt", "hello", "--temperature", 5, max_tokens=400)
        self.assertEqual(len(found["ids"]), 400)
        self.assertLess(max(found["ids"]), 258)
        out, _ = self.run_program("score", self.dir / "model", "--top", 1000, stdin='{"text": "hello"}\n')
        for top in json.loads(out)["top"][1:]:
            self.assertEqual(sorted(id for id, _ in top), list(range(258)))
        out, _ = self.run_program("score", self.dir / "model", stdin=json.dumps({"ids": [1, VOCAB - 1]}) + "\n")
        self.assertEqual(len(json.loads(out)["logprobs"]), 2, "its own logarithm is given where it is asked for")


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
