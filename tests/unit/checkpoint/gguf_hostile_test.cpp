// GGUF files that somebody damaged or made up. Every one gives one clear message.
#include "gguf_builder.h"
#include "longgen/checkpoint/gguf.h"
#include "test_support.h"

namespace longgen {
namespace {

using V = GgufValueType;

std::string error_reading(const std::string& bytes) {
  return error_of([&] { GgufFile(bytes, "m.gguf"); });
}

#define EXPECT_READ_ERROR(bytes, part) EXPECT_ERROR(GgufFile(bytes, "m.gguf"), part)

/// One F32 tensor "w" of these dimensions at this offset, over 64 bytes of data.
std::string one(const std::vector<uint64_t>& dims, uint64_t offset = 0,
                GgmlType type = GgmlType::f32) {
  return GgufBuilder().tensor("w", dims, type, offset).file(std::string(64, 'x'));
}

TEST(GgufHostileTest, EveryTruncationIsAnError) {
  const std::string whole =
      GgufBuilder()
          .key("words", V::array, gguf_array(V::string, 2, gguf_string("abc") + gguf_string("d")))
          .key("count", V::u32, raw(uint32_t{1}))
          .tensor("w", {4, 2}, GgmlType::f32, 0)
          .file(std::string(32, 'x'));
  ASSERT_EQ(error_reading(whole), "");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(error_reading(whole.substr(0, size)), "") << "cut to " << size << " bytes";
  }
  EXPECT_READ_ERROR("GGU",
                    "m.gguf: truncated: the magic number takes 4 bytes at offset 0, but the "
                    "file ends at 3.");
  EXPECT_READ_ERROR(
      whole.substr(0, 50),
      "truncated: the number of elements of key words takes 8 bytes at offset 45, but the "
      "file ends at 50.");
  EXPECT_READ_ERROR(whole.substr(0, whole.size() - 1),
                    "tensor w takes 32 bytes at offset 0 of the data, but the file holds only 31 "
                    "bytes of data: truncated, or a wrong offset.");
}

TEST(GgufHostileTest, OtherMagicsAndVersions) {
  GgufBuilder builder;
  builder.magic = "ggjt";
  EXPECT_READ_ERROR(builder.file(), "expected a GGUF file (magic \"GGUF\"), found \"ggjt\".");
  builder.magic = "\x1b[2J";
  EXPECT_READ_ERROR(builder.file(), "found \"\\x1b[2J\".");
  builder = {};
  for (const uint32_t version : {0u, 4u, 0xffffffffu}) {
    builder.version = version;
    EXPECT_READ_ERROR(builder.file(),
                      "GGUF version: expected 2 or 3, found " + std::to_string(version) + ".");
  }
  builder.version = 1;
  EXPECT_READ_ERROR(builder.file(), "expected 2 or 3, found 1. Convert the model again");
  builder.version = 0x03000000;
  EXPECT_READ_ERROR(builder.file(), "this GGUF file is big-endian; only little-endian ones");
}

TEST(GgufHostileTest, AbsurdCounts) {
  GgufBuilder builder;
  builder.num_tensors = UINT64_MAX;
  EXPECT_READ_ERROR(builder.file(),
                    "the number of tensors: found 18446744073709551615, but the 16 bytes that "
                    "follow hold at most 0.");
  builder = {};
  builder.num_keys = 1'000'000'000;
  EXPECT_READ_ERROR(builder.file(), "the number of keys: found 1000000000, but the ");
  builder = {};
  builder.num_tensors = 2;  // room for two by size, but only one is there
  builder.tensors = gguf_string("a name of some length") + raw(uint32_t{0}) + raw(GgmlType::f32) +
                    raw(uint64_t{0});
  EXPECT_READ_ERROR(builder.header() + std::string(4, '\0'), "truncated: the name of tensor 1");
}

TEST(GgufHostileTest, AbsurdLengths) {
  EXPECT_READ_ERROR(GgufBuilder().key("s", V::string, raw(UINT64_MAX) + "x").file(),
                    "truncated: key s takes 18446744073709551615 bytes");
  EXPECT_READ_ERROR(
      GgufBuilder().key("a", V::array, gguf_array(V::u64, uint64_t{1} << 61, "12345678")).file(),
      "the number of elements of key a: found 2305843009213693952");
  EXPECT_READ_ERROR(
      GgufBuilder().key("a", V::array, gguf_array(V::string, uint64_t{1} << 40, "")).file(),
      "the number of elements of key a: found 1099511627776");
  EXPECT_READ_ERROR(
      GgufBuilder().key("a", V::array, gguf_array(V::string, 1, raw(UINT64_MAX))).file(),
      "truncated: an element of key a takes 18446744073709551615 bytes");
  EXPECT_READ_ERROR(GgufBuilder().key(std::string(65536, 'k'), V::u8, "1").file(),
                    "key 0: expected 1 to 65535 bytes, found 65536.");
  EXPECT_READ_ERROR(GgufBuilder().key("", V::u8, "1").file(), "key 0: expected 1 to 65535 bytes");
}

TEST(GgufHostileTest, WrongMetadata) {
  EXPECT_READ_ERROR(GgufBuilder().key("a", static_cast<V>(13), "").file(),
                    "key a: expected a type from 0 to 12, found 13.");
  EXPECT_READ_ERROR(GgufBuilder().key("a", V::array, raw(uint32_t{77}) + raw(uint64_t{0})).file(),
                    "key a: expected a type from 0 to 12, found 77.");
  EXPECT_READ_ERROR(GgufBuilder().key("a", V::boolean, "\x02").file(),
                    "key a: expected a bool (0 or 1), found 2.");
  EXPECT_READ_ERROR(
      GgufBuilder().key("a", V::array, gguf_array(V::boolean, 2, std::string("\0\xff", 2))).file(),
      "key a: expected a bool (0 or 1), found 255.");
  EXPECT_READ_ERROR(GgufBuilder().key("a", V::u8, "1").key("a", V::u8, "1").file(),
                    "key a stands twice.");
}

TEST(GgufHostileTest, NestedArrays) {
  std::string nested = gguf_array(V::u8, 1, "x");
  for (int depth = 0; depth < 10000; ++depth) nested = gguf_array(V::array, 1, "") + nested;
  EXPECT_READ_ERROR(GgufBuilder().key("a", V::array, nested).file(),
                    "key a: arrays of arrays are not supported");
}

TEST(GgufHostileTest, WrongAlignments) {
  const auto with = [](V type, const std::string& value) {
    return GgufBuilder().key("general.alignment", type, value).file();
  };
  EXPECT_READ_ERROR(with(V::u32, raw(uint32_t{0})),
                    "key general.alignment: expected a power of two, found 0.");
  EXPECT_READ_ERROR(with(V::u32, raw(uint32_t{48})), "expected a power of two, found 48.");
  EXPECT_READ_ERROR(with(V::u64, raw(uint64_t{32})), "expected a uint32, found uint64.");
  const std::string far = GgufBuilder()
                              .key("general.alignment", V::u32, raw(uint32_t{1} << 31))
                              .tensor("w", {1}, GgmlType::f32, 0)
                              .file("1234");
  EXPECT_READ_ERROR(far, "the file holds only 0 bytes of data");
}

TEST(GgufHostileTest, WrongShapes) {
  EXPECT_READ_ERROR(one({0}), "tensor w: dimension 0: expected a positive number, found 0.");
  EXPECT_READ_ERROR(one({1, UINT64_MAX}),
                    "dimension 1: expected a positive number, found 18446744073709551615.");
  EXPECT_READ_ERROR(one({1, 1, 1, 1, 1}), "tensor w: expected at most 4 dimensions, found 5.");
  EXPECT_READ_ERROR(one({uint64_t{1} << 32, uint64_t{1} << 32}),
                    "shape (4294967296, 4294967296) has more elements than 63 bits can count.");
  EXPECT_READ_ERROR(one({uint64_t{1} << 62}), "has more bytes than 63 bits can count.");
  EXPECT_READ_ERROR(one({16}, 0, GgmlType::q8_0),
                    "tensor w: rows of 16 elements are not a whole number of Q8_0 blocks of 32.");
  EXPECT_READ_ERROR(one({}, 0, GgmlType::q4_k), "rows of 1 elements are not a whole number");
  EXPECT_READ_ERROR(one({1}, 0, static_cast<GgmlType>(4)), "tensor w: unknown tensor type 4.");
}

TEST(GgufHostileTest, WrongPlaces) {
  EXPECT_READ_ERROR(one({17}),
                    "tensor w takes 68 bytes at offset 0 of the data, but the file holds "
                    "only 64 bytes of data: truncated, or a wrong offset.");
  EXPECT_READ_ERROR(one({1}, 64), "takes 4 bytes at offset 64");
  EXPECT_READ_ERROR(one({1}, UINT64_MAX - 31), "takes 4 bytes at offset 18446744073709551584");
  EXPECT_READ_ERROR(one({1}, 4), "tensor w: offset 4 is not a multiple of the alignment 32.");
  const auto two = [](uint64_t first, uint64_t second) {
    return GgufBuilder()
        .tensor("v", {9}, GgmlType::f32, first)
        .tensor("w", {1}, GgmlType::f32, second)
        .file(std::string(128, 'x'));
  };
  EXPECT_EQ(error_reading(two(64, 0)), "") << "any order is allowed";
  EXPECT_READ_ERROR(two(0, 32),
                    "tensor w begins at offset 32 of the data and overlaps v, which ends at 36.");
  EXPECT_READ_ERROR(two(0, 0), "of the data and overlaps");
}

TEST(GgufHostileTest, DuplicateAndUnprintableTensorNames) {
  EXPECT_READ_ERROR(GgufBuilder()
                        .tensor("w", {1}, GgmlType::f32, 0)
                        .tensor("w", {1}, GgmlType::f32, 32)
                        .file(std::string(64, 'x')),
                    "tensor w stands twice.");
  EXPECT_READ_ERROR(GgufBuilder().tensor("\x1b[2J", {0}, GgmlType::f32, 0).file(),
                    "tensor \\x1b[2J: dimension 0");
}

}  // namespace
}  // namespace longgen
