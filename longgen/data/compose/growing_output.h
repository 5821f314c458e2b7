// data/compose/growing_output.h: a file of JSON lines that an interrupted run leaves to be
// continued.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "longgen/base/append_file.h"
#include "longgen/base/files.h"
#include "longgen/base/folder_lock.h"
#include "longgen/base/json.h"

namespace longgen {

/// Until the target is whole, its lines stand in the folder TARGET.partial, beside the settings
/// that they depend on. The next run with the same settings goes on behind the last whole line,
/// whatever ended the one before; with other settings it is refused. commit() renames the lines to
/// the target and removes the folder. With a target that ends in .zst each line is a Zstandard
/// frame of its own, so that lines can be packed by several threads and counted without unpacking.
class GrowingOutput {
 public:
  /// Throws Error when the target exists and `replace` is not set, and when another process writes
  /// the same target.
  GrowingOutput(fs::path target, bool replace);
  /// Leaves the folder as it is, but removes one without any line.
  ~GrowingOutput();
  GrowingOutput(const GrowingOutput&) = delete;
  GrowingOutput& operator=(const GrowingOutput&) = delete;

  /// Returns the folder, in which other files of the run may stand meanwhile. What a killed one
  /// left of them is gone.
  const fs::path& folder() const { return folder_; }

  /// Opens the lines for appending, after a comparison of the settings with those of the lines that
  /// are there. Throws Error naming the first setting that differs. Of the lines that are there at
  /// most `max_lines` are kept.
  void open(const OrderedJson& settings, int64_t max_lines);

  /// Returns how many lines there are.
  int64_t num_lines() const { return num_lines_; }

  /// Gives a line, which must end in its only "\n", as append() takes it. Called on any thread.
  std::string packed(std::string line) const;
  void append(std::string_view packed);

  void commit();

 private:
  uintmax_t whole_lines(const fs::path& path, int64_t max_lines);

  fs::path target_, folder_;
  bool zstd_;
  std::unique_ptr<FolderLock> lock_;
  std::optional<AppendFile> file_;
  int64_t num_lines_ = 0;
};

}  // namespace longgen
