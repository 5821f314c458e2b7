"""`longgen compose`: exact lengths, answers found by solving the tasks from the text alone, runs that go on.

    compose_test.py PROGRAM
"""

import functools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

from cli_case import CliCase
from tiny_model import END, write_model

COMPOSE = pathlib.Path(__file__).parents[2] / "longgen/data/compose"
KINDS = {"person": r"[A-Z][a-z]+ [A-Z][a-z]+", "place": r"[A-Z][a-z]+",
         "item": r"[a-z-]+ [a-z]+(?: set| glass| box| opener| watch| desk)?",
         "ship": r"[a-z]+ [A-Z][a-z]+", "coined": r"[A-Z][a-z]+", "option": r"[a-z]+_[a-z]+_[a-z]+", "number": r"\d{4,7}",
         "code": r"[A-Z]{2}-\d{3}-[A-Z]{2}", "date": r"\d{1,2} [A-Z][a-z]+ \d{4}", "cargo": r"\d+ [a-z]+ of [a-z ]+",
         "watchword": r"[a-z]+ [a-z]+", "long_number": r"\d{5,9}", "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"}


@functools.cache
def wordings(file, array=None):
    """The string literals of a header, or of one array in it."""
    text = (COMPOSE / file).read_text()
    if array:
        text = re.search(array + r" = .*?\}\);", text, re.DOTALL)[0]
    return [json.loads(literal) for literal in re.findall(r'"(?:\\.|[^"\\])*"', text)
            if "{" in literal]


@functools.cache
def relations():
    """(kind of key, kind of value, statements, questions) of every row of recall_wordings.h."""
    text = (COMPOSE / "recall_wordings.h").read_text()
    rows = []
    for key, value, rest in re.findall(r"\{Kind::(\w+), Kind::(\w+),(.*?)\}\}", text, re.DOTALL):
        texts = [json.loads(literal) for literal in re.findall(r'"(?:\\.|[^"\\])*"', rest)]
        rows.append((key, value, texts[:4], texts[4:]))
    return rows


@functools.cache
def attributes():
    """(kind of key, kind of value, key in a question, thing, things, statements) of every row of collecting_wordings.h."""
    text = (COMPOSE / "collecting_wordings.h").read_text()
    rows = []
    for key, value, rest in re.findall(r"\{Kind::(\w+), Kind::(\w+),(.*?)\}\}", text, re.DOTALL):
        called, thing, things, *statements = [json.loads(literal) for literal in re.findall(r'"(?:\\.|[^"\\])*"', rest)]
        rows.append((key, value, called, thing, things, statements))
    return rows


def pattern(wording, **blanks):
    """A regular expression for the wording; blanks that are not given match anything, as groups of their names."""
    parts, seen = [], set()
    for text, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", wording):
        parts.append(re.escape(text))
        if name and name.lower() in seen:
            parts.append(f"(?P={name.lower()})")
        elif name:
            expression = blanks.get(name.lower(), ".+?")
            parts.append(f"(?P<{name.lower()}>{expression})")
            seen.add(name.lower())
    return "".join(parts)


class Solver:
    """Answers the questions of a document from its text, by its own reading of the wordings."""

    def __init__(self, document):
        text = document["text"].encode()
        self.answers = [text[begin:end].decode() for begin, end in document["answers"]]
        ends = [0] + [end for _, end in document["answers"]]
        self.questions = [text[end:begin].decode() for end, (begin, _) in zip(ends, document["answers"])]
        self.body = self.questions[0]  # up to its last lines, which ask the first question
        self.questions[0] = self.questions[0][-2500:]
        self.pending = []  # what the next answers of the same question are
        self.spans = []  # from the first to the last value of one key, as shares of the body

    def question(self, i, candidates, **blanks):
        """The match of the wording of question i in what stands between two answers; None when it is none of these."""
        found = [match for wording in candidates
                 for match in re.finditer(pattern(wording, **blanks), self.questions[i], re.DOTALL)]
        return max(found, key=lambda match: match.end() - match.start(), default=None)

    def one(self, values):
        values = set(values)
        assert len(values) == 1, values
        return values.pop()

    def recall(self, i):
        for key, value, statements, questions in relations():
            match = self.question(i, questions, key=KINDS[key])
            if not match:
                continue
            blanks = {"key": re.escape(match["key"]), "value": KINDS[value]}
            return self.one(m["value"] for s in statements for m in re.finditer(pattern(s, **blanks), self.body))
        raise AssertionError(self.questions[i])

    def collecting(self, i):
        if self.pending:
            return self.pending.pop(0)
        values, answer = self.asked_values(i), self.answers[i]
        if answer == values[0]:  # each value stands behind its key
            self.pending = values[1:]
            return answer
        return answer if re.split("; |, and |, | and ", answer) == values else str(values)

    def asked_values(self, i):
        file, found = "collecting_wordings.h", []
        one = [pattern(row[2], key=KINDS[row[0]]).replace("?P<key>", "?:") for row in attributes()]
        some = lambda part: f"{part}(?:, {part})* and {part}"
        for row, called in zip(attributes(), one):
            _, _, key, thing, things, _ = row
            ask = lambda array, **blanks: self.question(
                i, [w.replace("{things}", things).replace("{thing}", thing).replace("{key}", key)
                    .replace("{Key}", key[0].upper() + key[1:]) for w in wordings(file, array)], **blanks)
            for array in ["kAllQuestions", "kOrderedQuestions"]:
                if m := ask(array, key=KINDS[row[0]]):
                    found.append((len(m[0]), [(row, m["key"])], True))
            if m := ask("kEachQuestions", keys=some(called)):
                names = re.findall(pattern(key, key=KINDS[row[0]]), m["keys"])
                found.append((len(m[0]), [(row, name) for name in names], False))
        wanted = "(?:" + "|".join(f"the {row[3]} of {called}" for row, called in zip(attributes(), one)) + ")"
        if m := self.question(i, wordings(file, "kWantedQuestions"), wanted=some(wanted)):
            asked = []
            for part in re.split(", (?=the )| and (?=the )", m["wanted"]):
                row = next(row for row in attributes() if part.startswith(f"the {row[3]} of "))
                asked.append((row, re.fullmatch(f"the {row[3]} of " + pattern(row[2], key=KINDS[row[0]]), part)["key"]))
            found.append((len(m[0]), asked, False))
        _, asked, of_one = max(found, key=lambda one: one[0])
        if not of_one:
            return [self.one(self.values(row, key)) for row, key in asked]
        return self.values(*asked[0], spread=True)

    def values(self, row, key, spread=False):
        """All that the text says of the key, in order."""
        found = sorted((m.start(), m["value"]) for s in row[5]
                       for m in re.finditer(pattern(s, key=re.escape(key), value=KINDS[row[1]]), self.body))
        if spread:
            self.spans.append((found[-1][0] - found[0][0]) / len(self.body))
        return [value for _, value in found]

    def chains(self, i):
        name, number = KINDS["coined"], KINDS["number"]
        events = [(m.start(), m["to"], None, m["value"]) for s in wordings("chain_wordings.h", "kStartWordings")
                  for m in re.finditer(pattern(s, to=name, value=number), self.body)]
        events += [(m.start(), m["to"], m["from"], None) for s in wordings("chain_wordings.h", "kHopWordings")
                   for m in re.finditer(pattern(s, to=name, **{"from": name}), self.body)]
        held, order = {}, []
        for _, to, source, value in sorted(events):
            if source is not None and source not in held:
                continue  # a sentence of the corpus
            held[to] = value or held[source]
            order.append(to)
        if match := self.question(i, wordings("chain_wordings.h", "kEndQuestions"), name=name):
            return held[match["name"]]
        match = self.question(i, wordings("chain_wordings.h", "kHolderQuestions"), value=number)
        names = [n for n in order if held[n] == match["value"]]
        return ", ".join(names[:-1]) + " and " + names[-1]

    def table(self, title):
        """The rows of a table as {key: {column: value}}, whatever its form."""
        begin = self.body.index(title[0].upper() + title[1:] + ":\n\n") + len(title) + 3
        lines = self.body[begin:].split("\n\n")[0].split("\n")
        if lines[0] == "{":
            return json.loads("\n".join(lines))
        if lines[0].startswith("{"):
            rows = [json.loads(line) for line in lines]
            return {row.pop("name"): row for row in rows}
        if lines[0].startswith("| "):
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            return {row[0]: dict(zip(cells[0][1:], row[1:])) for row in cells[2:]}
        if lines[0].startswith("name;"):
            cells = [line.split(";") for line in lines]
            return {row[0]: dict(zip(cells[0][1:], row[1:])) for row in cells[1:]}
        rows, key = {}, None
        for line in lines:
            if line.startswith("- "):
                key, fields = line[2:].split(": ")
                rows[key] = dict(field.split(" ", 1) for field in fields.split(", "))
            elif line.startswith("["):
                key = line.strip("[]")
                rows[key] = {}
            else:
                rows[key].update([line.split(" = ")])
        return rows

    def records(self, i):
        file, person = "record_wordings.h", KINDS["person"]
        titles = "|".join(pattern(t, place=KINDS["place"]).replace("?P<place>", "?:")
                          for t in wordings(file, "kRecordTitles"))
        blanks = {"title": titles, "column": r"\w+"}
        if match := self.question(i, wordings(file, "kFieldQuestions"), key=person, **blanks):
            return self.table(match["title"])[match["key"]][match["column"]]
        match = self.question(i, wordings(file, "kReverseQuestions"), value=r"[\w -]+", **blanks)
        return self.one(key for key, row in self.table(match["title"]).items()
                        if row[match["column"]] == match["value"])

    def facts(self, array, **blanks):
        """The matches of the wordings of an array, in the order of the text."""
        found = [m for s in wordings("joining_wordings.h", array) for m in re.finditer(pattern(s, **blanks), self.body)]
        return sorted(found, key=lambda m: m.start())

    def joining(self, i):
        person, place, item = KINDS["person"], KINDS["place"], KINDS["item"]
        ask = lambda array, **blanks: self.question(i, wordings("joining_wordings.h", array), **blanks)
        fixed = lambda match, *names: {name: re.escape(match[name]) for name in names}
        join = lambda names: ", ".join(names[:-1]) + " and " + names[-1]
        if m := ask("kCountQuestions", person=person, place=place):
            return str(len(self.facts("kVisitWordings", amount=r"\d+", **fixed(m, "person", "place"))))
        if m := ask("kSumQuestions", person=person, place=place):
            return str(sum(int(f["amount"]) for f in self.facts("kVisitWordings", amount=r"\d+",
                                                                **fixed(m, "person", "place"))))
        for array, pick in [("kHeaviestQuestions", lambda o: o[-1]), ("kLightestQuestions", lambda o: o[0]),
                            ("kOrderQuestions", join)]:
            if m := ask(array, items="the [^?.:]+"):
                items = re.split(", | and ", m["items"])
                weight = {n: int(self.facts("kWeightWordings", item=re.escape(n[4:]), amount=r"\d+")[0]["amount"])
                          for n in items}
                return pick(sorted(items, key=weight.get))
        if m := ask("kRouteQuestions", person=person):
            return join([f["place"] for f in self.facts("kTownWordings", place=place, **fixed(m, "person"))])
        if m := ask("kNextTownQuestions", person=person, place=place):
            towns = [f["place"] for f in self.facts("kTownWordings", place=place, **fixed(m, "person"))]
            return towns[towns.index(m["place"]) + 1]
        where = ask("kWhereQuestions", item=item)
        m = where or ask("kLandQuestions", item=item)
        keeper = self.one(f["person"] for f in self.facts("kKeeperWordings", person=person, **fixed(m, "item")))
        home = self.one(f["place"] for f in self.facts("kHomeWordings", person=re.escape(keeper), place=place))
        return home if where else self.one(f["person"] for f in self.facts("kLandWordings", person=person, place=home))

    def reading(self, i):
        file, quote = "reading_wordings.h", '[^"]+'
        ask = lambda array, **blanks: self.question(i, wordings(file, array), **blanks)
        first = self.question(0, wordings(file))  # the text ends before it
        end = len(self.body) - len(self.questions[0]) + first.start()
        lines, answer = re.sub(r"\s+", " ", self.body[:end]), self.answers[i]
        if m := ask("kFollowingQuestions", quote=quote):
            before, after = lines.split(m["quote"] + " ")
            return answer if after.startswith(answer) else after[:80]
        if m := ask("kPrecedingQuestions", quote=quote):
            before, after = lines.split(" " + m["quote"])
            return answer if before.endswith(answer) else before[-80:]
        if m := ask("kGapQuestions", quote=quote):
            return self.one(re.findall(re.escape(m["quote"]).replace("_____", "([A-Za-z]+)"), lines))
        if m := ask("kOrderOfTwoQuestions", first=quote, second=quote):
            return "(a)" if lines.index(m["first"]) < lines.index(m["second"]) else "(b)"
        m = ask("kPresenceQuestions", choices=r'\(a\).*\(d\) "[^"]+"')
        return self.one(letter for letter, text in re.findall(r'(\([a-d]\)) "([^"]+)"', m["choices"]) if text in lines)


def corpus(num_documents, num_sentences, seed=3):
    """Prose of made-up words, in paragraphs of short lines; now and then somebody speaks."""
    draw = random.Random(seed)
    words = ["".join(draw.choice("aeiou") if i % 2 else draw.choice("bdfghklmnprstvw") for i in range(draw.randint(2, 9)))
             for _ in range(3000)]
    documents = []
    for _ in range(num_documents):
        paragraphs = []
        for _ in range(num_sentences // 5):
            sentences = []
            for _ in range(5):
                body = " ".join(draw.choices(words, k=draw.randint(4, 18))).capitalize()
                sentences.append(f"“{body},” said he." if draw.random() < 0.1 else body + draw.choice([".", ".", "!", "?"]))
            lines, line = [], ""
            for word in " ".join(sentences).split(" "):
                if len(line) + len(word) > 70:
                    lines.append(line)
                    line = ""
                line += (" " if line else "") + word
            paragraphs.append("\n".join([*lines, line]))
        documents.append("\n\n".join(paragraphs))
    return documents


class ComposeCase(CliCase):
    @classmethod
    def setUpClass(cls):
        cls.documents = corpus(12, 400)

    def setUp(self):
        super().setUp()
        self.model = write_model(self.dir / "model", begin=True, config={"eos_token_id": END})
        self.text = self.put("corpus.txt", "\n<|endoftext|>\n".join(self.documents))

    def compose(self, *options, out="out.jsonl", text=None):
        report, _ = self.run_program("compose", self.model, "--text", text or self.text, "--out", self.dir / out, "--json",
                                     "--quiet", *options)
        return json.loads(report), [json.loads(line) for line in (self.dir / out).read_text().splitlines()]


class Documents(ComposeCase):
    def lengths(self, *names):
        """The tokens of each document of a dataset that prepare makes of the files."""
        self.run_program("prepare", *[self.dir / name for name in names], self.dir / "data", "--model", self.model,
                         "--held-out", 0, "--force", "--quiet")
        index = (self.dir / "data/train.idx").read_bytes()
        offsets = memoryview(index[16:-24]).cast("q")
        return [after - before for before, after in zip(offsets, offsets[1:])]

    def test_answers_are_what_the_text_says(self):
        for task in ["recall", "collecting", "records", "chains", "joining", "reading"]:
            for length, count in [(2500, 6), (6000, 12), (40000, 3)]:
                _, documents = self.compose("--tasks", task, "--length", length, "--documents", count, "--seed", length,
                                            "--force")
                for document in documents:
                    solver = Solver(document)
                    self.assertGreaterEqual(len(solver.answers), 1)
                    for i, answer in enumerate(solver.answers):
                        self.assertEqual(getattr(solver, task)(i), answer, f"{task} {document['index']}: {solver.questions[i]}")

    def test_collected_values_stand_far_apart_and_are_two_to_six(self):
        _, documents = self.compose("--tasks", "collecting", "--length", 40000, "--documents", 8)
        spans, counts = [], set()
        for document in documents:
            solver = Solver(document)
            for i, answer in enumerate(solver.answers):
                solver.collecting(i)
                if not solver.pending:
                    counts.add(len(re.split("; |, and |, | and ", answer)))
            spans += solver.spans
        self.assertGreater(len(spans), 10)
        self.assertGreater(sum(spans) / len(spans), 0.5)
        self.assertEqual(counts - {1}, {2, 3, 4, 5, 6})

    def test_lengths_shares_and_fields(self):
        report, documents = self.compose("--lengths", "3000:3,8K", "--tasks", "recall:1,reading:3", "--documents", 40)
        self.assertEqual([d["length"] for d in documents], self.lengths("out.jsonl"))
        self.assertEqual([d["index"] for d in documents], list(range(40)))
        self.assertEqual({d["seed"] for d in documents}, {0})
        self.assertTrue(28 <= sum(d["length"] == 3000 for d in documents) <= 32)
        self.assertTrue(28 <= sum(d["task"] == "reading" for d in documents) <= 32)
        self.assertEqual(report["tokens"], sum(d["length"] for d in documents))
        self.assertEqual(report["documents"], 40)
        self.assertEqual(report["lengths"]["3000"]["documents"], sum(d["length"] == 3000 for d in documents))
        self.assertEqual(report["tasks"]["recall"]["documents"], sum(d["task"] == "recall" for d in documents))
        self.assertEqual(report["answers"], sum(len(d["answers"]) for d in documents))
        for document in documents:
            flat = [at for range_ in document["answers"] for at in range_]
            self.assertEqual(flat, sorted(flat))
            self.assertLessEqual(flat[-1], len(document["text"].encode()))

    def test_tokens_that_prepare_is_told_to_put_around(self):
        _, documents = self.compose("--length", 3000, "--documents", 3, "--begin-token", "none")
        self.assertEqual(self.lengths("out.jsonl"), [3001] * 3)

    def test_threads_and_packing_make_no_difference(self):
        options = ["--length", 3000, "--tokens", 58000]
        self.compose(*options, "--threads", 1, out="one.jsonl")
        _, documents = self.compose(*options, "--threads", 5, out="five.jsonl")
        self.assertEqual(len(documents), 20)
        self.assertEqual((self.dir / "one.jsonl").read_bytes(), (self.dir / "five.jsonl").read_bytes())
        self.run_program("compose", self.model, "--text", self.text, "--out", self.dir / "z.jsonl.zst", *options, "--quiet")
        if shutil.which("zstd"):
            unpacked = subprocess.run(["zstd", "-dcq", self.dir / "z.jsonl.zst"], capture_output=True, check=True).stdout
            self.assertEqual(unpacked, (self.dir / "one.jsonl").read_bytes())
        self.assertEqual(self.lengths("z.jsonl.zst"), [3000] * 20)
        _, other = self.compose(*options, "--seed", 1, out="other.jsonl")
        self.assertNotEqual(other[0]["text"], documents[0]["text"])

    def test_short_documents_are_joined(self):
        lines = [json.dumps({"text": "\n\n  " + part + "\n"}) for d in self.documents for part in d.split("\n\n")]
        path = self.put("short.jsonl", "\n".join([*lines, json.dumps({"text": ""}), json.dumps({"text": " \n"})]) + "\n")
        self.put("empty.txt", "")
        _, documents = self.compose("--length", 5000, "--documents", 6, text=path)
        self.assertEqual(self.lengths("out.jsonl"), [5000] * 6)
        self.assertTrue(all("\n\n***\n\n  " in d["text"] for d in documents))

    def test_texts_without_sentences_and_in_other_scripts(self):
        draw = random.Random(5)
        hanzi = "".join(chr(draw.randint(0x4E00, 0x9FA0)) + ("。" if i % 30 == 29 else "") for i in range(30000))
        self.compose("--length", 4000, "--documents", 5, text=self.put("hanzi.txt", hanzi))
        self.assertEqual(self.lengths("out.jsonl"), [4000] * 5)
        table = "\n".join(f"{draw.random():.9f};{draw.random():.9f}" for _ in range(4000))
        self.compose("--length", 4000, "--documents", 5, "--tasks", "recall,collecting,records,chains,joining", "--force",
                     text=self.put("table.txt", table))
        self.assertEqual(self.lengths("out.jsonl"), [4000] * 5)
        message, _ = self.error("compose", self.model, "--text", self.dir / "table.txt", "--tasks", "reading", "--length", 4000,
                                "--documents", 1, "--out", self.dir / "no.jsonl")
        self.assertIn("document 0, reading of 4,000 tokens: found none after", message)


class Interrupted(ComposeCase):
    OPTIONS = ["--length", 9000, "--documents", 150, "--quiet"]

    def call(self, out, *options):
        return ["compose", self.model, "--text", self.text, "--out", self.dir / out, *self.OPTIONS, *options]

    def interrupt(self, out, number):
        """Sends the signal once a few lines are there; gives the exit code and stderr."""
        process = subprocess.Popen([self.PROGRAM, *map(str, self.call(out))], stderr=subprocess.PIPE)
        lines = self.dir / f"{out}.partial/lines"
        for _ in range(3000):
            if lines.exists() and lines.stat().st_size > 60000:
                break
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        return process.returncode, err.decode()

    def test_it_goes_on_where_it_was(self):
        self.run_program(*self.call("whole.jsonl"))
        for out, number in [("a.jsonl", signal.SIGINT), ("b.jsonl", signal.SIGKILL), ("c.jsonl.zst", signal.SIGINT)]:
            code, err = self.interrupt(out, number)
            if number == signal.SIGINT:
                self.assertEqual(code, 130)
                self.assertRegex(err, rf"{out}: stopped after \d+ of 150 documents. They are kept in \S*{out}.partial; "
                                      "the same command goes on there.")
            self.assertFalse((self.dir / out).exists())
            lines = self.dir / f"{out}.partial/lines"
            lines.write_bytes(lines.read_bytes()[:-100])  # the last one is cut
            report, _ = self.run_program(*self.call(out, "--json"))
            self.assertGreater(json.loads(report)["kept_documents"], 1)
            self.assertFalse((self.dir / f"{out}.partial").exists())
        for out in ["a.jsonl", "b.jsonl"]:
            self.assertEqual((self.dir / out).read_bytes(), (self.dir / "whole.jsonl").read_bytes())

    def test_other_settings_are_refused(self):
        self.interrupt("a.jsonl", signal.SIGKILL)
        message, _ = self.error(*self.call("a.jsonl", "--seed", 7))
        self.assertEqual(message, f"{self.dir}/a.jsonl.partial/settings.json: the documents there were composed with seed 0, "
                                  f"not 7. Call it again as it was called then, or remove {self.dir}/a.jsonl.partial to "
                                  "begin anew.")
        self.put("corpus.txt", "\n<|endoftext|>\n".join(self.documents[1:]))
        message, _ = self.error(*self.call("a.jsonl"))
        self.assertIn("were composed with corpus ", message)


class Mistakes(ComposeCase):
    def test_usage(self):
        base = ["compose", self.model, "--text", self.text, "--out", self.dir / "o.jsonl"]
        long = [*base, "--length", 3000]
        self.assertIn("expected either --length N or --lengths LIST", self.usage_error(*base, "--documents", 1))
        self.assertIn("expected either --documents N or --tokens N", self.usage_error(*long))
        self.assertIn("expected either --documents N or --tokens N", self.usage_error(*long, "--documents", 1, "--tokens", 1))
        self.assertIn('there is no task "recal". Did you mean "recall"?',
                      self.usage_error(*long, "--documents", 1, "--tasks", "recal:2"))
        self.assertIn('expected a share above 0 after "chains:", found "0"',
                      self.usage_error(*long, "--documents", 1, "--tasks", "chains:0"))
        self.assertIn('"chains" comes twice', self.usage_error(*long, "--documents", 1, "--tasks", "chains,chains:2"))
        self.assertIn("8192 comes twice", self.usage_error(*base, "--documents", 1, "--lengths", "8K,8192"))
        self.assertIn("expected a name that ends in .jsonl or .jsonl.zst",
                      self.usage_error(*base[:-1], "o.json", "--length", 3000, "--documents", 1))

    def test_texts(self):
        def message(text, *options):
            return self.error("compose", self.model, "--text", text, "--out", self.dir / "o.jsonl", "--length", 3000,
                              "--documents", 1, *options)[0]

        self.assertRegex(message(self.put("short.txt", self.documents[0][:2500])),
                         r"expected a corpus of about 3,450 tokens at least for documents of 3,000, found 2.4\d KiB of text, "
                         r"about [\d,]+ tokens. Give more text or a smaller length.")
        self.assertIn("empty.txt: expected at least one document with text in the corpus, found none in it.",
                      message(self.put("empty.txt", "")))
        bad = self.put("bad.txt", self.documents[0].encode() + b"\nbad \xff line\n" + self.documents[1].encode())
        line = self.documents[0].count("\n") + 2
        self.assertEqual(message(bad), f"{bad}:{line}: not valid UTF-8. Pass --skip-bad to count and leave out such lines.")
        _, err = self.run_program("compose", self.model, "--text", bad, "--out", self.dir / "o.jsonl", "--length", 3000,
                                  "--documents", 1, "--skip-bad", "--quiet")
        self.assertIn("left out: 1 bad line", err)
        self.assertIn("o.jsonl: exists already. Choose another name or pass --force to replace it.", message(bad))
        self.assertIn("expected 256 to 67108864 tokens, found 100",
                      self.error("compose", self.model, "--text", self.text, "--out", self.dir / "p.jsonl", "--length", 100,
                                 "--documents", 1)[0])
        self.assertIn("the output lies inside the input",
                      self.error("compose", self.model, "--text", self.dir, "--out", self.dir / "p.jsonl", "--length", 3000,
                                 "--documents", 1)[0])
        self.assertEqual([name for name in self.names() if "partial" in name], [])
        self.assertIn("its passages and questions take",
                      self.error("compose", self.model, "--text", self.text, "--out", self.dir / "p.jsonl", "--length", 300,
                                 "--tasks", "records", "--documents", 1)[0])


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
