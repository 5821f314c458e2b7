"""How the program talks: help, usage errors, shell completion, the manual page, doctor, --quiet and --json everywhere.

    usage_test.py PROGRAM
"""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import unittest

from cli_case import CliCase
from fake_openai import FakeOpenAi
from tiny_model import recipe_text, write_tiny_llama

# Commands whose output is not a report: JSON lines, a conversation, a server, a text for other programs.
NO_REPORT = {"tokenize", "score", "chat", "serve", "help", "man", "completion"}


class UsageCase(CliCase):
    def commands(self, group=()):
        """All commands that do something, as lists of words: ["eval", "needle"]."""
        found = []
        for name in re.findall(r"^  ([a-z]+)  +\S", self.help(*group), re.MULTILINE):
            is_group = " COMMAND" in self.help(*group, name).split("\n\n")[1]
            found += self.commands([*group, name]) if is_group else [[*group, name]]
        return found


class HelpTest(UsageCase):
    def help_in_terminal(self, columns, *command):
        """What --help prints on a terminal of this width."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([self.PROGRAM, *command, "--help"], stdout=theirs)
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        os.close(ours)
        self.assertEqual(process.wait(timeout=60), 0)
        return text.decode().replace("\r\n", "\n")

    def test_help_fits_80_columns_and_narrower_terminals(self):
        all_commands = [[], ["eval"], ["bench"], *self.commands()]
        self.assertGreater(len(all_commands), 20)
        for command in all_commands:
            self.assertLessEqual(max(map(len, self.help(*command).splitlines())), 80, command)
        for columns, limit in [(60, 60), (200, 80)]:
            for command in ([], ["generate"], ["prepare"]):
                text = self.help_in_terminal(columns, *command)
                self.assertLessEqual(max(map(len, text.splitlines())), limit)
        self.assertGreater(len(self.help_in_terminal(60, "prepare").splitlines()),
                           len(self.help_in_terminal(80, "prepare").splitlines()))

    def test_the_command_help_is_the_option_help(self):
        for command in ([], ["eval"], ["eval", "needle"], ["convert"], ["bench", "model"]):
            self.assertEqual(self.run_program("help", *command), (self.help(*command), ""))
        self.assertEqual(self.usage_error("help", "convret"), 'there is no command "convret". Did you mean "convert"?')
        self.assertEqual(self.usage_error("help", "eval", "nedle"),
                         'there is no command "eval nedle". Did you mean "needle"?')

    def test_groups(self):
        out = self.help()
        self.assertRegex(out, r"\nPerformance:\n  plan +[^\n]+\n  bench +[^\n]+\n")
        self.assertRegex(out, r"\nThis program:\n  doctor ")
        out = self.help("eval")
        self.assertIn("Usage: longgen eval COMMAND [OPTIONS]\n", out)
        self.assertRegex(out, r"\nCommands:\n  perplexity +[^\n]+\n  needle ")
        self.assertNotIn("document", self.help("eval", "needle"))

    def test_the_fields_words(self):
        for command, words in [(["generate"], "prefill chunk size"), (["generate"], "compute precision"),
                               (["plan"], "activation checkpointing"), (["bench", "model"], "activation offloading")]:
            self.assertIn(words, re.sub(r"\s+", " ", self.help(*command)), command)


class UsageErrorTest(UsageCase):
    def see(self, *arguments):
        _, err = self.run_program(*arguments, code=2)
        return err.splitlines()[-1]

    def test_misspelt_names_suggest_one(self):
        for arguments, message in {
            ("evla",): 'there is no command "evla". Did you mean "eval"?',
            ("nosuch", "--help"): 'there is no command "nosuch".',
            ("eval", "perplexty", "m"): 'there is no command "eval perplexty". Did you mean "perplexity"?',
            ("eval", "nosuch", "--help"): 'there is no command "eval nosuch".',
            ("eval",): "a command is required: perplexity, needle or suite.",
            ("bench",): "a command is required: model, attention, decode, ops or serve.",
            ("convert", "a", "b", "--contxt", "4K"): 'there is no option "--contxt". Did you mean "--context"?',
            ("convert", "a", "b", "--contxt=4K"): 'there is no option "--contxt". Did you mean "--context"?',
            ("--vershun",): 'there is no option "--vershun". Did you mean "--version"?',
            ("info", "m", "more"): 'unexpected argument "more".',
            ("score", "m", "--dtype", "flaot32"):
                '--dtype: expected auto, float32 or bfloat16, found "flaot32". Did you mean "float32"?',
            ("score", "m", "--device", "gpu"): '--device: expected cpu, cuda or cuda:N, found "gpu". Did you mean "cuda"?',
            ("score", "m", "--device", "cdua"): '--device: expected cpu, cuda or cuda:N, found "cdua". Did you mean "cuda"?',
            ("score", "m", "--device", "cuda:"): '--device: expected cpu, cuda or cuda:N, found "cuda:". Did you mean "cuda"?',
            ("extend", "r", "--device", "cuda:-1"): '--device: expected cpu, cuda or cuda:N, found "cuda:-1". Did you mean "cuda"?',
            ("extend", "r", "--device", "cuda:01"): '--device: expected cpu, cuda or cuda:N, found "cuda:01". Did you mean "cuda"?',
            ("extend", "r", "--device", "cuda:99999999999"):
                '--device: expected cpu, cuda or cuda:N, found "cuda:99999999999".',
            ("plan", "m", "--recompute", "layer"):
                '--recompute: expected layers, layers_keep_attention or none, found "layer". Did you mean "layers"?',
            ("plan", "m", "--states", "f32"): '--states: expected float32 or bfloat16, found "f32".',
            ("plan", "m", "--offload", "non"): '--offload: expected none or layer_inputs, found "non". Did you mean "none"?',
            ("info", "m", "--dtype", "bf16"): '--dtype: expected float32 or bfloat16, found "bf16".',
            ("import", "a", "b", "--dtype", "float61"):
                '--dtype: expected float32, float16 or bfloat16, found "float61". Did you mean "float16"?',
            ("convert", "a", "b", "--rope-scaling", "yarm"):
                '--rope-scaling: expected yarn, found "yarm". Did you mean "yarn"?',
            ("eval", "perplexity", "m", "--length", "4K", "--split", "trian"):
                '--split: expected held_out or train, found "trian". Did you mean "train"?',
            ("bench", "model", "m", "--measure", "prefil"):
                '--measure: expected prefill, decode or train, found "prefil". Did you mean "prefill"?',
            ("bench", "attention", "--heads", "32/8,"):
                '--heads: expected values with commas between, found an empty one in "32/8,".',
            ("eval", "needle", "m", "--lengths", "4K,,8K"):
                '--lengths: expected values with commas between, found an empty one in "4K,,8K".',
            ("eval", "needle", "m", "--depths", "0,101"): '--depths: expected a number from 0 to 100, found "101"',
            ("completion", "bsh"): 'SHELL: expected bash, zsh or fish, found "bsh". Did you mean "bash"?',
        }.items():
            self.assertEqual(self.usage_error(*arguments), message, arguments)

    def test_errors_point_to_the_help_of_their_command(self):
        self.assertEqual(self.see("eval", "needle"), 'See "longgen eval needle --help".')
        self.assertEqual(self.see("eval", "perplexity", "m"), 'See "longgen eval perplexity --help".')
        self.assertEqual(self.see("eval", "perplexty"), 'See "longgen eval --help".')
        self.assertEqual(self.see("fly"), 'See "longgen --help".')

    def test_an_argument_may_be_called_like_a_command(self):
        message, _ = self.error("info", "plan")
        self.assertIn('model "plan" is no preset', message)


class PathsTest(UsageCase):
    def test_paths_that_are_no_model_directories(self):
        gguf, text = self.put("a.gguf", "GGUF"), self.put("text.txt", "the sea")
        write_tiny_llama(self.dir / "run/model")
        self.put("run/recipe.toml", "")
        for arguments in (["info"], ["convert"], ["generate", "--prompt", "a"], ["chat"], ["score"],
                          ["serve", "--port", "0"], ["tokenize"], ["eval", "needle"], ["eval", "perplexity", "--length", "64", "--text", text]):
            words = 2 if arguments[0] == "eval" else 1
            for path, reason in ((gguf, f"found a GGUF file. Make a directory of it first: longgen import {gguf} OUT."),
                                 (self.dir / "run", f"found the directory of a training run. Use {self.dir}/run/model."),
                                 (self.dir / "none", "found nothing of this name.")):
                if arguments == ["info"] and path.name == "none":
                    continue  # could be a preset: the message lists them
                out = [self.dir / "out"] if arguments == ["convert"] else []
                message, _ = self.error(*arguments[:words], path, *out, *arguments[words:])
                self.assertEqual(message, f"{path}: expected a model directory, {reason}", arguments)
        self.assertFalse((self.dir / "out").exists())

    def test_models_are_not_downloaded(self):
        for arguments in (["import", "meta-llama/Llama-3.1-8B", self.dir / "out"], ["generate", "meta-llama/Llama-3.1-8B",
                                                                                   "--prompt", "a"]):
            message, _ = self.error(*arguments)
            self.assertIn("meta-llama/Llama-3.1-8B: ", message)
            self.assertIn("longgen does not download models. Fetch it first, for example with hf download", message)

    def test_presets(self):
        for command in ("plan", "info"):
            message, _ = self.error(command, "llama-3-8b")
            self.assertIn("Expected a model directory or one of llama2-7b, llama2-70b, llama3-8b", message)
            self.assertTrue(message.endswith('Did you mean "llama3-8b"?'), message)
        out, _ = self.run_program("plan", "llama3-8b", "--device", "rtx4090")
        self.assertIn("note: --device cuda refuses this GPU", out)


class WarningsTest(UsageCase):
    def convert(self, context):
        """What stderr says when a model for 256 tokens is converted."""
        if not (self.dir / "model").exists():
            write_tiny_llama(self.dir / "model")
        _, err = self.run_program("convert", self.dir / "model", self.dir / "out", "--context", context, "--force", "--quiet")
        return err

    def test_contexts_that_are_rarely_meant(self):
        self.assertEqual(self.convert("256"), "")
        self.assertEqual(self.convert("16K"), "")
        self.assertEqual(self.convert("128"), "warning: --context 128 is below the model's own 256: config.json will name "
                                              "the smaller one, RoPE stays. Leave --context out to keep the model's.\n")
        self.assertEqual(self.convert("1M"), "warning: --context 1,048,576 is 4,096 times the 256 tokens that the model "
                                             "was trained for: without training for it (longgen extend) it makes no sense "
                                             "of so long a text.\n")

    def test_the_precision_that_was_chosen_is_said_once(self):
        write_tiny_llama(self.dir / "model")
        doctor, _ = self.run_program("doctor", "--json")
        chosen = json.loads(doctor)["dtype_auto"]
        out, err = self.run_program("generate", self.dir / "model", "--prompt", "the", "--max-tokens", "1", "--json")
        self.assertEqual(json.loads(out)["dtype"], chosen)
        self.assertRegex(err, rf"\Acomputing in {chosen} on the CPU, which is (not )?faster with ")
        text = self.put("text.txt", "the sea was calm " * 20)
        arguments = ["eval", "perplexity", self.dir / "model", self.dir / "model", "--text", text, "--length", "64"]
        _, err = self.run_program(*arguments)
        self.assertEqual(err.count("computing in"), 1)
        _, err = self.run_program(*arguments, "--dtype", "float32")
        self.assertNotIn("computing in", err)


class FlagsTest(UsageCase):
    def runs(self):
        """A call of each command that reports or works, and what it reads from stdin."""
        model, text = self.dir / "model", self.put("text.txt", "the sea was calm under a grey sky " * 20)
        write_tiny_llama(model)
        recipe = self.put("recipe.toml", recipe_text(self.dir, data={"sequence_length": 32}, train={"steps": 1}))
        small = ["--tokens", "32", "--threads", "2"]
        yield ["import", model, self.dir / "imported"], ""
        yield ["convert", model, self.dir / "hybrid"], ""
        yield ["info", model], ""
        yield ["plan", model, "--context", "1K"], ""
        yield ["prepare", text, self.dir / "data", "--model", model, "--held-out", "0"], ""
        yield ["compose", model, "--text", self.put("long.txt", "The sea was calm. It was grey. " * 500), "--length", "4K",
               "--documents", "1", "--tasks", "recall", "--out", self.dir / "tasks.jsonl"], ""
        yield ["extend", recipe], ""
        yield ["tokenize", model], '{"text": "a"}\n'
        yield ["score", model], '{"text": "a"}\n'
        yield ["generate", model, "--prompt", "the sea", "--max-tokens", "2"], ""
        yield ["eval", "perplexity", model, "--text", text, "--length", "128"], ""
        yield ["eval", "needle", model, "--lengths", "512", "--depths", "0", "--new-tokens", "2"], ""
        items = self.put("items.jsonl", '{"prompt": "the sea", "references": ["th"], "new_tokens": 2}\n')
        yield ["eval", "suite", model, "--tasks", f"jsonl:{items}", "--out", self.dir / "suite"], ""
        yield ["bench", "model", model, *small, "--decode-tokens", "1", "--rounds", "1"], ""
        yield ["bench", "attention", *small, "--heads", "2/1", "--head-sizes", "16", "--repeats", "1"], ""
        with FakeOpenAi(first_seconds=0, gap_seconds=0).running() as url:
            yield ["bench", "serve", url, "--requests", "2", "--lengths", "4:2"], ""
        yield ["help"], ""
        yield ["man"], ""
        yield ["completion", "bash"], ""

    def test_every_command_takes_the_flags_that_the_documentation_promises(self):
        commands = self.commands()
        self.assertIn(["eval", "needle"], commands)
        for command in commands:
            out = self.help(*command)
            self.assertRegex(out, r"\n  --quiet ", command)
            self.assertEqual("\n  --json " in out, command[0] not in NO_REPORT, command)

    def test_quiet_leaves_stderr_empty_and_json_is_one_object(self):
        done = set()
        for arguments, stdin in self.runs():
            json_flag = [] if arguments[0] in NO_REPORT else ["--json"]
            out, err = self.run_program(*arguments, "--quiet", *json_flag, stdin=stdin)
            self.assertEqual(err, "", arguments)
            if json_flag:
                self.assertIsInstance(json.loads(out), dict, arguments)
            done.add(" ".join(arguments[:2] if arguments[0] in ("eval", "bench") else arguments[:1]))
        # The others need a GPU, a terminal, run until they are stopped, exit with what they find, or warn of a model that
        # answers nothing.
        self.assertEqual({" ".join(command) for command in self.commands()} - done,
                         {"bench decode", "bench ops", "chat", "doctor", "measure", "serve"})


class CompletionTest(UsageCase):
    def script(self, shell):
        out, err = self.run_program("completion", shell)
        self.assertEqual(err, "")
        return self.put(f"longgen.{shell}", out)

    def shell(self, *command):
        if shutil.which(command[0]) is None:
            self.skipTest(f"{command[0]} is not installed")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        return done.stdout

    CASES = [(["longgen", "ev"], {"eval"}), (["longgen", "eval", ""], {"perplexity", "needle", "suite"}),
             (["longgen", "generate", "m", "--device", ""], {"cpu", "cuda"}),
             (["longgen", "eval", "needle", "--hay"], {"--haystack"}),
             (["longgen", "convert", "a", "b", "--rope-base", ""], {"auto", "keep"}),
             (["longgen", "completion", "z"], {"zsh"}), (["longgen", "help", "conv"], {"convert"})]

    def test_bash(self):
        script = self.script("bash")
        self.shell("bash", "-n", script)
        for words, expected in self.CASES:
            quoted = " ".join(f"'{word}'" for word in words)
            out = self.shell("bash", "-c", f"source '{script}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
                             "_longgen; printf '%s\\n' \"${COMPREPLY[@]}\"")
            self.assertEqual(set(out.split()), expected, words)
        self.assertIn("-F _longgen longgen", self.shell("bash", "-c", f"source '{script}'; complete -p longgen"))

    def test_zsh(self):
        script = self.script("zsh")
        self.shell("zsh", "-n", script)
        # The functions that would talk to zsh's line editor print what they are given.
        stubs = ("compdef() { :; }; compadd() { print -rl -- ${(P)argv[-1]} }; _files() { print FILES }; "
                 "_describe() { print -rl -- ${(P)argv[-1]%%:*} }; ")
        for words, expected in self.CASES:
            quoted = " ".join(f"'{word}'" for word in words)
            out = self.shell("zsh", "-f", "-c", f"{stubs} source '{script}'; words=({quoted}); CURRENT={len(words)}; "
                             "_longgen")
            offered = {word for word in out.split() if word != "FILES" and word.startswith(words[-1])}
            self.assertEqual(offered, expected, words)
        out = self.shell("zsh", "-f", "-c", f"{stubs} source '{script}'; words=(longgen info ''); CURRENT=3; _longgen")
        self.assertEqual(out, "FILES\n")

    def test_fish(self):
        script = self.script("fish")
        self.shell("fish", "--no-execute", script)
        for words, expected in self.CASES:
            line = " ".join(words)
            out = self.shell("fish", "--no-config", "-c", f"source '{script}'; complete -C '{line}'")
            offered = {entry.split("\t")[0] for entry in out.splitlines()}
            self.assertTrue(expected <= offered, (words, offered))
            self.assertTrue(all(entry.startswith(words[-1]) for entry in offered), (words, offered))

    def test_every_command_and_option_is_completed(self):
        scripts = {shell: self.script(shell).read_text() for shell in ("bash", "zsh", "fish")}
        for command in self.commands():
            for option in re.findall(r"^  (?:-h,)?(--[a-z-]+)", self.help(*command), re.MULTILINE):
                for shell, script in scripts.items():
                    self.assertIn(f"-l {option[2:]} " if shell == "fish" else option, script, (command, shell))


class ManualTest(UsageCase):
    def test_the_manual_page_is_accepted_and_names_everything(self):
        page, err = self.run_program("man")
        self.assertEqual(err, "")
        path = self.put("longgen.1", page)
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-rLL=78n", path], capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
        if shutil.which("lexgrog"):
            done = subprocess.run(["lexgrog", path], capture_output=True, text=True, timeout=60)
            self.assertIn('"longgen - long-context hybrid language models"', done.stdout)
        for command in self.commands():
            self.assertIn(f".SS longgen {' '.join(command)}", page)
        self.assertIn("\\fB\\-\\-rope\\-base\\fR \\fIB|auto|keep\\fR\n", page)
        self.assertNotRegex(page, r"(?m)^'")


class DoctorTest(UsageCase):
    def test_the_report(self):
        out = subprocess.run([self.PROGRAM, "doctor", "--json"], capture_output=True, text=True, timeout=120)
        report = json.loads(out.stdout)
        with open("/proc/cpuinfo") as file:
            cpu = file.read()
        faster = " avx2" in cpu and " fma" in cpu
        self.assertEqual(report["dtype_auto"], "bfloat16" if faster else "float32")
        amx = " amx_bf16" in cpu or ("AuthenticAMD" in cpu and " avx512_bf16" in cpu)
        self.assertEqual(report["training_precision"], "bfloat16" if amx else "float32")
        version, _ = self.run_program("--version")
        self.assertIn(f"longgen {report['version']}\nattention kernels: {report['kernels']}\n", version)
        self.assertEqual(report["cores"], os.cpu_count())
        self.assertGreater(report["memory_bytes"], report["memory_available_bytes"])
        self.assertRegex(report["torch"], r"^\d+\.\d+")
        gpu = report["gpu"]
        self.assertEqual(gpu["usable"], gpu["missing"] is None)
        if not gpu["usable"]:
            self.assertIn(f"GPU: none, {gpu['missing']}", version)
        broken = not gpu["usable"] and (gpu["driver"] is not None or gpu["listed"] != [])
        self.assertEqual(out.returncode, 1 if broken else 0)
        self.assertEqual(bool(broken), "longgen: error: --device cuda: " in out.stderr)

    def test_the_text_says_what_to_do(self):
        done = subprocess.run([self.PROGRAM, "doctor"], capture_output=True, text=True, timeout=120)
        for name in ("processor", "kernels", "bfloat16", "cores", "memory", "torch", "driver", "GPU", "--device cuda"):
            self.assertRegex(done.stdout, rf"(?m)^{name} +\S")
        if "--device cuda  not usable" in done.stdout:
            self.assertRegex(done.stdout, r"scripts/setup\.sh --cuda|--device cuda cannot be used: ")

    def test_a_missing_gnuplot_is_told(self):
        done = subprocess.run([self.PROGRAM, "doctor"], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PATH": str(self.dir)})
        self.assertIn("gnuplot        none\n", done.stdout)
        self.assertIn("Install gnuplot-nox.", done.stdout)


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
