"""Holds the wordings of composed tasks against those of the evaluations: a model that learned the wording of a test would be
measured wrongly.

Usage: compose_wordings_test.py REPOSITORY
No wording of `longgen compose` may share five words in a row with a text in longgen/eval/, nor with RULER's own. Where a
blank ("{key}") stands, the row of words ends. Before that the test checks itself.
"""

import pathlib
import re
import sys

# What stands around the blanks of RULER's tasks, for as far as longgen/eval/ has not all of them.
RULER = """One of the special magic numbers for
Some special magic numbers are hidden within the following text Make sure to memorize it I will quiz you about the numbers
afterwards
What are all the special magic numbers for
mentioned in the provided text are
Memorize and track the chain of variable assignment hidden in the following text
Find all variables that are assigned the value
Below is a numbered list of words In these words some appear more often than others Memorize the ones that appear most often
Read the following coded text and track the frequency of each coded word Find the three most frequently appeared coded words
Answer the question based on the given documents Only give me the answer and do not output any other words"""

LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*')
LENGTH = 5


def literals(path):
    """The string literals of a C++ file, neighbours joined as the compiler joins them."""
    code = re.sub(r"^\s*//.*$|^\s*#include.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for match in LITERAL.finditer(code):
        yield "".join(re.findall(r'"((?:\\.|[^"\\\n])*)"', match[0])).replace('\\"', '"').replace("\\n", "\n")


def rows(texts):
    """All rows of LENGTH words of the texts, in small letters."""
    found = {}
    for text in texts:
        for part in re.split(r"\{\w*\}|#", text):
            words = re.findall(r"[a-z0-9']+", part.lower())
            for i in range(len(words) - LENGTH + 1):
                found[" ".join(words[i:i + LENGTH])] = text
    return found


def main():
    root = pathlib.Path(sys.argv[1]) / "longgen"
    assert set(rows(["The {key} is One of, the: special magic (numbers) for {key}"])) & set(rows(RULER.split("\n"))), "blind"
    assert not rows(["one two three {key} four five"]), "a blank ends a row"
    ours = [p for p in sorted((root / "data/compose").iterdir()) if "wordings" in p.name or p.name == "question_writer.cpp"]
    theirs = [p for p in sorted((root / "eval").rglob("*")) if p.suffix in (".h", ".cpp")]
    made = {row: (path, text) for path in ours for row, text in rows(literals(path)).items()}
    tested = {row: (path, text) for path in theirs for row, text in rows(literals(path)).items()}
    tested |= {row: ("RULER", text) for row, text in rows(RULER.split("\n")).items()}
    assert len(ours) >= 7 and len(made) > 300, "the wordings of longgen/data/compose were not found"
    assert "one of the special magic" in tested and len(theirs) > 10, "the texts of longgen/eval were not found"
    shared = sorted(made.keys() & tested.keys())
    for row in shared:
        print(f'"{row}" stands in {made[row][0]}: "{made[row][1]}"\n  and in {tested[row][0]}: "{tested[row][1]}"')
    print(f"{len(made)} rows of words in {len(ours)} files, {len(tested)} in the evaluations: {len(shared)} shared")
    sys.exit(1 if shared else 0)


if __name__ == "__main__":
    main()
