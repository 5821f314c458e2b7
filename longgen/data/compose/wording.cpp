#include "longgen/data/compose/wording.h"

#include "longgen/base/ascii.h"
#include "longgen/base/check.h"

namespace longgen {
namespace {

void append_value(std::string_view name, std::initializer_list<Blank> blanks, std::string& text) {
  for (const Blank& blank : blanks) {
    if (ascii_lower(name) != blank.name) continue;
    const size_t begin = text.size();
    text += blank.value;
    char& first = text[begin];
    if (name != blank.name && first >= 'a' && first <= 'z') first = static_cast<char>(first - 32);
    return;
  }
  LG_DCHECK(false && "every blank of a wording has a value");
}

}  // namespace

std::string fill(std::string_view wording, std::initializer_list<Blank> blanks) {
  std::string text;
  while (!wording.empty()) {
    const size_t open = wording.find('{');
    text += wording.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t close = wording.find('}', open);
    LG_DCHECK(close != std::string_view::npos);
    append_value(wording.substr(open + 1, close - open - 1), blanks, text);
    wording.remove_prefix(close + 1);
  }
  return text;
}

}  // namespace longgen
