#include "longgen/checkpoint/gguf.h"

#include <limits>

#include "gguf_builder.h"
#include "test_support.h"

namespace longgen {
namespace {

using V = GgufValueType;

std::string metadata_file() {
  return GgufBuilder()
      .key("name", V::string, gguf_string("tiny"))
      .key("yes", V::boolean, raw(uint8_t{1}))
      .key("u8", V::u8, raw(uint8_t{200}))
      .key("i8", V::i8, raw(int8_t{-3}))
      .key("u16", V::u16, raw(uint16_t{65535}))
      .key("i16", V::i16, raw(int16_t{-32768}))
      .key("u32", V::u32, raw(uint32_t{4000000000}))
      .key("i32", V::i32, raw(int32_t{-5}))
      .key("u64", V::u64, raw(UINT64_MAX))
      .key("i64", V::i64, raw(INT64_MIN))
      .key("f32", V::f32, raw(1.5f))
      .key("f64", V::f64, raw(1e-5))
      .key("nan", V::f32, raw(std::numeric_limits<float>::quiet_NaN()))
      .key("words", V::array,
           gguf_array(V::string, 3, gguf_string("a") + gguf_string("") + gguf_string("Ġthe")))
      .key("scores", V::array, gguf_array(V::f32, 2, raw(0.5f) + raw(-1.0f)))
      .key("types", V::array, gguf_array(V::i32, 2, raw(int32_t{1}) + raw(int32_t{6})))
      .key("nothing", V::array, gguf_array(V::i32, 0, ""))
      .file();
}

TEST(GgufTest, MetadataOfEveryType) {
  const std::string bytes = metadata_file();
  const GgufFile file(bytes, "m.gguf");
  EXPECT_EQ(file.string("name"), "tiny");
  EXPECT_TRUE(file.boolean("yes"));
  EXPECT_EQ(file.integer("u8", 0, 255), 200);
  EXPECT_EQ(file.integer("i8", -128, 127), -3);
  EXPECT_EQ(file.integer("u16", 0, 65535), 65535);
  EXPECT_EQ(file.integer("i16", -32768, 0), -32768);
  EXPECT_EQ(file.integer("u32", 0, INT64_MAX), 4000000000);
  EXPECT_EQ(file.integer("i32", -5, -5), -5);
  EXPECT_EQ(file.integer("i64", INT64_MIN, 0), INT64_MIN);
  EXPECT_EQ(file.number("f32", 0, 2), 1.5);
  EXPECT_EQ(file.number("f64", 0, 1), 1e-5);
  EXPECT_EQ(file.number("u8", 0, 1000), 200);
  EXPECT_EQ(file.strings("words"), (std::vector<std::string>{"a", "", "Ġthe"}));
  EXPECT_EQ(file.floats("scores"), (std::vector<float>{0.5f, -1.0f}));
  EXPECT_EQ(file.integers("types"), (std::vector<int64_t>{1, 6}));
  EXPECT_TRUE(file.integers("nothing").empty());
  EXPECT_EQ(file.values().size(), 17u);
}

TEST(GgufTest, FallbacksStandInForMissingKeysOnly) {
  const std::string bytes = metadata_file();
  const GgufFile file(bytes, "m.gguf");
  EXPECT_FALSE(file.has("none"));
  EXPECT_EQ(file.string("none", "x"), "x");
  EXPECT_EQ(file.integer("none", 0, 9, 7), 7);
  EXPECT_EQ(file.number("none", 0, 9, 0.5), 0.5);
  EXPECT_TRUE(file.boolean("none", true));
  EXPECT_ERROR(file.string("u8", "x"), "m.gguf: key u8: expected a string, found uint8 200.");
  EXPECT_ERROR(file.integer("none", 0, 9), "m.gguf: key none is missing.");
  EXPECT_EQ(file.string("name", "x"), "tiny");
  EXPECT_EQ(file.number("f32", 0, 9, 0.5), 1.5);
  EXPECT_TRUE(file.boolean("yes", false));
}

TEST(GgufTest, ErrorsNameFileKeyExpectedAndFound) {
  const std::string bytes = metadata_file();
  const GgufFile file(bytes, "m.gguf");
  const auto expect = [](const std::string& found, const std::string& wanted) {
    EXPECT_EQ(found, "m.gguf: key " + wanted);
  };
  expect(error_of([&] { file.integer("u8", 0, 100); }),
         "u8: expected an integer from 0 to 100, found uint8 200.");
  expect(error_of([&] { file.integer("u64", 0, INT64_MAX); }),
         "u64: expected an integer from 0 to 9223372036854775807, found uint64 "
         "18446744073709551615.");
  expect(error_of([&] { file.integer("f32", 0, 9); }),
         "f32: expected an integer from 0 to 9, found float32 1.5.");
  expect(error_of([&] { file.integer("types", 0, 9); }),
         "types: expected an integer from 0 to 9, found an array of 2 int32.");
  expect(error_of([&] { file.number("nan", -1e30, 1e30); }),
         "nan: expected a number from -1e+30 to 1e+30, found float32 nan.");
  expect(error_of([&] { file.number("name", 0, 1); }),
         "name: expected a number from 0 to 1, found the string \"tiny\".");
  expect(error_of([&] { file.boolean("u8"); }), "u8: expected true or false, found uint8 200.");
  expect(error_of([&] { file.string("yes"); }), "yes: expected a string, found true.");
  expect(error_of([&] { file.strings("scores"); }),
         "scores: expected an array of strings, found an array of 2 float32.");
  expect(error_of([&] { file.strings("name"); }),
         "name: expected an array of strings, found the string \"tiny\".");
  expect(error_of([&] { file.floats("types"); }),
         "types: expected an array of floats, found an array of 2 int32.");
  expect(error_of([&] { file.integers("types", 0, 5); }),
         "types: expected an array of integers from 0 to 5, found an array of 2 int32 with 6 at "
         "index 1.");
  expect(error_of([&] { file.integers("words", 0, 5); }),
         "words: expected an array of integers from 0 to 5, found an array of 3 string.");
}

TEST(GgufTest, TensorsInRowMajorShapes) {
  const std::string bytes =
      GgufBuilder()
          .tensor("w", {3, 2}, GgmlType::f32, 32)
          .tensor("b", {32}, GgmlType::q8_0, 64)
          .tensor("s", {}, GgmlType::f16, 0)
          .file(std::string(32, 's') + std::string(32, 'w') + std::string(34, 'b'));
  const GgufFile file(bytes, "m.gguf");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "w");
  EXPECT_EQ(file.find("w")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.find("w")->bytes, std::string(24, 'w'));
  EXPECT_EQ(file.find("w")->num_elements(), 6);
  EXPECT_EQ(file.find("b")->bytes, std::string(34, 'b'));
  EXPECT_EQ(file.find("b")->type, GgmlType::q8_0);
  EXPECT_EQ(file.find("s")->bytes, "ss");
  EXPECT_EQ(file.find("s")->num_elements(), 1);
  EXPECT_EQ(file.find("none"), nullptr);
}

TEST(GgufTest, Version2AndOtherAlignments) {
  GgufBuilder builder;
  builder.version = 2;
  builder.key("general.alignment", V::u32, raw(uint32_t{128})).tensor("w", {1}, GgmlType::f32, 128);
  const std::string bytes = builder.file(std::string(128, '-') + "1234", 128);
  EXPECT_EQ(GgufFile(bytes, "m.gguf").find("w")->bytes, "1234");
}

TEST(GgufTest, AFileWithoutTensorsNeedsNoPadding) {
  const std::string bytes = GgufBuilder().key("a", V::u8, raw(uint8_t{1})).header();
  EXPECT_TRUE(GgufFile(bytes, "m.gguf").tensors().empty());
}

TEST(GgmlTypeTest, NamesAndSizes) {
  EXPECT_EQ(ggml_type_name(GgmlType::q4_k), "Q4_K");
  EXPECT_EQ(ggml_type_info(GgmlType::q6_k).block_bytes, 210);
  EXPECT_EQ(find_ggml_type(4), nullptr) << "Q4_2 was removed from the format";
  EXPECT_ERROR(ggml_type_info(static_cast<GgmlType>(99)), "99 is no known tensor type.");
}

}  // namespace
}  // namespace longgen
