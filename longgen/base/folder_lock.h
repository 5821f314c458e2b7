// base/folder_lock.h: a lock by which other processes see whether the one that writes a folder
// still lives.
#pragma once

#include <filesystem>

namespace longgen {

/// A lock on a folder, taken without waiting and held as long as the object lives. The system drops
/// it when the process ends, however it ends, so unlike a process number it cannot outlive its
/// owner. Nothing is written into the folder, and renaming it keeps the lock.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  bool held() const { return state_ == State::held; }
  /// Whether another object or process holds the lock. This and held() are false where the folder
  /// is missing, is no folder, or lies on a file system without locks.
  bool held_by_another() const { return state_ == State::held_by_another; }
  /// Whether `folder` is (still) the one that was locked.
  bool is_on(const std::filesystem::path& folder) const;

 private:
  enum class State { held, held_by_another, impossible };
  int fd_;
  State state_ = State::impossible;
};

}  // namespace longgen
