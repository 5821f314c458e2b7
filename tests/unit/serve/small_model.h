// tests/unit/serve/small_model.h: a model to be served, of which there is no more than its texts.
#pragma once

#include <string>

#include "longgen/serve/served_model.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {

inline constexpr int32_t kEnd = 300;  // <|end|> of byte_level_json()

/// Byte b is token b. A chat is the contents of its messages, tools are read as Hermes writes them.
inline ServedModel small_model() {
  ServedModel model{.name = "small", .tokenizer = make_tokenizer(byte_level_json())};
  model.chat_template.emplace(
      "{% for m in messages %}{{ m.content }}{% if m.tool_calls %}{% for c in m.tool_calls %}"
      "<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": "
      "{{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}{% endif %}{% endfor %}"
      "{% if messages[0].content == 'raise' %}{{ raise_exception('no such chat') }}{% endif %}",
      "/home/of/others/chat_template.jinja", ChatTemplate::SpecialTokens{});
  model.tool_format = openai::tool_format(*model.chat_template);
  model.chat_stops = {kEnd};
  model.text_stops = {kEnd};
  model.context = 64;
  model.vocab_size = 301;
  return model;
}

inline std::vector<int32_t> byte_ids(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

}  // namespace longgen
