// base/check.h: the one error type of the library, and the check that throws it.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace longgen {

/// The Error thrown on every caller mistake and every bad file. what() is a message for the user:
/// what was expected, what was found, what to do. Only cli/ catches it, prints it and exits.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

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
