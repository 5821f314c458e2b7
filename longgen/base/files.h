// base/files.h: reading whole files, mapping large ones, and writing
// so that no file is ever half written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

namespace fs = std::filesystem;

class FolderLock;

/// Reads a whole file. Throws Error when it is missing, unreadable or larger than max_bytes.
std::string read_file(const fs::path& path, int64_t max_bytes = int64_t{1} << 30);

/// A file mapped read-only. The view lives as long as the object,
/// and is empty for an empty file.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

/// Gives the memory of bytes of a MappedFile back to the system, which reads them again when they
/// are needed again. It is for large files that are read once.
void release_pages(std::string_view mapped);

/// Writes a file under a temporary name in the same folder; commit() flushes it to disk and renames
/// it into place. Without commit() the temporary is removed. Errors (a full disk too) are thrown,
/// and the target stays as it was.
class AtomicFile {
 public:
  explicit AtomicFile(fs::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  /// Overwrites bytes already written: headers are written so when their content is known last.
  void write_at(int64_t offset, std::string_view bytes);
  int64_t num_bytes() const { return num_bytes_; }
  void commit();

 private:
  fs::path target_, temporary_;
  int fd_ = -1;
  int64_t num_bytes_ = 0;
};

/// A folder built under a temporary name beside the target; commit() fsyncs every file in it and
/// renames it into place. An existing target is replaced only when `replace` is set (it is moved
/// aside first and removed last, so that at every moment one complete folder exists); otherwise the
/// constructor throws when the target exists.
///
/// A process that is killed leaves its folder, .TARGET.tmp.PID, and perhaps .TARGET.tmp.PID.old,
/// what it moved aside. The next one that writes the same target removes both. It leaves alone what
/// a living process has locked (FolderLock), all of them where the file system has no locks, and,
/// where the target is missing, those of a process that was killed while it replaced it.
class AtomicDirectory {
 public:
  AtomicDirectory(fs::path target, bool replace);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  /// Returns the folder to write into until commit().
  const fs::path& path() const { return temporary_; }
  void commit();

 private:
  fs::path target_, temporary_;
  std::unique_ptr<FolderLock> lock_;
  bool committed_ = false;
};

/// Writes a small file atomically.
void write_file(const fs::path& path, std::string_view bytes);

/// Copies a file, as a whole or not at all; what stood at `to` is replaced. The memory it takes
/// does not grow with the file. Throws Error naming the file that cannot be read or written; on a
/// full disk the message says, as that of AtomicFile, what was written and what is free.
void copy_regular_file(const fs::path& from, const fs::path& to);

/// Makes a folder and those above it. Throws Error naming the folder that cannot be made.
void make_folder(const fs::path& folder);

/// Flushes a file or folder to disk.
void sync_path(const fs::path& path);

/// Returns directory / name for a name that came from outside. Throws Error when the name is
/// absolute or climbs out ("..").
fs::path join_inside(const fs::path& directory, const std::string& name);

/// Lists the files under `path` (itself when it is a file), recursively, in name order. Hidden
/// files are left out of the list.
std::vector<fs::path> list_files(const fs::path& path);

/// Returns the XXH3-64 of the bytes, as 16 hex digits.
std::string hash_hex(std::string_view bytes);

}  // namespace longgen
