"""Tests of what docs_test.py is made of: the reader of pages and the comparison, on made-up pages and outputs."""

import math
import pathlib
import tempfile
import unittest

from comparison import Rule, difference, line_matches
from markdown import Page
from program_help import Program


def page(text):
    with tempfile.NamedTemporaryFile("w", suffix=".md", delete=False) as file:
        file.write(text)
    try:
        return Page(pathlib.Path(file.name))
    finally:
        pathlib.Path(file.name).unlink()


class ComparisonTest(unittest.TestCase):
    def test_exact_lines_differ_in_every_character_but_spaces_at_the_end(self):
        self.assertTrue(line_matches("a  1.50", "a  1.50  ", 0))
        self.assertFalse(line_matches("a  1.50", "a 1.50", 0))
        self.assertFalse(line_matches("a  1.50", "a  1.51", 0))

    def test_numbers_may_differ_within_the_tolerance_alone(self):
        self.assertTrue(line_matches("all   9.574 -1,024 x", "all 9.60 -1,030 x", 0.01))
        self.assertFalse(line_matches("all 9.574", "all 9.70", 0.01))
        self.assertFalse(line_matches("all 9.574", "any 9.574", 0.01))
        self.assertFalse(line_matches("all 9.574", "all 9.574 9.574", 0.01))
        self.assertTrue(line_matches("1e-05 s", "2e+07 s", math.inf))
        self.assertTrue(line_matches("time  94.5 ms  1.2 GiB x", "time 1.59 s 900 MiB x", math.inf))
        self.assertTrue(line_matches("2.6 | 19s, 26 tokens/s", "2.6 | 1m19s, 9 tokens/s", math.inf))
        self.assertFalse(line_matches("time  94.5 ms", "time 94.5 s", 0.01))
        self.assertFalse(line_matches("1 s", "nan s", math.inf))

    def test_dots_stand_for_any_text(self):
        self.assertTrue(line_matches("error: ... Use --device cpu.", "error: no GPU. Use --device cpu.", 0))
        self.assertFalse(line_matches("error: ... Use --device cpu.", "error: no GPU.", 0))
        self.assertTrue(line_matches('{"a":1.0,...', '{"a":1.001,"b":7}', 0.01))
        self.assertFalse(line_matches('{"a":1.0,...', '{"a":1.2,"b":7}', 0.01))

    def test_lines_that_are_missing_or_too_many_are_found(self):
        self.assertEqual(difference(["a", "b"], ["a", "b"], 0), "")
        self.assertIn('expected "b"', difference(["a", "b"], ["a"], 0))
        self.assertIn("expected no more lines", difference(["a"], ["a", "b"], 0))
        self.assertIn('expected "a"', difference(["a"], [], 0))

    def test_dots_on_a_line_stand_for_any_lines(self):
        for actual in (["a", "z"], ["a", "b", "z"], ["a", "z", "b", "z"]):
            self.assertEqual(difference(["a", "...", "z"], actual, 0), "")
        self.assertIn('expected "z"', difference(["a", "...", "z"], ["a", "b"], 0))
        self.assertEqual(difference(["..."], [], 0), "")

    def test_rules(self):
        self.assertEqual(Rule.parse(""), Rule())
        self.assertEqual(Rule.parse("exit 1; with messages"), Rule(code=1, messages=True))
        self.assertEqual(Rule.parse("numbers within 0.5%").tolerance, 0.005)
        self.assertEqual(Rule.parse("not run: needs a GPU").reason, "needs a GPU")
        for wrong in ("exact", "not run", "not run: ", "numbers within a bit", "exit"):
            with self.assertRaises(ValueError, msg=wrong):
                Rule.parse(wrong)


class PageTest(unittest.TestCase):
    def test_blocks(self):
        text = "text\n\n<!-- example: exit 1 -->\n```console\n$ a\nb\n```\n\n    indented\n\n    more\n\nend\n"
        blocks = page(text).blocks
        self.assertEqual([(b.language, b.line, b.lines, b.comment) for b in blocks],
                         [("console", 5, ["$ a", "b"], "exit 1"), ("indented", 9, ["indented", "", "more", ""], "")])
        for wrong in ("```console\n$ a\n", "```console\na\n```\n", "```console\n```\n",
                      "<!-- example: exit 1 -->\n\n```console\n$ a\n```\n"):
            with self.assertRaises(ValueError, msg=wrong):
                page(wrong)

    def test_spans_links_and_anchors(self):
        read = page("# Ten `x` of Y\n\n[a](b.md#c) ![p](p.svg) `[no](link.md)` `over\nthe end`\n\n## Ten x of Y\n\n"
                    "    [no](code.md)\n")
        self.assertEqual([target for _, target in read.links()], ["b.md#c", "p.svg"])
        self.assertEqual([text for _, text in read.spans()], ["x", "[no](link.md)", "over the end"])
        self.assertEqual(read.anchors(), {"ten-x-of-y", "ten-x-of-y-1"})


class ProgramTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "longgen"
        path.write_text("""#!/bin/sh
case "$1" in
  eval) [ "$2" = needle ] && printf 'Options:\\n  -h,--help  x\\n  --lengths LIST  see --nowhere\\n' ||
        printf 'Options:\\n  -h,--help  x\\n\\nEvaluation:\\n  needle  x\\n' ;;
  *) printf 'Options:\\n  -h,--help  x\\n\\nEvaluation:\\n  eval  x\\n' ;;
esac
""")
        path.chmod(0o755)
        self.program = Program(path)

    def test_commands_and_options_are_read(self):
        self.assertEqual(dict(self.program.options_of_commands()),
                         {"": {"--help"}, "eval": {"--help"}, "eval needle": {"--help", "--lengths"}})

    def test_unknown_commands_and_options_are_faults(self):
        for good in ("longgen eval needle MODEL... [--lengths LIST]", "longgen COMMAND --help", "longgen reads files",
                     "so longgen has no option", "longgen eval needle a | tool --nowhere", "x/longgen/base"):
            self.assertEqual(self.program.faults("See " + good), [], good)
        for bad in ("longgen frob a", "$ longgen eval frob", "a | longgen frob", "build/release/longgen frob",
                    "see longgen eval needle m --nowhere", "longgen eval needle \\\n  --nowhere"):
            self.assertEqual(len(self.program.faults(bad)), 1, bad)


if __name__ == "__main__":
    unittest.main()
