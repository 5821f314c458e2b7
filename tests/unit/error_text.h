// tests/unit/error_text.h: the text of the Error that something throws, for tests of messages.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "longgen/base/check.h"

namespace longgen {

/// Returns the message of the Error that `action` throws; "" when it throws none.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "expected \"" << part << "\" within \"" << text << "\"";
}

}  // namespace longgen
