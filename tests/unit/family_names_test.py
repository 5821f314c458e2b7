"""Families stand in one table: no other file under longgen/ compares with the name of one.

Usage: family_names_test.py REPOSITORY
The names are those of model/family.cpp. What may spell one all the same is listed below, with the reason.
"""

import pathlib
import re
import sys

TABLE = "model/family.cpp"
OTHERS = {
    "plan/presets.cpp": "a preset says which family its model is of",
    "tokenizer/gguf_vocabulary.cpp": "values of tokenizer.ggml.model and tokenizer.ggml.pre, which are llama.cpp's",
}


def main(repository):
    folder = repository / "longgen"
    names = set(re.findall(r'\.(?:name|gguf_architecture) = "(\w+)"', (folder / TABLE).read_text()))
    assert {"llama", "qwen3"} <= names, f"{TABLE}: the rows of the table were not found, but {names}"
    literal = re.compile('"(' + "|".join(sorted(names)) + ')[."]')
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in {".cpp", ".h", ".cu", ".cuh"}:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("//")[0]
            if literal.search(code):
                found.setdefault(str(path.relative_to(folder)), []).append(f"{number}: {line.strip()}")
    wrong = {name: lines for name, lines in found.items() if name != TABLE and name not in OTHERS}
    assert not wrong, f"names of families outside {TABLE}: {wrong}"
    unused = OTHERS.keys() - found.keys()
    assert not unused, f"no family's name in {unused}: take it off the list"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
    print("passed")
