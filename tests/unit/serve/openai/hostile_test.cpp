// hostile_test.cpp: bodies that broke other servers.
#include "longgen/serve/openai/bounded_json.h"
#include "longgen/tokenizer/utf8.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/openai/reader.h"

namespace longgen::openai {
namespace {

std::string refusal(const std::string& body) {
  return refusal_of([&] { reader().chat(body); });
}

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(HostileBody, IsRefusedWhereItIsNoJson) {
  EXPECT_EQ(refusal(""),
            "invalid_json | request body: not valid JSON at column 1: the text ends in the middle: "
            "expected a value: a text in double quotes, a number, true, false, null, an object or "
            "a list.");
  EXPECT_EQ(refusal(R"({"n": 1,})"),
            "invalid_json | request body: not valid JSON at column 9: expected a field's name in "
            "double quotes.");
  EXPECT_EQ(refusal("[]"),
            "invalid_value | request body: expected an object, found a list of 0 items.");
  EXPECT_EQ(refusal(chat_body("\"user\": \"\xFF\"")),
            "invalid_json | request body: not valid JSON at column 59: a byte that is not UTF-8.");
  EXPECT_EQ(refusal(chat_body(R"("user": "\ud800")")),
            "invalid_json | request body: not valid JSON at column 65: \\u escapes of half a "
            "character.");
  EXPECT_EQ(refusal(chat_body(R"("temperature": 1e999)")),
            "invalid_json | request body: not valid JSON: a number that is larger than any 64-bit "
            "floating-point number: 1e999.");
  EXPECT_EQ(refusal(chat_body(R"("n": 1, "n": 2)")),
            "invalid_json | request body: the key \"n\" stands twice in one JSON object.");
}

TEST(HostileBody, MayNotNestDeepNotEvenWhereNothingIsRead) {
  const std::string deep =
      "invalid_json | request body: expected JSON nested at most 64 deep, found more.";
  EXPECT_EQ(refusal(chat_body("\"metadata\": {\"a\": " + nested(10000) + "}")), deep);
  EXPECT_EQ(refusal(chat_body("\"unknown\": " + nested(10000))), deep);
  EXPECT_EQ(refusal(std::string(1000000, '[')), deep);
  EXPECT_EQ(refusal(chat_body("\"metadata\": {\"a\": " + nested(62) + "}")), "");
  EXPECT_EQ(refusal(chat_body("\"metadata\": {\"a\": " + nested(63) + "}")), deep);
}

TEST(HostileBody, MayNotHoldMillionsOfParts) {
  std::string fields = "\"metadata\": {\"a0\": 0";
  for (int i = 1; i < 1024; ++i) fields += ", \"a" + std::to_string(i) + "\": 0";
  EXPECT_EQ(refusal(chat_body(fields + "}")), "");
  EXPECT_EQ(
      refusal(chat_body(fields + ", \"b\": 0}")),
      "invalid_json | request body: expected at most 1,024 fields in one object, found more.");
  std::string values = "{\"prompt\": [";
  for (int i = 0; i < 1 << 22; ++i) values += "0,";
  EXPECT_EQ(refusal_of([&] { reader().completion(values + "0]}"); }),
            "invalid_json | request body: expected at most 4,194,304 values, found more.");
  EXPECT_ERROR(parse_bounded_json(R"([{"a": 1}, {"a": 1}, {"a": 1}])", "x", {.fields = 2}),
               "x: expected at most 2 fields in all objects together, found more.");
}

TEST(HostileBody, IsCountedOutsideOfStringsOnly) {
  const OrderedJson json = parse_bounded_json(R"(["[[[[,,,,::::\"[[[\\", {"a": ":,{"}])", "x",
                                              {.depth = 2, .values = 3, .fields = 1});
  EXPECT_EQ(json[1]["a"], ":,{");
}

TEST(HostileBody, GetsMessagesThatStayShort) {
  const std::string name(1 << 20, 'x');
  EXPECT_EQ(chat_refusal("\"" + name + "\": 1"),
            "unknown_parameter | " + name.substr(0, 60) + "...: unknown field.");
  EXPECT_EQ(chat_refusal("\"n\": \"" + name + "\""),
            "invalid_value | n: expected an integer from 1 to 128, found \"" + name.substr(0, 60) +
                "...\".");
  // A message is cut between characters.
  std::string accents;
  for (int i = 0; i < 1000; ++i) accents += "\xC3\xA9";
  EXPECT_TRUE(is_valid_utf8(chat_refusal("\"n\": \"a" + accents + "\"")));
  EXPECT_TRUE(is_valid_utf8(chat_refusal("\"a" + accents + "\": 1, \"a" + accents + "\": 1")));
  EXPECT_LE(std::string(ApiError(400, name).what()).size(), 1003u);
}

TEST(HostileBody, MayHoldAnyCharacterInTexts) {
  const auto request = chat(R"("user": "\u0000\ud83d\ude00<|im_end|>")");
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(refusal("\xEF\xBB\xBF" + chat_body("")), "") << "a byte order mark is no fault";
}

}  // namespace
}  // namespace longgen::openai
