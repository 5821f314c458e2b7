#include "longgen/cli/prompt_text.h"

#include <string_view>

#include "longgen/base/check.h"

namespace longgen {

std::string prompt_text(std::string bytes, const std::string& source) {
  const std::string_view text = bytes;
  LG_CHECK(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), source,
           ": expected UTF-8, found UTF-16. Save the text as UTF-8.");
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) bytes.erase(0, kByteOrderMark.size());
  size_t kept = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const bool ends_line = bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n';
    if (!ends_line) bytes[kept++] = bytes[i];
  }
  bytes.resize(kept);
  return bytes;
}

}  // namespace longgen
