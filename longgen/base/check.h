// base/check.h: the checks that throw Error.
#pragma once

#include <sstream>
#include <string>

#include "longgen/base/error.h"

namespace longgen {

namespace detail {
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}
}  // namespace detail

}  // namespace longgen

/// Throws Error with the parts written one after the other. Start with "[operation] " or "file: ".
#define LG_FAIL(...) throw ::longgen::Error(::longgen::detail::concat(__VA_ARGS__))

/// Throws Error unless the condition holds, in every build: for what callers and files get wrong.
#define LG_CHECK(condition, ...) \
  do {                           \
    if (!(condition)) {          \
      LG_FAIL(__VA_ARGS__);      \
    }                            \
  } while (false)

/// Checks for our own mistakes: a broken invariant is a bug in longgen. It is on in every build,
/// because it is never on a hot path.
#define LG_DCHECK(condition)                                                                       \
  LG_CHECK(condition, "[longgen] internal error: ", #condition, " does not hold (", __FILE__, ":", \
           __LINE__, "). Please report this.")
