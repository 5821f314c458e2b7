"""`longgen eval suite` against lm-eval: the texts of its task files, its division into tokens and its scores, with
log-likelihoods by transformers. lm-eval is installed without what it needs to run (datasets, pandas, ...): its YAML files
are read here, its LM class is imported.

    eval_suite_oracle_test.py PROGRAM
"""

import importlib.util
import json
import os
import pathlib
import sys
import types
import unittest

import numpy
import torch
import transformers
import yaml
from lm_eval import utils
from lm_eval.api.model import TemplateLM

from cli_case import CliCase
from tiny_model import write_tiny_llama

TASKS = pathlib.Path(utils.__file__).parent / "tasks"
TOLERANCE = 1e-4
LETTERS = ["A", "B", "C", "D"]


class Loader(yaml.SafeLoader):
    """Reads task files; what they name of Python files is taken from there by hand."""


Loader.add_multi_constructor("!function", lambda loader, suffix, node: None)


def task_file(name):
    """A task file of lm-eval, with what it includes."""
    path = TASKS / name
    task = yaml.load(path.read_text(), Loader)
    if "include" in task:
        task = task_file(path.parent.relative_to(TASKS) / task["include"]) | task
    return task


def task_module(name):
    """A Python file of lm-eval's tasks, where `datasets` is only a name of types."""
    sys.modules.setdefault("datasets", types.SimpleNamespace(Dataset=object))
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), TASKS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def field(template, document):
    """A doc_to_... of a task file: the name of a field, or a template."""
    return document[template] if template in document else utils.apply_template(template, document)


class Oracle(TemplateLM):
    """Log-likelihoods one text at a time."""

    def __init__(self, directory):
        super().__init__()
        self.tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"),
                                                              eos_token="<|end|>")
        self.model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)

    eot_token_id = prefix_token_id = property(lambda self: self.tokenizer.eos_token_id)

    def tok_encode(self, string, add_special_tokens=None, **kwargs):
        return self.tokenizer.encode(string)

    def _loglikelihood_tokens(self, requests, disable_tqdm=False, **kwargs):
        return [self.score(context, continuation) for _, context, continuation in requests]

    @torch.no_grad()
    def score(self, context, continuation):
        logits = self.model(torch.tensor([context + continuation[:-1]])).logits[0, -len(continuation):]
        targets = torch.tensor(continuation)
        logprobs = torch.log_softmax(logits.double(), -1).gather(1, targets[:, None])
        return float(logprobs.sum()), bool((logits.argmax(-1) == targets).all())

    def pairs(self, pairs):
        return self.loglikelihood([types.SimpleNamespace(args=pair) for pair in pairs], disable_tqdm=True)

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError

    generate_until = loglikelihood_rolling


class SuiteOracleTest(CliCase):
    @classmethod
    def setUpClass(cls):
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()

    def setUp(self):
        super().setUp()
        self.model = self.dir / "tiny"
        write_tiny_llama(self.model, context=2048)
        (self.model / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
        self.oracle = Oracle(self.model)
        self.number = 0  # each has results of its own

    def lines(self, name, items):
        self.put(f"items/{name}", "".join(json.dumps(item) + "\n" for item in items))

    def suite(self, *arguments):
        """Runs tasks, which read their items from the test's folder unless they are files of their own."""
        self.number += 1
        items = () if arguments[1].startswith("jsonl:") else ("--items", self.dir / "items")
        out, _ = self.run_program("eval", "suite", self.model, *items, "--out", self.dir / f"out{self.number}", "--dtype", "float32",
                                  "--json", "--quiet", *arguments)
        return json.loads(out)

    def finished(self, task):
        lines = (self.dir / f"out{self.number}/items/tiny/{task}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines[1:]]

    def compare(self, task, pairs_of_items, golds, choices=None):
        """Finished items against (context, continuation) pairs; `choices` are the texts whose characters count."""
        items = self.finished(task)
        self.assertEqual(len(items), len(pairs_of_items))
        for i, (item, pairs, gold) in enumerate(zip(items, pairs_of_items, golds)):
            expected = self.oracle.pairs(pairs)
            sums = numpy.array([score for score, _ in expected])
            numpy.testing.assert_allclose(item["loglikelihoods"], sums, rtol=0, atol=TOLERANCE, err_msg=f"{task} {i}")
            self.assertEqual(item["greedy"], [greedy for _, greedy in expected])
            if len(pairs) == 1:
                self.assertEqual(item["scores"]["acc"], float(expected[0][1]))
                continue
            self.assertEqual(item["scores"]["acc"], float(numpy.argmax(sums) == gold), task)
            if choices:
                lengths = numpy.array([len(choice) for choice in choices[i]])
                self.assertEqual(item["scores"]["acc_norm"], float(numpy.argmax(sums / lengths) == gold), task)

    def test_questions_of_one_text(self):
        documents = [
            {"question": "Which is warm?", "choices": ["the sun", "ice ", "a caf\u00e9 \u2014 at night"], "gold": 0},
            {"question": "What do\n  you see there?  ", "choices": ["the sea", "THE SKY", "x", "no thing"], "gold": 2}]
        golds = [0, 2]
        official = [{"question": d["question"], "question_stem": d["question"], "goal": d["question"],
                     "query": d["question"], "context": d["question"].split(" ", 1)[0],
                     "choices": {"text": d["choices"], "label": LETTERS}, "answerKey": LETTERS[d["gold"]]}
                    for d in documents]
        forms = [("arc_easy", "arc_easy_test.jsonl", "question", "arc/arc_easy.yaml"),
                 ("arc_challenge", "arc_challenge_test.jsonl", "question", "arc/arc_challenge.yaml"),
                 ("openbookqa", "openbookqa_test.jsonl", "question", "openbookqa/openbookqa.yaml"),
                 ("piqa", "piqa_val.jsonl", "goal", "piqa/piqa.yaml"),
                 ("hellaswag", "hellaswag_val.jsonl", "query", "hellaswag/hellaswag.yaml"),
                 ("social_iqa", "social_iqa_val.jsonl", "question", "siqa/siqa.yaml")]
        for _, file, ours, _ in forms:
            self.lines(file, [{ours: d["question"], "choices": d["choices"], "gold": d["gold"]} for d in documents])
        self.suite("--tasks", ",".join(name for name, *_ in forms))
        for name, _, _, theirs in forms:
            task = task_file(theirs)
            if name == "social_iqa":  # its question follows its context
                for d in official:
                    d["context"], _, d["question"] = d["question"].partition(" ")
            texts = [field(task["doc_to_text"], d) for d in official]
            delimiter = task.get("target_delimiter", " ")
            pairs = [[(text, delimiter + choice) for choice in d["choices"]] for text, d in zip(texts, documents)]
            self.compare(name, pairs, golds, [d["choices"] for d in documents])

    def test_hellaswag_of_the_official_file(self):
        """The file that docs/suites.md makes of the official one has the texts of lm-eval."""
        official = [{"activity_label": "Roof removal", "ctx_a": "A man is on a roof.", "ctx_b": "he",
                     "endings": ["is using [step] wrap.", " rips  off [title] tiles"], "label": "1"}]
        dataset = types.SimpleNamespace(map=lambda function: [function(d) for d in official])
        documents = task_module("hellaswag/utils.py").process_docs(dataset)
        self.assertEqual(documents[0]["query"], "Roof removal: A man is on a roof. He")
        self.lines("hellaswag_val.jsonl", documents)
        self.suite("--tasks", "hellaswag")
        self.compare("hellaswag", [[(d["query"], " " + choice) for choice in d["choices"]] for d in documents], [1],
                     [d["choices"] for d in documents])

    def test_winogrande_and_lambada(self):
        winogrande = task_module("winogrande/preprocess_winogrande.py")
        documents = [{"sentence": "Ann is a better cook than Bea, so _ made the soup.", "option1": "Ann",
                      "option2": "Bea", "answer": "1"},
                     {"sentence": "_ was late because the bus was  .", "option1": "the girl", "option2": "It",
                      "answer": "2"}]
        self.lines("winogrande_xl_val.jsonl", [{"question": d["sentence"], "choices": [d["option1"], d["option2"]],
                                                "gold": int(d["answer"]) - 1} for d in documents])
        passages = [{"text": "She saw the ship. \"The ship,\" she said, \"is the  ship"}, {"text": "a\nb the"}]
        self.lines("lambada_openai_test.jsonl", passages)
        self.suite("--tasks", "winogrande,lambada_openai")
        self.compare("winogrande",
                     [[(context, " " + winogrande.doc_to_target(d)) for context in winogrande.doc_to_choice(d)]
                      for d in documents], [winogrande.doc_to_text(d) for d in documents])
        task = task_file("lambada/lambada_openai.yaml")
        self.compare("lambada_openai", [[(field(task["doc_to_text"], d), field(task["doc_to_target"], d))]
                                        for d in passages], [0, 0])

    def test_mmlu_with_solved_questions(self):
        def question(subject, text, gold):
            return {"subject": subject, "question": text, "choices": ["the sun", "the moon", "4", "all"], "gold": gold}
        dev = [question("anatomy", " Where is it?", 1), question("us_foreign_policy", "Who?\nYou?", 0),
               question("anatomy", "When? ", 3), question("us_foreign_policy", "What?", 2)]
        test = [question("us_foreign_policy", "Why? ", 3), question("anatomy", "How the?", 0)]
        self.lines("mmlu_dev.jsonl", dev)
        self.lines("mmlu_test.jsonl", test)
        for shots in (0, 2):
            self.suite("--tasks", "mmlu,mmlu_cloze", "--shots", shots)
            for name, folder in (("mmlu", "default"), ("mmlu_cloze", "continuation")):
                pairs, choices = [], []
                for item in test:
                    task = task_file(f"mmlu/{folder}/mmlu_{item['subject']}.yaml")
                    texts = {d["question"]: LETTERS if name == "mmlu" else d["choices"] for d in dev + test}
                    context = task["description"]
                    for solved in [d for d in dev if d["subject"] == item["subject"]][:shots]:
                        answer = texts[solved["question"]][solved["gold"]]
                        context += field(task["doc_to_text"], solved) + " " + answer + "\n\n"
                    context += field(task["doc_to_text"], item)
                    choices.append(texts[item["question"]])
                    pairs.append([(context, " " + choice) for choice in choices[-1]])
                self.compare(name, pairs, [d["gold"] for d in test], choices)
        for path in (TASKS / "mmlu").glob("[dc]*t*/mmlu_*.yaml"):  # subjects read as our names of them do
            task = yaml.load(path.read_text(), Loader)
            kind = "multiple choice questions" if path.parent.name == "default" else "questions"
            if path.parent.name in ("default", "continuation") and "dataset_name" in task:
                self.assertEqual(task["description"], f"The following are {kind} (with answers) about "
                                                      f"{task['dataset_name'].replace('_', ' ')}.\n\n")

    def test_contexts_that_end_in_spaces_or_are_empty(self):
        items = [{"context": "the end \n ", "choices": ["the", " sea"], "gold": 0},
                 {"context": "", "choices": ["the sea", "abc"], "gold": 1},
                 {"context": "th", "choices": ["e sea"], "gold": 0, "delimiter": ""},  # "the" is one token
                 {"context": "t", "choices": ["he sea", "a"], "gold": 0, "delimiter": ""}]
        self.put("own.jsonl", "".join(json.dumps(item) + "\n" for item in items))
        self.suite("--tasks", f"jsonl:{self.dir}/own.jsonl")
        self.compare("own", [[(d["context"], d.get("delimiter", " ") + choice) for choice in d["choices"]] for d in items],
                     [d["gold"] for d in items])


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
