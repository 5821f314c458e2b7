#include "longgen/base/nearest_name.h"

#include <algorithm>
#include <utility>

#include "longgen/base/ascii.h"

namespace longgen {
namespace {

constexpr size_t kMaxWord = 64;  // a longer word is no misspelt name, and its table would be large

}  // namespace

int64_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: the row before last is for swaps.
  std::vector<int64_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swap) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<std::string> nearest_name(std::string_view word,
                                        const std::vector<std::string>& names) {
  if (word.size() > kMaxWord) return std::nullopt;
  const std::string wanted = ascii_lower(word);
  std::optional<std::string> best;
  auto fewest = static_cast<int64_t>((wanted.size() + 2) / 3 + 1);
  for (const std::string& name : names) {
    const int64_t changes = edit_distance(wanted, ascii_lower(name));
    // As many changes as letters make any name of any word.
    if (changes >= fewest || changes >= static_cast<int64_t>(name.size())) continue;
    fewest = changes;
    best = name;
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
  const std::optional<std::string> name = nearest_name(word, names);
  return name ? " Did you mean \"" + *name + "\"?" : "";
}

std::string listed_names(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace longgen
