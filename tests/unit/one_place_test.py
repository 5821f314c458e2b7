"""Holds what must stand in one place of the code to that place.

Usage: one_place_test.py REPOSITORY
A tensor of a layer, a family and the number of a device are each known to one file under longgen/: whoever adds one then
finds all there is. Comments may name them, strings and code may not. The test first checks itself on a made-up tree.
"""

import pathlib
import re
import sys
import tempfile

FAMILY_TABLE = "model/family.cpp"


def rules(root):
    """Yields what, its pattern, the file under longgen/ that may hold it, and those that may for another reason."""
    table = (root / "longgen" / FAMILY_TABLE).read_text(encoding="utf-8")
    families = set(re.findall(r'\.(?:name|gguf_architecture) = "(\w+)"', table))
    assert "llama" in families, f"{FAMILY_TABLE}: the rows of the table were not found, but {families}"
    yield ("a tensor of a layer in a Hugging Face or GGUF file",
           r"\b(?:[qkvo]_proj|qkv_proj|gate_proj|up_proj|down_proj|gate_up_proj|input_layernorm|post_attention_layernorm"
           r"|(?:pre|post)_feedforward_layernorm|attn_[qkv]|attn_output|ffn_(?:gate|up|down)|post_ffw_norm)\b",
           "model/tensors.cpp", {})
    yield ("a family of models", '"(?:' + "|".join(sorted(families)) + ')[."]', FAMILY_TABLE,
           {"plan/presets.cpp": "data: a preset says which family its model is of",
            "tokenizer/gguf_vocabulary.cpp": "values of llama.cpp's tokenizer.ggml.model and tokenizer.ggml.pre"})
    yield "a GPU by its number", r"\bkCUDA\s*,\s*0|\bcuda:0", None, {}


SOURCES = {".cpp", ".h", ".cu", ".cuh"}
COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def code(path):
    """The text of a file with comments blanked; strings stay."""
    def blank(match):
        return match[0] if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0])

    return COMMENT_OR_STRING.sub(blank, path.read_text(encoding="utf-8"))


def faults(root):
    known = list(rules(root))
    used = set()
    for path in sorted((root / "longgen").rglob("*")):
        if path.suffix not in SOURCES:
            continue
        name, text = path.relative_to(root / "longgen").as_posix(), code(path)
        for what, pattern, place, others in known:
            if name == place:
                continue
            for match in re.finditer(pattern, text):
                used.add(name)
                if name not in others:
                    line = text.count("\n", 0, match.start()) + 1
                    yield (f"longgen/{name}:{line}: {match[0]} is {what}: "
                           f"it belongs into {place or 'what --device names'}")
    for what, _, _, others in known:
        for name in others.keys() - used:
            if (root / "longgen" / name).exists():
                yield f"longgen/{name} holds no {what[2:]}: take it off the list"


def check_itself():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "longgen/model").mkdir(parents=True)
        (root / "longgen/model/tensors.cpp").write_text('name = "self_attn.q_proj";\n')
        (root / "longgen/model/family.cpp").write_text('{.name = "llama"}, {.name = "qwen3"}\n')
        (root / "longgen/model/other.h").write_text('// q_proj and "llama" on cuda:0\nint x;  /* gate_proj */\n')
        assert list(faults(root)) == [], list(faults(root))
        for text in ('add("mlp.up_proj")', 'if (family == "qwen3")', "return {at::kCUDA, 0};", 'open("cuda:0")'):
            (root / "longgen/model/other.h").write_text(f"// one line\n{text}\n")
            found = list(faults(root))
            assert len(found) == 1 and found[0].startswith("longgen/model/other.h:2: "), (text, found)


def main():
    check_itself()
    found = list(faults(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "every tensor, family and device stands in one place")
    sys.exit(1 if found else 0)


main()
