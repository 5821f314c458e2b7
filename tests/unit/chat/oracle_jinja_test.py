"""Random small templates, rendered by jinja2 as transformers configures it and by ours.

    oracle_jinja_test.py ORACLE_TOOL [SEED NUMBER_OF_TEMPLATES]

Both must give the same text, or both an error. A template that uses what ours refuses by name ("not supported") counts
neither way; those must stay few.
"""

import copy
import json
import random
import subprocess
import sys
import unittest

from transformers.utils.chat_template_utils import _compile_jinja_template

TOOL = ""
SEED, NUMBER = 20260704, 6000

VARIABLES = {
    "s": "Hello, World", "t": "  a b\tc \n", "u": "été ß ǅ Σας 😀", "e": "", "n": 7, "z": 0, "m": -3, "f": 2.5, "g": 1e16,
    "b": True, "w": False, "o": None, "l": [3, 1, 2], "k": ["b", "A", "c", "a"], "x": [], "q": [[1, "a"], [2, "b"]],
    "d": {"a": 1, "b": "two", "items": [1, 2], "c": None}, "y": {},
    "r": [{"role": "user", "content": "Hi <|end|>", "n": 2}, {"role": "assistant", "content": " Yo ", "n": 1},
          {"role": "user", "content": "A'b\"c\\", "tags": ["p", "q"]}],
}
NAMES = list(VARIABLES) + ["missing", "x1", "x2"]
STRINGS = ["''", "'a'", "' '", "'b c'", "'\\n'", "'é'", "\"it's\"", "'A-b c'", "'%s|%d'", "'12'", "'3.7'", "', '", "'role'", "'user'"]
NUMBERS = ["0", "1", "2", "-1", "3", "10", "1.5", "0.1", "1e3", "100"]
# What may stand after a value of each kind, and the kind that comes out.
KINDS = ["text", "number", "list", "dict"]
SOURCES = {
    "text": ["s", "t", "u", "e", "r[0].content", "r[1]['content']", "d.b", "k[0]"] + STRINGS,
    "number": ["n", "z", "m", "f", "g", "b", "d.a", "l[0]", "l|length"] + NUMBERS,
    "list": ["l", "k", "x", "q", "r", "range(4)", "[1, 2, 3]", "['b', 'A']", "d.items()|list", "(1, 'a')", "s.split(',')"],
    "dict": ["d", "y", "r[0]", "{'k': 1, 'j': 'x'}", "dict(a=2)"],
}
METHODS = {
    "text": {"text": ["strip()", "lstrip()", "rstrip()", "upper()", "lower()", "title()", "capitalize()", "replace('l', 'L')",
                      "replace('l', 'L', 1)", "replace('', '-')", "strip('Hd ')", "zfill(5)", "center(9)", "ljust(4, '.')",
                      "rjust(20)", "removeprefix('He')", "removesuffix('ld')", "join(['x', 'y'])", "format(1)"],
             "list": ["split()", "split(' ')", "split(',', 1)", "split(None, 1)", "rsplit(' ', 1)", "splitlines()",
                      "splitlines(true)", "partition(' ')", "rpartition('o')"],
             "number": ["startswith('a')", "endswith('d')", "startswith(('H', 'a'))", "startswith('e', 1)", "find('o')",
                        "rfind('o')", "find('l', 3, -1)", "count('l')", "isdigit()", "isalpha()", "isupper()", "islower()",
                        "isspace()", "isalnum()", "index('o')"],
             "any": ["nothing", "__class__"]},
    "number": {"any": ["nothing"]},
    "list": {"number": ["index(1)", "count(1)"], "any": ["append", "append(1)", "0", "zz"]},
    "dict": {"list": ["items()|list", "keys()|list", "values()|list"], "number": ["a", "get('a', 5)"],
             "any": ["items()", "keys()", "get('zz')", "zz", "items", "update", "pop"], "dict": ["copy()"]},
}
FILTERS = {
    "text": {"text": ["upper", "lower", "trim", "title", "capitalize", "string", "reverse", "replace('a', 'b')", "replace('l', '', 1)",
                      "indent", "indent(2, true)", "indent(2, blank=true)", "indent('> ')", "truncate(5)", "truncate(6, true)",
                      "truncate(8, false, '!', 0)", "center(12)", "default('D')", "default('D', true)", "tojson",
                      "tojson(ensure_ascii=true)", "join('-')", "first", "last", "e", "trim('Hd')", "format('y')"],
             "number": ["length", "count", "int", "int(5)", "float", "wordcount"],
             "list": ["list", "unique|list", "sort", "batch(2)|list", "map('upper')|list"]},
    "number": {"number": ["abs", "int", "float", "round", "round(1)", "round(1, 'floor')", "round(method='ceil')", "d(1)"],
               "text": ["string", "tojson", "upper"]},
    "list": {"number": ["length", "sum", "sum(start=5)"],
             "text": ["join", "join('-')", "join(', ', attribute='role')", "tojson", "tojson(indent=2)", "string", "tojson(indent=0)"],
             "list": ["list", "sort", "sort(reverse=true)", "sort(attribute='n')", "sort(case_sensitive=true)", "reverse|list",
                      "unique|list", "batch(2)|list", "batch(2, 'x')|list", "slice(2)|list", "slice(3, 0)|list",
                      "map('string')|list", "map(attribute='role')|list", "map(attribute='n', default=9)|list", "select|list",
                      "reject|list", "select('odd')|list", "select('string')|list", "reject('none')|list",
                      "selectattr('role', 'equalto', 'user')|list", "selectattr('n', 'defined')|list",
                      "rejectattr('role', 'eq', 'user')|list", "groupby('role')|list", "map('tojson')|list"],
             "any": ["first", "last", "min", "max", "reverse", "map('upper')", "max(attribute='n')"]},
    "dict": {"text": ["tojson", "tojson(indent=2)", "tojson(sort_keys=true)", "tojson(separators=(',', ':'))", "string", "join"],
             "list": ["dictsort", "dictsort(by='value')", "dictsort(reverse=true)", "items|list", "list"],
             "number": ["length"], "any": ["items", "attr('a')", "first"]},
}
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping",
         "sequence", "iterable", "callable", "odd", "even", "divisibleby 2", "divisibleby(3)", "lower", "upper", "eq 7",
         "equalto('a')", "ne 1", "gt 2", "lt(3)", "ge 1", "le 1", "in [1, 7]", "in 'Hello'", "sameas none", "sameas true", "filter", "test"]


class Maker:
    def __init__(self, rng):
        self.rng = rng

    def pick(self, choices):
        return self.rng.choice(choices)

    def expression(self, depth=0):
        return self.of_kind(self.pick(KINDS), depth)

    def of_kind(self, kind, depth):
        """An expression that most often has the kind."""
        rng = self.rng
        choice = rng.random()
        if depth > 2 or choice < 0.3:
            return self.pick(SOURCES[kind]) if rng.random() < 0.95 else self.pick(NAMES + ["true", "none"])
        if choice < 0.65:
            table = METHODS if rng.random() < 0.4 else FILTERS
            froms = [source for source in KINDS if kind in table[source] or "any" in table[source]]
            source = self.pick(froms or KINDS)
            inner = self.of_kind(source if rng.random() < 0.97 else self.pick(KINDS), depth + 1)
            steps = table[source].get(kind, table[source].get("any", [])) or ["string"]
            if rng.random() < 0.06:
                steps = table[source].get("any", steps)
            mark = "." if table is METHODS else "|"
            return f"({inner}){mark}{self.pick(steps)}"
        one, two = self.of_kind(kind, depth + 1), self.of_kind(kind, depth + 1)
        if choice < 0.78:
            signs = {"text": ["+", "~", "~", "or"], "number": ["+", "-", "*", "/", "//", "%", "and", "or", "**"],
                     "list": ["+", "or"], "dict": ["or", "and"]}[kind]
            return f"({one} {self.pick(signs)} {two})"
        if choice < 0.84:
            return f"({one} if {self.condition(depth + 1)} else {two})" if rng.random() < 0.9 else f"({one} if {self.condition(depth + 1)})"
        if choice < 0.92 and kind in ("text", "list"):
            return f"({one})[{self.pick(['1:', ':-1', '::-1', '::2', '1:3', '-2:', '-4:4:2', '3:0:-1', ':', '1:n', '9:'])}]"
        if kind == "number":
            return self.condition(depth + 1) if choice < 0.97 else f"{self.pick(['-', '+', 'not '])}({one})"
        if kind == "list":
            return f"[{one}, {self.of_kind(self.pick(KINDS), depth + 1)}]"
        if kind == "dict":
            return "{'k': %s, %s: 1}" % (self.of_kind(self.pick(KINDS), depth + 1), self.of_kind("text", depth + 1))
        return self.pick(["mac(%s)", "mac(%s, k=2)", "mac(%s, 3, z=1)", "'%%s|' %% (%s)"]) % one

    def condition(self, depth):
        kind = self.pick(KINDS)
        one, two = self.of_kind(kind, depth + 1), self.of_kind(kind, depth + 1)
        choice = self.rng.random()
        if choice < 0.35:
            return f"({one} is {self.pick(['', 'not '])}{self.pick(TESTS)})"
        if choice < 0.55:
            return f"({one} {self.pick(['==', '!='] if kind == 'dict' else ['==', '!=', '<', '<=', '>', '>='])} {two})"
        if choice < 0.70:
            return f"({one} {self.pick(['in', 'not in'])} {two if kind == 'text' else self.of_kind('list', depth + 1)})"
        if choice < 0.80:
            return f"({one} and {self.condition(depth + 1)} or not {two})" if depth < 4 else "b"
        if choice < 0.85:
            return f"({one} {self.pick(['<', '=='])} {two} {self.pick(['<', '!='])} {self.of_kind(kind, depth + 1)})"
        return self.pick([one, "b", "w", "x1 is defined", "loop.first", "n > 2"]) if self.rng.random() < 0.9 else self.pick(NAMES)

    def tag(self, inside):
        return "{%" + self.pick(["", "", "-", "+"]) + " " + inside + " " + self.pick(["", "", "-"]) + "%}"

    def text(self):
        return self.pick(["", "", " ", "\n", "\n  ", "text", "a\n b ", "\t", "\r\n", "{ x", "}}"])

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.rng.randint(1, 2)))

    def statement(self, depth=0):
        kind = self.rng.random()
        if depth > 1 or kind < 0.35:
            return self.text() + "{{" + self.pick(["", "", "-"]) + " " + self.expression() + " " + self.pick(["", "", "-"]) + "}}" + self.text()
        if kind < 0.50:
            middle = self.pick(["", self.tag("elif " + self.expression()) + self.body(depth + 1)])
            last = self.pick(["", self.tag("else") + self.body(depth + 1)])
            return self.tag("if " + self.expression()) + self.text() + self.body(depth + 1) + middle + last + self.tag("endif") + self.text()
        if kind < 0.68:
            target, source = self.pick([("x1", self.expression(2)), ("x1", "r"), ("x1", "l"), ("x1", "k"), ("x1, x2", "d.items()"),
                                        ("x1, x2", "q"), ("x1", "range(3)"), ("x1", "s"), ("x1", "r|selectattr('n', 'defined')")])
            test = self.pick(["", "", " if " + self.expression(2)])
            loop = self.pick(["", "{{ loop.index }}/{{ loop.length }}", "{{ loop.first }}{{ loop.last }}", "{{ loop.revindex0 }}",
                              "{{ loop.previtem }}|{{ loop.nextitem }}", "{{ loop.cycle('a', 'b') }}", "{{ loop }}",
                              self.tag("if loop.index0 == 1") + self.tag(self.pick(["break", "continue"])) + self.tag("endif"),
                              "{{ x1.role }}:{{ x1['content'] }}"])
            last = self.pick(["", self.tag("else") + self.body(depth + 1)])
            return self.tag(f"for {target} in {source}{test}") + loop + self.body(depth + 1) + last + self.tag("endfor") + self.text()
        if kind < 0.80:
            return self.tag(self.pick(["set x1 = ", "set x2 = ", "set ns.a = ", "set x1, x2 = 1, "]) + self.expression())
        if kind < 0.86:
            name = self.pick(["x1", "x2", "x1 | upper", "x2 | trim"])
            return self.tag("set " + name) + self.body(depth + 1) + self.tag("endset") + "{{ x1 }}"
        if kind < 0.90:
            return self.tag("filter " + self.pick(["upper", "trim", "replace('a', 'b')", "indent(2)"])) + self.body(depth + 1) + self.tag("endfilter")
        if kind < 0.93:
            return self.tag("with x1 = " + self.expression()) + self.body(depth + 1) + self.tag("endwith")
        if kind < 0.95:
            return self.tag("call mac(1)") + self.body(depth + 1) + self.tag("endcall")
        if kind < 0.97:
            return "{#" + self.pick(["", "-"]) + " {{ no }} " + self.pick(["", "-"]) + "#}" + self.text()
        if kind < 0.98:
            return self.tag("raw") + "{{ raw }} {% if %}" + self.tag("endraw")
        return self.tag("generation") + self.body(depth + 1) + self.tag("endgeneration")

    def template(self):
        start = ("{% set ns = namespace(a='0') %}{% set x1 = 'one' %}{% set x2 = 'two' %}" + self.pick([
            "{%- macro mac(p, k='K') %}<{{ p }}{{ k }}{% if caller %}{{ caller() }}{% endif %}>{% endmacro -%}\n",
            "{% macro mac(p) %}{{ p }}{{ varargs }}{{ kwargs }}{% endmacro %}",
            "{% macro mac(p, k=p) %}\n  {{ p }}{{ k }}\n{%- endmacro %}"]))
        return start + self.text() + "".join(self.statement() for _ in range(self.rng.randint(1, 3))) + self.pick(["", "\n", "\n\n", "{{ x1 }}{{ ns.a }}"])


def theirs(template):
    # Jinja's filters may change what they are given before they fail: indent lengthens a list, then asks it for its lines.
    try:
        return {"text": _compile_jinja_template(template).render(**copy.deepcopy(VARIABLES))}
    except RecursionError:
        raise
    except Exception as error:  # whatever Python and jinja2 raise
        return {"error": f"{type(error).__name__}: {error}"}


def without_address(answer):
    return " object " in answer.get("text", "") and " at 0x" in answer["text"] or "<bound method" in answer.get("text", "") \
        or "<function" in answer.get("text", "") or "<built-in method" in answer.get("text", "")


class JinjaTest(unittest.TestCase):
    def test_random_templates(self):
        maker = Maker(random.Random(SEED))
        templates = [maker.template() for _ in range(NUMBER)]
        lines = "\n".join(json.dumps({"template": template, "raw": VARIABLES}) for template in templates)
        done = subprocess.run([TOOL], input=lines.encode(), capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        answers = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
        self.assertEqual(len(answers), NUMBER)
        refused, texts, errors, different = 0, 0, 0, []
        for template, ours in zip(templates, answers):
            reference = theirs(template)
            if without_address(reference):
                continue
            if "not supported" in ours.get("error", ""):
                refused += 1
            elif "error" in ours and "error" in reference:
                errors += 1
            elif ours.get("text") == reference.get("text"):
                texts += 1
            else:
                different.append((template, reference, ours))
        for template, reference, ours in different[:20]:
            print(f"TEMPLATE {template!r}\n  THEIRS {reference}\n  OURS   {ours}\n", file=sys.stderr)
        self.assertEqual(len(different), 0, f"{texts} equal texts, {errors} errors of both, {refused} refused")
        self.assertGreater(texts, NUMBER // 6)
        self.assertLess(refused, NUMBER // 10)


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    if len(sys.argv) > 2:
        SEED, NUMBER = int(sys.argv.pop(1)), int(sys.argv.pop(1))
    unittest.main()
