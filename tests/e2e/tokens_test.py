"""Tokens that stand in other files than tokenizer.json, that the model has not, or that nobody has; tokenizers of GGUF
files.

    tokens_test.py PROGRAM
"""

import json
import os
import struct
import sys
import unittest

from cli_case import CliCase
from tiny_model import END, FFN, VOCAB, WIDTH, byte_alphabet, recipe_text, tokenizer_json, write_tiny_llama

CPU = ["--device", "cpu", "--dtype", "float32"]


def added(id, content, special=True):
    return {"id": id, "content": content, "special": special, "normalized": False, "single_word": False,
            "lstrip": False, "rstrip": False}


class TokensTest(CliCase):
    def setUp(self):
        super().setUp()
        self.model = self.dir / "model"
        write_tiny_llama(self.model)

    def change_tokenizer(self, **fields):
        (self.model / "tokenizer.json").write_text(json.dumps(tokenizer_json() | fields))

    def add_pad(self):
        """More tokens than rows of the embedding."""
        self.change_tokenizer(added_tokens=tokenizer_json()["added_tokens"] + [added(VOCAB, "<pad>")])

    def generate(self, *options):
        out, _ = self.run_program("generate", self.model, "--prompt", "the cat", "--max-tokens", "20", "--ignore-eos",
                                  "--json", *CPU, *options)
        return json.loads(out)

    def score(self, line, *options):
        return self.run_program("score", self.model, *CPU, *options, stdin=json.dumps(line))

    def test_truncation_and_padding_mean_nothing(self):
        expected = self.generate()
        self.assertEqual(expected["prompt_tokens"], 5)
        self.change_tokenizer(
            truncation={"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            padding={"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                     "pad_type_id": 0, "pad_token": "<|end|>"})
        found = self.generate()
        self.assertEqual((found["ids"], found["prompt_tokens"]), (expected["ids"], 5))

    def test_a_tokenizer_with_more_tokens_than_the_model_runs(self):
        expected = self.generate()["ids"]
        self.add_pad()
        self.assertEqual(self.generate()["ids"], expected)
        plain, _ = self.score({"text": "a<pad>"})
        self.assertEqual(json.loads(plain)["ids"], list(b"a<pad>"), "ordinary text without --special")
        message, _ = self.error("score", self.model, "--special", *CPU, stdin='{"text": "a<pad>"}')
        self.assertEqual(message, f"[engine] token {VOCAB} is not in the model's vocabulary of {VOCAB}. A tokenizer "
                                  "may have tokens that its model has not (an added <pad>): leave them out.")
        message, _ = self.error("score", self.model, *CPU, stdin=json.dumps({"ids": [VOCAB]}))
        self.assertIn(f"field ids: expected a list of integers from 0 to {VOCAB - 1}", message)

    def test_prepare_and_a_token_that_the_model_has_not(self):
        self.add_pad()
        text = self.put("a.txt", "a <pad> b")
        self.run_program("prepare", text, self.dir / "out", "--model", self.model, "--held-out", "0")
        manifest = json.loads((self.dir / "out/manifest.json").read_text())
        self.assertEqual((manifest["tokenizer"]["vocab_size"], manifest["tokenizer"]["largest_id"]), (VOCAB + 1, END))
        message, _ = self.error("prepare", text, self.dir / "more", "--model", self.model, "--end-token", "<pad>")
        self.assertEqual(message, f"{self.model}/config.json: field vocab_size: the model has no id {VOCAB} (vocab_size "
                                  f"{VOCAB}), which the tokenizer gives to \"<pad>\", the token around documents. Name "
                                  "another with --begin-token and --end-token.")

    def test_training_takes_a_dataset_without_such_tokens(self):
        self.change_tokenizer(added_tokens=tokenizer_json()["added_tokens"] + [added(VOCAB, "<pad>", special=False)])
        for name, text in {"good": "the cat " * 40, "bad": "the <pad> " * 40}.items():
            self.run_program("prepare", self.put(name + ".txt", text), self.dir / name, "--model", self.model,
                             "--held-out", "0")
        good, bad = (self.put(f"{name}.toml", recipe_text(
            self.dir, data={"path": f"{self.dir}/{name}", "sequence_length": 64}, train={"steps": 1}))
            for name in ("good", "bad"))
        self.run_program("extend", good, "--quiet")
        self.assertTrue((self.dir / "run/model/model.safetensors").exists())
        message, _ = self.error("extend", bad, "--force")
        self.assertIn(f"the dataset has tokens up to {VOCAB}, but the model a vocabulary of {VOCAB}.", message)

    def test_an_id_without_a_token_ends_nothing(self):
        # Every byte's token but "b", whose id is now one that no token has.
        tokenizer = tokenizer_json()
        del tokenizer["model"]["vocab"]["b"]
        (self.model / "tokenizer.json").write_text(json.dumps(tokenizer))
        out, _ = self.run_program("tokenize", self.model, "--decode", stdin='{"ids": [97, 98, 99]}')
        self.assertEqual(json.loads(out), {"text": "ac"})
        self.assertEqual(len(self.generate("--temperature", "3")["ids"]), 20)

    def test_tokens_of_tokenizer_config(self):
        files = {"tokenizer_config.json": {"added_tokens_decoder": {str(VOCAB): {"content": "<think>", "special": False}},
                                           "pad_token": "<pad>"}}
        for name, content in files.items():
            (self.model / name).write_text(json.dumps(content))
        out, _ = self.run_program("tokenize", self.model, "--special", stdin='{"text": "a<think><pad>"}')
        self.assertEqual(json.loads(out), {"ids": [97, VOCAB, VOCAB + 1]})


def gguf_string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def write_tiny_gguf(path, pre):
    """A Llama of one layer, all weights zero, whose tokenizer has the bytes, "11" and "111"."""
    tokens = [char for _, char in sorted(byte_alphabet().items())] + ["11", "111", "<|begin_of_text|>"]
    u32, f32, text, array = 4, 6, 8, 9

    def strings(values):
        return struct.pack("<IQ", text, len(values)) + b"".join(map(gguf_string, values))

    keys = {"general.architecture": (text, gguf_string("llama")),
            "llama.attention.layer_norm_rms_epsilon": (f32, struct.pack("<f", 1e-5)),
            "tokenizer.ggml.model": (text, gguf_string("gpt2")),
            "tokenizer.ggml.tokens": (array, strings(tokens)),
            "tokenizer.ggml.merges": (array, strings(["1 1", "11 1"]))}
    for name, value in {"block_count": 1, "embedding_length": WIDTH, "feed_forward_length": FFN, "context_length": 64,
                        "attention.head_count": 4}.items():
        keys["llama." + name] = (u32, struct.pack("<I", value))
    keys["tokenizer.ggml.bos_token_id"] = (u32, struct.pack("<I", len(tokens) - 1))
    if pre is not None:
        keys["tokenizer.ggml.pre"] = (text, gguf_string(pre))
    square, wide = [WIDTH, WIDTH], [WIDTH, FFN]
    tensors = {"token_embd": [WIDTH, len(tokens)], "output_norm": [WIDTH], "blk.0.attn_norm": [WIDTH],
               "blk.0.ffn_norm": [WIDTH], "blk.0.attn_q": square, "blk.0.attn_k": square, "blk.0.attn_v": square,
               "blk.0.attn_output": square, "blk.0.ffn_gate": wide, "blk.0.ffn_up": wide, "blk.0.ffn_down": wide[::-1]}
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, (kind, value) in keys.items():
        header += gguf_string(name) + struct.pack("<I", kind) + value
    offset = 0
    for name, shape in tensors.items():
        header += gguf_string(name + ".weight") + struct.pack("<I", len(shape))
        header += struct.pack(f"<{len(shape)}QIQ", *shape, 0, offset)
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        offset += (4 * count + 31) // 32 * 32
    header += bytes(-len(header) % 32)
    path.write_bytes(header + bytes(offset))


class PreTokenizerTest(CliCase):
    def imported(self, pre, *options):
        path = self.dir / "m.gguf"
        write_tiny_gguf(path, pre)
        _, err = self.run_program("import", path, self.dir / "out", "--force", "--quiet", *options)
        out, _ = self.run_program("tokenize", self.dir / "out", stdin='{"text": "1111"}')
        return json.loads(out)["ids"], err

    def test_a_missing_name_is_a_warning_and_the_option_names_it(self):
        one, two, three = ord("1"), 256, 257
        ids, err = self.imported(None)
        self.assertEqual(ids, [two, two])
        self.assertIn("key tokenizer.ggml.pre is missing, so words are split as in GPT-2", err)
        self.assertIn("this one looks like Llama 3: import it with --pre-tokenizer llama-bpe.", err)
        self.assertEqual(self.imported(None, "--pre-tokenizer", "llama-bpe"), ([three, one], ""))
        self.assertEqual(self.imported("default", "--pre-tokenizer", "qwen2"), ([one] * 4, ""))
        self.assertEqual(self.imported("llama-v3"), ([three, one], ""))

    def test_unknown_names(self):
        write_tiny_gguf(self.dir / "m.gguf", "tekken")
        message, _ = self.error("import", self.dir / "m.gguf", self.dir / "out")
        self.assertIn('midm-2.0, dbrx, smaug-bpe, qwen2, deepseek-r1-qwen, kormo, megrez, stablelm2), found "tekken". If '
                      "one of them splits alike, name it: import --pre-tokenizer NAME.", message)
        message, _ = self.error("import", self.dir / "m.gguf", self.dir / "out", "--pre-tokenizer", "x")
        self.assertIn('found "x"', message)

    def test_the_option_is_for_gguf_files(self):
        write_tiny_llama(self.dir / "model")
        message, _ = self.error("import", self.dir / "model", self.dir / "out", "--pre-tokenizer", "qwen2")
        self.assertEqual(message, f"{self.dir}/model: --pre-tokenizer qwen2: only for GGUF files; a directory's "
                                  "tokenizer.json says itself how words are split. Leave the option out.")


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
