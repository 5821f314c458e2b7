// base/error.h: the one error type of the library.
#pragma once

#include <stdexcept>

namespace longgen {

/// The Error thrown on every caller mistake and every bad file. what() is a message for the user:
/// what was expected, what was found, what to do. Only cli/ catches it, prints it and exits.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace longgen
