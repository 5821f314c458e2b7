// Shared by the tests of checkpoint/: the text of an error, and a folder of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "longgen/base/files.h"
#include "raw_bytes.h"
#include "tests/unit/error_text.h"

namespace longgen {

#define EXPECT_ERROR(statement, part)                                                   \
  do {                                                                                  \
    const std::string message_of_error = ::longgen::error_of([&] { statement; });       \
    EXPECT_NE(message_of_error.find(part), std::string::npos)                           \
        << "expected \"" << (part) << "\" in the error \"" << message_of_error << "\""; \
  } while (false)

class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("longgen_checkpoint_test." + std::to_string(::getpid()));
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  fs::path dir_;
};

}  // namespace longgen
