#include "longgen/checkpoint/safetensors.h"
#include "test_support.h"

namespace longgen {
namespace {

class SafetensorsTest : public FolderTest {
 protected:
  fs::path file() const { return dir_ / "a.safetensors"; }
};

TEST_F(SafetensorsTest, WhatIsWrittenIsReadBack) {
  SafetensorsWriter writer(
      file(),
      {{"half", DType::bf16, {2, 3}}, {"empty", DType::f32, {0, 5}}, {"scalar", DType::i64, {}}},
      {{"format", "pt"}, {"note", "grüße"}});
  writer.write("scalar", raw(int64_t{-7}));
  writer.write("empty", "");
  writer.write("half", "ab12cd34ef56");
  EXPECT_FALSE(fs::exists(file())) << "must not appear before finish()";
  writer.finish();

  const SafetensorsFile read(file());
  ASSERT_EQ(read.tensors().size(), 3u);
  EXPECT_EQ(read.find("half")->bytes, "ab12cd34ef56");
  EXPECT_EQ(read.find("half")->dtype, DType::bf16);
  EXPECT_EQ(read.find("half")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(read.find("half")->num_elements(), 6);
  EXPECT_EQ(read.find("scalar")->bytes, raw(int64_t{-7}));
  EXPECT_EQ(read.find("scalar")->num_elements(), 1);
  EXPECT_EQ(read.find("empty")->num_elements(), 0);
  EXPECT_EQ(read.find("none"), nullptr);
  EXPECT_EQ(read.metadata().at("note"), "grüße");
}

TEST_F(SafetensorsTest, DataIsAlignedToItsElements) {
  SafetensorsWriter writer(file(), {{"bytes", DType::u8, {3}},
                                    {"halves", DType::f16, {5}},
                                    {"doubles", DType::f64, {1}},
                                    {"floats", DType::f32, {3}}});
  writer.write("bytes", "xyz");
  writer.write("halves", std::string(10, 'h'));
  writer.write("doubles", std::string(8, 'd'));
  writer.write("floats", std::string(12, 'f'));
  writer.finish();
  const SafetensorsFile read(file());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read.find("doubles")->bytes.data()) % 64, 0u);
  for (const TensorEntry& entry : read.tensors()) {
    const auto address = reinterpret_cast<uintptr_t>(entry.bytes.data());
    EXPECT_EQ(address % static_cast<uintptr_t>(dtype_bytes(entry.dtype)), 0u) << entry.name;
  }
}

TEST_F(SafetensorsTest, AFileWithoutTensorsIsAllowed) {
  SafetensorsWriter(file(), {}).finish();
  EXPECT_TRUE(SafetensorsFile(file()).tensors().empty());
}

TEST_F(SafetensorsTest, TheWriterHoldsItsCallerToTheAnnouncement) {
  const TensorSpec two_floats{"w", DType::f32, {2}};
  EXPECT_ERROR(SafetensorsWriter(file(), {two_floats, two_floats}), "tensor w is given twice.");
  EXPECT_ERROR(SafetensorsWriter(file(), {{"w", DType::f32, {-1}}}),
               "tensor w: shape (-1) has a negative dimension.");
  EXPECT_ERROR(SafetensorsWriter(file(), {{"w", DType::f32, {int64_t{1} << 62}}}),
               "has more bytes than 63 bits can count.");
  EXPECT_ERROR(SafetensorsWriter(file(), {{"v", DType::u8, {int64_t{1} << 61}},
                                          {"w", DType::u8, {int64_t{1} << 62}}}),
               "tensor w: the file would be too large.");
  EXPECT_ERROR(SafetensorsWriter(file(), {{"__metadata__", DType::f32, {}}}),
               "the format reserves this name.");
  EXPECT_ERROR(SafetensorsWriter(file(), {{"\xff", DType::f32, {}}}), "is not valid UTF-8.");

  SafetensorsWriter writer(file(), {two_floats});
  EXPECT_ERROR(writer.write("v", "12345678"), "tensor v was not announced.");
  EXPECT_ERROR(writer.write("w", "1234567"), "tensor w: expected 8 bytes, found 7.");
  EXPECT_ERROR(writer.finish(), "tensor w was announced, but not written.");
  writer.write("w", "12345678");
  EXPECT_ERROR(writer.write("w", "12345678"), "tensor w is written twice.");
  writer.finish();
  EXPECT_EQ(SafetensorsFile(file()).find("w")->bytes, "12345678");
}

TEST_F(SafetensorsTest, AnAbandonedWriterLeavesTheOldFile) {
  SafetensorsWriter(file(), {}).finish();
  const std::string before = read_file(file());
  {
    SafetensorsWriter writer(file(), {{"w", DType::u8, {1}}});
    writer.write("w", "x");
  }
  EXPECT_EQ(read_file(file()), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1);
}

TEST(DTypeTest, NamesAndSizes) {
  EXPECT_EQ(dtype_list(), "F32, F16, BF16, F64, I64, I32, I16, I8, U8, BOOL");
  EXPECT_EQ(dtype_from_name("BOOL"), DType::bool8);
  EXPECT_EQ(dtype_from_name("F8_E4M3"), std::nullopt);
  EXPECT_EQ(dtype_name(DType::bf16), "BF16");
  EXPECT_EQ(dtype_bytes(DType::f64), 8);
}

TEST(PrintableTest, NamesFromFilesCannotSteerATerminal) {
  EXPECT_EQ(printable("a\x1b[2J\n\xff"), "a\\x1b[2J\\x0a\\xff");
  EXPECT_EQ(printable(std::string(100, 'x')), std::string(80, 'x') + "...");
}

}  // namespace
}  // namespace longgen
