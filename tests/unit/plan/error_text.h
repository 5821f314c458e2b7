// The text of the Error that something throws, for tests of messages.
#pragma once

#include <string>

#include "longgen/base/check.h"

namespace longgen {

template <typename Action>
std::string error_text(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace longgen
