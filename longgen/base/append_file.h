// base/append_file.h: files that grow by whole records.
#pragma once

#include <cstdint>
#include <string_view>

#include "longgen/base/files.h"

namespace longgen {

/// Appends to a file so that a killed process leaves every record that append() returned from, and
/// at most one torn one after them.
class AppendFile {
 public:
  enum class Start {
    append,  ///< append to an existing file, or create it
    create,  ///< create it; an existing one is an error
  };

  /// Throws Error naming the file and the system's reason.
  AppendFile(fs::path path, Start start);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// Hands the record to the system at once. When it does not fit (a full disk), what was written
  /// of it is taken back and Error is thrown.
  void append(std::string_view record);
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

}  // namespace longgen
