// unit/grammar/grammar_tools.h: grammars over tokens that are single bytes and a few longer ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "longgen/base/ordered_json.h"
#include "longgen/grammar/grammar.h"
#include "longgen/grammar/schema_rules.h"

namespace longgen::grammar_test {

inline constexpr int32_t kStop = 256, kSpecial = 257, kFirstLong = 258;

inline const std::vector<std::string>& token_bytes() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> bytes;
    for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
    bytes.insert(bytes.end(), {"", "", "{\"", "\":", "true", "\n    ", "abc", "\"}"});
    return bytes;
  }();
  return all;
}

inline std::shared_ptr<const TokenBytes> tokens() {
  static const auto all = std::make_shared<const TokenBytes>(token_bytes());
  return all;
}

inline std::string ebnf_of(const std::string& schema) {
  EbnfRules rules;
  const OrderedJson json = parse_ordered_json(schema, "schema");
  const std::string root = add_schema(json, "", rules);
  return rules.text(root);
}

inline GrammarMatcher matcher_of_ebnf(const std::string& ebnf) {
  return GrammarMatcher(Grammar::compile(tokens(), ebnf), {kStop});
}

inline GrammarMatcher matcher_of(const std::string& schema) {
  return matcher_of_ebnf(ebnf_of(schema));
}

inline bool is_allowed(GrammarMatcher& matcher, int32_t token) {
  const auto bits = matcher.allowed();
  return (bits[static_cast<size_t>(token / 32)] >> (token % 32) & 1) != 0;
}

/// Does the grammar allow the text, byte by byte, and an end behind it?
inline bool takes(const std::string& schema, const std::string& text) {
  GrammarMatcher matcher = matcher_of(schema);
  for (const char c : text) {
    const auto token = static_cast<int32_t>(static_cast<unsigned char>(c));
    if (!is_allowed(matcher, token)) return false;
    matcher.accept(token);
  }
  return is_allowed(matcher, kStop);
}

}  // namespace longgen::grammar_test
