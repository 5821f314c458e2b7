// data/byte_stream.h: the bytes of a corpus file, decompressed on the way, in constant memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "longgen/base/files.h"

namespace longgen {

enum class Compression { kNone, kZstd, kGzip };

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Fills the front of `out` and returns how many bytes it filled; 0 only at the end of the file.
  /// Throws Error naming the file when it cannot be read, is damaged or is cut off.
  virtual size_t read(std::span<char> out) = 0;
  /// Returns the bytes taken from the file itself (compressed ones), for progress.
  virtual int64_t file_bytes_read() const = 0;
};

/// Opens a regular file. Zstandard may have several frames one after the other and windows up to
/// 2^31 (zstd --long=31), gzip several members. Bytes after the last frame or member that do not
/// start another one are an error, and so is a compressed file of no bytes.
std::unique_ptr<ByteStream> open_byte_stream(const fs::path& path, Compression compression);

}  // namespace longgen
