#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

/// A change of a good tokenizer.json and what the error must say.
struct Case {
  const char* name;
  std::function<void(Json&)> change;
  const char* message;
};

Json with_pattern(const char* pattern, const char* behavior = "Isolated") {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", behavior},
          {"invert", false}};
}

Json token(Json id, Json content) {
  return {{"id", std::move(id)}, {"content", std::move(content)}};
}

const Case kCases[] = {
    {"no model", [](Json& j) { j.erase("model"); }, "field model is missing"},
    {"another model", [](Json& j) { j["model"]["type"] = "Unigram"; },
     "field model.type: expected a model that longgen supports (BPE), found \"Unigram\""},
    {"merge of unknown tokens", [](Json& j) { j["model"]["merges"].push_back("q zz"); },
     "field model.merges[9]: expected tokens of the vocabulary, found \"zz\", which it lacks"},
    {"merge with three parts", [](Json& j) { j["model"]["merges"].push_back("a b c"); },
     "expected two tokens with one space between them, found \"a b c\""},
    {"merge that is a number", [](Json& j) { j["model"]["merges"].push_back(7); },
     "expected \"a b\" or"},
    {"merge pair of numbers",
     [](Json& j) {
       j["model"]["merges"].push_back({1, 2});
     },
     "expected a pair of strings"},
    {"merges that are no list", [](Json& j) { j["model"]["merges"] = "a b"; },
     "field model.merges: expected a list, found string"},
    {"negative id", [](Json& j) { j["model"]["vocab"]["q1"] = -1; }, "expected an id from 0 to"},
    {"huge id", [](Json& j) { j["model"]["vocab"]["q1"] = 4000000000u; },
     "expected an id from 0 to"},
    {"id that is text", [](Json& j) { j["model"]["vocab"]["q1"] = "5"; }, "found \"5\""},
    {"id twice", [](Json& j) { j["model"]["vocab"]["q1"] = 65; }, "id 65 stands for"},
    {"vocab list", [](Json& j) { j["model"]["vocab"] = Json::array(); },
     "field model.vocab: expected an object"},
    {"dropout", [](Json& j) { j["model"]["dropout"] = 0.1; },
     "field model.dropout: expected null or 0"},
    {"prefix", [](Json& j) { j["model"]["continuing_subword_prefix"] = "##"; },
     "continuing_subword_prefix"},
    {"unknown setting", [](Json& j) { j["model"]["secret"] = true; },
     "field model.secret: not a setting"},
    {"unknown root", [](Json& j) { j["extra"] = 1; }, "field extra: not a setting"},
    {"padding that is no object", [](Json& j) { j["padding"] = true; },
     "field padding: expected an object, found true"},
    {"unknown kind of truncation",
     [](Json& j) {
       j["truncation"] = {{"middle", 8}};
     },
     "field truncation.middle: not a setting"},
    {"version", [](Json& j) { j["version"] = "2.0"; }, "expected \"1.0\", found \"2.0\""},
    {"normalizer",
     [](Json& j) {
       j["normalizer"] = {{"type", "Lowercase"}};
     },
     "expected a normalizer that longgen supports (Sequence, Prepend, Replace, NFC), found "
     "\"Lowercase\""},
    {"pre-tokenizer",
     [](Json& j) {
       j["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
     },
     "expected a pre-tokenizer that longgen supports"},
    {"after ByteLevel",
     [](Json& j) {
       j["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}};
     },
     "field pre_tokenizer.pretokenizers[1].type: expected ByteLevel to be the last"},
    {"behavior", [](Json& j) { j["pre_tokenizer"] = with_pattern("a", "Vanished"); },
     "found \"Vanished\""},
    {"bad regex", [](Json& j) { j["pre_tokenizer"] = with_pattern("(a"); },
     "expected a valid regex, found \"(a\""},
    {"empty text pattern",
     [](Json& j) {
       j["pre_tokenizer"] = with_pattern("");
       j["pre_tokenizer"]["pattern"] = {{"String", ""}};
     },
     "expected at least one character"},
    {"decoder",
     [](Json& j) {
       j["decoder"] = {{"type", "WordPiece"}};
     },
     "expected a decoder that longgen supports"},
    {"decoder order",
     [](Json& j) {
       j["decoder"] = {{"type", "Sequence"},
                       {"decoders", {{{"type", "Fuse"}}, {{"type", "ByteLevel"}}}}};
     },
     "ByteLevel after ByteFallback, ByteLevel or Fuse is not supported"},
    {"post-processor",
     [](Json& j) {
       j["post_processor"] = {{"type", "RobertaProcessing"}};
     },
     "expected a post-processor that longgen supports"},
    {"template without text",
     [](Json& j) {
       j["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", Json::array()},
                              {"special_tokens", Json::object()}};
     },
     "expected the text (Sequence A) once, found 0 times"},
    {"template with unknown id",
     [](Json& j) {
       j["post_processor"] = {
           {"type", "TemplateProcessing"},
           {"single",
            {{{"SpecialToken", {{"id", "E"}, {"type_id", 0}}}},
             {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
           {"special_tokens", {{"E", {{"id", "E"}, {"ids", {99999}}, {"tokens", {"E"}}}}}}};
     },
     "field post_processor: adds id 99999, which no token has"},
    {"added id far off", [](Json& j) { j["added_tokens"].push_back(token(2000000000, "x1")); },
     "expected ids below"},
    {"added id taken", [](Json& j) { j["added_tokens"].push_back(token(65, "x1")); },
     "stands for \"A\" in the vocab"},
    {"added token twice", [](Json& j) { j["added_tokens"].push_back(token(301, "<|end|>")); },
     "stands twice"},
    {"added id twice", [](Json& j) { j["added_tokens"].push_back(token(300, "x1")); },
     "stands twice"},
    {"added with another id", [](Json& j) { j["added_tokens"].push_back(token(301, "hello")); },
     "in the vocabulary"},
    {"added and empty", [](Json& j) { j["added_tokens"].push_back(token(301, "")); },
     "expected 1 to 1024 bytes"},
    {"added and negative", [](Json& j) { j["added_tokens"].push_back(token(-4, "x1")); },
     "expected an integer from 0"},
    {"added that is text", [](Json& j) { j["added_tokens"].push_back("x1"); },
     "expected an object"},
};

TEST(HostileTest, EachBadTokenizerGivesOneClearError) {
  for (const Case& bad : kCases) {
    Json json = byte_level_json();
    bad.change(json);
    const std::string message = error_of([&] { make_tokenizer(json); });
    EXPECT_TRUE(message.starts_with("t.json: ")) << bad.name << " -> " << message;
    EXPECT_NE(message.find(bad.message), std::string::npos) << bad.name << " -> " << message;
  }
  EXPECT_EQ(error_of([] { make_tokenizer(byte_level_json()); }), "")
      << "the tokenizer they change is good";
}

TEST(HostileTest, BytesThatAreNoTokenizer) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "not valid JSON"},
      {"[]", "expected an object"},
      {std::string(100000, '['), "nested deeper than 64"},
      {R"({"model": {}, "model": {}})", "stands twice"},
      {R"({"model": {"type": "BPE", "vocab": {"\ud800": 0}, "merges": []}})", "not valid JSON"},
      {R"({"pre_tokenizer": {"type": "Sequence"}, "model": {"vocab": {}, "merges": []}})",
       "pretokenizers is missing"},
  };
  for (const auto& bad : cases) {
    const std::string& text = bad.first;
    const std::string message = error_of([&] { Tokenizer::from_json(text, "t.json"); });
    EXPECT_NE(message.find(bad.second), std::string::npos)
        << text.substr(0, 50) << " -> " << message;
  }
}

TEST(HostileTest, ACatastrophicPatternStopsWithAnError) {
  Json json = byte_level_json();
  json["pre_tokenizer"] = with_pattern("(x+x+)+[yz]");
  const Tokenizer tokenizer = make_tokenizer(json);
  EXPECT_EQ(tokenizer.encode("xxy").size(), 3u);
  const std::string message = error_of([&] { tokenizer.encode(std::string(5000, 'x')); });
  EXPECT_NE(message.find("field pre_tokenizer.pattern: the regex could not be run"),
            std::string::npos)
      << message;
}

TEST(HostileTest, AMissingUnkTokenIsNamedWhenItIsNeeded) {
  Json json = sentencepiece_json();
  json["model"]["byte_fallback"] = false;
  json["model"]["unk_token"] = "<none>";
  const Tokenizer tokenizer = make_tokenizer(json);
  EXPECT_EQ(tokenizer.encode("a").size(), 2u);
  EXPECT_NE(error_of([&] { tokenizer.encode("z"); }).find("unk_token \"<none>\""),
            std::string::npos);
}

}  // namespace
}  // namespace longgen
