#include "longgen/serve/openai/bounded_json.h"

#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen::openai {
namespace {

/// Counts as the parser would. Where the text is no JSON the counts mean nothing from there on,
/// but the parser stops at the same place.
class Counter {
 public:
  Counter(const std::string& source, const JsonLimits& limits) : source_(source), limits_(limits) {}

  void count(std::string_view text) {
    bool in_string = false;
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '"') in_string = !in_string;
      if (c == '\\') ++i;
      if (!in_string) see(c);
    }
  }

 private:
  void see(char c) {
    if (c == '[' || c == '{') {
      open_.push_back(0);
      LG_CHECK(static_cast<int64_t>(open_.size()) <= limits_.depth, source_,
               ": expected JSON nested at most ", limits_.depth, " deep, found more.");
      ++values_;
    } else if (c == ']' || c == '}') {
      if (!open_.empty()) open_.pop_back();
    } else if (c == ',') {
      ++values_;
    } else if (c == ':' && !open_.empty()) {
      check(++open_.back(), limits_.object_fields, "fields in one object");
      check(++fields_, limits_.fields, "fields in all objects together");
    }
    check(values_, limits_.values, "values");
  }

  void check(int64_t count, int64_t most, const char* what) const {
    LG_CHECK(count <= most, source_, ": expected at most ", format_count(most), " ", what,
             ", found more.");
  }

  const std::string& source_;
  const JsonLimits& limits_;
  std::vector<int64_t> open_;  // fields so far of the lists and objects that are open
  int64_t values_ = 0, fields_ = 0;
};

}  // namespace

OrderedJson parse_bounded_json(std::string_view text, const std::string& source,
                               const JsonLimits& limits) {
  Counter(source, limits).count(text);
  return parse_ordered_json(text, source);
}

}  // namespace longgen::openai
