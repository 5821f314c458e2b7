// Safetensors files that somebody damaged or made up. Every one gives one clear message.
#include "longgen/checkpoint/safetensors.h"
#include "test_support.h"

namespace longgen {
namespace {

constexpr const char* kSource = "m.safetensors";

/// One tensor "w" as told, over 8 bytes of data.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return safetensors_bytes(
      R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}",
      "12345678");
}

/// F32 tensors a, b, ... of one element each, placed as told.
std::string placed(const std::vector<std::pair<int, int>>& ranges, size_t data_bytes) {
  std::string header = "{";
  char name = 'a';
  for (const auto& [begin, end] : ranges) {
    header += header.size() > 1 ? "," : "";
    header += std::string("\"") + name++ + R"(":{"dtype":"U8","shape":[)" +
              std::to_string(end - begin) + R"(],"data_offsets":[)" + std::to_string(begin) + "," +
              std::to_string(end) + "]}";
  }
  return safetensors_bytes(header + "}", std::string(data_bytes, 'x'));
}

std::string error_reading(const std::string& bytes) {
  return error_of([&] { SafetensorsFile(bytes, kSource); });
}

#define EXPECT_READ_ERROR(bytes, part) EXPECT_ERROR(SafetensorsFile(bytes, kSource), part)

TEST(SafetensorsHostileTest, EveryTruncationIsAnError) {
  const std::string whole = one("\"F32\"", "[2]", "[0,8]");
  ASSERT_EQ(error_reading(whole), "");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(error_reading(whole.substr(0, size)), "") << "cut to " << size << " bytes";
  }
  EXPECT_READ_ERROR(whole.substr(0, 7), "expected a safetensors file (at least 8 bytes), found 7");
  EXPECT_READ_ERROR(whole.substr(0, 20), "truncated: the header takes");
  EXPECT_READ_ERROR(whole.substr(0, whole.size() - 1),
                    "tensor w: its data ends at byte 8, but the file holds only 7 bytes of data");
}

TEST(SafetensorsHostileTest, AbsurdHeaderLengths) {
  EXPECT_READ_ERROR(raw(uint64_t{100'000'001}) + "{}",
                    "header length: expected at most 100000000 bytes, found 100000001");
  EXPECT_READ_ERROR(raw(UINT64_MAX) + "{}", "found 18446744073709551615");
  EXPECT_READ_ERROR(raw(uint64_t{100'000'000}) + "{}", "truncated: the header takes 100000000");
  EXPECT_READ_ERROR(raw(uint64_t{0}), "expected the header to start with \"{\"");
}

TEST(SafetensorsHostileTest, HeadersThatAreNotTheRightJson) {
  EXPECT_READ_ERROR(safetensors_bytes("[]"), "expected the header to start with \"{\"");
  EXPECT_READ_ERROR(safetensors_bytes(" {}"), "expected the header to start with \"{\"");
  EXPECT_READ_ERROR(safetensors_bytes("{\"w\":"), "not valid JSON");
  EXPECT_READ_ERROR(safetensors_bytes("{\"\xff\":1}"), "not valid JSON");
  EXPECT_READ_ERROR(safetensors_bytes("{\"w\":" + std::string(1000, '[')), "nested deeper than 64");
  EXPECT_READ_ERROR(safetensors_bytes("{\"w\":7}"), "field w: expected an object, found 7.");
  EXPECT_READ_ERROR(safetensors_bytes("{\"w\":{}}"), "field w.dtype is missing.");
  EXPECT_READ_ERROR(safetensors_bytes(R"({"w":{},"w":{}})"), "the key \"w\" stands twice");
  EXPECT_READ_ERROR(safetensors_bytes(R"({"__metadata__":{"a":1}})"),
                    "field __metadata__.a: expected a string, found 1.");
  EXPECT_READ_ERROR(safetensors_bytes(R"({"__metadata__":[]})"),
                    "field __metadata__: expected an object");
}

TEST(SafetensorsHostileTest, WrongDtypes) {
  EXPECT_READ_ERROR(one("\"F8_E4M3\"", "[8]", "[0,8]"),
                    "tensor w: dtype: expected one of F32, F16, BF16, F64, I64, I32, I16, I8, U8, "
                    "BOOL; found \"F8_E4M3\".");
  EXPECT_READ_ERROR(one("\"f32\"", "[2]", "[0,8]"), "found \"f32\".");
  EXPECT_READ_ERROR(one("3", "[2]", "[0,8]"), "field w.dtype: expected a string, found 3.");
}

TEST(SafetensorsHostileTest, WrongShapes) {
  EXPECT_READ_ERROR(one("\"F32\"", "[-2]", "[0,8]"), "field w.shape: expected a list of integers");
  EXPECT_READ_ERROR(one("\"F32\"", "[2.0]", "[0,8]"), "found [2.0].");
  EXPECT_READ_ERROR(one("\"F32\"", "[18446744073709551615]", "[0,8]"), "field w.shape: expected");
  EXPECT_READ_ERROR(one("\"F32\"", "2", "[0,8]"), "field w.shape: expected a list of integers");
  EXPECT_READ_ERROR(one("\"F32\"", "[4611686018427387904,4]", "[0,8]"),
                    "tensor w: shape (4611686018427387904, 4) has more elements than 63 bits");
  EXPECT_READ_ERROR(one("\"F32\"", "[4611686018427387904]", "[0,8]"),
                    "tensor w: shape (4611686018427387904) has more bytes than 63 bits");
  EXPECT_READ_ERROR(one("\"F32\"", "[3]", "[0,8]"),
                    "tensor w: shape (3) of F32 takes 12 bytes, but data_offsets span 8.");
  std::string ones = "[1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  EXPECT_READ_ERROR(one("\"F32\"", ones + "]", "[0,4]"),
                    "expected at most 64 dimensions, found 65");
}

TEST(SafetensorsHostileTest, WrongOffsets) {
  EXPECT_READ_ERROR(one("\"F32\"", "[2]", "[8,0]"), "the end 0 lies before the begin 8.");
  EXPECT_READ_ERROR(one("\"F32\"", "[2]", "[0,8,9]"), "expected [begin, end], found 3 numbers.");
  EXPECT_READ_ERROR(one("\"F32\"", "[2]", "[0]"), "expected [begin, end], found 1 numbers.");
  EXPECT_READ_ERROR(one("\"F32\"", "[2]", "[4,12]"),
                    "its data ends at byte 12, but the file holds");
  EXPECT_READ_ERROR(one("\"F32\"", "[2]", "[9223372036854775800,9223372036854775807]"),
                    "its data ends at byte 9223372036854775807");
  EXPECT_READ_ERROR(one("\"F32\"", "[2]", "[18446744073709551608,18446744073709551615]"),
                    "field w.data_offsets: expected a list of integers");
  EXPECT_READ_ERROR(one("\"F32\"", "[2]", "[-8,0]"), "field w.data_offsets: expected");
}

TEST(SafetensorsHostileTest, TensorsThatDoNotTileTheData) {
  EXPECT_EQ(error_reading(placed({{4, 8}, {0, 4}}, 8)), "") << "any order of entries is allowed";
  EXPECT_READ_ERROR(placed({{0, 4}, {3, 8}}, 8),
                    "tensor b overlaps another one: it begins at byte "
                    "3 of the data, but bytes up to 4 are taken.");
  EXPECT_READ_ERROR(placed({{0, 4}, {0, 4}}, 4), "overlaps another one");
  EXPECT_READ_ERROR(placed({{0, 8}, {2, 4}}, 8), "tensor b overlaps another one");
  EXPECT_READ_ERROR(placed({{0, 8}, {4, 4}}, 8), "tensor b overlaps another one");
  EXPECT_READ_ERROR(placed({{0, 4}, {5, 8}}, 8),
                    "tensor b: expected to begin at byte 4 of the data, found 5: a hole");
  EXPECT_READ_ERROR(placed({{1, 8}}, 8), "tensor a: expected to begin at byte 0");
  EXPECT_READ_ERROR(placed({{0, 7}}, 8), "the tensors take 7 bytes of data, but the file holds 8.");
  EXPECT_READ_ERROR(placed({}, 1), "the tensors take 0 bytes of data, but the file holds 1.");
}

TEST(SafetensorsHostileTest, NamesInMessagesAreMadePrintable) {
  EXPECT_READ_ERROR(safetensors_bytes("{\"\\u001b[2J\":{\"dtype\":\"X\\u0007\",\"shape\":[],"
                                      "\"data_offsets\":[0,0]}}"),
                    "tensor \\x1b[2J: dtype: expected one of");
}

}  // namespace
}  // namespace longgen
