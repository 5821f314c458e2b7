"""Compares the output of an example with what its page shows."""

import dataclasses
import math
import re

NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[+-]?\d+)?")

QUANTITY = rf"(?:\d+[hm] ?)*(?:{NUMBER.pattern})(?: ?(?:[um]?s|min|h|[KMGT]?i?B|[KMGTP]?FLOP)\b)?"


@dataclasses.dataclass
class Rule:
    """How an example is run and compared, read from its comment, parts of which are divided by semicolons.

    not run: REASON     the command is only checked for options that exist
    exit N              the exit code; 0 without this
    with messages       the page shows stderr as well
    numbers within P%   numbers may differ by so much, each relative to the one on the page
    any numbers         numbers may differ altogether (times, rates, memory), also in their units
    Without the last two the output is compared exactly, but for spaces at the ends of lines. In every kind `...` on
    the page stands for any text, and on a line of its own for any lines.
    """
    reason: str = ""
    code: int = 0
    messages: bool = False
    tolerance: float = 0.0

    @staticmethod
    def parse(comment):
        rule = Rule()
        if match := re.fullmatch(r"not run: (.+)", comment):
            rule.reason = match[1]
            return rule
        for part in filter(None, (part.strip() for part in comment.split(";"))):
            if match := re.fullmatch(r"exit (\d+)", part):
                rule.code = int(match[1])
            elif match := re.fullmatch(r"numbers within ([\d.]+)%", part):
                rule.tolerance = float(match[1]) / 100
            elif part == "with messages":
                rule.messages = True
            elif part == "any numbers":
                rule.tolerance = math.inf
            else:
                raise ValueError(f'"{part}" is no rule of comparison; see tests/docs/comparison.py')
        return rule


def value(text):
    return float(text.replace(",", ""))


def line_matches(expected, actual, tolerance):
    """Without a tolerance every character counts. With one, numbers may differ, and so may the widths of columns."""
    if tolerance:
        expected, actual = " ".join(expected.split()), " ".join(actual.split())
    number = QUANTITY if math.isinf(tolerance) else NUMBER.pattern
    pattern, numbers = "", []
    for part in re.split(rf"(\.\.\.|{number})" if tolerance else r"(\.\.\.)", expected.rstrip()):
        if part == "...":
            pattern += ".*"
        elif tolerance and re.fullmatch(number, part):
            pattern += f"({number})"
            numbers.append(part)
        else:
            pattern += re.escape(part)
    match = re.fullmatch(pattern, actual.rstrip())
    return match is not None and all(
        math.isinf(tolerance) or abs(value(wanted) - value(found)) <= tolerance * abs(value(wanted))
        for wanted, found in zip(numbers, match.groups()))


def difference(expected, actual, tolerance):
    """What is wrong with the lines `actual`, or "" where they are as expected."""
    def matches(i, j):
        """The place of the first wrong line of the page, or None if the rest of both agrees."""
        while i < len(expected):
            if expected[i].strip() == "...":
                wrong = [matches(i + 1, k) for k in range(j, len(actual) + 1)]
                return None if None in wrong else max(wrong)
            if j >= len(actual) or not line_matches(expected[i], actual[j], tolerance):
                return i
            i, j = i + 1, j + 1
        return None if j >= len(actual) else i

    wrong = matches(0, 0)
    if wrong is None:
        return ""
    line = f'expected "{expected[wrong]}"' if wrong < len(expected) else "expected no more lines"
    return line + "\nThe command printed:\n" + "\n".join(actual)
