// tests/unit/folder_test.h: tests that write files.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <string>

#include "longgen/base/files.h"

namespace longgen {

/// A test with an empty folder of its own, which goes when the test is done.
class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "longgen_test.XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr) << name;
    dir_ = name;
  }
  void TearDown() override {
    if (!dir_.empty()) fs::remove_all(dir_);
  }

  /// Writes a file within the folder, and the folders on its way. Returns its path.
  fs::path put(const std::string& name, const std::string& bytes) {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name, std::ios::binary) << bytes;
    return dir_ / name;
  }

  fs::path dir_;
};

}  // namespace longgen
