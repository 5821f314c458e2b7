"""`longgen eval suite`: results of two models, a run that goes on, what is refused. Texts and log-likelihoods are held
against lm-eval by eval_suite_oracle_test.py.

    eval_suite_test.py PROGRAM
"""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

from cli_case import CliCase
from tiny_model import write_model, write_tiny_llama


class SuiteTest(CliCase):
    def setUp(self):
        super().setUp()
        self.models = [self.dir / "full", self.dir / "hybrid"]
        for seed, model in enumerate(self.models):
            write_tiny_llama(model, seed)
        self.out = self.dir / "out"
        self.lines("items/short/piqa_val.jsonl", [{"goal": f"the goal {i}", "choices": ["the sea", f"a {i}"], "gold": i % 2}
                                                  for i in range(12)])
        self.lines("own.jsonl", [{"id": f"r{i}", "prompt": f"the sea {i}" * (1 + 40 * (i == 2)), "references": ["th", "\n"],
                                  "new_tokens": 6} for i in range(4)])

    def lines(self, name, items):
        return self.put(name, "".join(json.dumps(item) + "\n" for item in items))

    def arguments(self, *more, out=None):
        return ["eval", "suite", *self.models, "--tasks", f"piqa,jsonl:{self.dir}/own.jsonl", "--items", self.dir / "items",
                "--out", out or self.out, "--dtype", "float32", *more]

    def items(self, model, task):
        return (self.out / f"items/{model}/{task}.jsonl").read_text().splitlines()

    def test_two_models_and_a_run_that_goes_on(self):
        text, _ = self.run_program(*self.arguments("--quiet"))
        rows = [line.split() for line in text.splitlines()]
        self.assertEqual(rows[0], ["task", "score", "items", "full", "hybrid"])
        self.assertEqual([row[:3] for row in rows[1:4]], [["piqa", "acc_norm", "12"], ["piqa", "acc", "12"],
                                                          ["own", "score", "4"]])
        self.assertRegex(text, r"piqa +acc_norm +12 +\d+\.\d% +[+-]?\d+\.\d \([+-]?\d+\.\d to [+-]?\d+\.\d\)\n")
        self.assertIn("truncated to the context of hybrid: 1 item of own\n", text)
        results = json.loads((self.out / "results.json").read_text())
        self.assertEqual(results["models"], ["full", "hybrid"])
        self.assertEqual(results["tasks"][1]["truncated"], {"full": 1, "hybrid": 1})
        reply = json.loads(self.items("full", "own")[1])
        self.assertEqual(list(reply), ["id", "scores", "truncated", "reply", "end", "references"])

        # A killed process leaves some items, the last one torn: the others are made again, and nothing else.
        kept = self.items("full", "piqa")
        (self.out / "items/full/piqa.jsonl").write_text("\n".join(kept[:5]) + "\n" + kept[5][:20])
        (self.out / "items/hybrid/own.jsonl").unlink()
        out, err = self.run_program(*self.arguments("--json", "--html", self.dir / "page.html"))
        self.assertIn("<!DOCTYPE html>", (self.dir / "page.html").read_text())
        self.assertIn("full, piqa: 8 items", err)
        self.assertNotIn("full, own", err)
        self.assertIn("hybrid, own: 4 items", err)
        again = json.loads(out)
        self.assertEqual(again, json.loads((self.out / "results.json").read_text()))
        for before, after in zip(results["rows"], again["rows"]):
            self.assertEqual(before, after)
        self.assertEqual(self.items("full", "piqa")[:5], kept[:5])

    def test_an_interrupt_keeps_what_is_done(self):
        self.lines("many.jsonl", [{"prompt": "the sea was calm " * 5, "new_tokens": 60} for _ in range(150)])
        arguments = ["eval", "suite", self.models[0], "--tasks", f"jsonl:{self.dir}/many.jsonl", "--out", self.out, "--quiet"]
        running = subprocess.Popen([self.PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        file = self.out / "items/full/many.jsonl"
        until = time.monotonic() + 60
        while time.monotonic() < until and not (file.exists() and file.read_bytes().count(b"\n") > 1):
            time.sleep(0.005)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        self.assertEqual((running.returncode, err), (130, b"\nstopping; once more to stop at once\n"))
        done = len(self.items("full", "many")) - 1
        self.assertTrue(0 < done < 150, done)
        self.assertEqual(json.loads((self.out / "results.json").read_text())["models"], ["full"])
        _, err = self.run_program(*arguments[:-1])
        self.assertIn(f"full, many: {150 - done} items", err)

    def test_items_of_other_settings_are_refused(self):
        self.run_program(*self.arguments("--quiet", "--samples", 3))
        self.assertEqual(len(self.items("full", "piqa")), 1 + 3)
        # More samples hold the fewer ones.
        _, err = self.run_program(*self.arguments("--samples", 5))
        self.assertIn("full, piqa: 2 items", err)
        arguments = self.arguments()
        arguments[arguments.index("float32")] = "bfloat16"
        message, _ = self.error(*arguments)
        self.assertEqual(message, f"{self.out}/items/full/piqa.jsonl: its items were made with dtype \"float32\", and this run "
                                  "has \"bfloat16\". Use another --out, or remove the file.")
        write_tiny_llama(self.models[0], seed=7)
        message, _ = self.error(*self.arguments())
        self.assertIn("its items were made with model \"", message)
        self.lines("own.jsonl", [{"prompt": "other"}])
        write_tiny_llama(self.models[0], seed=0)
        message, _ = self.error(*self.arguments())
        self.assertIn("own.jsonl: its items were made with own.jsonl \"", message)

    def test_replies_without_a_score_are_counted(self):
        self.lines("kept.jsonl", [{"prompt": "the sea", "new_tokens": 3}, {"prompt": "a", "new_tokens": 3}])
        out, _ = self.run_program("eval", "suite", self.models[0], "--tasks", f"jsonl:{self.dir}/kept.jsonl", "--out", self.out,
                                  "--quiet", "--html", self.dir / "page.html")
        line = "without a score, replies kept: 2 items of kept by full"
        self.assertIn(line + "\n", out)
        self.assertIn(line, (self.dir / "page.html").read_text())

    def test_chat(self):
        template = "{% for m in messages %}<|begin|>{{ m.role }}: {{ m.content }}<|end|>{% endfor %}" \
                   "{% if add_generation_prompt %}<|begin|>assistant:{% endif %}"
        for model in self.models:
            (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": template, "eos_token": "<|end|>"}))
        self.run_program(*self.arguments("--quiet"))
        plain = self.items("full", "piqa"), self.items("full", "own")
        message, _ = self.error(*self.arguments("--chat"))
        self.assertIn("its items were made with chat false, and this run has true", message)
        self.out = self.dir / "chat"
        self.run_program(*self.arguments("--quiet", "--chat"))
        self.assertNotEqual(json.loads(self.items("full", "piqa")[1])["loglikelihoods"],
                            json.loads(plain[0][1])["loglikelihoods"])
        self.assertIn("\"chat\":true", self.items("full", "own")[0])

    def test_long_tasks_at_each_length(self):
        for model in self.models:
            write_tiny_llama(model, context=5000)
        arguments = ["eval", "suite", *self.models, "--tasks", "vt", "--samples", 2, "--items", self.dir, "--quiet"]
        lengths = ["--lengths", "4K,6K", "--out", self.out]
        out, _ = self.run_program(*arguments, *lengths, "--json")
        results = json.loads(out)
        self.assertEqual([(row["task"], row["length"]) for row in results["rows"]], [("vt-4K", 4096), ("vt-6K", 6144)])
        self.assertEqual([task["truncated"]["full"] for task in results["tasks"]], [0, 2])
        both = [[json.loads(line) for line in self.items(model, "vt-4K")[1:]] for model in ("full", "hybrid")]
        self.assertEqual(*([item["references"] for item in items] for items in both))
        out, err = self.run_program(*arguments, *lengths)
        self.assertIn(f"warning: --lengths 6,144: longer than the context of {self.models[0]}, 5,000 tokens: prompts lose their "
                      "beginning", err)
        message, _ = self.error(*arguments, *lengths, "--seed", 7)
        self.assertIn("vt-4K.jsonl: its items were made with seed 42, and this run has 7", message)
        message, _ = self.error(*arguments, "--lengths", "100", "--out", self.dir / "other")
        self.assertIn("length: expected at least", message)

    def test_cache_policies_of_the_first_model(self):
        policies = "streaming:300,streaming:5,h2o:4,pyramidkv:9"
        columns = ["full", "full+streaming:300", "full+streaming:5", "full+h2o:4", "full+pyramidkv:9", "hybrid"]
        text, err = self.run_program(*self.arguments("--policy", policies))
        self.assertEqual(text.splitlines()[0].split()[3:], columns)
        self.assertIn("full+h2o:4, own: 4 items", err)
        results = json.loads((self.out / "results.json").read_text())
        self.assertEqual((results["models"], results["settings"]["policies"]), (columns, policies.split(",")))
        self.assertEqual(results["rows"][2]["task"], "own")
        self.assertEqual([model["model"] for model in results["rows"][2]["models"]], columns)

        def answers(column):
            scores = [json.loads(line)["loglikelihoods"] for line in self.items(column, "piqa")[1:]]
            return sum(scores, []), [json.loads(line)["reply"] for line in self.items(column, "own")[1:]]

        scores, replies = answers("full")
        for column in columns[1:5]:
            of_policy, its_replies = answers(column)
            self.assertIn('"policy":"' + column[5:] + '"', self.items(column, "piqa")[0])
            if column == "full+streaming:300":  # as many tokens as the model's context has, and more
                self.assertEqual(its_replies, replies)
                for a, b in zip(scores, of_policy):
                    self.assertAlmostEqual(a, b, delta=1e-4)
            else:
                self.assertGreater(max(abs(a - b) for a, b in zip(scores, of_policy)), 1e-3)
        # A run that goes on takes what is there.
        (self.out / "items/full+h2o:4/own.jsonl").unlink()
        _, err = self.run_program(*self.arguments("--policy", "h2o:4"))
        self.assertEqual([line for line in err.splitlines() if "tokens/s" in line and not line.startswith("full+h2o:4, own")],
                         [])
        os.rename(self.out / "items/full+h2o:4", self.out / "items/full+h2o:6")
        message, _ = self.error(*self.arguments("--policy", "h2o:6", "--quiet"))
        self.assertIn('its items were made with policy "h2o:4", and this run has "h2o:6"', message)

    def test_policies_that_cannot_be_are_refused(self):
        base = self.arguments()
        message, _ = self.error(*base, "--policy", "h2o:4,h2o:4")
        self.assertEqual(message, "--policy: found h2o:4 twice.")
        message, _ = self.error(*base, "--policy", "streaming:4")
        self.assertEqual(message, "--policy: streaming expects a budget of 5 to 1,073,741,824 tokens, found 4.")
        message, _ = self.error(*base, "--policy", "snapkv:64")
        self.assertEqual(message, '--policy: expected streaming, h2o or pyramidkv, found "snapkv".')
        sparse = self.dir / "sparse"
        self.run_program("convert", self.models[0], sparse, "--sparse", "sink=1,window=1")
        base[base.index(self.models[0])] = sparse
        message, _ = self.error(*base, "--policy", "h2o:4")
        self.assertRegex(message, "^" + str(sparse) + r": the policy h2o:4 keeps a part of what full attention sees, and layer "
                                  r"\d is not full \(sink=1,window=1,stride=0\)\. Give a model whose layers are all full\.$")

    def test_what_is_wrong_is_told_before_a_model_is_loaded(self):
        base = ["eval", "suite", self.models[0], "--out", self.out]
        self.assertIn("--out is required", self.usage_error("eval", "suite", self.models[0], "--tasks", "piqa"))
        message, _ = self.error(*base, "--tasks", "piqa")
        self.assertEqual(message, "the task piqa reads its items from a folder: name it with --items DIR (docs/suites.md says "
                                  "what it holds).")
        message, _ = self.error(*base, "--tasks", "pika", "--items", self.dir / "items")
        self.assertIn("found \"pika\". Did you mean \"piqa\"?", message)
        message, _ = self.error(*base, "--tasks", "piqa,piqa", "--items", self.dir / "items")
        self.assertEqual(message, "--tasks: piqa is named twice.")
        message, _ = self.error(*base, "--tasks", "arc_easy", "--items", self.dir / "items")
        self.assertIn("items/short/arc_easy_test.jsonl: missing. The task arc_easy needs it", message)
        self.lines("bad.jsonl", [{"prompt": "p"}, {"prompt": 7}])
        message, _ = self.error(*base, "--tasks", f"jsonl:{self.dir}/bad.jsonl")
        self.assertEqual(message, f"{self.dir}/bad.jsonl:2: field prompt: expected a string, found 7.")
        for field, text in (({"match": "exact"}, "field match: there are no references that a reply could match. Give some, or "
                                                 "leave it out."),
                            ({"match": "number", "references": ["7", "abc"]},
                             'field references: expected numbers (match is number), found "abc".')):
            self.lines("match.jsonl", [{"prompt": "p", **field}])
            message, _ = self.error(*base, "--tasks", f"jsonl:{self.dir}/match.jsonl")
            self.assertEqual(message, f"{self.dir}/match.jsonl:1: {text}")
        own = ["--tasks", f"jsonl:{self.dir}/own.jsonl"]
        for arguments, text in (
                (["--tasks", "piqa", "--items", self.dir / "none"],
                 f"--items {self.dir}/none: expected a folder, found nothing of this name."),
                (["--tasks", "piqa", "--items", self.dir / "own.jsonl"],
                 f"--items {self.dir}/own.jsonl: expected a folder, found something else."),
                (["--tasks", "jsonl:"], "--tasks: expected a file behind jsonl:, found none."),
                (["--tasks", "vt", "--items", self.dir, "--lengths", "4K,4096"],
                 "--lengths: 4,096 tokens stand there twice."),
                ([*own, "--items", self.dir], f"--items {self.dir}: none of --tasks reads from a folder."),
                ([*own, "--lengths", "4K"], "--lengths: none of --tasks has a length: they are for ruler and babilong."),
                ([*own, "--text", self.dir], "--text: none of --tasks hides anything in a text: it is for ruler and babilong."),
                ([*own, "--shots", 2],
                 "--shots: none of --tasks has solved questions: they are for mmlu and mmlu_cloze."),
                (own[:1] + [f"{own[1]},{own[1]}"], "--tasks: own is named twice: items are kept by the name of their file."),
                ([*own, "--max-kv", 1000, "--dtype", "float32"], "--max-kv 1000: [page pool] the KV cache is limited to 1000 bytes, but one page "
                                                                 "has 12288. Allow it more memory.")):
            message, _ = self.error(*base, *arguments)
            self.assertEqual(message, text)
        # What is wrong with the second model, too.
        write_model(self.dir / "chat", config=json.loads((self.models[0] / "config.json").read_text()),
                    tokenizer_config={"chat_template": "{{ messages[0].content }}"})
        message, _ = self.error("eval", "suite", self.dir / "chat", self.models[0], "--out", self.out, *own, "--chat")
        self.assertIn(f"{self.models[0]}: has no chat template", message)
        self.lines("long.jsonl", [{"prompt": "p", "new_tokens": 256}])
        message, _ = self.error(*base, "--tasks", f"jsonl:{self.dir}/long.jsonl")
        self.assertIn("long, item 0: [suite] expected fewer new tokens than the model's context of 256, found 256",
                      message)


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
