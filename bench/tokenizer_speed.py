"""Encoding speed on one thread: longgen against PyPI tokenizers, the same documents in the same run.

    tokenizer_speed.py ORACLE_TOOL [MEGABYTES [ROUNDS]]

Prints one line per tokenizer and kind of text: MB/s of the first and of the best round of each, and their ratio. Every
document's tokens are compared before anything is timed, so the first round of PyPI tokenizers is warm; ours is cold.
"""

import json
import os
import pathlib
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "unit" / "tokenizer"))

from tokenizers import Tokenizer  # noqa: E402

import oracle_corpus  # noqa: E402
import oracle_tokenizers as families  # noqa: E402
from oracle_tool import ask  # noqa: E402


def time_pypi(tokenizer, documents, rounds):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        tokenizer.encode_batch_fast(documents, add_special_tokens=False)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(tool, name, directory, texts, rounds):
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    for kind, documents in texts.items():
        tokenizer.encode_special_tokens = True
        expected = [e.ids for e in tokenizer.encode_batch(documents, add_special_tokens=False)]
        if [answer["plain"] for answer in ask(tool, ["encode", str(directory)], documents)] != expected:
            sys.exit(f"{name}, {kind}: the tokens differ, so the times mean nothing")
        tokenizer.encode_special_tokens = False
        size = oracle_corpus.size_of(documents) / 1e6
        theirs = time_pypi(tokenizer, documents, rounds)
        ours = ask(tool, ["time", str(directory), str(rounds)], documents)[0]["seconds"]
        print(f"{name:14} {kind:12} {size:5.1f} MB | longgen first {size / ours[0]:6.1f} best {size / min(ours):6.1f} MB/s"
              f" | tokenizers first {size / theirs[0]:5.1f} best {size / min(theirs):5.1f} MB/s"
              f" | {theirs[0] / ours[0]:5.1f}x first, {min(theirs) / min(ours):5.1f}x best", flush=True)


def main():
    tool = sys.argv[1]
    limit = int(float(sys.argv[2] if len(sys.argv) > 2 else 4) * 1e6)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    texts = {"books": oracle_corpus.books(limit), "code": oracle_corpus.code(limit),
             "translations": oracle_corpus.translations(limit)}
    sample = tuple(document for documents in texts.values() for document in documents[::8])
    with tempfile.TemporaryDirectory() as folder:
        made = {"GPT-2 style": families.gpt2(sample).to_str(), "Llama 3 style": families.llama3(sample).to_str(),
                "Qwen 2 style": families.qwen2(sample).to_str(), "PCRE2 pattern": families.o200k(sample).to_str(),
                "Llama 2 style": json.dumps(families.llama2_json(sample))}
        for name, text in made.items():
            directory = pathlib.Path(folder) / name.replace(" ", "_")
            directory.mkdir()
            (directory / "tokenizer.json").write_text(text)
            measure(tool, name, directory, texts, rounds)
        vocabulary = families.smollm2_vocabulary()
        if vocabulary is not None:
            directory = pathlib.Path(folder) / "smollm2"
            families.convert(tool, vocabulary, directory)
            measure(tool, "SmolLM2", directory, texts, rounds)


if __name__ == "__main__":
    main()
