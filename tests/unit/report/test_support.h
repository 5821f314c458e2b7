// What the tests of report/ and eval/ share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {

/// Expects that `action` throws Error with the part in its text.
template <typename Action>
::testing::AssertionResult fails_with(const Action& action, const std::string& part) {
  return contains(error_of(action), part);
}

inline int64_t count_of(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// A test with a folder for reports.
class ReportTest : public FolderTest {
 protected:
  /// Writes a program that stands in for gnuplot.
  std::string put_program(const std::string& name, const std::string& script) {
    write_file(dir_ / name, "#!/bin/sh\n" + script);
    fs::permissions(dir_ / name, fs::perms::owner_all);
    return (dir_ / name).string();
  }
};

}  // namespace longgen
