"""Holds what must stand in one place of the code to that place.

Usage: one_place_test.py REPOSITORY
A tensor of a layer, a family and the number of a device are each known to one file under longgen/: whoever adds one then
finds all there is. Comments may name them, strings and code may not. The test first checks itself on a made-up tree.
"""

import pathlib
import re
import sys
import tempfile

# What: (pattern, the only file that may hold it, under longgen/).
RULES = {
    "a tensor of a layer in a Hugging Face or GGUF file": (
        r"\b(?:[qkvo]_proj|qkv_proj|gate_proj|up_proj|down_proj|gate_up_proj|input_layernorm|post_attention_layernorm"
        r"|attn_[qkv]|attn_output|ffn_(?:gate|up|down))\b", "model/tensors.cpp"),
    "a family of models": (r'"(?:llama|mistral|qwen2|qwen3|phi3|gemma3|gemma3_text)"', "model/family.cpp"),
    "a GPU by its number": (r"\bkCUDA\s*,\s*0|\bcuda:0", None),
}
SOURCES = {".cpp", ".h", ".cu", ".cuh"}
COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def code(path):
    """The text of a file with comments blanked; strings stay."""
    def blank(match):
        return match[0] if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0])

    return COMMENT_OR_STRING.sub(blank, path.read_text(encoding="utf-8"))


def faults(root):
    for path in sorted((root / "longgen").rglob("*")):
        if path.suffix not in SOURCES:
            continue
        name, text = path.relative_to(root / "longgen").as_posix(), code(path)
        for what, (pattern, place) in RULES.items():
            if name == place:
                continue
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                yield f"longgen/{name}:{line}: {match[0]} is {what}: it belongs into {place or 'what --device names'}"


def check_itself():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "longgen/model").mkdir(parents=True)
        (root / "longgen/model/tensors.cpp").write_text('name = "self_attn.q_proj";\n')
        (root / "longgen/model/family.cpp").write_text('name = "llama";\n')
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
