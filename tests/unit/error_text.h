// tests/unit/error_text.h: what something throws or warns of, for tests of messages.
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

/// Returns what `action` writes to stderr, such as warnings.
template <typename Action>
std::string stderr_of(const Action& action) {
  ::testing::internal::CaptureStderr();
  action();
  return ::testing::internal::GetCapturedStderr();
}

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "expected \"" << part << "\" within \"" << text << "\"";
}

/// Expects that the statement throws Error with `part` in its text.
#define EXPECT_ERROR(statement, part) \
  EXPECT_TRUE(::longgen::contains(::longgen::error_of([&] { statement; }), part))

}  // namespace longgen
