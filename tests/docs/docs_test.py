"""Holds README.md and docs/ against the program and the repository.

Usage: docs_test.py PROGRAM [PAGE...]
  - Links lead to files and headings that exist, every page is reached from docs/README.md, and paths of the repository
    that pages, sources and scripts name are there.
  - Every `longgen ...` of a page names a command and options that --help lists, and every option that --help lists
    stands on a page.
  - What stands in a ```console block after "$ " is run, and its output is held against the lines that follow; with PAGEs
    only those of them. docs/develop/documentation.md says how a page chooses the comparison.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from comparison import Rule, difference
from markdown import Page
from program_help import Program

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = None  # set by main
PAGES = {}  # path from the root -> Page
CHOSEN = []  # the pages whose examples are run; all where empty
CODE_FOLDERS = ["longgen", "tests", "bench", "examples", "recipes", "scripts", "cmake"]
# What every example finds in the folder where it runs. README.md makes the models, the other pages get copies of them.
LINKED = [".venv", "examples", "recipes", "scripts"]
MODELS = ["smol", "hyb"]
# config.json of the quickstart's hybrid, as far as its KV cache goes.
SMOLLM2_HYBRID = {
    "model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576, "intermediate_size": 1536, "vocab_size": 49152,
    "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 16384, "tie_word_embeddings": True,
    "longgen": {"full_layers": [7, 8, 17, 18, 20, 23], "pattern": {"sink_blocks": 1, "window_blocks": 16}}}


def pages():
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): Page(path) for path in paths}


def commands(block):
    """Yields (line number, command, lines of output) of a console block."""
    i = 0
    while i < len(block.lines):
        start, command = i, block.lines[i].removeprefix("$ ")
        while command.endswith("\\"):
            i += 1
            command = command[:-1] + block.lines[i].strip()
        i += 1
        while i < len(block.lines) and block.lines[i].startswith("> "):  # what is typed after the first line
            command += "\n" + block.lines[i].removeprefix("> ")
            i += 1
        output = []
        while i < len(block.lines) and not block.lines[i].startswith("$ "):
            output.append(block.lines[i])
            i += 1
        yield block.line + start, command, output


class LinksTest(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for name, page in PAGES.items():
            for line, target in page.links():
                with self.subTest(f"{name}:{line}"):
                    self.check_link(name, target)

    def check_link(self, name, target):
        if target.startswith(("http://", "https://")):
            return
        path, _, fragment = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        self.assertTrue(file.exists(), f"{target}: there is no {file}")
        if fragment:
            linked = PAGES[file.resolve().relative_to(ROOT).as_posix()]
            self.assertIn(fragment, linked.anchors(), f"{target}: no heading of this name")

    def test_every_page_is_reached_from_the_index(self):
        reached, waiting = set(), ["docs/README.md"]
        while waiting:
            name = waiting.pop()
            if name in reached:
                continue
            reached.add(name)
            for _, target in PAGES[name].links():
                file = ((ROOT / name).parent / target.partition("#")[0]).resolve()
                if file.is_dir():
                    waiting += [page for page in PAGES if (ROOT / page).parent == file]
                elif file.is_relative_to(ROOT) and file.relative_to(ROOT).as_posix() in PAGES:
                    waiting.append(file.relative_to(ROOT).as_posix())
        self.assertEqual(sorted(set(PAGES) - reached - {"README.md"}), [])

    def test_paths_in_pages_exist(self):
        """Paths of files and folders in code spans; their first folders may be left out."""
        there = {"/" + path.relative_to(ROOT).as_posix()
                 for folder in [*CODE_FOLDERS, "docs"] for path in (ROOT / folder).rglob("*")}
        for name, page in PAGES.items():
            if name.startswith(("docs/notes/", "docs/design/")):  # of code that may have gone, or is to come
                continue
            for line, text in page.spans():
                path = text.split()[0] if text.startswith("scripts/") else text
                if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.(h|cpp|cu|cuh|py|sh|md|cmake|toml)"
                                    rf"|({'|'.join(CODE_FOLDERS)})(/[\w-]+)+/?", path):
                    continue
                with self.subTest(f"{name}:{line}"):
                    self.assertTrue(any(known.endswith("/" + path.rstrip("/")) for known in there), f"there is no {path}")

    def test_pages_that_code_names_exist(self):
        for folder in CODE_FOLDERS:
            for path in (ROOT / folder).rglob("*"):
                if not path.is_file() or path.suffix not in {".h", ".cpp", ".cu", ".cuh", ".py", ".sh", ".toml", ".txt"}:
                    continue
                for page in re.findall(r"\bdocs/[\w/]+\.md\b", path.read_text(encoding="utf-8", errors="replace")):
                    with self.subTest(str(path.relative_to(ROOT))):
                        self.assertTrue((ROOT / page).exists(), f"names {page}, which is not there")


class CommandsTest(unittest.TestCase):
    def check(self, where, text):
        with self.subTest(where):
            self.assertEqual(PROGRAM.faults(text), [], text)

    def test_commands_and_options_on_pages_exist(self):
        for name, page in PAGES.items():
            if name.startswith("docs/notes/"):  # what was run then
                continue
            for line, text in page.spans():
                self.check(f"{name}:{line}", text)
            for block in page.blocks:
                wrong_on_purpose = block.language == "console" and Rule.parse(block.comment).code == 2
                if not wrong_on_purpose:
                    self.check(f"{name}:{block.line}", "\n".join(block.lines))

    def test_commands_in_scripts_and_recipes_exist(self):
        for folder in ("scripts", "recipes", "examples", "bench"):
            for path in (ROOT / folder).iterdir():
                if path.suffix in {".sh", ".toml", ".py"}:
                    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                        call = re.search(rf"\$?\blonggen ({'|'.join(PROGRAM.commands[()])})\b.*", line)
                        if call:
                            self.check(f"{folder}/{path.name}:{number}", call[0].removeprefix("$"))

    def test_every_option_stands_on_a_page(self):
        written = set()
        for page in PAGES.values():
            for text in [text for _, text in page.spans()] + ["\n".join(block.lines) for block in page.blocks]:
                written.update(re.findall(r"--[a-z][\w-]*", text))
        for command, options in PROGRAM.options_of_commands():
            with self.subTest(command):
                self.assertEqual(sorted(options - written), [])

    def test_examples_are_in_console_blocks(self):
        """A command of another block would not be run. Lines with words in capitals or brackets are no commands: they
        show how to call something."""
        for name, page in PAGES.items():
            for block in page.blocks:
                for i, line in enumerate(block.lines):
                    if block.language == "console" or name.startswith("docs/notes/"):
                        continue
                    is_command = (re.match(r"\s*(build/release/)?longgen [a-z]", line)
                                  and not re.search(r"\[|\b[A-Z]{2,}\b", line))
                    with self.subTest(f"{name}:{block.line + i}"):
                        self.assertFalse(is_command, f"write it into a ```console block after \"$ \": {line}")


class QuickstartTest(unittest.TestCase):
    """README.md shows what scripts/quickstart.sh does and prints, and the picture what the program says."""

    def setUp(self):
        self.readme = (ROOT / "README.md").read_text(encoding="utf-8").split("## What the quickstart does")[1]

    def test_commands_are_those_of_the_script(self):
        script = (ROOT / "scripts/quickstart.sh").read_text(encoding="utf-8").replace("\\\n", " ")
        script = script.replace("$longgen", "longgen").replace("$precision", "bfloat16")
        calls = {" ".join(call.split()) for call in re.findall(r"longgen [a-z][^>\n]*", script)}
        shown = re.findall(r"\| `(longgen [^`]+)` \|", self.readme)
        self.assertGreater(len(shown), 5)
        for command in shown:
            self.assertIn(command, calls)

    def test_table_is_what_the_script_prints(self):
        """The figures of the page, given to the script's table, come back as the page shows them."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "build/release").mkdir(parents=True)
            (folder / "build/release/longgen").symlink_to(PROGRAM.path)
            (folder / "extended/model").mkdir(parents=True)
            (folder / "extended/model/config.json").write_text(json.dumps(SMOLLM2_HYBRID))
            table = self.table()
            speed = [{"variant": variant, "tokens": 8192} | {f"{key}_tokens_per_s": float(table[row][column])
                                                             for key, row in (("prefill", 4), ("decode", 5))}
                     for column, variant in ((-4, "full"), (-3, "hybrid"))]
            (folder / "speed.json").write_text(json.dumps({"variants": speed}))
            (folder / "perplexity.json").write_text(json.dumps({"models": self.models(table[6:])}))
            for reply, found in zip(("reply-full.txt", "reply-hybrid.txt"), table[1][-2:]):
                (folder / reply).write_text("It is 4827193." if found == "yes" else "It is 42.")
            printed = subprocess.run([sys.executable, ROOT / "scripts/quickstart_table.py", "."], cwd=folder, check=True,
                                     capture_output=True, text=True).stdout
        self.assertEqual([line.split() for line in printed.splitlines() if line], table)

    def table(self):
        """The words of each line of the table on the page, without empty lines."""
        block = next(block for block in PAGES["README.md"].blocks if "every layer full" in block.lines[0])
        return [line.split() for line in block.lines if line.strip()]

    def models(self, rows):
        ends = [0, 1024, 2048, 4096, 8192, 10240]
        return [{"model": rows[0][column], "overall": {"perplexity": float(rows[-1][column])},
                 "buckets": [{"begin": begin, "end": end, "perplexity": float(row[column])}
                             for begin, end, row in zip(ends, ends[1:], rows[1:])]} for column in (-3, -2, -1)]

    def test_picture_is_what_the_program_says(self):
        with tempfile.TemporaryDirectory() as folder:
            drawn = pathlib.Path(folder) / "hybrid.svg"
            subprocess.run([sys.executable, ROOT / "docs/pictures/hybrid.py", PROGRAM.path, drawn], check=True)
            self.assertEqual(drawn.read_text(), (ROOT / "docs/pictures/hybrid.svg").read_text(),
                             "run docs/pictures/hybrid.py")


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "bin").mkdir()
        (cls.folder / "bin/longgen").symlink_to(PROGRAM.path)

    def test_output_is_what_the_page_shows(self):
        not_run = []
        for name, page in PAGES.items():
            if CHOSEN and name not in CHOSEN + ["README.md"]:
                continue
            place = self.place(name)
            for block in page.blocks:
                if block.language != "console":
                    continue
                rule = Rule.parse(block.comment)
                for line, command, output in commands(block):
                    with self.subTest(f"{name}:{line}"):
                        if rule.reason:
                            not_run.append(f"  {name}:{line}: {rule.reason}: {command}")
                        else:
                            self.run_example(place, f"{name}:{line}", command, output, rule)
        print("not run, only checked for options that exist:\n" + "\n".join(not_run))

    def place(self, name):
        """The folder of a page's examples."""
        place = self.folder / name.replace("/", "-")
        place.mkdir()
        for link in LINKED:
            (place / link).symlink_to(ROOT / link)
        if name != "README.md":
            for model in MODELS:
                shutil.copytree(self.folder / "README.md" / model, place / model, copy_function=os.link)
        return place

    def run_example(self, place, where, command, output, rule):
        begin = time.monotonic()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if rule.messages else subprocess.PIPE, text=True, timeout=300,
            env=dict(os.environ, PATH=f"{self.folder}/bin:{os.environ['PATH']}", COLUMNS="80", OMP_WAIT_POLICY="passive"))
        seconds = time.monotonic() - begin
        if seconds > 3:
            print(f"{where}: {seconds:.0f} s: {command}")
        messages = "" if rule.messages else "\n" + done.stderr
        self.assertEqual(done.returncode, rule.code, f"{command}\n{done.stdout}{messages}")
        if output:
            wrong = difference(output, done.stdout.splitlines(), rule.tolerance)
            self.assertEqual(wrong, "", f"\n{command}\n{wrong}")


def main():
    global PROGRAM
    if len(sys.argv) < 2:
        sys.exit("docs_test: expected the program, and perhaps pages such as docs/plan.md")
    PROGRAM = Program(sys.argv[1])
    CHOSEN.extend(sys.argv[2:])
    PAGES.update(pages())
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
