#include "longgen/data/token_dataset.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kMaxManifestBytes = int64_t{1} << 30;  // lists every source and shard

/// Maps the file an entry {"file", "bytes", "xxh3"} describes.
std::unique_ptr<MappedFile> open_entry(const fs::path& directory, const JsonObject& entry,
                                       int64_t expected_bytes, bool verify) {
  const int64_t listed = entry.integer("bytes", 0, kMaxTokens * 8);
  LG_CHECK(listed == expected_bytes, entry.where("bytes"), ": expected ", expected_bytes,
           " by the manifest's counts, found ", listed, ".");
  const fs::path path = join_inside(directory, entry.string("file"));
  auto file = std::make_unique<MappedFile>(path);
  const auto found = static_cast<int64_t>(file->bytes().size());
  LG_CHECK(found == listed, path.string(), ": expected ", listed, " bytes by the manifest, found ",
           found, ".");
  if (verify) {
    const std::string expected = entry.string("xxh3"), hash = hash_hex(file->bytes());
    LG_CHECK(hash == expected, path.string(), ": expected hash ", expected,
             " by the manifest, found ", hash, ": the file is damaged.");
  }
  return file;
}

/// Says what a path without a manifest is, and how a dataset comes about.
[[noreturn]] void refuse_other(const fs::path& path) {
  const bool is_model = fs::exists(path / "config.json");
  const char* const found = !fs::exists(path)         ? "nothing of this name"
                            : !fs::is_directory(path) ? "a file"
                            : is_model                ? "a model directory"
                                                      : "a folder without manifest.json";
  const std::string texts = fs::exists(path) && !is_model ? path.string() : "IN";
  LG_FAIL(path.string(), ": expected a token dataset, found ", found,
          ". Make one of texts: longgen prepare ", texts, " OUT --model DIR.");
}

}  // namespace

TokenDataset::TokenDataset(fs::path directory, std::string split)
    : directory_(std::move(directory)), split_(std::move(split)) {}

TokenDataset TokenDataset::open(const fs::path& directory, const std::string& split, bool verify) {
  LG_CHECK(split == kTrainSplit || split == kHeldOutSplit, "[dataset] split: expected \"",
           kTrainSplit, "\" or \"", kHeldOutSplit, "\", found \"", split, "\".");
  TokenDataset dataset(directory, split);
  const fs::path path = directory / kDatasetManifest;
  if (!fs::exists(path)) refuse_other(directory);
  const std::string text = read_file(path, kMaxManifestBytes);
  const Json manifest = parse_json(text, path.string());
  dataset.hash_ = hash_hex(text);
  dataset.read_manifest(JsonObject(manifest, path.string()), verify);
  return dataset;
}

void TokenDataset::read_manifest(const JsonObject& manifest, bool verify) {
  const std::string format = manifest.string("format");
  LG_CHECK(format == kDatasetFormat, manifest.where("format"), ": expected \"", kDatasetFormat,
           "\", found \"", format, "\". Is this the output of longgen prepare?");
  const int64_t version = manifest.integer("version", 1, std::numeric_limits<int64_t>::max());
  LG_CHECK(version == kDatasetVersion || version == kMarkedVersion, manifest.where("version"),
           ": expected ", kDatasetVersion, " or ", kMarkedVersion, ", found ", version,
           ": written by another longgen. Run prepare again.");
  type_ = parse_token_type(manifest.string("token_type"), manifest.where("token_type"));
  shard_tokens_ = manifest.integer("shard_tokens", 1, kMaxTokens);
  const JsonObject tokenizer = manifest.object("tokenizer");
  tokenizer_name_ = tokenizer.string("name");
  tokenizer_hash_ = tokenizer.string("hash");
  const int64_t max_vocab = type_ == TokenType::uint16 ? 65536 : int64_t{1} << 31;
  vocab_size_ = tokenizer.integer("vocab_size", 1, max_vocab);
  largest_id_ = tokenizer.integer("largest_id", 0, vocab_size_ - 1, vocab_size_ - 1);
  for (const auto& [key, id] : {std::pair{"begin_id", &begin_id_}, std::pair{"end_id", &end_id_}}) {
    if (tokenizer.has(key)) *id = static_cast<int32_t>(tokenizer.integer(key, 0, vocab_size_ - 1));
  }
  const JsonObject split = manifest.object("splits").object(split_);
  num_tokens_ = split.integer("num_tokens", 0, kMaxTokens);
  num_documents_ = split.integer("num_documents", 0, num_tokens_);
  shards_ = open_files(split, "shards", token_bytes(type_), verify);
  if (split.has("marks")) {
    LG_CHECK(version == kMarkedVersion, split.where("marks"),
             ": expected none in a dataset of version ", version, ", found marks.");
    marks_ = open_files(split, "marks", 1, verify);
  }
  open_index(split);
}

/// Opens what the list `key` of the manifest names, one file a shard.
std::vector<std::unique_ptr<MappedFile>> TokenDataset::open_files(const JsonObject& split,
                                                                  const std::string& key,
                                                                  int64_t bytes_each,
                                                                  bool verify) const {
  const Json& entries = split.raw(key);
  const int64_t expected = (num_tokens_ + shard_tokens_ - 1) / shard_tokens_;
  const int64_t found = entries.is_array() ? static_cast<int64_t>(entries.size()) : -1;
  LG_CHECK(found == expected, split.where(key), ": expected a list of ", expected, " ",
           key == "shards" ? key : "files", " by num_tokens and shard_tokens, found ",
           found < 0 ? "something else" : std::to_string(found), ".");
  std::vector<std::unique_ptr<MappedFile>> files;
  for (int64_t i = 0; i < found; ++i) {
    const JsonObject entry(entries[static_cast<size_t>(i)], split.source(),
                           "splits." + split_ + "." + key + "[" + std::to_string(i) + "]");
    const int64_t tokens = std::min(shard_tokens_, num_tokens_ - i * shard_tokens_);
    files.push_back(open_entry(directory_, entry, tokens * bytes_each, verify));
  }
  return files;
}

void TokenDataset::open_index(const JsonObject& split) {
  const int64_t expected = kIndexHeaderBytes + 8 * (num_documents_ + 1) + kIndexFooterBytes;
  index_ = open_entry(directory_, split.object("index"), expected, true);
  check_index();
}

void TokenDataset::check_index() const {
  const std::string name = index_->path().string();
  const std::string_view bytes = index_->bytes();
  LG_CHECK(bytes.starts_with(index_header()), name, ": expected a token index of version ",
           kDatasetVersion, ", found another header.");
  const size_t body = bytes.size() - kIndexFooterBytes;
  const IndexFooter footer = IndexFooter::parse(bytes.substr(body));
  LG_CHECK(footer.num_documents == static_cast<uint64_t>(num_documents_), name,
           ": num_documents: expected ", num_documents_, " by the manifest, found ",
           footer.num_documents, ".");
  LG_CHECK(footer.num_tokens == static_cast<uint64_t>(num_tokens_), name, ": num_tokens: expected ",
           num_tokens_, " by the manifest, found ", footer.num_tokens, ".");
  // The manifest's hash has matched already; this one makes the index trustworthy on its own.
  const std::string expected = hash_hex(bytes.substr(0, body)), hash = format_hash(footer.hash);
  LG_CHECK(hash == expected, name, ": hash: expected ", expected, ", found ", hash, ".");
  LG_CHECK(offset(0) == 0, name, ": offset 0: expected 0, found ", offset(0), ".");
  for (int64_t i = 0; i < num_documents_; ++i) {
    LG_CHECK(offset(i) < offset(i + 1), name, ": offset ", i + 1, ": expected more than ",
             offset(i), ", found ", offset(i + 1), ".");
  }
  LG_CHECK(offset(num_documents_) == num_tokens_, name, ": last offset: expected ", num_tokens_,
           ", found ", offset(num_documents_), ".");
}

int64_t TokenDataset::offset(int64_t index) const {
  int64_t value = 0;
  std::memcpy(&value, index_->bytes().data() + kIndexHeaderBytes + 8 * index, sizeof(value));
  return value;
}

int64_t TokenDataset::document_at(int64_t position) const {
  LG_CHECK(position >= 0 && position < num_tokens_, directory_.string(), ": token position ",
           position, ": expected 0 to ", num_tokens_ - 1, ".");
  int64_t low = 0, high = num_documents_;  // offset(low) <= position < offset(high)
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (offset(middle) <= position ? low : high) = middle;
  }
  return low;
}

template <typename Stored>
void TokenDataset::copy(const MappedFile& shard, int64_t first, std::span<int32_t> out) const {
  const char* from = shard.bytes().data() + first * static_cast<int64_t>(sizeof(Stored));
  Stored largest = 0;
  for (int32_t& token : out) {
    Stored stored = 0;
    std::memcpy(&stored, from, sizeof(stored));
    from += sizeof(stored);
    largest = std::max(largest, stored);
    token = static_cast<int32_t>(stored);
  }
  LG_CHECK(static_cast<int64_t>(largest) <= largest_id_, shard.path().string(),
           ": expected token ids up to ", largest_id_, ", found ", largest,
           ": the shard is damaged.");
}

/// Calls copy_part(shard, first, part) for each part of `out` that one shard holds.
template <typename Out, typename Copy>
void TokenDataset::for_each_shard(int64_t position, std::span<Out> out, Copy&& copy_part) const {
  const auto count = static_cast<int64_t>(out.size());
  LG_CHECK(position >= 0 && position <= num_tokens_ && count <= num_tokens_ - position,
           directory_.string(), ": tokens ", position, " to ", position, " + ", count,
           " lie outside split ", split_, ", which has ", num_tokens_, ".");
  while (!out.empty()) {
    const int64_t first = position % shard_tokens_;
    const auto part = out.first(static_cast<size_t>(
        std::min<int64_t>(static_cast<int64_t>(out.size()), shard_tokens_ - first)));
    copy_part(static_cast<size_t>(position / shard_tokens_), first, part);
    position += static_cast<int64_t>(part.size());
    out = out.subspan(part.size());
  }
}

void TokenDataset::read(int64_t position, std::span<int32_t> out) const {
  for_each_shard(position, out, [this](size_t shard, int64_t first, std::span<int32_t> part) {
    if (type_ == TokenType::uint16) {
      copy<uint16_t>(*shards_[shard], first, part);
    } else {
      copy<uint32_t>(*shards_[shard], first, part);
    }
  });
}

void TokenDataset::read_marks(int64_t position, std::span<uint8_t> out) const {
  for_each_shard(position, out, [this](size_t shard, int64_t first, std::span<uint8_t> part) {
    if (!has_marks()) {
      std::ranges::fill(part, static_cast<uint8_t>(Mark::ordinary));
      return;
    }
    const MappedFile& file = *marks_[shard];
    std::memcpy(part.data(), file.bytes().data() + first, part.size());
    const uint8_t largest = *std::ranges::max_element(part);
    LG_CHECK(largest <= kLargestMark, file.path().string(), ": expected marks up to ",
             int{kLargestMark}, ", found ", int{largest}, ": the file is damaged.");
  });
}

std::vector<int32_t> TokenDataset::tokens(int64_t document) const {
  LG_CHECK(document >= 0 && document < num_documents_, directory_.string(), ": document ", document,
           ": expected 0 to ", num_documents_ - 1, ".");
  const int64_t begin = document_begin(document);
  std::vector<int32_t> out(static_cast<size_t>(document_end(document) - begin));
  read(begin, out);
  return out;
}

void TokenDataset::expect_tokenizer(const std::string& hash) const {
  LG_CHECK(hash == tokenizer_hash_, directory_.string(),
           ": its tokens come from another tokenizer than the model's (", tokenizer_name_,
           ", hash ", tokenizer_hash_, "; the model's has hash ", hash,
           "). Run longgen prepare with this model.");
}

}  // namespace longgen
