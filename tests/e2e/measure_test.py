"""`longgen measure`: its files, what reads the plan, and going on after a kill.

    measure_test.py PROGRAM
"""

import json
import re
import signal
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree
from pathlib import Path

from cli_case import CliCase
from tiny_model import LAYERS, recipe_text, write_tiny_llama

SENTENCES = "The sea was calm. A ship went by, and nobody on the shore spoke of it. "
SPARSE = "sink=1,window=1"


class MeasureTest(CliCase):
    def setUp(self):
        super().setUp()
        self.model = self.dir / "model"
        write_tiny_llama(self.model, context=1024)
        self.text = self.put("text.txt", SENTENCES * 60)
        self.out = self.dir / "out"

    def command(self, *more, out=None):
        return ["measure", self.model, "--text", self.text, "--out", out or self.out, "--sparse", SPARSE, "--dtype",
                "float32", "--threads", 1, *more]

    def read(self, name, out=None):
        return json.loads(((out or self.out) / name).read_text())

    def journal(self, out=None):
        path = (out or self.out) / "journal.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def test_files_and_who_reads_them(self):
        page = self.dir / "pages/measure.html"
        out, err = self.run_program(*self.command("--full", 2, "--html", page))
        self.assertIn(f"written: {page}", err)
        text = " ".join(xml.etree.ElementTree.fromstring(page.read_text()).itertext())
        for part in (f"Which layers of {self.dir.name} need to see everything", "longgen measure ", "2, with ", "length 1024",
                     " UTC", str(self.text)):
            self.assertIn(part, re.sub(r"\s+", " ", text))
        plan = self.read("plan.json")
        self.assertEqual(plan["format"], "longgen layer plan")
        self.assertEqual(plan["model"]["layers"], LAYERS)
        self.assertEqual(plan["sparse"], "sink=1,window=1,stride=0")
        full = plan["full_layers"]
        self.assertEqual(sorted(step["layer"] for step in plan["order"][:2]), full)
        self.assertEqual(plan["measured_on"]["length"], 1024)
        self.assertEqual(plan["measured_on"]["sequences"], 2)
        for shipped in map(json.loads, map(Path.read_text, (Path(__file__).parents[2] / "recipes/plans").iterdir())):
            for part in (lambda plan: plan, lambda plan: plan["model"], lambda plan: plan["measured_on"],
                         lambda plan: plan["order"][0]):
                self.assertEqual(list(part(shipped)), list(part(plan)), "the shipped plans are of today's shape")
        named = ",".join(map(str, full))
        shown = named if full == [0, 2] else "-".join(map(str, full))
        self.assertIn(f"plan (*): {shown} (2 of 3)\n", out)
        self.assertIn(f"next: longgen convert {self.model} OUT --layers measured:{self.out}/plan.json --sparse ", out)
        self.assertEqual(sorted(path.name for path in self.out.iterdir() if path.suffix not in (".png", ".svg")),
                         ["journal.jsonl", "layers.csv", "measure.dat", "measure.gp", "measurement.json", "plan.json"])
        # Full, none, each sparse alone, which is also each taken away from all three, and each full alone of the two left.
        self.assertEqual(len(self.journal()), 1 + 2 * (2 + LAYERS + 2))

        name = f"measured:{self.out}/plan.json"
        hybrid = self.dir / "hybrid"
        _, err = self.run_program("convert", self.model, hybrid, "--layers", name, "--sparse", SPARSE)
        self.assertNotIn("measured with the sparse pattern", err)
        self.assertEqual(json.loads((hybrid / "config.json").read_text())["longgen"]["full_layers"], full)
        _, err = self.run_program("plan", self.model, "--layers", name, "--json")
        self.assertIn("was measured with the sparse pattern sink=1,window=1,stride=0, and sink=1,window=16,stride=0 is "
                      "used", err)
        out, _ = self.run_program("bench", "model", self.model, "--layers", name, "--sparse", SPARSE, "--compare", "model,full",
                                  "--tokens", 512, "--decode-tokens", 1, "--rounds", 1, "--threads", 1, "--json")
        self.assertLess(*(variant["prefill"]["flops"] for variant in json.loads(out)["variants"]))
        message, _ = self.error("bench", "model", "llama2-7b", "--layers", name)
        self.assertIn(f'a plan of another model, "{self.dir.name}": it has layers {LAYERS}, and this model has 32',
                      message)

        recipe = self.put("run.toml", recipe_text(self.dir, architecture={"layers": name, "context": 1024},
                                                  train={"steps": 1}, data={"sequence_length": 128}))
        self.run_program("prepare", self.text, self.dir / "data", "--model", self.model, "--held-out", 0)
        self.run_program("extend", recipe)
        self.assertEqual(json.loads((self.dir / "run/model/config.json").read_text())["longgen"]["full_layers"], full)
        self.assertIn(f'layers = "{named}"', (self.dir / "run/recipe.toml").read_text())

    def test_convert_without_a_plan_says_that_measuring_chooses_better(self):
        _, err = self.run_program("convert", self.model, self.dir / "a")
        self.assertIn(f"measuring this model chooses better: longgen measure {self.model} --text FILE --out DIR, then "
                      "convert with --layers measured:DIR/plan.json", err)
        _, err = self.run_program("convert", self.model, self.dir / "b", "--layers", "1")
        self.assertNotIn("measur", err)

    def test_json_is_what_the_file_holds(self):
        out, _ = self.run_program(*self.command("--json", "--quiet", "--within", "50%", "--sequences", 1))
        printed = json.loads(out)
        self.assertTrue(printed.pop("next").startswith("longgen convert "))
        self.assertEqual(printed, self.read("measurement.json"))
        self.assertEqual([layer["layer"] for layer in printed["layers"]], list(range(LAYERS)))
        self.assertEqual(printed["full"]["kl"], 0)
        self.assertGreater(printed["all_sparse"]["kl"], 0)
        self.assertEqual(printed["layers"][0]["positions"][0]["begin"], 128)

    def test_heads_are_a_report_without_a_plan(self):
        out, _ = self.run_program(*self.command("--heads", "--gates", "--sequences", 1, "--full", 1))
        self.assertRegex(out, r"plan \(\*\): [012]\.[01]\n$")
        report = self.read("measurement.json")
        self.assertEqual(len(report["gates"]["order"]), 2 * LAYERS)
        self.assertEqual(sorted(report["gates"]["order"][0]), ["kv_head", "layer"])
        self.assertEqual([(head["layer"], head["kv_head"]) for head in report["kv_heads"]],
                         [(layer, head) for layer in range(LAYERS) for head in range(2)])
        self.assertFalse((self.out / "plan.json").exists())
        message, _ = self.error(*self.command("--sequences", 1))
        self.assertIn('holds a measurement with unit "KV head", and this one has "layer"', message)

    def test_gates_stand_beside_what_is_measured(self):
        without, _ = self.run_program(*self.command())
        before = self.journal()
        page = self.dir / "measure.html"
        out, _ = self.run_program(*self.command("--gates", "--html", page))
        self.assertRegex(out, r"(?m)^layer .* lost  +gates$")
        self.assertRegex(out, r"By gates, in one pass back: rank correlation with lost -?[01]\.\d\d; of the first 1 the plan has")
        self.assertIn("By gates, in one pass back", page.read_text())
        report = self.read("measurement.json")
        self.assertEqual(sorted(report["gates"]["order"]), list(range(LAYERS)))
        header, *lines = (self.out / "layers.csv").read_text().splitlines()
        self.assertTrue(header.endswith(",lost,lost_by_gates"))
        for layer, line in zip(report["layers"], lines, strict=True):
            self.assertEqual(line.split(",")[-1], f"{layer['lost_by_gates']:.6g}")
        # One line a sequence is new, and another time none is.
        added = [json.loads(line) for line in self.journal()[len(before):]]
        self.assertEqual([(line["sample"], len(line["gates"]["kl"])) for line in added], [(0, LAYERS), (1, LAYERS)])
        self.assertEqual(self.journal()[:len(before)], before)
        after = self.journal()
        again, _ = self.run_program(*self.command("--gates"))
        self.assertEqual((again, self.journal()), (out, after))
        again, _ = self.run_program(*self.command())
        self.assertEqual((again, self.journal()), (without, after))

    def test_gates_of_one_layer_rank_nothing(self):
        config = self.model / "config.json"
        config.write_text(config.read_text().replace(f'"num_hidden_layers": {LAYERS}', '"num_hidden_layers": 1'))
        message, _ = self.error(*self.command("--gates"))
        self.assertEqual(message, "--gates: the model has one layer that can be made sparse, and nothing to rank. Measure "
                                  "without --gates.")

    def test_a_kill_loses_nothing(self):
        whole = self.dir / "whole"
        self.run_program(*self.command("--sequences", 3, out=whole))
        command = [self.PROGRAM, *map(str, self.command("--sequences", 3))]
        for lines, number in ((2, signal.SIGINT), (9, signal.SIGKILL)):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            deadline = time.monotonic() + 60
            while len(self.journal()) < lines and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            process.send_signal(number)
            err = process.communicate()[1].decode()
            if number == signal.SIGINT:
                self.assertEqual(process.returncode, 128 + signal.SIGINT)
                self.assertIn(f"[measure] stopped. What was measured is in {self.out}/journal.jsonl; the same command "
                              "goes on from there.", err)
        before = self.journal()
        self.assertGreaterEqual(len(before), 9)
        (self.out / "journal.jsonl").write_text("\n".join([*before, before[-1][:20]]))  # a torn line
        self.run_program(*self.command("--sequences", 3))
        self.assertEqual(self.journal()[:len(before)], before)
        self.assertEqual(sorted(self.journal()), sorted(self.journal(whole)))
        self.assertEqual(self.read("plan.json"), self.read("plan.json", whole))
        # What is all known needs no model: another number of layers is there at once.
        (self.model / "model.safetensors").write_bytes(b"")
        message, _ = self.error(*self.command("--sequences", 3))
        self.assertIn("holds a measurement with model_hash", message)

    def test_other_settings_are_refused_or_begun_anew(self):
        self.run_program(*self.command("--sequences", 1))
        message, out = self.error(*self.command("--sequences", 1, "--length", 1000))
        self.assertEqual(out, "")
        self.assertEqual(message, f"{self.out}/journal.jsonl: holds a measurement with length 1024, and this one has "
                                  "1000. Give another --out, or --restart to measure anew.")
        self.run_program(*self.command("--sequences", 1, "--length", 1000, "--restart"))
        self.assertEqual(self.read("plan.json")["measured_on"]["length"], 1000)
        self.run_program(*self.command("--sequences", 1, "--length", 1000, "--full", 2))  # the same measurement
        self.assertEqual(len(self.read("plan.json")["full_layers"]), 2)

    def test_what_cannot_be_measured(self):
        message, _ = self.error("measure", self.model, "--out", self.out)
        self.assertEqual(message, "give the documents by either --text FILE or --data DATASET.")
        message, _ = self.error(*self.command("--length", "64K"))
        num_tokens = 60 * (len(SENTENCES) - 2)  # "the" is one token
        self.assertEqual(message, f"{self.text}: no document has 65,536 tokens (--length); the longest of 1 has "
                                  f"{num_tokens:,}. Give longer documents, or a smaller --length.")
        message, _ = self.error(*self.command("--length", 300))
        self.assertIn("[measure] 300 tokens are too few: 4 questions at the end", message)
        message, _ = self.error(*self.command("--full", 4))
        self.assertEqual(message, "--full: expected at most 3, the layers that the model can make sparse, found 4.")
        for bad in ("0", "101%", "one"):
            _, err = self.run_program(*self.command("--within", bad), code=2)
            self.assertIn(f'--within: expected a percentage above 0 and at most 100, such as 1%, found "{bad}"', err)
        message, _ = self.error(*self.command("--within", "1%", "--full", 1))
        self.assertIn("give one of them", message)
        message, _ = self.error("measure", self.dir / "nothing", "--text", self.text, "--out", self.out)
        self.assertIn("nothing", message)


if __name__ == "__main__":
    CliCase.PROGRAM = sys.argv.pop(1)
    unittest.main()
