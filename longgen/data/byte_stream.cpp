#include "longgen/data/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr size_t kInputBufferBytes = size_t{256} << 10;

class FileStream : public ByteStream {
 public:
  explicit FileStream(const fs::path& path) : path_(path) {
    // O_NONBLOCK keeps a named pipe that nobody writes to from hanging before it is refused.
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    LG_CHECK(fd_ >= 0, path.string(), ": cannot be opened: ", std::strerror(errno), ".");
    struct stat info {};
    const bool regular = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
    if (!regular) ::close(fd_);
    LG_CHECK(regular, path.string(), ": expected a regular file.");
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  ~FileStream() override { ::close(fd_); }

  size_t read(std::span<char> out) override {
    ssize_t got = 0;
    do {
      got = ::read(fd_, out.data(), out.size());
    } while (got < 0 && errno == EINTR);
    LG_CHECK(got >= 0, path_.string(), ": cannot be read: ", std::strerror(errno), ".");
    num_read_ += got;
    return static_cast<size_t>(got);
  }

  int64_t file_bytes_read() const override { return num_read_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int fd_ = -1;
  int64_t num_read_ = 0;
};

/// What both decompressors share: the compressed input and the two ways in which it goes wrong.
class Decompressor : public ByteStream {
 public:
  explicit Decompressor(const fs::path& path) : file_(path), buffer_(kInputBufferBytes) {}
  int64_t file_bytes_read() const override { return file_.file_bytes_read(); }

 protected:
  /// Returns the next compressed bytes; empty at the end of the file.
  std::span<char> refill() { return {buffer_.data(), file_.read(buffer_)}; }

  [[noreturn]] void cut_off(const char* format) const {
    LG_FAIL(file_.path().string(), ": the ", format, " data end early after ",
            file_.file_bytes_read(), " bytes: the file is cut off.");
  }
  [[noreturn]] void damaged(const char* format, const char* reason) const {
    LG_FAIL(file_.path().string(), ": damaged ", format, " data within the first ",
            file_.file_bytes_read(), " bytes: ", reason, ".");
  }

 private:
  FileStream file_;
  std::vector<char> buffer_;
};

class ZstdStream : public Decompressor {
 public:
  explicit ZstdStream(const fs::path& path) : Decompressor(path), context_(ZSTD_createDCtx()) {
    LG_CHECK(context_ != nullptr, path.string(), ": no memory for a zstd decoder.");
    // Published corpora are packed with --long=31. The window is allocated but only the part that
    // the data fill is ever touched.
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, 31);
  }

  size_t read(std::span<char> out) override {
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    while (output.pos == 0) {
      if (input_.pos == input_.size && !flush_pending_) {
        const std::span<char> bytes = refill();
        if (bytes.empty() && !between_frames_) cut_off("zstd");
        if (bytes.empty()) return 0;
        input_ = {bytes.data(), bytes.size(), 0};
      }
      const size_t result = ZSTD_decompressStream(context_.get(), &output, &input_);
      if (ZSTD_isError(result)) damaged("zstd", ZSTD_getErrorName(result));
      between_frames_ = result == 0;
      // A full output buffer may hide bytes that the decoder still holds.
      flush_pending_ = output.pos == output.size && !between_frames_;
    }
    return output.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  bool between_frames_ = false, flush_pending_ = false;
};

class GzipStream : public Decompressor {
 public:
  explicit GzipStream(const fs::path& path) : Decompressor(path) {
    // 16 asks for a gzip header and nothing else, 15 for the largest window of the format.
    LG_CHECK(inflateInit2(&state_, 16 + 15) == Z_OK, path.string(),
             ": no memory for a gzip decoder.");
  }
  ~GzipStream() override { inflateEnd(&state_); }

  size_t read(std::span<char> out) override {
    state_.next_out = reinterpret_cast<Bytef*>(out.data());
    state_.avail_out = static_cast<uInt>(out.size());
    while (state_.avail_out == out.size()) {
      if (state_.avail_in == 0 && !refill_input()) return 0;
      if (between_members_) inflateReset(&state_);
      const int result = inflate(&state_, Z_NO_FLUSH);
      // Z_BUF_ERROR only says that another piece of input is needed.
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        damaged("gzip", state_.msg != nullptr ? state_.msg : "unknown error");
      }
      between_members_ = result == Z_STREAM_END;
    }
    return out.size() - state_.avail_out;
  }

 private:
  /// Reads more of the file. Returns false at its proper end.
  bool refill_input() {
    const std::span<char> bytes = refill();
    if (bytes.empty() && !between_members_) cut_off("gzip");
    state_.next_in = reinterpret_cast<Bytef*>(bytes.data());
    state_.avail_in = static_cast<uInt>(bytes.size());
    return !bytes.empty();
  }

  z_stream state_{};
  bool between_members_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> open_byte_stream(const fs::path& path, Compression compression) {
  switch (compression) {
    case Compression::kZstd:
      return std::make_unique<ZstdStream>(path);
    case Compression::kGzip:
      return std::make_unique<GzipStream>(path);
    case Compression::kNone:
      break;
  }
  return std::make_unique<FileStream>(path);
}

}  // namespace longgen
