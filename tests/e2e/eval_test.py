"""`longgen eval`: reports of models whose folders have the same name, and one schema wherever its JSON stands.

    eval_test.py PROGRAM
"""

import json
import os
import sys
import unittest
import xml.etree.ElementTree

from cli_case import CliCase
from tiny_model import tokenizer_json, write_tiny_llama


class EvalTest(CliCase):
    def setUp(self):
        super().setUp()
        self.models = [self.dir / "a/hyb", self.dir / "b/hyb"]
        for seed, model in enumerate(self.models):
            write_tiny_llama(model, seed)
        self.out = self.dir / "report"

    def needle(self, *models):
        """Runs needles into the report folder; gives what it prints."""
        out, _ = self.run_program("eval", "needle", *models, "--lengths", "1K", "--depths", "0,100", "--new-tokens", 4,
                                  "--out", self.out, "--json", "--quiet")
        return json.loads(out)["models"]

    def report(self, name):
        return json.loads((self.out / f"{name}.json").read_text())

    def test_models_of_the_same_name_in_one_command(self):
        printed = self.needle(*self.models)
        self.assertEqual([model["model"] for model in printed], ["a/hyb", "b/hyb"])
        self.assertEqual(sorted(path.name for path in self.out.glob("*.json")),
                         ["needle-a_hyb.json", "needle-b_hyb.json"])
        self.assertEqual([self.report("needle-a_hyb"), self.report("needle-b_hyb")], printed)
        self.assertEqual([len(model["replies"]) for model in printed], [2, 2])

    def test_models_of_the_same_name_one_command_after_the_other(self):
        for model in [self.models[0], self.models[1], self.models[0]]:
            self.needle(model)
        self.assertEqual(sorted(path.name for path in self.out.glob("*.csv")), ["needle-hyb-2.csv", "needle-hyb.csv"])
        self.assertEqual([self.report(name)["settings"]["directory"] for name in ("needle-hyb", "needle-hyb-2")],
                         [os.path.realpath(model) for model in self.models])

    def test_perplexity_prints_what_the_report_holds(self):
        text = self.put("text.txt", "\n<|endoftext|>\n".join(["the sea was calm under a grey sky " * 20] * 2))
        out, err = self.run_program("eval", "perplexity", *self.models, "--text", text, "--length", 256,
                                    "--first-bucket", 64, "--out", self.out, "--json")
        printed = json.loads(out)
        self.assertEqual(printed, self.report("perplexity"))
        self.assertEqual([model["model"] for model in printed["models"]], ["a/hyb", "b/hyb"])
        self.assertEqual([bucket["end"] for bucket in printed["models"][0]["buckets"]], [64, 128, 256])
        self.assertIn(f"written: {self.out}/perplexity.*", err)

    def test_pages_of_models_with_hostile_names(self):
        """A page is well-formed, loads nothing, shows names as they are, and has the figures of the JSON."""
        hostile = self.dir / "<b onload='x'>&amp;\u202e\"<script>"
        write_tiny_llama(hostile, 3)
        text = self.put("text.txt", "\n<|endoftext|>\n".join(["the sea was calm under a grey sky " * n for n in (20, 30)]))
        for command in (["perplexity", "--text", text, "--length", "128", "--first-bucket", "64", "--contexts", "32,64,128",
                         "--targets", "16"],
                        ["needle", "--lengths", "512", "--depths", "0,100", "--new-tokens", "2"]):
            page = self.dir / "pages" / f"{command[0]}.html"
            out, err = self.run_program("eval", command[0], self.models[0], hostile, *command[1:], "--html", page, "--json")
            self.assertIn(f"written: {page}", err)
            root = xml.etree.ElementTree.fromstring(page.read_text())
            tags = {element.tag.split("}")[1] for element in root.iter()}
            self.assertFalse(tags & {"script", "link", "img", "iframe", "b", "a"})
            texts = [" ".join(element.itertext()) for element in root.iter()]
            self.assertTrue(any(hostile.name.replace("\u202e", "\ufffd") in text for text in texts))
            for fact in ("longgen eval " + command[0], "attention kernels: ", " UTC", os.path.realpath(self.models[0])):
                self.assertIn(fact, texts[0])
            overall = json.loads(out)["models"][1]
            if command[0] == "needle":
                self.assertIn(f"{100 * overall['difference']['overall']['share']:.1f} points", texts[0])
            else:
                self.assertIn(f"{overall['overall']['perplexity']:.3f}", texts[0])
                self.assertIn(f"{overall['overall']['difference']['percent']:+.2f}%", texts[0])

    def test_more_context_of_the_same_tokens(self):
        text = self.put("text.txt", "\n<|endoftext|>\n".join(["the sea was calm under a grey sky " * n for n in (20, 30)]))
        arguments = ["eval", "perplexity", *self.models, "--text", text, "--length", "128", "--quiet"]
        out, _ = self.run_program(*arguments, "--contexts", "32,128", "--targets", "16", "--out", self.out, "--json",
                                  "--dtype", "float32")
        printed = json.loads(out)
        self.assertEqual(printed["contexts"], self.report("contexts"))
        contexts = printed["contexts"]["models"][0]["contexts"]
        self.assertEqual([(entry["context"], entry["tokens"]) for entry in contexts], [(32, 32), (128, 32)])
        # The longest context is the whole document: the last 16 positions have the same figure there.
        out, _ = self.run_program(*arguments[:2], self.models[0], *arguments[4:], "--bucket", "16", "--json", "--dtype",
                                  "float32")
        last = json.loads(out)["models"][0]["buckets"][-1]
        self.assertAlmostEqual(contexts[1]["mean_nll"], last["mean_nll"], places=4)
        for option, part in ((["--contexts", "16", "--targets", "16"], "expected at least 17 tokens"),
                             (["--contexts", "32,256", "--targets", "16"], "at most the 128 tokens of a document, found 256"),
                             (["--contexts", "64,32", "--targets", "16"], "ascending lengths, found 32 after 64")):
            message, out = self.error(*arguments, *option)
            self.assertIn(part, message)
            self.assertEqual(out, "")

    def test_contexts_begin_as_documents_do(self):
        """Of a model with BOS, every context has it: the figure is that of scoring BOS and the end of the document."""
        model = self.models[0]
        (model / "tokenizer.json").write_text(json.dumps(tokenizer_json(begin=True)))
        words = "a calm sea under grey sky " * 5
        out, _ = self.run_program("eval", "perplexity", model, "--text", self.put("text.txt", words), "--length", "128",
                                  "--contexts", "32,128", "--targets", "16", "--dtype", "float32", "--json", "--quiet")
        ids = [258, *words.encode()][:128]  # a byte is a token
        scored, _ = self.run_program("score", model, "--dtype", "float32", "--quiet",
                                     stdin=json.dumps({"ids": ids[:1] + ids[-31:]}))
        entry = json.loads(out)["contexts"]["models"][0]["contexts"][0]
        self.assertAlmostEqual(entry["mean_nll"], -sum(json.loads(scored)["logprobs"][-16:]) / 16, places=4)

    def test_cache_policies_of_the_first_model(self):
        text = self.put("text.txt", "\n<|endoftext|>\n".join(["the sea was calm under a grey sky " * n for n in (20, 30)]))
        columns = ["a/hyb", "a/hyb+streaming:300", "a/hyb+h2o:8", "b/hyb"]
        policies = ["--policy", "streaming:300,h2o:8", "--dtype", "float32", "--json", "--quiet"]
        out, _ = self.run_program("eval", "perplexity", *self.models, "--text", text, "--length", "256", "--contexts",
                                  "32,128", "--targets", "16", *policies)
        printed = json.loads(out)
        self.assertEqual([model["model"] for model in printed["models"]], columns)
        self.assertEqual(printed["settings"]["policies"], ["streaming:300", "h2o:8"])
        of_model, large, small = ([entry["mean_nll"] for entry in model["buckets"] + context["contexts"]] for model, context
                                  in zip(printed["models"][:3], printed["contexts"]["models"]))
        for a, b in zip(of_model, large):
            self.assertAlmostEqual(a, b, places=4)
        self.assertGreater(max(abs(a - b) for a, b in zip(of_model, small)), 1e-3)
        self.assertNotEqual(printed["models"][2]["overall"]["difference"]["percent"], 0)

        out, _ = self.run_program("eval", "needle", *self.models, "--lengths", "512", "--depths", "0", "--new-tokens", "4",
                                  "--out", self.out, "--policy", "h2o:8,pyramidkv:9", *policies[2:])
        printed = json.loads(out)["models"]
        self.assertEqual([(model["model"], model["settings"].get("policy")) for model in printed],
                         [("a/hyb", None), ("a/hyb+h2o:8", "h2o:8"), ("a/hyb+pyramidkv:9", "pyramidkv:9"), ("b/hyb", None)])
        self.assertEqual(self.report("needle-a_hyb_h2o_8"), printed[1])

    def test_policies_that_cannot_be_are_refused(self):
        text = self.put("text.txt", "the sea was calm under a grey sky " * 20)
        for command in (["perplexity", "--text", text, "--length", "128"], ["needle", "--lengths", "512"]):
            message, out = self.error("eval", command[0], self.models[0], *command[1:], "--policy", "h2o:8,h2o:8")
            self.assertEqual((message, out), ("--policy: found h2o:8 twice.", ""))
        message, _ = self.error("eval", "perplexity", self.models[0], "--text", text, "--length", "128", "--policy",
                                "pyramidkv:64")
        self.assertEqual(message, "--policy: pyramidkv:64 chooses what to keep once, at the end of a prompt, and a text whose "
                                  "every token is predicted has no prompt. Give streaming:TOKENS or h2o:TOKENS here, and "
                                  "pyramidkv to eval needle or eval suite.")

    def test_a_model_with_another_tokenizer_is_not_compared(self):
        tokenizer = self.models[1] / "tokenizer.json"
        content = json.loads(tokenizer.read_text())
        content["model"]["merges"] = []
        tokenizer.write_text(json.dumps(content))
        text = self.put("text.txt", "the sea was calm under a grey sky " * 20)
        out, err = self.run_program("eval", "perplexity", *self.models, "--text", text, "--length", "128", "--json")
        self.assertIn("warning: b/hyb: its tokenizer makes other tokens of the documents than that of a/hyb.", err)
        self.assertIsNone(json.loads(out)["models"][1]["overall"]["difference"])

    def test_a_page_that_cannot_be_written_is_found_first(self):
        message, out = self.error("eval", "needle", self.models[0], "--lengths", "512", "--html", self.dir)
        self.assertEqual(message, f"--html {self.dir}: expected a file to write, found a folder.")
        self.assertEqual(out, "")

    def test_a_folder_that_cannot_be_written_is_found_first(self):
        text = self.put("text.txt", "the sea was calm under a grey sky " * 20)
        self.put("file", "")
        for command in (["perplexity", "--text", text, "--length", "128"], ["needle", "--lengths", "512"]):
            message, out = self.error("eval", command[0], self.models[0], *command[1:], "--out", self.dir / "file/report")
            self.assertEqual(message, f"{self.dir}/file/report: cannot be created: Not a directory.")
            self.assertEqual(out, "")
            message, out = self.error("eval", command[0], self.models[0], self.dir / "none", *command[1:],
                                      "--out", self.out)
            self.assertEqual(message, f"{self.dir}/none: expected a model directory, found nothing of this name.")
            self.assertFalse(self.out.exists())

    def test_the_table_is_printed_whatever_happens_to_the_files(self):
        text = self.put("text.txt", "the sea was calm under a grey sky " * 20)
        # A folder where a file of the report would go passes the trial of the folder and fails the report.
        for command, name in ((["perplexity", "--text", text, "--length", "128"], "perplexity"),
                              (["needle", "--lengths", "512", "--depths", "0", "--new-tokens", "2"], "needle-hyb")):
            (self.out / f"{name}.csv/inside").mkdir(parents=True)
            for flags in ([], ["--json"]):
                message, out = self.error("eval", command[0], self.models[0], *command[1:], "--out", self.out, *flags)
                self.assertIn(f"{name}.csv", message)
                self.assertIn('"models"' if flags else "hyb", out)

    def test_a_dataset_without_held_out_documents(self):
        text = self.put("text.txt", "the sea was calm under a grey sky " * 20)
        data = self.dir / "data"
        self.run_program("prepare", text, data, "--model", self.models[0], "--held-out", "0", "--quiet")
        arguments = ["eval", "perplexity", self.models[0], "--data", data, "--length", "128", "--quiet"]
        message, _ = self.error(*arguments)
        self.assertEqual(message, f"{data}: the split held_out has no documents. Measure what training reads (--split "
                                  "train), or prepare the dataset with --held-out above 0.")
        out, _ = self.run_program(*arguments, "--split", "train")
        self.assertIn("perplexity of 1 document", out)
        message, _ = self.error("eval", "perplexity", self.models[0], "--data", text, "--length", "128")
        self.assertIn(f"{text}: expected a token dataset, found a file. Make one of texts: longgen prepare {text} OUT", message)

    def test_the_settings_name_the_precision(self):
        for dtype in ("float32", "bfloat16"):
            out, _ = self.run_program("eval", "needle", self.models[0], "--lengths", "512", "--depths", "0", "--new-tokens",
                                      "2", "--json", "--dtype", dtype)
            self.assertEqual(json.loads(out)["models"][0]["settings"]["dtype"], dtype)

    def test_a_gpu_that_cannot_be_used_is_an_error(self):
        model = self.models[0]
        message, out = self.error("score", model, "--device", "cuda", "--dtype", "float32")
        self.assertIn("--dtype float32: on a GPU longgen computes in bfloat16", message)
        self.assertEqual(out, "")
        version, _ = self.run_program("--version")
        if "GPU: none, " in version:
            reason = version.rsplit("GPU: none, ", 1)[1].strip()
            for device in ("cuda", "cuda:1"):
                message, out = self.error("score", model, "--device", device)
                self.assertEqual(message, f"--device {device}: {reason} Use --device cpu.")
                self.assertEqual(out, "")


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
