"""Trains a projection in PyTorch that attends with longgen, eagerly and compiled, and holds the gradients against plain
torch. In the root of a built checkout (torch must be the version that longgen was built with):

    .venv/bin/python examples/attend_in_pytorch.py build/release/libraries/attention/liblonggen_ops.so

`scripts/setup.sh --tests` installs torch for Python (the programs need only its libraries). --device cuda (H100, H200;
bfloat16) also loads liblonggen_cuda.so, which lies beside liblonggen_ops.so.
"""
import argparse
import pathlib

import torch

TOKENS, WIDTH, HEADS, KV_HEADS, HEAD_SIZE = 700, 32, 4, 2, 64
BLOCK, SINK, WINDOW, STRIDE = 64, 1, 2, 4  # tokens of a block; the others in blocks: docs/pattern.md


def attend(q, k, v):
    return torch.ops.longgen.attend(q, k, v, SINK, WINDOW, STRIDE, [])[0]  # [1]: the log-sum-exp, (heads, tokens)


def attend_plainly(q, k, v):
    """The same with a mask of tokens x tokens, here for KV heads whose strided blocks are spread over the stride."""
    token = torch.arange(TOKENS, device=q.device)
    block, offset = token // BLOCK, torch.arange(KV_HEADS, device=q.device)[:, None, None] * (STRIDE // KV_HEADS)
    seen = (block < SINK) | (block[:, None] - block < WINDOW) | ((block + offset) % STRIDE == 0)
    seen = (seen & (token <= token[:, None])).repeat_interleave(HEADS // KV_HEADS, 0)
    k, v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
    scores = torch.einsum("thd,shd->hts", q, k) / HEAD_SIZE**0.5
    return torch.einsum("hts,shd->thd", scores.masked_fill(~seen, -torch.inf).softmax(-1), v)


def train(attention, device, dtype):
    """The gradients of two steps."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(TOKENS, WIDTH, generator=random)
    weight = torch.randn((HEADS + 2 * KV_HEADS) * HEAD_SIZE, WIDTH, generator=random) / WIDTH**0.5
    x, weight = (numbers.bfloat16().to(device, dtype) for numbers in (x, weight))  # the same numbers in every dtype
    weight.requires_grad_()
    optimizer, gradients = torch.optim.SGD([weight], lr=100.0), []
    for _ in range(2):
        heads = torch.nn.functional.linear(x, weight).view(TOKENS, -1, HEAD_SIZE)
        loss = attention(*heads.split([HEADS, KV_HEADS, KV_HEADS], 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gradients.append(weight.grad.clone())
    return gradients


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=pathlib.Path, help="liblonggen_ops.so")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    torch.ops.load_library(args.library.resolve())
    if args.device == "cuda":
        torch.ops.load_library(args.library.resolve().with_name("liblonggen_cuda.so"))
    dtype = torch.float32 if args.device == "cpu" else torch.bfloat16
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    truth = train(attend_plainly, args.device, torch.float64)
    results = [train(run, args.device, dtype) for run in (attend_plainly, attend, compiled)]
    print("largest error against float64   plain torch   longgen      compiled")
    for step, (true, *gradients) in enumerate(zip(truth, *results), 1):
        plain, ours, ours_compiled = ((gradient.double() - true).abs().max().item() for gradient in gradients)
        print(f"gradient of step {step}{plain:26.3e}{ours:13.3e}{ours_compiled:13.3e}")
        spacing = torch.finfo(dtype).eps * true.abs().max().item()
        assert max(ours, ours_compiled) <= 2 * plain + spacing, "longgen is more than twice as wrong as plain torch"


if __name__ == "__main__":
    main()
