// dist/cause.h: why a run of several ranks ends before its end.
#pragma once

#include <optional>
#include <string>

#include "longgen/base/choice.h"

namespace longgen {

enum class CauseKind {
  failed,  ///< the rank threw an Error, which is the text
  closed,  ///< its connections closed without a word: it ended or was killed, or its host is gone
  silent,  ///< it gives no sign of life
};
inline constexpr Choice<CauseKind, 3> kCauseKinds = {{{{"failed", CauseKind::failed},
                                                       {"closed", CauseKind::closed},
                                                       {"silent", CauseKind::silent}}}};

/// The rank that went first, which others may have followed.
struct Cause {
  int rank = 0;
  CauseKind kind = CauseKind::failed;
  std::string text;

  /// "rank 2 failed: TEXT", a sentence.
  std::string message() const;
};

/// As the store keeps it, under kCauseKey.
inline constexpr const char* kCauseKey = "cause";
std::string to_text(const Cause& cause);
/// nullopt where the text is none of to_text()'s.
std::optional<Cause> parse_cause(const std::string& text);

}  // namespace longgen
