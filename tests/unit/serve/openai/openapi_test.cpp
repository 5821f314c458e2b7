// openapi_test.cpp: the description says what the reader does.
#include "longgen/serve/openai/openapi.h"

#include <set>
#include <vector>

#include "longgen/base/ordered_json.h"
#include "tests/unit/serve/openai/reader.h"
#include "tests/unit/serve/openai/schema_check.h"

namespace longgen::openai {
namespace {

const OrderedJson& openapi() {
  static const OrderedJson json =
      parse_ordered_json(openapi_json({.vocab_size = kVocabSize}), "openapi.json");
  return json;
}

void add_references(const OrderedJson& json, std::set<std::string>& found) {
  if (json.is_object() && json.contains("$ref")) found.insert(json["$ref"].get<std::string>());
  for (const OrderedJson& each : json) {
    if (each.is_structured()) add_references(each, found);
  }
}

TEST(OpenApi, UsesEachOfItsSchemas) {
  std::set<std::string> found, schemas;
  add_references(openapi(), found);
  for (const auto& [name, schema] : openapi()["components"]["schemas"].items()) {
    schemas.insert("#/components/schemas/" + name);
  }
  EXPECT_EQ(found, schemas);
}

TEST(OpenApi, DescribesAField) {
  const OrderedJson& chat = openapi()["components"]["schemas"]["ChatCompletionRequest"];
  EXPECT_EQ(chat["required"], OrderedJson::array({"messages"}));
  EXPECT_EQ(chat["additionalProperties"], false);
  EXPECT_EQ(chat["properties"]["n"].dump(),
            R"({"description":"How many answers to give to each prompt.",)"
            R"("type":["integer","null"],"minimum":1,"maximum":128,"default":1})");
  EXPECT_EQ(chat["properties"]["stop_token_ids"]["items"]["maximum"], kVocabSize - 1);
  EXPECT_FALSE(chat["properties"].contains("guided_json")) << "what is refused is not described";
  EXPECT_FALSE(chat["properties"]["seed"].contains("default")) << "there is none";
}

/// What fits the description is taken; what does not is refused.
TEST(OpenApi, AgreesWithTheReader) {
  const SchemaCheck check(openapi());
  const std::vector<std::string> fields = {
      R"("n": 128)",
      R"("n": 129)",
      R"("n": 1.5)",
      R"("n": null)",
      R"("n": "1")",
      R"("temperature": 0)",
      R"("temperature": 2.1)",
      R"("top_p": 0)",
      R"("top_p": 1)",
      R"("stop": "a")",
      R"("stop": ["a"])",
      R"("stop": 1)",
      R"("stop": null)",
      R"("stop": [null])",
      R"("stop_token_ids": [999])",
      R"("stop_token_ids": [1000])",
      R"("logit_bias": {"5": -101})",
      R"("logit_bias": {"5": 7})",
      R"("best_of": 2)",
      R"("store": false)",
      R"("store": true)",
      R"("store": null)",
      R"("tool_choice": "auto")",
      R"("tool_choice": "any")",
      R"("response_format": {"type": "text"})",
      R"("response_format": {"type": "yaml"})",
      R"("response_format": {"typ": "text"})",
      R"("modalities": ["text"])",
      R"("tools": [{"type": "function", "function": {"name": "f"}}])",
      R"("tools": [{"type": "function", "function": {}}])",
      R"("tools": [{"type": "other", "function": {"name": "f"}}])",
      R"("metadata": {"a": [1]})",
      R"("chat_template_kwargs": {"thinking": true})",
      R"("chat_template_kwargs": {"x": 1})"};
  for (const std::string& each : fields) {
    const OrderedJson body = parse_ordered_json(chat_body(each), "body");
    EXPECT_EQ(check.fault(body, "ChatCompletionRequest").empty(), chat_refusal(each).empty())
        << each << ": " << check.fault(body, "ChatCompletionRequest") << " / "
        << chat_refusal(each);
  }
}

}  // namespace
}  // namespace longgen::openai
