"""Reads what the tests of the documentation look at in a Markdown page: code blocks, code spans, links, headings."""

import dataclasses
import re

FENCE = re.compile(r"^( *)(```+|~~~+)\s*([\w-]*)\s*$")
COMMENT = re.compile(r"^<!--\s*example:\s*(.*?)\s*-->$")
SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r'<(?:img|source)[^>]*\bsrc(?:set)?="([^"]+)"')


@dataclasses.dataclass
class Block:
    """A code block. `language` is the word after a fence, "" without one, and "indented" for a block by indentation."""
    language: str
    line: int  # of the first line of code, from 1
    lines: list
    comment: str  # of the HTML comment `<!-- example: ... -->` on the line above it, else ""


class Page:
    def __init__(self, path):
        self.path = path
        self.blocks, self.prose = [], []  # prose: (line number, text) of what stands outside blocks
        self._read(path.read_text(encoding="utf-8").splitlines())

    def _read(self, lines):
        i = 0
        while i < len(lines):
            if match := FENCE.match(lines[i]):
                i = self._read_fenced(lines, i, match)
            elif lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
                i = self._read_indented(lines, i)
            else:
                if COMMENT.match(lines[i].strip()) and not (i + 1 < len(lines) and FENCE.match(lines[i + 1])):
                    raise ValueError(f"{self.path}:{i + 1}: a code block must stand right below this comment")
                self.prose.append((i + 1, lines[i]))
                i += 1

    def _read_fenced(self, lines, i, match):
        indent, fence, language = match.groups()
        end = i + 1
        while end < len(lines) and lines[end].strip() != fence:
            end += 1
        if end == len(lines):
            raise ValueError(f"{self.path}:{i + 1}: this code block has no end")
        comment = COMMENT.match(lines[i - 1].strip()) if i > 0 else None
        code = [line[len(indent):] for line in lines[i + 1:end]]
        if language == "console" and not "".join(code[:1]).startswith("$ "):
            raise ValueError(f'{self.path}:{i + 2}: a console block begins with "$ " and a command')
        self.blocks.append(Block(language, i + 2, code, comment[1] if comment else ""))
        return end + 1

    def _read_indented(self, lines, i):
        end = i
        while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
            end += 1
        self.blocks.append(Block("indented", i + 1, [line[4:] for line in lines[i:end]], ""))
        return end

    def spans(self):
        """Yields (line number, text) of the code spans, which may go over the end of a line."""
        text = "\n".join(line for _, line in self.prose)
        numbers = [number for number, _ in self.prose]
        for match in SPAN.finditer(text):
            yield numbers[text.count("\n", 0, match.start())], " ".join(match[2].split())

    def links(self):
        """Yields (line number, target) of links and pictures."""
        for number, line in self.prose:
            without_code = SPAN.sub(lambda match: " " * len(match[0]), line)
            for pattern in (LINK, SOURCE):
                for match in pattern.finditer(without_code):
                    yield number, match[1]

    def anchors(self):
        """The fragments that links to this page may name, made of its headings as GitHub makes them."""
        anchors = set()
        for _, line in self.prose:
            if match := re.match(r"#{1,6}\s+(.*)", line):
                words = re.sub(r"[^\w\- ]", "", match[1].strip().lower()).replace(" ", "-")
                copies = sum(1 for anchor in anchors if re.fullmatch(re.escape(words) + r"(-\d+)?", anchor))
                anchors.add(words if not copies else f"{words}-{copies}")
        return anchors
