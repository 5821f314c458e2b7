// train/log/event_file.h: scalars for TensorBoard, without TensorFlow or protobuf.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "longgen/base/append_file.h"

namespace longgen {

struct Scalar {
  std::string tag;  ///< UTF-8, for example "train/loss"; a slash makes a group
  double value = 0;
};

/// Writes DIRECTORY/events.out.tfevents.<unix time>.<host>.longgen: TFRecord frames (length, its
/// masked CRC-32C, data, its masked CRC-32C), each with one Event of tensorboard's event.proto.
/// Every run, a resumed one too, has a file of its own; TensorBoard reads all files of a folder.
class EventFile {
 public:
  static constexpr int64_t kNewRun = -1;

  /// Creates the directory where it is missing. With resume_step >= 0 readers are told to forget
  /// what older files say about later steps. Throws Error where it cannot be written.
  EventFile(const fs::path& directory, int64_t resume_step = kNewRun);

  /// One event with all values, stored as 32-bit floats (NaN and infinity as such), handed to the
  /// system at once. Throws Error for an empty tag, or where it cannot be written.
  void write(int64_t step, const std::vector<Scalar>& scalars);
  const fs::path& path() const { return file_->path(); }

 private:
  void write_record(const std::string& event);

  std::unique_ptr<AppendFile> file_;
};

}  // namespace longgen
