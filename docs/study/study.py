#!/usr/bin/env python3
"""Runs the study of docs/study/README.md: plan, arms of training, evaluations, tables.

    study.py FOLDER [STAGE...] [--arms LIST] [--seeds LIST] [--context 32K] [--set KEY=VALUE]... [--device cuda] [--longgen PROGRAM]

FOLDER holds what the study is about: model/ (what `longgen import` wrote), corpus/ (long texts to train on, as `longgen prepare` takes
them), dev.txt and test.txt (long documents that are not in corpus/; dev-32K.txt, say, where there are others for a context) and evals/
(docs/suites.md). Everything else is written there.
Stages, in this order: data, plan, train, perplexity, needles, retrieval, ruler, short, table. What is done already is not done again.

Arms are chosen on dev.txt (--text dev, the default); test.txt is for the final table, once.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

import tables

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
STAGES = ("data", "plan", "train", "perplexity", "needles", "retrieval", "ruler", "short", "table")
CONTEXTS = {
    # context: steps and sequences a step; all see 20.97 million tokens
    "32K": {"train.steps": 320, "train.batch_size": 2, "train.accumulation": 2},
    "128K": {"train.steps": 160, "train.batch_size": 1, "train.accumulation": 1},
}
TASKS = "collecting:2,recall,records,chains,joining,reading"
TASK_LENGTHS = {"32K": "16K:1,32K:2", "128K": "32K,64K,128K"}  # of what `longgen compose` makes, with their shares
DISTILLED = {"train.teacher": "self", "train.distill_share": 0.5}

STRIDE = {"architecture.sparse": "blocksparse"}
WIDE = {"architecture.sparse": "sink=1,window=32,stride=0"}
WIDE_STRIDE = {"architecture.sparse": "wide"}

# An arm: layers that stay full (a name of `longgen convert --layers`, or "plan:N", the best N layers of the measured plan), and what
# else its recipe says.
ARMS = {
    "full": {"layers": "all"},
    "paper": {"layers": "middle:1/3"},
    "paper-stride": {"layers": "middle:1/3", **STRIDE},
    "ten": {"layers": "plan:10"},
    "ten-stride": {"layers": "plan:10", **STRIDE},
    "six": {"layers": "plan:6"},
    "six-stride": {"layers": "plan:6", **STRIDE},
    "four": {"layers": "plan:4"},
    "four-stride": {"layers": "plan:4", **STRIDE},
    "six-wide": {"layers": "plan:6", **WIDE},
    "six-wide-stride": {"layers": "plan:6", **WIDE_STRIDE},
    "four-wide-stride": {"layers": "plan:4", **WIDE_STRIDE},
    # What might help six, one change each.
    "six-rope": {"layers": "plan:6", "architecture.sparse_rope": "original"},
    "six-far": {"layers": "plan:6", "train.far_weight": 5},
    "six-align": {"layers": "plan:6", "train.align_steps": 20},
    "six-fast": {"layers": "plan:6", "train.learning_rate": 8e-4},
    "six-answers": {"layers": "plan:6", "train.answer_weight": 30},
    "full-answers": {"layers": "all", "train.answer_weight": 30},
    "six-self": {"layers": "plan:6", "train.teacher": "self", "train.distill_share": 0.2},
    "six-teacher": {"layers": "plan:6", "train.distill_share": 0.2, "teacher": "full"},
    "six-stride-teacher": {"layers": "plan:6", **STRIDE, "train.distill_share": 0.2, "teacher": "full"},
}
SHORT = "piqa,arc_easy,hellaswag,lambada_openai,openbookqa,winogrande"
RETRIEVAL = "niah_single_1,niah_single_2,niah_single_3,niah_multikey_1,niah_multivalue,niah_multiquery"


class Study:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.folder)
        self.runs = self.folder / "runs"

    def longgen(self, *arguments, device=True):
        command = [self.options.longgen, *map(str, arguments)]
        if device:
            command += ["--device", self.options.device]
        print("$", *command, flush=True)
        subprocess.run(command, check=True)

    def best_layers(self, count):
        plan = json.loads((self.folder / "plan" / "plan.json").read_text())
        return ",".join(map(str, sorted(step["layer"] for step in plan["order"][:count])))

    def run_folder(self, arm, seed):
        return self.runs / f"{arm}-{self.options.context}-seed{seed}"

    def model_of(self, arm, seed):
        return self.run_folder(arm, seed) / "model"

    def models(self, seed):
        """What was trained with a seed, full attention first, because others are compared with it."""
        arms = sorted(self.options.arms, key=lambda arm: arm != "full")
        return [self.model_of(arm, seed) for arm in arms if self.model_of(arm, seed).exists()]

    def results(self, name, seed):
        return self.folder / "results" / f"{name}-{self.options.text}-{self.options.context}-seed{seed}"

    def data(self):
        """The corpus, and long tasks made of it: a tenth of what training sees."""
        data = self.data_folder()
        if data.exists():
            return
        tasks = self.folder / f"tasks-{self.options.context}.jsonl"
        if not tasks.exists():
            self.longgen("compose", self.folder / "model", "--text", self.folder / "corpus", "--lengths",
                         TASK_LENGTHS[self.options.context], "--tasks", TASKS, "--tokens", "2200K", "--out", tasks, "--quiet", device=False)
        self.longgen("prepare", self.folder / "corpus", tasks, data, "--model", self.folder / "model", "--held-out", 0, "--quiet",
                     device=False)

    def data_folder(self):
        return self.folder / f"data-{self.options.context}"

    def plan(self):
        if not (self.folder / "plan" / "plan.json").exists():
            self.longgen("measure", self.folder / "model", "--text", self.folder / "dev.txt", "--full", 10, "--sequences", 32,
                         "--out", self.folder / "plan", "--quiet")

    def settings(self, arm, seed):
        settings = {
            "model.path": self.folder / "model",
            "model.output": self.run_folder(arm, seed),
            "data.path": self.data_folder(),  # in place of the recipe's sources
            "data.seed": seed,
            "train.seed": seed,
            "architecture.context": self.options.context,
            "architecture.sparse": "sink",
            "data.sequence_length": self.options.context,
            "train.warmup_steps": 10,
            "train.recompute": "none",  # the same bits, 8% sooner, in 17 GiB
            "eval.every": 0,
            "save.every": 0,
            **CONTEXTS[self.options.context],
        }
        for key, value in ARMS[arm].items():
            if key == "layers":
                kind, _, count = value.partition(":")
                settings["architecture.layers"] = self.best_layers(int(count)) if kind == "plan" else value
            elif key == "teacher":
                settings["train.teacher"] = self.model_of(value, seed)
            else:
                settings[key] = value
        settings.update(setting.split("=", 1) for setting in self.options.set)
        return settings

    def train(self):
        recipe = REPOSITORY / "recipes" / "smollm2-135m_32k_h200.toml"
        for arm in self.options.arms:
            for seed in self.options.seeds:
                if self.model_of(arm, seed).exists():
                    continue
                values = [f"--set={key}={value}" for key, value in self.settings(arm, seed).items()]
                begin = time.time()
                self.longgen("extend", recipe, *values, "--resume", "--quiet")
                print(f"{arm}, seed {seed}: {time.time() - begin:.0f} s", flush=True)

    def text(self):
        special = self.folder / f"{self.options.text}-{self.options.context}.txt"
        return special if special.exists() else self.folder / f"{self.options.text}.txt"

    def perplexity(self):
        for seed in self.options.seeds:
            self.longgen("eval", "perplexity", *self.models(seed), "--text", self.text(), "--length", self.options.context, "--out",
                         self.results("perplexity", seed), "--quiet")

    def suite(self, name, *options, original=False):
        for seed in self.options.seeds:
            models = ([self.folder / "model"] if original else []) + self.models(seed)
            self.longgen("eval", "suite", *models, *options, "--items", self.folder / "evals", "--out", self.results(name, seed),
                         "--quiet")

    def lengths(self):
        return {"32K": "4K,8K,16K,32K", "128K": "32K,64K,128K"}[self.options.context]

    def sample_seed(self):
        """Other samples for choosing than for the final table."""
        return 42 if self.options.text == "test" else 7

    def needles(self):
        """One number in the text of books: 960 items of four lengths, if --samples is 40."""
        for seed in self.options.seeds:
            self.longgen("eval", "needle", *self.models(seed), "--lengths", self.lengths(), "--depths", "0,20,40,60,80,100", "--samples",
                         self.options.samples, "--haystack", self.folder / f"{self.options.text}.txt", "--seed", self.sample_seed(),
                         "--out", self.results("needles", seed), "--quiet")

    def ruler_suite(self, name, tasks):
        self.suite(name, "--tasks", tasks, "--lengths", self.lengths(), "--samples", self.options.samples, "--seed", self.sample_seed(),
                   "--text", self.folder / f"{self.options.text}.txt")

    def retrieval(self):
        self.ruler_suite("retrieval", RETRIEVAL)

    def ruler(self):
        self.ruler_suite("ruler", "ruler")

    def short(self):
        self.suite("short", "--tasks", SHORT, "--samples", self.options.samples, original=True)

    def table(self):
        tables.print_all(self.options)


def listed(choices):
    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in choices:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(choices)}")
        return names
    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("stages", nargs="*", metavar="STAGE")
    parser.add_argument("--arms", type=listed(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0])
    parser.add_argument("--context", choices=CONTEXTS, default="32K")
    parser.add_argument("--text", choices=("dev", "test"), default="dev")
    parser.add_argument("--samples", type=int, default=40, help="of each task and length")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="in every recipe, beside what the arm says")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--longgen", default=str(REPOSITORY / "build" / "release" / "longgen"))
    options = parser.parse_intermixed_args()
    for stage in options.stages:
        if stage not in STAGES:
            parser.error(f"{stage!r} is no stage: expected {', '.join(STAGES)}")
    study = Study(options)
    try:
        for stage in study.options.stages or STAGES:
            getattr(study, stage)()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
