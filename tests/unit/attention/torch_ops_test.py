"""torch.ops.longgen.* as a Python program uses them: opcheck of torch (schema, autograd, tracing with fixed and with
symbolic sizes), and errors.

Usage: torch_ops_test.py LIBLONGGEN_OPS
"""
import sys
import unittest

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.library import opcheck

SINK = (1, 2, 0, [])  # sink 1, window 2
STRIDED = (1, 2, 4, [3, 0])
FULL = (0, -1, 0, [])


def qkv(tokens, keys, heads=4, kv_heads=2, head_size=40, dtype=torch.float32, device="cpu"):
    random = torch.Generator().manual_seed(tokens)
    return [torch.randn(n, h, head_size, generator=random).to(device, dtype).requires_grad_()
            for n, h in ((tokens, heads), (keys, kv_heads), (keys, kv_heads))]


class TorchOpsTest(unittest.TestCase):
    def test_opcheck(self):
        attend, backward = torch.ops.longgen.attend.default, torch.ops.longgen.attend_backward.default
        doc_starts = torch.tensor([0, 70, 130])
        for dtype in (torch.float32, torch.bfloat16):
            for tokens, keys, pattern, options in (
                    (200, 200, SINK, {}), (200, 200, STRIDED, {"scale": 0.5}), (65, 200, FULL, {}),
                    (200, 200, SINK, {"doc_starts": doc_starts})):
                with self.subTest(dtype=dtype, tokens=tokens, pattern=pattern, options=options):
                    args = qkv(tokens, keys, dtype=dtype)
                    opcheck(attend, (*args, *pattern), options)
                    q, k, v = (x.detach() for x in args)
                    out, lse = attend(q, k, v, *pattern, **options)
                    opcheck(backward, (torch.ones_like(out), q, k, v, out, lse, *pattern), options)

    def test_window_tokens(self):
        attend = torch.ops.longgen.attend.default
        args = qkv(200, 200)
        opcheck(attend, (*args, *FULL), {"window_tokens": 70})
        out, _ = attend(*args, *FULL, window_tokens=70)
        out.sum().backward()
        self.assertTrue(all(x.grad.isfinite().all() for x in args))
        q, k, v = (x.detach().transpose(0, 1) for x in args)
        rows = torch.arange(200)
        seen = (rows[None] <= rows[:, None]) & (rows[:, None] - rows[None] < 70)
        expected = torch.nn.functional.scaled_dot_product_attention(q, k.repeat_interleave(2, 0),
                                                                    v.repeat_interleave(2, 0), attn_mask=seen)
        self.assertLess((out - expected.transpose(0, 1)).abs().max().item(), 1e-5)
        with self.assertRaisesRegex(RuntimeError, "window_tokens 70 stands alone"):
            attend(*args, *SINK, window_tokens=70)

    def test_rows_of_any_stride(self):
        heads = torch.randn(40, 200, 8).permute(1, 2, 0).requires_grad_()
        opcheck(torch.ops.longgen.attend.default, (*heads.split([4, 2, 2], 1), *SINK))

    def test_one_compiled_program_takes_any_length(self):
        compiled = torch.compile(lambda *x: torch.ops.longgen.attend(*x, *SINK)[0], fullgraph=True, backend="aot_eager",
                                 dynamic=True)
        for tokens in (64, 65, 300):
            args = qkv(tokens, tokens)
            self.assertTrue(torch.equal(compiled(*args), torch.ops.longgen.attend(*args, *SINK)[0]))

    def test_tracing_checks_shapes_as_a_call_does(self):
        for q, k, v in (qkv(5, 4), qkv(5, 5, heads=3), qkv(5, 5, dtype=torch.float64), qkv(5, 5, head_size=300)):
            with self.assertRaisesRegex(RuntimeError, r"^\[attend\] ") as called:
                torch.ops.longgen.attend(q, k, v, *SINK)
            with self.assertRaises(RuntimeError) as traced:
                torch.ops.longgen.attend(q.to("meta"), k.to("meta"), v.to("meta"), *SINK)
            self.assertEqual(str(traced.exception).replace(" meta", " cpu"), str(called.exception))

    def test_gradients_of_other_shapes_are_refused(self):
        q, k, v = (x.detach() for x in qkv(70, 70))
        out, lse = torch.ops.longgen.attend(q, k, v, *SINK)
        for grad, out_given, lse_given, message in (
                (out[1:], out, lse, "grad_out and out must be like q"),
                (out, out.bfloat16(), lse, "grad_out and out must be like q"),
                (out, out, lse[:, 1:], "lse must be"), (out, out, lse.double(), "lse must be")):
            with self.assertRaisesRegex(RuntimeError, message):
                torch.ops.longgen.attend_backward(grad, q, k, v, out_given, lse_given, *SINK)

    def test_packed_documents_of_a_gpu_trace_with_the_option_that_the_docs_name(self):
        with FakeTensorMode(), torch._functorch.config.patch(fake_tensor_prefer_device_type="cuda"):
            q, k, v = (torch.empty(200, heads, 64, dtype=torch.bfloat16, device="cuda") for heads in (4, 2, 2))
            out, lse = torch.ops.longgen.attend(q, k, v, *SINK, torch.empty(3, dtype=torch.int64))
        self.assertEqual((out.device.type, lse.device.type), ("cuda", "cuda"))


if __name__ == "__main__":
    torch.ops.load_library(sys.argv.pop(1))
    unittest.main()
