#include "longgen/cli/shell_quote.h"

#include <string_view>

namespace longgen {

std::string shell_quote(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";  // ends the quotes, gives one, begins anew
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

}  // namespace longgen
