"""Small model directories for tests of the program: a tokenizer alone, or a whole Llama with random weights."""

import json
import pathlib
import random
import struct

END = 259  # <|end|>
WIDTH, FFN, LAYERS, VOCAB = 32, 48, 3, 260  # of the Llama


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


def write_safetensors(path, shapes, seed, zero_rows=()):
    """Random weights; norms near 1. Rows (name, row) are 0."""
    generator = random.Random(seed)
    header, data = {}, b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        mean = 1.0 if len(shape) == 1 else 0.0
        values = [generator.gauss(mean, 0.08) for _ in range(count)]
        for row in (row for zero, row in zero_rows if zero == name):
            values[row * shape[1]:(row + 1) * shape[1]] = [0.0] * shape[1]
        values = struct.pack(f"<{count}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def documents_text(count):
    """So many documents of 80 words, in one text as `longgen prepare` divides it."""
    words = random.Random(2)
    return "\n<|endoftext|>\n".join(
        " ".join(words.choice(["the", "sea", "under", "a", "grey", "sky", "was", "calm"]) for _ in range(80))
        for _ in range(count))


def recipe_text(directory, **sections):
    """The text of a recipe for DIRECTORY/model, data and run: one full layer, two that see their own block. Keywords
    are sections with keys of their own, or others' values: train={"steps": 3}."""
    keys = {"model": {"path": f"{directory}/model", "output": f"{directory}/run"},
            "architecture": {"layers": "1", "sparse": "sink=0,window=1", "context": 512},
            "data": {"path": f"{directory}/data"},
            "train": {"learning_rate": 0.003, "threads": 1},
            "eval": {"every": 0}}
    lines = []
    for section in keys | sections:
        lines.append(f"[{section}]")
        values = keys.get(section, {}) | sections.get(section, {})
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def write_tiny_llama(directory, seed=1, head_size=8, context=256, ends=True):
    """4 heads on 2 KV heads. Unless it `ends`, <|end|> is never the likeliest token."""
    write_model(directory, config={
        "model_type": "llama", "num_hidden_layers": LAYERS, "hidden_size": WIDTH, "intermediate_size": FFN,
        "vocab_size": VOCAB, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": head_size,
        "max_position_embeddings": context, "rope_theta": 10000.0, "eos_token_id": END})
    q_rows, k_rows = 4 * head_size, 2 * head_size
    shapes = {"model.embed_tokens.weight": [VOCAB, WIDTH], "lm_head.weight": [VOCAB, WIDTH],
              "model.norm.weight": [WIDTH]}
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        shapes |= {layer + "input_layernorm.weight": [WIDTH], layer + "post_attention_layernorm.weight": [WIDTH],
                   layer + "self_attn.q_proj.weight": [q_rows, WIDTH], layer + "self_attn.k_proj.weight": [k_rows, WIDTH],
                   layer + "self_attn.v_proj.weight": [k_rows, WIDTH], layer + "self_attn.o_proj.weight": [WIDTH, q_rows],
                   layer + "mlp.gate_proj.weight": [FFN, WIDTH], layer + "mlp.up_proj.weight": [FFN, WIDTH],
                   layer + "mlp.down_proj.weight": [WIDTH, FFN]}
    write_safetensors(directory / "model.safetensors", shapes, seed, () if ends else [("lm_head.weight", END)])
