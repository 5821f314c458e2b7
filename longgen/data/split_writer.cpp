#include "longgen/data/split_writer.h"

#include <xxhash.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;

std::string_view offset_bytes(const int64_t& offset) {
  return {reinterpret_cast<const char*>(&offset), sizeof(offset)};
}

}  // namespace

/// A file written in large pieces and hashed on the way, so that it need not be read again.
class SplitWriter::HashedFile {
 public:
  explicit HashedFile(const fs::path& path)
      : name_(path.filename().string()), file_(path), state_(XXH3_createState()) {
    LG_CHECK(state_ != nullptr, name_, ": no memory for a hash.");
    XXH3_64bits_reset(state_.get());
    buffer_.reserve(kWriteBytes);
  }

  void write(std::string_view bytes) {
    buffer_ += bytes;
    if (buffer_.size() >= kWriteBytes) flush();
  }

  template <typename Stored>
  void write_tokens(std::span<const int32_t> tokens) {
    while (!tokens.empty()) {
      const auto part = tokens.first(std::min(tokens.size(), kWriteBytes / sizeof(Stored)));
      const size_t start = buffer_.size();
      buffer_.resize(start + part.size() * sizeof(Stored));
      char* out = buffer_.data() + start;
      for (const int32_t token : part) {
        const auto stored = static_cast<Stored>(token);
        std::copy_n(reinterpret_cast<const char*>(&stored), sizeof(stored), out);
        out += sizeof(stored);
      }
      if (buffer_.size() >= kWriteBytes) flush();
      tokens = tokens.subspan(part.size());
    }
  }

  void write_ordinary_marks(int64_t count) {
    constexpr int64_t kPart = kWriteBytes;
    for (; count > 0; count -= kPart) {
      write(std::string(static_cast<size_t>(std::min(count, kPart)),
                        static_cast<char>(Mark::ordinary)));
    }
  }

  /// Returns the XXH3-64 of everything written so far.
  uint64_t digest() {
    flush();
    return XXH3_64bits_digest(state_.get());
  }

  OrderedJson commit() {
    const uint64_t hash = digest();
    const int64_t num_bytes = file_.num_bytes();
    file_.commit();
    return {{"file", name_}, {"bytes", num_bytes}, {"xxh3", format_hash(hash)}};
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };

  void flush() {
    XXH3_64bits_update(state_.get(), buffer_.data(), buffer_.size());
    file_.write(buffer_);
    buffer_.clear();
  }

  std::string name_;
  AtomicFile file_;
  std::unique_ptr<XXH3_state_t, Free> state_;
  std::string buffer_;
};

SplitWriter::SplitWriter(fs::path directory, std::string split, TokenType type,
                         int64_t shard_tokens)
    : directory_(std::move(directory)),
      split_(std::move(split)),
      type_(type),
      shard_tokens_(shard_tokens),
      index_(std::make_unique<HashedFile>(directory_ / index_name(split_))) {
  index_->write(index_header());
  index_->write(offset_bytes(num_tokens_));
}

SplitWriter::~SplitWriter() = default;

void SplitWriter::add_document(std::span<const int32_t> tokens, std::span<const uint8_t> marks) {
  LG_DCHECK(!tokens.empty() && (marks.empty() || marks.size() == tokens.size()));
  constexpr auto kOrdinary = static_cast<uint8_t>(Mark::ordinary);
  const bool all_ordinary = std::ranges::all_of(marks, [](uint8_t m) { return m == kOrdinary; });
  if (!all_ordinary && !has_marks_) begin_marks();
  ++num_documents_;
  num_tokens_ += static_cast<int64_t>(tokens.size());
  index_->write(offset_bytes(num_tokens_));
  while (!tokens.empty()) {
    if (shard_ == nullptr) open_shard();
    const auto part = tokens.first(std::min(tokens.size(), static_cast<size_t>(shard_room_)));
    append(part);
    if (has_marks_ && marks.empty()) {
      shard_marks_->write_ordinary_marks(static_cast<int64_t>(part.size()));
    } else if (has_marks_) {
      shard_marks_->write({reinterpret_cast<const char*>(marks.data()), part.size()});
      marks = marks.subspan(part.size());
    }
    tokens = tokens.subspan(part.size());
    if (shard_room_ == 0) close_shard();
  }
}

void SplitWriter::append(std::span<const int32_t> tokens) {
  if (type_ == TokenType::uint16) {
    shard_->write_tokens<uint16_t>(tokens);
  } else {
    shard_->write_tokens<uint32_t>(tokens);
  }
  shard_room_ -= static_cast<int64_t>(tokens.size());
}

/// Gives every token so far its mark.
void SplitWriter::begin_marks() {
  has_marks_ = true;
  while (marks_.size() < shards_.size()) {
    open_marks();
    shard_marks_->write_ordinary_marks(shard_tokens_);
    marks_.push_back(shard_marks_->commit());
  }
  if (shard_ == nullptr) return;
  open_marks();
  shard_marks_->write_ordinary_marks(shard_tokens_ - shard_room_);
}

void SplitWriter::open_shard() {
  const auto number = static_cast<int64_t>(shards_.size());
  shard_ = std::make_unique<HashedFile>(directory_ / shard_name(split_, number));
  shard_room_ = shard_tokens_;
  if (has_marks_) open_marks();
}

void SplitWriter::open_marks() {
  const auto number = static_cast<int64_t>(marks_.size());
  shard_marks_ = std::make_unique<HashedFile>(directory_ / marks_name(split_, number));
}

void SplitWriter::close_shard() {
  shards_.push_back(shard_->commit());
  shard_.reset();
  if (has_marks_) marks_.push_back(shard_marks_->commit());
}

OrderedJson SplitWriter::finish() {
  if (shard_ != nullptr) close_shard();
  IndexFooter footer;
  footer.num_documents = static_cast<uint64_t>(num_documents_);
  footer.num_tokens = static_cast<uint64_t>(num_tokens_);
  footer.hash = index_->digest();
  index_->write(footer.bytes());
  OrderedJson split = {{"num_documents", num_documents_},
                       {"num_tokens", num_tokens_},
                       {"index", index_->commit()},
                       {"shards", std::move(shards_)}};
  if (has_marks_) split["marks"] = std::move(marks_);
  return split;
}

}  // namespace longgen
