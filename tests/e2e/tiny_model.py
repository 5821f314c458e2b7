"""A model directory with nothing but a small tokenizer, for tests of the program."""

import json
import pathlib

END = 259  # <|end|>


def byte_alphabet():
    """The character that stands for each byte in a byte-level tokenizer.json: itself if it can be seen, else one
    from U+0100 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) if byte in seen else chr(256 + hidden.index(byte)) for byte in range(256)}


def tokenizer_json(begin=False):
    """Byte b is token b; then "th" 256, "the" 257, and the special tokens <|begin|> 258 and <|end|> 259. With `begin`
    the post-processor puts <|begin|> before a text."""
    vocab = {char: byte for byte, char in byte_alphabet().items()} | {"th": 256, "the": 257}
    special = [{"id": 258 + i, "content": text, "special": True, "normalized": False, "single_word": False,
                "lstrip": False, "rstrip": False} for i, text in enumerate(["<|begin|>", "<|end|>"])]
    template = [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}] if begin else []
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": {
            "type": "TemplateProcessing", "single": template + [text], "pair": [text],
            "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [258], "tokens": ["<|begin|>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocab, "merges": ["t h", "th e"]}}


def write_model(directory, begin=False, **files):
    """Writes tokenizer.json and, from keywords, others: config={"eos_token_id": 259} becomes config.json."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    files["tokenizer"] = tokenizer_json(begin)
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory
