// grammar/ebnf_rules.h: the rules of a grammar in the making, in xgrammar's EBNF.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace longgen {

/// A grammar beyond is refused: it would take too long to compile, and masks too long to find.
struct GrammarLimits {
  static constexpr int64_t kBytes = int64_t{256} << 10;  ///< of its text
  /// Where a text is counted or follows a pattern: xgrammar looks at every token of the vocabulary
  /// at each place where a letter may stand, 35 ms for 49,152 of them on one core.
  static constexpr int64_t kPlaces = 256;
  static constexpr int64_t kPlacesOfWide = 8;  ///< that a place for letters counts as
};

/// Collects rules under names of its own, within the limits.
class EbnfRules {
 public:
  EbnfRules();

  /// Adds a rule, unless there is one with the same body, and returns its name. Throws SchemaError
  /// (with an empty path) beyond kBytes.
  std::string add(const std::string& body);
  /// A name, which define() gives a body later.
  std::string reserve();
  void define(const std::string& name, const std::string& body);
  /// Counts places of texts. Throws SchemaError with the path beyond kPlaces.
  void count_places(int64_t num_places, const std::string& path);

  // Rules that every JSON has. Each name is that of a rule.
  static constexpr const char* kSpace = "space";
  static constexpr const char* kValue = "value";
  static constexpr const char* kObject = "object";
  static constexpr const char* kArray = "array";
  static constexpr const char* kString = "string";
  static constexpr const char* kStringRest = "string_rest";  ///< behind the first quote
  static constexpr const char* kEscape = "escape";           ///< behind a backslash
  static constexpr const char* kNumber = "number";
  static constexpr const char* kInteger = "integer";
  /// What comes behind a string: xgrammar need not look beyond.
  static constexpr const char* kBehindString = "(= [ \\n\\r\\t]* [,}\\]:])";

  /// The whole grammar. Throws as add().
  std::string text(const std::string& root_body);

 private:
  std::string text_;
  std::map<std::string, std::string> names_;  // of rules, by body
  int64_t num_rules_ = 0;
  int64_t num_places_ = 0;
};

/// A text as a literal of EBNF.
std::string ebnf_literal(std::string_view text);

}  // namespace longgen
