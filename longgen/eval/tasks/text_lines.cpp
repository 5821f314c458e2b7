#include "longgen/eval/tasks/text_lines.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

void for_each_line(
    const fs::path& path,
    const std::function<void(std::string_view line, const std::string& where)>& visit) {
  const std::string text = read_file(path);
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(std::string_view(text).substr(at, end - at));
    at = end + 1;
    const std::string where = detail::concat(path.string(), ":", ++number);
    LG_CHECK(is_valid_utf8(line), where, ": expected text in UTF-8, found other bytes.");
    if (!line.empty()) visit(line, where);
  }
}

}  // namespace longgen
