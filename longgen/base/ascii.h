// base/ascii.h: letters of names, without the locale.
#pragma once

#include <string>
#include <string_view>

namespace longgen {

/// Makes small letters of A to Z; all other bytes stay.
inline std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

}  // namespace longgen
