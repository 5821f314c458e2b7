"""The files beside tokenizer.json against transformers: which tokens they add, with which ids and settings.

    oracle_config_test.py ORACLE_TOOL
"""

import json
import os
import pathlib
import sys
import tempfile
import unittest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from transformers import AutoTokenizer  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "e2e"))
import tiny_model  # noqa: E402
from oracle_tool import ask  # noqa: E402

TOOL = ""
LAST = tiny_model.END  # the largest id of the tokenizer
TEXTS = ["", "a <|x|> b<|y|> c", "  <|x|>  <|x|> ", "<|y|><|end|>  <|begin|> the", "é<|z|>\n <|x|>", "A b , c ."]


def token(content, **settings):
    return {"content": content, "special": True, "normalized": False, "lstrip": False, "rstrip": False,
            "single_word": False} | settings


def decoder(*tokens):
    return {"added_tokens_decoder": {str(LAST + 1 + i): one for i, one in enumerate(tokens)}}


# Files beside tokenizer.json, and changes of it.
CASES = {
    "nothing": {},
    "decoder": {"tokenizer_config": decoder(token("<|x|>"), token("<|y|>", special=False))},
    "decoder, content only": {"tokenizer_config": decoder({"content": "<|x|>"})},
    "decoder, strips": {"tokenizer_config": decoder(token("<|x|>", lstrip=True), token("<|y|>", rstrip=True))},
    "decoder, known token, other settings": {
        "tokenizer_config": {"added_tokens_decoder": {str(LAST): token("<|end|>", lstrip=True, rstrip=True)}}},
    "decoder, known token, not special": {
        "tokenizer_config": {"added_tokens_decoder": {str(LAST): token("<|end|>", special=False)}}},
    "decoder, out of order": {
        "tokenizer_config": {"added_tokens_decoder": {str(LAST + 2): token("<|x|>"), str(LAST + 1): token("<|y|>")}}},
    "decoder and names": {"tokenizer_config": decoder(token("<|x|>", special=False)) |
                          {"pad_token": "<|x|>", "mask_token": "<|y|>"}},
    "named": {"tokenizer_config": {"pad_token": "<|x|>", "bos_token": "<|begin|>"}},
    "named, empty": {"tokenizer_config": {"bos_token": "", "eos_token": "", "pad_token": "<|x|>"}},
    "named, of the vocabulary": {"tokenizer_config": {"pad_token": "b"}},
    "named, typed": {"tokenizer_config": {"pad_token": token("<|x|>", lstrip=True) | {"__type": "AddedToken"}}},
    "other names": {"tokenizer_config": {"z_token": "<|x|>", "a_token": "<|y|>", "mask_token": "<|z|>"}},
    "extra dictionary": {"tokenizer_config": {"extra_special_tokens": {"image_token": "<|x|>"}}},
    "additional": {"tokenizer_config": {"additional_special_tokens": ["<|x|>", "<|end|>", "<|y|>"]}},
    "extra, typed": {"tokenizer_config": {"extra_special_tokens": [
        "<|x|>", {"content": "<|y|>", "lstrip": True, "__type": "AddedToken"}]}},
    "map": {"special_tokens_map": {"pad_token": "<|x|>", "additional_special_tokens": ["<|y|>"]}},
    "map, settings": {"special_tokens_map": {"pad_token": {"content": "<|x|>", "lstrip": True, "normalized": False,
                                                           "rstrip": False, "single_word": False}}},
    "map over names": {"tokenizer_config": {"pad_token": "<|y|>"}, "special_tokens_map": {"pad_token": "<|x|>"}},
    "map beside a decoder": {"tokenizer_config": decoder(token("<|x|>")), "special_tokens_map": {"pad_token": "<|y|>"}},
    "added_tokens": {"added_tokens": {"<|y|>": LAST + 2, "<|x|>": LAST + 1}},
    "added_tokens, named": {"added_tokens": {"<|x|>": LAST + 1}, "tokenizer_config": {"pad_token": "<|x|>"}},
    "added_tokens beside a decoder": {"added_tokens": {"<|y|>": LAST + 2}, "tokenizer_config": decoder(token("<|x|>"))},
    "adds BOS": {"tokenizer_config": {"add_bos_token": True, "bos_token": "<|begin|>"}},
    "adds no BOS": {"tokenizer_config": {"add_bos_token": False, "bos_token": "<|begin|>"}, "begin": True},
    "spaces": {"tokenizer_config": {"add_prefix_space": True, "clean_up_tokenization_spaces": True}},
    "truncation": {"tokenizer": {"truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst",
                                                "stride": 0}}},
    "padding": {"tokenizer": {"padding": {"strategy": {"Fixed": 20}, "direction": "Right", "pad_to_multiple_of": None,
                                          "pad_id": 0, "pad_type_id": 0, "pad_token": "<|end|>"}}},
}


class ConfigTest(unittest.TestCase):
    def directory(self, begin=False, tokenizer=None, **files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name)
        files["tokenizer_config"] = {"tokenizer_class": "PreTrainedTokenizerFast"} | files.get("tokenizer_config", {})
        tiny_model.write_model(path, begin, config={"model_type": "llama"}, **files)
        if tokenizer is not None:
            text = tiny_model.tokenizer_json(begin) | tokenizer
            (path / "tokenizer.json").write_text(json.dumps(text))
        return path

    def test_ids_and_text_are_those_of_transformers(self):
        for name, files in CASES.items():
            path = self.directory(**files)
            theirs = AutoTokenizer.from_pretrained(path)
            for text, ours in zip(TEXTS, ask(TOOL, ["encode", path], TEXTS)):
                with self.subTest(name, text=text):
                    ids = theirs(text)["input_ids"]
                    self.assertEqual(ours["ids"], ids)
                    self.assertEqual(ours["text"], theirs.decode(ids, skip_special_tokens=True))
                    self.assertEqual(ask(TOOL, ["decode", path], [ids]), [theirs.decode(ids)])

    def test_ids_without_a_token_stand_for_nothing(self):
        path = self.directory(tokenizer={"added_tokens": [token("<|x|>") | {"id": LAST + 5}]})
        tokens = {"a": 97, "nothing": LAST + 2, "x": LAST + 5}
        # Theirs counts ids on from the vocabulary's end, so the holes are compared with other ids.
        theirs = AutoTokenizer.from_pretrained(path)
        self.assertEqual(ask(TOOL, ["decode", path], [[tokens["a"], tokens["nothing"], tokens["a"], tokens["x"]]]),
                         [theirs.decode([97, 5000, 97]) + "<|x|>"])


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
