#include "longgen/base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/folder_lock.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

std::string reason() { return std::strerror(errno); }

/// Says what a message about a failed write adds when the disk, or one's share of it, is full.
std::string space_left(const fs::path& path, int code) {
  if (code != ENOSPC && code != EDQUOT) return "";
  std::error_code unknown;
  const fs::space_info space =
      fs::space(path.parent_path().empty() ? "." : path.parent_path(), unknown);
  if (unknown) return "";
  return " (" + format_bytes(static_cast<int64_t>(space.available)) + " are free there)";
}

class Fd {
 public:
  Fd(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {
    LG_CHECK(fd_ >= 0, path.string(), ": cannot be opened: ", reason(), ".");
  }
  ~Fd() { ::close(fd_); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  /// Returns the size in bytes; a folder or device is an error.
  int64_t regular_size(const fs::path& path) const {
    struct stat info {};
    LG_CHECK(::fstat(fd_, &info) == 0, path.string(), ": cannot be examined: ", reason(), ".");
    LG_CHECK(S_ISREG(info.st_mode), path.string(), ": expected a regular file, found ",
             S_ISDIR(info.st_mode) ? "a folder." : "a special file.");
    return info.st_size;
  }

 private:
  int fd_;
};

/// The number of the process follows it in the name.
std::string temporary_prefix(const fs::path& target) {
  return "." + target.filename().string() + ".tmp.";
}

constexpr std::string_view kAside = ".old";  // follows that number

fs::path temporary_beside(const fs::path& target) {
  return target.parent_path() / (temporary_prefix(target) + std::to_string(::getpid()));
}

/// "dir/" and "dir" name the same folder; an empty file name would break the temporary's name.
fs::path without_trailing_slash(fs::path path) {
  return path.has_filename() ? path : path.parent_path();
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Whether a folder has the name of one that some process wrote for the target, without ".old".
bool is_temporary_of(const fs::path& target, std::string_view name) {
  const std::string prefix = temporary_prefix(target);
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return !name.empty() && name.size() <= 10 &&
         name.find_first_not_of("0123456789") == std::string_view::npos;
}

void remove_unless_locked(const fs::path& folder) {
  const FolderLock lock(folder);
  std::error_code ignored;
  if (lock.held()) fs::remove_all(folder, ignored);
}

/// Removes what processes left that were killed, as AtomicDirectory promises.
void remove_leftovers(const fs::path& target) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(target), error), end; !error && entry != end;
       entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (name.ends_with(kAside)) name.resize(name.size() - kAside.size());
    if (is_temporary_of(target, name)) found.push_back(folder_of(target) / name);
  }
  for (const fs::path& temporary : found) {
    const fs::path aside = temporary.string() + std::string(kAside);
    // The process was killed between the two renames: only these hold the new folder and the old.
    if (fs::exists(aside, error) && !fs::exists(target, error)) continue;
    remove_unless_locked(temporary);
    remove_unless_locked(aside);
  }
}

/// Makes the folder and locks it. Another process may take it for a leftover before it is locked:
/// then it is made again.
std::unique_ptr<FolderLock> make_locked(const fs::path& folder, const fs::path& target) {
  std::error_code error;
  for (int i = 0; i < 100; ++i) {
    fs::create_directories(folder, error);
    LG_CHECK(!error, target.string(), ": cannot be created: ", error.message(), ".");
    auto lock = std::make_unique<FolderLock>(folder);
    if (!lock->held_by_another() && lock->is_on(folder)) return lock;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  LG_FAIL(target.string(), ": is being written by another process, in ", folder.string(),
          ". Wait for it, or choose another name.");
}

}  // namespace

std::string read_file(const fs::path& path, int64_t max_bytes) {
  const Fd fd(path, O_RDONLY);
  const int64_t size = fd.regular_size(path);
  LG_CHECK(size <= max_bytes, path.string(), ": expected at most ", max_bytes, " bytes, found ",
           size, ".");
  std::string bytes(static_cast<size_t>(size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    LG_CHECK(got >= 0, path.string(), ": cannot be read: ", reason(), ".");
    LG_CHECK(got > 0, path.string(), ": became shorter while it was read.");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const Fd fd(path, O_RDONLY);
  size_ = static_cast<size_t>(fd.regular_size(path));
  if (size_ == 0) return;
  void* const mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  LG_CHECK(mapped != MAP_FAILED, path.string(), ": cannot be mapped: ", reason(), ".");
  data_ = static_cast<const char*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

void release_pages(std::string_view mapped) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(mapped.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(mapped.data()) + mapped.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(fs::path target)
    : target_(std::move(target)), temporary_(temporary_beside(target_)) {
  fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  LG_CHECK(fd_ >= 0, target_.string(), ": cannot be written: ", reason(), ".");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  write_at(num_bytes_, bytes);
  num_bytes_ += static_cast<int64_t>(bytes.size());
}

void AtomicFile::write_at(int64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const int code = errno;
      LG_FAIL(target_.string(), ": cannot be written: ", std::strerror(code), " after ",
              format_bytes(offset), space_left(temporary_, code),
              ". What stood there before is unchanged.");
    }
    bytes.remove_prefix(static_cast<size_t>(put));
    offset += put;
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) {
    const int code = errno;
    LG_FAIL(target_.string(), ": cannot be flushed to disk: ", std::strerror(code),
            space_left(temporary_, code), ". What stood there before is unchanged.");
  }
  LG_CHECK(::rename(temporary_.c_str(), target_.c_str()) == 0, target_.string(),
           ": cannot be put in place: ", reason(), ".");
  ::close(std::exchange(fd_, -1));
  sync_path(folder_of(target_));
}

AtomicDirectory::AtomicDirectory(fs::path target, bool replace)
    : target_(without_trailing_slash(std::move(target))), temporary_(temporary_beside(target_)) {
  LG_CHECK(replace || !fs::exists(target_), target_.string(),
           ": exists already. Choose another name or pass --force to replace it.");
  LG_CHECK(!fs::exists(target_) || fs::is_directory(target_), target_.string(),
           ": expected a folder, found a file.");
  remove_leftovers(target_);
  lock_ = make_locked(temporary_, target_);
  // Where the file system has no locks, an earlier process of the same number may have left files.
  for (const auto& entry : fs::directory_iterator(temporary_)) fs::remove_all(entry.path());
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

void AtomicDirectory::commit() {
  for (const auto& entry : fs::recursive_directory_iterator(temporary_)) sync_path(entry.path());
  sync_path(temporary_);
  const fs::path aside = temporary_.string() + std::string(kAside);
  const FolderLock aside_lock(target_);  // until it is gone, no other process may remove it
  std::error_code error;
  if (fs::exists(target_)) {
    fs::rename(target_, aside, error);
    LG_CHECK(!error, target_.string(), ": cannot be moved aside: ", error.message(), ".");
  }
  fs::rename(temporary_, target_, error);
  LG_CHECK(!error, target_.string(), ": cannot be put in place: ", error.message(), ".");
  committed_ = true;
  lock_.reset();
  sync_path(folder_of(target_));
  fs::remove_all(aside, error);
}

void write_file(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void copy_regular_file(const fs::path& from, const fs::path& to) {
  constexpr size_t kPartBytes = size_t{16} << 20;
  const MappedFile source(from);
  AtomicFile file(to);
  for (std::string_view rest = source.bytes(); !rest.empty();) {
    const std::string_view part = rest.substr(0, kPartBytes);
    file.write(part);
    release_pages(part);
    rest.remove_prefix(part.size());
  }
  file.commit();
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  LG_CHECK(!error, folder.string(), ": cannot be created: ", error.message(), ".");
}

void sync_path(const fs::path& path) {
  const Fd fd(path, O_RDONLY);
  LG_CHECK(::fsync(fd.get()) == 0, path.string(), ": cannot be flushed to disk: ", reason(), ".");
}

fs::path join_inside(const fs::path& directory, const std::string& name) {
  const fs::path relative(name);
  bool climbs = relative.is_absolute() || name.empty() || name.find('\0') != std::string::npos;
  for (const auto& part : relative) climbs = climbs || part == "..";
  LG_CHECK(!climbs, directory.string(),
           ": a file name leads out of the folder (expected a plain name inside it): \"", name,
           "\".");
  return directory / relative;
}

std::vector<fs::path> list_files(const fs::path& path) {
  LG_CHECK(fs::exists(path), path.string(), ": no such file or folder.");
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(path); it != fs::recursive_directory_iterator();
       ++it) {
    const bool hidden = it->path().filename().string().starts_with(".");
    if (hidden && it->is_directory()) it.disable_recursion_pending();
    if (!hidden && it->is_regular_file()) files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string hash_hex(std::string_view bytes) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  return text;
}

}  // namespace longgen
