#include "longgen/base/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {

AppendFile::AppendFile(fs::path path, Start start) : path_(std::move(path)) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (start == Start::create ? O_EXCL : 0);
  fd_ = ::open(path_.c_str(), flags, 0644);
  LG_CHECK(fd_ >= 0, path_.string(), ": cannot be written: ", std::strerror(errno), ".");
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode)) {
    size_ = info.st_size;
    return;
  }
  ::close(fd_);
  LG_FAIL(path_.string(), ": expected a regular file.");
}

AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::append(std::string_view record) {
  size_t done = 0;
  while (done < record.size()) {
    const ssize_t put = ::pwrite(fd_, record.data() + done, record.size() - done,
                                 size_ + static_cast<int64_t>(done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const int reason = put == 0 ? ENOSPC : errno;
      // Where this fails too, the torn record stays; readers drop it.
      const bool shortened = ::ftruncate(fd_, size_) == 0;
      LG_FAIL(path_.string(), ": cannot be written: ", std::strerror(reason),
              shortened ? ". What stood there before is unchanged." : ". Its last record is torn.");
    }
    done += static_cast<size_t>(put);
  }
  size_ += static_cast<int64_t>(record.size());
}

}  // namespace longgen
