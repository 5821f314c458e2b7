// tokenizer/regex.h: the regexes of tokenizer.json, run by PCRE2 with JIT.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace longgen {

/// What a running match needs. It serves one thread at a time and any number of Regex objects.
class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;

 private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A compiled pattern; immutable, usable from several threads at once.
class Regex {
 public:
  struct Match {
    size_t begin, end;  ///< byte offsets
  };

  /// Compiles a regex in the dialect of tokenizer.json (Oniguruma's Ruby syntax; see
  /// regex_dialect.h). Throws Error starting with `where` on what PCRE2 would read differently.
  static Regex pattern(std::string_view text, const std::string& where);
  /// Compiles a regex that matches the text itself.
  static Regex literal(std::string_view text, const std::string& where);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// Finds the first match at or after `start`. The subject must be valid UTF-8 and `start` a
  /// character boundary. Throws Error when the search needs more steps than its limit, as patterns
  /// that backtrack without end do.
  std::optional<Match> find(std::string_view subject, size_t start, RegexScratch& scratch) const;

 private:
  struct Impl;
  explicit Regex(std::unique_ptr<Impl> impl);
  static Regex compile(const std::string& text, uint32_t options, const std::string& where);
  std::unique_ptr<Impl> impl_;
};

/// Calls visit(begin, end, is_match) for every stretch of the subject, matched or between matches,
/// in order. Empty matches are visited once; after one, the search goes on behind it.
template <typename Visit>
void for_each_stretch(const Regex& regex, std::string_view subject, RegexScratch& scratch,
                      Visit&& visit) {
  size_t done = 0, from = 0;
  std::optional<size_t> last_end;
  while (from <= subject.size()) {
    const auto match = regex.find(subject, from, scratch);
    if (!match) break;
    if (match->begin == match->end && last_end == match->end) {
      if (from == subject.size()) break;
      do {
        ++from;
      } while (from < subject.size() && (static_cast<unsigned char>(subject[from]) & 0xC0) == 0x80);
      continue;
    }
    if (done != match->begin) visit(done, match->begin, false);
    visit(match->begin, match->end, true);
    done = from = match->end;
    last_end = match->end;
  }
  if (done != subject.size()) visit(done, subject.size(), false);
}

}  // namespace longgen
