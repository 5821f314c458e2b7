"""Clients from PyPI work with longgen serve unchanged: lm-eval's, of which log-likelihoods are those of `longgen score`,
and schemathesis, which tries what the server's description of itself promises. OpenAI's is in serve_test.py.

    serve_clients_test.py PROGRAM
"""

import json
import pathlib
import subprocess
import sys
import unittest

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

from cli_case import CliCase
from serve_test import CHAT, PRECISELY, ServeCase

# Contexts and continuations; the last context is nothing.
PAIRS = [("The end of", " the sea"), ("The end of", " a thé"), ("Once upon a time " * 8 + "Once", " there"), ("", "the thing")]
BOUND_TO_OTHERS = {"model", "stream_options", "return_progress", "top_logprobs", "prompt_logprobs", "tools", "tool_choice",
                   "parallel_tool_calls", "chat_template_kwargs", "response_format", "max_tokens", "min_tokens",
                   "logit_bias", "best_of", "modalities"}


def requests(kind, arguments):
    return [Instance(kind, {}, each, i) for i, each in enumerate(arguments)]


class LmEval(ServeCase):
    def api(self, kind, path, **options):
        return kind(model="tiny", base_url=f"http://{self.server.host}:{self.server.port}{path}", max_retries=1, **options)

    def completions(self, **options):
        return self.api(LocalCompletionsAPI, "/v1/completions", tokenizer_backend="remote", **options)

    def likelihood(self, context, continuation):
        """Of the continuation's tokens as `longgen score` has it, and whether each is the most probable one."""
        out, _ = self.run_program("score", self.model, "--top", 1, *PRECISELY,
                                  stdin=json.dumps({"ids": context + continuation}) + "\n")
        found = json.loads(out)
        first = len(context)
        best = [top[0][0] for top in found["top"][first:]]
        return sum(found["logprobs"][first:]), best == continuation

    def test_log_likelihoods_are_those_of_score(self):
        for options in ({"batch_size": 3}, {"num_concurrent": 3}):
            lm = self.completions(**options)
            self.assertEqual(lm.prefix_token_id, 258)  # <|begin|>
            pairs = PAIRS
            found = lm.loglikelihood(requests("loglikelihood", pairs))
            for (context, continuation), (value, is_greedy) in zip(pairs, found):
                ids = [lm.prefix_token_id] if not context else lm.tok_encode(context)
                expected, best = self.likelihood(ids, lm.tok_encode(continuation))
                self.assertAlmostEqual(value, expected, delta=1e-4, msg=(context, options))
                self.assertEqual(is_greedy, best)

    def test_texts_are_those_of_generate(self):
        arguments = {"until": ["\n\n"], "max_gen_toks": 12, "do_sample": False}
        out, _ = self.run_program("generate", self.model, "--json", "--max-tokens", 12, *PRECISELY, "--prompt", "The end of")
        text = self.completions().generate_until(requests("generate_until", [("The end of", arguments)]))
        self.assertEqual(text, [json.loads(out)["text"]])
        lm = self.api(LocalChatCompletion, "/v1/chat/completions")
        out, _ = self.run_program("generate", self.model, "--json", "--max-tokens", 12, *PRECISELY, "--chat", "--prompt",
                                  CHAT[0]["content"])
        text = lm.generate_until(requests("generate_until", [(lm.apply_chat_template(CHAT), arguments)]))
        self.assertEqual(text, [json.loads(out)["text"]])


class Schemathesis(ServeCase):
    def test_answers_are_those_of_the_description(self):
        """No 5xx, no status or form of an answer that openapi.json does not name. Replies are short, and fields are
        left out that only go with values of others: with them no request would reach the engine."""
        schema = self.server.json("GET", "/openapi.json")
        for name, tokens in (("ChatCompletionRequest", "max_completion_tokens"), ("CompletionRequest", "max_tokens")):
            request = schema["components"]["schemas"][name]
            for field in BOUND_TO_OTHERS & request["properties"].keys() - {tokens}:
                del request["properties"][field]
            request["properties"] |= {tokens: {"type": "integer", "minimum": 1, "maximum": 4},
                                      "n": {"type": "integer", "minimum": 1, "maximum": 2}}
            request["required"].append(tokens)
        (self.folder / "openapi.json").write_text(json.dumps(schema))
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", self.folder / "openapi.json", "--url",
             f"http://{self.server.host}:{self.server.port}", "--max-examples", "3", "--workers", "2", "--seed", "1",
             "--phases", "coverage,fuzzing",
             # A description cannot say everything, as how long a prompt may be in tokens.
             "--exclude-checks", "positive_data_acceptance", "--request-timeout", "20", "--no-color"],
            cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        self.assertRegex(done.stdout, r"Tested: 1\d")
        self.assertGreater(self.server.state()["tokens"]["generated"], 20)
        self.assertEqual(self.server.json("GET", "/health"), {"status": "ok"})


if __name__ == "__main__":
    CliCase.PROGRAM = str(pathlib.Path(sys.argv.pop(1)).absolute())
    unittest.main()
