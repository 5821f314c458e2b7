#include "longgen/train/log/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cfloat>
#include <chrono>
#include <cmath>
#include <limits>

#include "longgen/base/check.h"
#include "longgen/train/log/crc32c.h"

namespace longgen {
namespace {

template <typename Unsigned>
void put_little_endian(std::string& out, Unsigned value) {
  for (size_t byte = 0; byte < sizeof(value); ++byte) {
    out += static_cast<char>(value >> (8 * byte) & 0xFF);
  }
}

// Protocol buffers: each field is a varint (number << 3 | wire type) and its value.
enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

void put_key(std::string& out, uint64_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

void put_bytes(std::string& out, uint64_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

double unix_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

/// Event: wall_time = 1, step = 2, and one of file_version = 3, summary = 5, session_log = 7.
std::string event(int64_t step, uint64_t field, std::string_view content) {
  std::string out;
  put_key(out, 1, kFixed64);
  put_little_endian(out, std::bit_cast<uint64_t>(unix_time()));
  put_key(out, 2, kVarint);
  put_varint(out, static_cast<uint64_t>(step));
  put_bytes(out, field, content);
  return out;
}

/// Values beyond the range of a float become infinite, as the plain cast need not do.
float as_float(double value) {
  if (std::abs(value) <= FLT_MAX || std::isnan(value)) return static_cast<float>(value);
  return std::copysign(std::numeric_limits<float>::infinity(),
                       static_cast<float>(value > 0) - 0.5F);
}

/// Summary: repeated value = 1; of it tag = 1, simple_value = 2.
std::string summary(const std::vector<Scalar>& scalars) {
  std::string out;
  for (const Scalar& scalar : scalars) {
    LG_CHECK(!scalar.tag.empty(), "[event file] expected a tag, found an empty one.");
    std::string value;
    put_bytes(value, 1, scalar.tag);
    put_key(value, 2, kFixed32);
    put_little_endian(value, std::bit_cast<uint32_t>(as_float(scalar.value)));
    put_bytes(out, 1, value);
  }
  return out;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  std::string host(name.data());
  for (char& c : host) {
    if (c == '/') c = '_';
  }
  return host;
}

/// A second run within one second takes the next free second.
std::unique_ptr<AppendFile> create(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  LG_CHECK(!error, directory.string(), ": cannot be created: ", error.message(), ".");
  const std::string host = host_name();
  for (auto seconds = static_cast<int64_t>(unix_time());; ++seconds) {
    const fs::path path =
        directory / ("events.out.tfevents." + std::to_string(seconds) + "." + host + ".longgen");
    if (fs::exists(path, error)) continue;
    return std::make_unique<AppendFile>(path, AppendFile::Start::create);
  }
}

}  // namespace

EventFile::EventFile(const fs::path& directory, int64_t resume_step) : file_(create(directory)) {
  write_record(event(0, 3, "brain.Event:2"));
  if (resume_step < 0) return;
  // SessionLog with status = START: readers drop what they have from this step on.
  std::string session;
  put_key(session, 1, kVarint);
  put_varint(session, 1);
  write_record(event(resume_step + 1, 7, session));
}

void EventFile::write(int64_t step, const std::vector<Scalar>& scalars) {
  write_record(event(step, 5, summary(scalars)));
}

void EventFile::write_record(const std::string& event) {
  std::string length, record;
  put_little_endian(length, static_cast<uint64_t>(event.size()));
  record = length;
  put_little_endian(record, masked_crc32c(length));
  record += event;
  put_little_endian(record, masked_crc32c(event));
  file_->append(record);
}

}  // namespace longgen
