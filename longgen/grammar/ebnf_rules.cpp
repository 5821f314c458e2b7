#include "longgen/grammar/ebnf_rules.h"

#include <fmt/format.h>

#include "longgen/grammar/schema_error.h"

namespace longgen {
namespace {

// JSON of any form. A string calls itself at its end, with what may follow: xgrammar then knows of
// most tokens beforehand whether they fit.
constexpr const char* kJson = R"(space ::= [ \n\r\t]*
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" space (string space ":" space value space ("," space string space ":" space value space)*)? "}"
array ::= "[" space (value space ("," space value space)*)? "]"
string ::= "\"" string_rest
string_rest ::= ("\"" | [^"\\\x00-\x1f] string_rest | "\\" escape string_rest) (= [ \n\r\t]* [,}\]:])
escape ::= ["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F]
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+\-]? [0-9]+)?
integer ::= "0" | "-"? [1-9] [0-9]*
)";

}  // namespace

EbnfRules::EbnfRules() : text_(kJson) {}

std::string EbnfRules::add(const std::string& body) {
  const auto known = names_.find(body);
  if (known != names_.end()) return known->second;
  const std::string name = reserve();
  define(name, body);
  names_.emplace(body, name);
  return name;
}

std::string EbnfRules::reserve() { return "r" + std::to_string(num_rules_++); }

void EbnfRules::define(const std::string& name, const std::string& body) {
  text_ += name + " ::= " + body + "\n";
  if (static_cast<int64_t>(text_.size()) <= GrammarLimits::kBytes) return;
  throw SchemaError("", fmt::format("it makes a grammar of more than {} KiB. Make it smaller.",
                                    GrammarLimits::kBytes >> 10));
}

void EbnfRules::count_places(int64_t num_places, const std::string& path) {
  num_places_ += num_places;
  if (num_places_ <= GrammarLimits::kPlaces) return;
  throw SchemaError(
      path,
      fmt::format("texts of counted length, patterns and formats of all the schema may have {} "
                  "places together (a place for letters counts as {}), and this goes beyond. "
                  "Allow shorter texts, or leave lengths and patterns out.",
                  GrammarLimits::kPlaces, GrammarLimits::kPlacesOfWide));
}

std::string EbnfRules::text(const std::string& root_body) {
  define("root", root_body);
  return text_;
}

std::string ebnf_literal(std::string_view text) {
  std::string literal = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      literal += '\\';
      literal += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      literal += fmt::format("\\u{:04x}", byte);
    } else {
      literal += c;
    }
  }
  return literal + "\"";
}

}  // namespace longgen
