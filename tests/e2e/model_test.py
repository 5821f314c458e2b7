"""`longgen import`, `convert`, `info` and `plan` on model directories as users have them.

    model_test.py PROGRAM
"""

import json
import os
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile
import unittest

from cli_case import CliCase
from tiny_model import VOCAB, WIDTH, write_tiny_llama


def limited(num_bytes):
    """What a process calls first so that no file of its gets longer."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


class ModelCase(CliCase):
    def setUp(self):
        super().setUp()
        self.model = self.dir / "model"
        write_tiny_llama(self.model)

    def config(self, **changes):
        """config.json of the model, after changes."""
        file = self.model / "config.json"
        config = json.loads(file.read_text()) | changes
        file.write_text(json.dumps(config))
        return config

    def written(self, name):
        return json.loads((self.dir / name / "config.json").read_text())

    def generated(self, model):
        return self.run_program("generate", model, "--prompt", "the cat", "--max-tokens", "12", "--ignore-eos")[0]


class FullDiskTest(ModelCase):
    """A limit on the length of files stands in for a full disk: writing fails in the middle alike."""

    EXPECTED = (r"^longgen: error: .*model\.safetensors: cannot be written: File too large after 29\.3 KiB\. What stood "
                r"there before is unchanged\.$")

    def failing(self, *arguments):
        done = subprocess.run([self.PROGRAM, *map(str, arguments)], capture_output=True, timeout=300,
                              preexec_fn=limited(30_000))
        self.assertEqual(done.returncode, 1, done.stderr.decode())
        return done.stderr.decode().splitlines()[-1]

    def test_import_says_so_and_leaves_nothing(self):
        message = self.failing("import", self.model, self.dir / "out", "--quiet")
        self.assertRegex(message, self.EXPECTED)
        self.assertEqual(self.names(), ["model"])

    def test_an_output_that_was_there_stays(self):
        self.put("out/precious", "kept")
        self.failing("import", self.model, self.dir / "out", "--force", "--quiet")
        self.assertEqual((self.dir / "out/precious").read_text(), "kept")
        self.assertEqual(self.names(), ["model", "out"])

    def test_convert_says_so_and_leaves_nothing(self):
        # Files are linked on one file system, so that the model has to stand on another one.
        shared = pathlib.Path("/dev/shm")
        if not os.access(shared, os.W_OK) or shared.stat().st_dev == self.dir.stat().st_dev:
            self.skipTest("no second file system at /dev/shm")
        with tempfile.TemporaryDirectory(dir=shared) as folder:
            model = pathlib.Path(folder) / "model"
            write_tiny_llama(model)
            self.put("out/precious", "kept")
            message = self.failing("convert", model, self.dir / "out", "--force")
        self.assertRegex(message, self.EXPECTED)
        self.assertEqual((self.dir / "out/precious").read_text(), "kept")
        self.assertEqual(self.names(), ["model", "out"])


class LimitsTest(ModelCase):
    def refused(self, *options):
        """The message of a convert that must leave an OUT that was there as it is."""
        self.put("out/precious", "kept")
        message, _ = self.error("convert", self.model, self.dir / "out", "--force", *options)
        self.assertEqual((self.dir / "out/precious").read_text(), "kept")
        self.assertEqual(self.names(), ["model", "out"])
        return message

    def test_what_no_command_could_open_is_not_written(self):
        base = "[convert] RoPE base: expected a number from 1.0001 to 1e+15, found "
        self.assertEqual(self.refused("--rope-base", "1e16"), base + "1e+16.")
        self.assertEqual(self.refused("--rope-base", "1.0000000001"), base + "1.0000000001.")
        self.assertEqual(self.refused("--context", "5G"),
                         "[convert] context: expected at most 1,073,741,824 tokens, found 5,368,709,120.")

    def test_the_limits_themselves_are_opened(self):
        for name, options in {"low": ("--rope-base", "1.0001"), "high": ("--rope-base", "1e15"),
                              "long": ("--context", "1G", "--rope-base", "keep")}.items():
            self.run_program("convert", self.model, self.dir / name, *options)
            self.run_program("info", self.dir / name)
            self.run_program("plan", self.dir / name, "--context", "4K")
            self.generated(self.dir / name)


class TiedHeadTest(ModelCase):
    def test_a_head_with_other_numbers_is_used(self):
        expected = self.generated(self.model)
        untied = json.loads(self.run_program("info", self.model, "--json")[0])
        self.config(tie_word_embeddings=True)  # as a merged adapter leaves it
        self.assertEqual(self.generated(self.model), expected)
        info = json.loads(self.run_program("info", self.model, "--json")[0])
        self.assertEqual(info["parameters"], untied["parameters"])
        self.assertEqual(info["parameters"]["head"], VOCAB * WIDTH)
        plan = self.run_program("plan", self.model, "--json")[0]
        self.config(tie_word_embeddings=False)
        self.assertEqual(plan, self.run_program("plan", self.model, "--json")[0])
        self.config(tie_word_embeddings=True)
        for command in ("import", "convert"):
            options = ("--layers", "all") if command == "convert" else ()
            self.run_program(command, self.model, self.dir / command, *options)
            self.assertIs(self.written(command)["tie_word_embeddings"], False)
            self.assertEqual(self.generated(self.dir / command), expected)


class WindowTest(ModelCase):
    """The model as a Mistral with a sliding window of 20 tokens."""

    def setUp(self):
        super().setUp()
        self.config(model_type="mistral", sliding_window=20)

    def layers(self, model):
        lines = self.run_program("info", model)[0].splitlines()
        return next(line.split(None, 1)[1] for line in lines if line.startswith("layers"))

    def test_info_names_the_window_and_import_keeps_it(self):
        self.assertEqual(self.layers(self.model), "windows of 20 tokens 0-2 (3 of 3)")
        self.run_program("import", self.model, self.dir / "out", "--quiet")
        self.assertEqual(self.written("out")["sliding_window"], 20)
        self.assertEqual(self.layers(self.dir / "out"), "windows of 20 tokens 0-2 (3 of 3)")
        layers = json.loads(self.run_program("info", self.model, "--json")[0])["layers"]
        self.assertEqual(layers, {"full_layers": [], "pattern": None,
                                  "other_classes": [{"pattern": "window_tokens=20", "layers": [0, 1, 2]}]})

    def test_the_window_changes_the_text_and_chunks_do_not(self):
        def text(*options):
            return self.run_program("generate", self.model, "--prompt", "the cat sat on the mat and so on, and on",
                                    "--max-tokens", "60", "--ignore-eos", "--dtype", "float32", *options)[0]

        windowed = text()
        self.assertEqual(text("--chunk", "7"), windowed)
        self.config(sliding_window=None)
        self.assertNotEqual(text(), windowed)

    def test_convert_replaces_windows_that_every_layer_has(self):
        out = self.run_program("convert", self.model, self.dir / "out", "--layers", "1", "--context", "1K")[0]
        self.assertIn("layers      full 1 (1 of 3), sparse the others: sink=1,window=16,stride=0\n", out)
        self.assertIsNone(self.written("out")["sliding_window"])
        plan = self.run_program("plan", self.dir / "out")[0]
        self.assertIn("hybrid: full layers 1 (1 of 3), the others sink=1,window=16,stride=0; keeps ", plan)


class ImportTest(ModelCase):
    def refused(self, *options):
        message, _ = self.error("import", self.model, self.dir / "out", "--quiet", *options)
        self.assertEqual(self.names(), ["model"])
        return message

    def test_a_missing_tokenizer_is_told_before_the_weights_are_written(self):
        (self.model / "tokenizer.json").unlink()
        # Were the weights written first, the limit would be the error.
        done = subprocess.run([self.PROGRAM, "import", self.model, self.dir / "out", "--quiet"], capture_output=True,
                              timeout=60, preexec_fn=limited(1000))
        self.assertEqual(done.stderr.decode(),
                         f"longgen: error: {self.model}/tokenizer.json: no such file. longgen reads this form of the "
                         "tokenizer only; transformers writes it: "
                         "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR).\n")

    def test_rope_that_says_two_things(self):
        self.config(rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
                    rope_scaling={"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64})
        expected = (f"{self.model}/config.json: field rope_scaling: says another RoPE than rope_parameters. "
                    "transformers 4 reads the one, 5 the other: remove the one that is wrong (null), and give "
                    "rope_theta in what remains.")
        self.assertEqual(self.refused(), expected)
        self.assertEqual(self.error("info", self.model)[0], expected)

    def test_a_part_of_a_head_that_rotates(self):
        self.config(partial_rotary_factor=0.5)
        self.assertEqual(self.refused(), f"{self.model}/config.json: field partial_rotary_factor: expected 1, which "
                                         "changes nothing, found 0.5. longgen would run the model without it, and "
                                         "wrongly.")

    def test_numbers_too_large_for_float16(self):
        file = self.model / "model.safetensors"
        data = bytearray(file.read_bytes())
        data[-4:] = struct.pack("<f", 1e5)  # of the last tensor
        file.write_bytes(data)
        self.assertIn(": 1 number is too large for float16. Use --dtype bfloat16, which has the range of float32, or "
                      "float32.", self.refused("--dtype", "float16"))
        self.run_program("import", self.model, self.dir / "out", "--dtype", "bfloat16")

    def test_fields_that_longgen_does_not_know_are_named(self):
        self.config(new_gate=0.5)
        warning = (f'warning: {self.model}/config.json: longgen does not know "new_gate" and runs the model without. '
                   "If that changes what the model computes, results differ.\n")
        for command in (["import", self.model, self.dir / "a", "--quiet"], ["convert", self.model, self.dir / "b"],
                        ["info", self.model], ["generate", self.model, "--prompt", "a", "--max-tokens", "1"]):
            self.assertIn(warning, self.run_program(*command)[1], command[0])


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
