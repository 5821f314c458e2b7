#include "longgen/tokenizer/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/tokenizer/added_tokens.h"
#include "longgen/tokenizer/bpe_model.h"
#include "longgen/tokenizer/component.h"
#include "longgen/tokenizer/decoder.h"
#include "longgen/tokenizer/normalizer.h"
#include "longgen/tokenizer/post_processor.h"
#include "longgen/tokenizer/pre_tokenizer.h"
#include "longgen/tokenizer/token_places.h"
#include "longgen/tokenizer/tokenizer_config.h"
#include "longgen/tokenizer/utf8.h"
#include "longgen/tokenizer/word_cache.h"

namespace longgen {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // positions in a word are 32 bits
constexpr std::string_view kMetaspace = "\xE2\x96\x81";

/// What one running call needs for itself. It is kept between calls, so that the words of the last
/// text are still known.
struct Scratch {
  RegexScratch regex;
  WordCache words;
  std::string normalized;
};

/// Holds as many scratches as calls have run at once.
class ScratchPool {
 public:
  class Lease {
   public:
    explicit Lease(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {}
    ~Lease() { pool_.give_back(std::move(scratch_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Scratch& operator*() const { return *scratch_; }
    Scratch* operator->() const { return scratch_.get(); }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  std::unique_ptr<Scratch> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<Scratch>();
  }
  void give_back(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

/// Turns words into ids, by the cache where it can.
class WordEncoder : public PieceSink {
 public:
  WordEncoder(const BpeModel& model, WordCache& cache, std::vector<int32_t>& ids)
      : model_(model), cache_(cache), ids_(ids) {}

  void take(const Piece& piece) override {
    if (!model_.splits_at_metaspace()) return encode(piece.text);
    // A vocabulary without tokens across "▁" gives the same ids for the words one by one, and words
    // come again, so that the cache has them.
    size_t begin = 0;
    for (size_t at = piece.text.find(kMetaspace, 1); at != std::string_view::npos;
         at = piece.text.find(kMetaspace, at + 1)) {
      if (piece.text.substr(0, at).ends_with(kMetaspace)) continue;
      encode(piece.text.substr(begin, at - begin));
      begin = at;
    }
    encode(piece.text.substr(begin));
  }

 private:
  void encode(std::string_view word) {
    if (word.size() > WordCache::kMaxWordBytes) return model_.encode(word, ids_);
    const uint64_t hash = WordCache::hash(word);
    if (const auto known = cache_.find(word, hash); !known.empty()) {
      ids_.insert(ids_.end(), known.begin(), known.end());
      return;
    }
    const size_t before = ids_.size();
    model_.encode(word, ids_);
    const size_t count = ids_.size() - before;
    if (count > 0 && count <= WordCache::kMaxIds)
      cache_.insert(word, hash, std::span(ids_).subspan(before));
  }

  const BpeModel& model_;
  WordCache& cache_;
  std::vector<int32_t>& ids_;
};

void check_root(const JsonObject& root) {
  check_keys(root, {"version", "truncation", "padding", "added_tokens", "normalizer",
                    "pre_tokenizer", "post_processor", "decoder", "model"});
  LG_CHECK(root.string("version", "1.0") == "1.0", root.where("version"),
           ": expected \"1.0\", found \"", root.string("version").substr(0, 60), "\".");
  // As in transformers, texts are neither cut nor padded unless a call asks for it.
  if (root.has("truncation")) {
    check_keys(root.object("truncation"), {"direction", "max_length", "strategy", "stride"});
  }
  if (root.has("padding")) {
    check_keys(root.object("padding"), {"strategy", "direction", "pad_to_multiple_of", "pad_id",
                                        "pad_type_id", "pad_token"});
  }
}

/// Hashes a tokenizer.json and added tokens, to the same whichever file names the tokens.
std::string hash_with(const std::string& file_hash, const std::vector<AddedToken>& tokens) {
  Json list = Json::array();
  for (const AddedToken& token : tokens) {
    list.push_back({token.id, token.content, token.special, token.single_word, token.lstrip,
                    token.rstrip, token.normalized});
  }
  return hash_hex(file_hash + dump_json(list));
}

/// Returns the parts of the ranges in a stretch of the text, counted from its beginning.
std::vector<ByteRange> clip(std::span<const ByteRange> ranges, size_t begin, size_t end) {
  std::vector<ByteRange> clipped;
  auto range = std::lower_bound(ranges.begin(), ranges.end(), begin,
                                [](const ByteRange& r, size_t at) { return r.end <= at; });
  for (; range != ranges.end() && range->begin < end; ++range) {
    clipped.push_back({std::max(range->begin, begin) - begin, std::min(range->end, end) - begin});
  }
  return clipped;
}

void check_size(std::string_view text) {
  LG_CHECK(text.size() <= kMaxTextBytes, "[tokenizer] expected a text of at most ", kMaxTextBytes,
           " bytes, found ", text.size(), ". Encode it in parts.");
}

/// Refuses what cannot be taken as it is.
void expect_text(std::string_view text) {
  check_size(text);
  LG_CHECK(is_valid_utf8(text), "[tokenizer] expected a text in UTF-8.");
}

SpecialPlaces special_places(const EncodeOptions& options) {
  return {options.parse_special ? SpecialPlaces::Kind::everywhere : SpecialPlaces::Kind::nowhere};
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const JsonObject& root, const std::vector<ConfiguredToken>& configured,
       std::string file_hash)
      : hash(std::move(file_hash)),
        normalizer(Normalizer::from_json(root)),
        pre_tokenizer(PreTokenizer::from_json(root)),
        model(BpeModel::from_json(root, pre_tokenizer.byte_level())),
        added(all_added(root, configured), normalizer),
        decoder(Decoder::from_json(root)),
        post_processor(PostProcessor::from_json(root)) {
    check_added();
    for (const auto* side : {&post_processor.before, &post_processor.after}) {
      for (const int32_t id : *side) {
        LG_CHECK(find_token(id) != nullptr, root.where("post_processor"), ": adds id ", id,
                 ", which no token has.");
      }
    }
  }

  /// Gives the tokens of tokenizer.json and the configured ones, which change the hash.
  std::vector<AddedToken> all_added(const JsonObject& root,
                                    const std::vector<ConfiguredToken>& configured) {
    std::vector<AddedToken> tokens = AddedTokens::read(root);
    if (add_configured_tokens(configured, model, tokens)) hash = hash_with(hash, tokens);
    return tokens;
  }
  void check_added();
  void warn_of_contradictions(const TokenizerConfig& config) const;
  /// Gives nullptr for an id that no token has.
  const std::string* find_token(int32_t id) const;
  void require_id(int32_t id) const;
  void encode_text(std::string_view text, const SpecialPlaces& where, Scratch& scratch,
                   std::vector<int32_t>& ids, std::vector<ByteRange>* places = nullptr) const;
  void encode_segment(std::string_view raw, bool at_start, const SpecialPlaces& where,
                      Scratch& scratch, std::vector<int32_t>& ids,
                      std::vector<ByteRange>* places) const;

  std::string hash;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeModel model;
  AddedTokens added;
  Decoder decoder;
  PostProcessor post_processor;
  std::unordered_map<int32_t, const std::string*> added_by_id;
  std::unordered_map<std::string_view, int32_t> added_by_content;
  int64_t vocab_size = 0;
  mutable ScratchPool scratches;
};

void Tokenizer::Impl::check_added() {
  vocab_size = model.num_ids();
  const auto bound = static_cast<int64_t>(added.tokens().size()) * 2 + vocab_size + 65536;
  for (const AddedToken& token : added.tokens()) {
    const auto in_model = model.token_id(token.content);
    LG_CHECK(!in_model || *in_model == token.id, token.where, ": \"", token.content, "\" has id ",
             token.id, " here and ", in_model.value_or(0), " in the vocabulary.");
    const std::string* const other = token.id < model.num_ids() ? model.token(token.id) : nullptr;
    LG_CHECK(in_model || other == nullptr, token.where, ": id ", token.id, " of \"", token.content,
             "\" stands for \"", other == nullptr ? "" : *other, "\" in the vocabulary.");
    LG_CHECK(token.id < bound, token.where, ": expected ids below ", bound, ", found ", token.id,
             " for \"", token.content, "\".");
    vocab_size = std::max<int64_t>(vocab_size, token.id + 1);
    added_by_id.emplace(token.id, &token.spelling);
    added_by_content.emplace(token.content, token.id);
  }
}

void Tokenizer::Impl::warn_of_contradictions(const TokenizerConfig& config) const {
  const auto compare = [&](const char* key, std::optional<bool> says, std::optional<bool> is) {
    if (!says || !is || *says == *is) return;
    log_warning(config.source + ": field " + key + " is " + (*says ? "true" : "false") +
                ", and tokenizer.json says otherwise. tokenizer.json counts, as in transformers.");
  };
  compare("add_bos_token", config.add_bos, !post_processor.before.empty());
  compare("add_eos_token", config.add_eos, !post_processor.after.empty());
  compare("add_prefix_space", config.add_prefix_space, pre_tokenizer.adds_prefix_space());
}

const std::string* Tokenizer::Impl::find_token(int32_t id) const {
  if (const auto it = added_by_id.find(id); it != added_by_id.end()) return it->second;
  return id >= 0 && id < model.num_ids() ? model.token(id) : nullptr;
}

void Tokenizer::Impl::require_id(int32_t id) const {
  LG_CHECK(id >= 0 && id < vocab_size, "[tokenizer] expected an id of the vocabulary (", vocab_size,
           " ids), found ", id, ".");
}

void Tokenizer::Impl::encode_text(std::string_view text, const SpecialPlaces& where,
                                  Scratch& scratch, std::vector<int32_t>& ids,
                                  std::vector<ByteRange>* places) const {
  added.split(text, false, where, [&](const AddedTokens::Segment& raw) {
    const auto begin = static_cast<size_t>(raw.text.data() - text.data());
    if (raw.token != nullptr) {
      ids.push_back(raw.token->id);
      if (places != nullptr) places->push_back({begin, begin + raw.text.size()});
      return;
    }
    std::vector<ByteRange> ranges;
    if (where.kind == SpecialPlaces::Kind::ranges && added.normalizes_special()) {
      ranges = clip(where.ranges, begin, begin + raw.text.size());
    }
    const size_t first = places == nullptr ? 0 : places->size();
    encode_segment(raw.text, begin == 0, {where.kind, ranges}, scratch, ids, places);
    if (places == nullptr) return;
    for (ByteRange& place : std::span(*places).subspan(first)) {
      place = {begin + place.begin, begin + place.end};
    }
  });
}

/// Encodes text without tokens that are looked for before normalization. `where` has ranges of it.
void Tokenizer::Impl::encode_segment(std::string_view raw, bool at_start,
                                     const SpecialPlaces& where, Scratch& scratch,
                                     std::vector<int32_t>& ids,
                                     std::vector<ByteRange>* places) const {
  WordEncoder words(model, scratch.words, ids);
  std::vector<std::vector<TextEdit>> edits;
  const bool follows = places != nullptr || !where.ranges.empty();
  const std::string_view normal =
      normalizer.apply(raw, scratch.regex, scratch.normalized, follows ? &edits : nullptr);
  std::vector<ByteRange> ranges(where.ranges.begin(), where.ranges.end());
  for (const auto& step : edits) ranges = move_ranges(ranges, step);
  std::vector<ByteRange> found;
  added.split(normal, true, {where.kind, ranges}, [&](const AddedTokens::Segment& segment) {
    const auto begin = static_cast<size_t>(segment.text.data() - normal.data());
    const size_t num_ids = ids.size(), num_found = found.size();
    if (segment.token != nullptr) {
      ids.push_back(segment.token->id);
      if (places != nullptr) found.push_back({begin, begin + segment.text.size()});
      return;
    }
    pre_tokenizer.run({segment.text, at_start && begin == 0}, scratch.regex, words);
    if (places == nullptr) return;
    append_places(segment.text, std::span(ids).subspan(num_ids), model, found);
    for (ByteRange& place : std::span(found).subspan(num_found)) {
      place = {begin + place.begin, begin + place.end};
    }
  });
  for (auto step = edits.rbegin(); step != edits.rend(); ++step) move_back(found, *step);
  if (places != nullptr) places->insert(places->end(), found.begin(), found.end());
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(std::string_view text, const std::string& source) {
  return make(text, source, {});
}

Tokenizer Tokenizer::make(std::string_view text, const std::string& source,
                          const std::vector<ConfiguredToken>& configured) {
  const Json json = parse_json(text, source);
  const JsonObject root(json, source);
  check_root(root);
  return Tokenizer(std::make_unique<Impl>(root, configured, hash_hex(text)));
}

Tokenizer Tokenizer::load(const fs::path& model_directory) {
  const fs::path path = model_directory / "tokenizer.json";
  const std::string text = read_file(path);
  const TokenizerConfig config = read_tokenizer_config(model_directory);
  Tokenizer tokenizer = make(text, path.string(), config.tokens);
  tokenizer.impl_->warn_of_contradictions(config);
  return tokenizer;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  check_size(text);
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  const ScratchPool::Lease scratch(impl_->scratches);
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  const PostProcessor& around = impl_->post_processor;
  if (options.add_special_tokens) ids.insert(ids.end(), around.before.begin(), around.before.end());
  impl_->encode_text(text, special_places(options), *scratch, ids);
  if (options.add_special_tokens) ids.insert(ids.end(), around.after.begin(), around.after.end());
  return ids;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options,
                                       std::vector<ByteRange>& places) const {
  expect_text(text);
  const ScratchPool::Lease scratch(impl_->scratches);
  const PostProcessor& around = impl_->post_processor;
  std::vector<int32_t> ids;
  places.clear();
  const auto add = [&](const std::vector<int32_t>& tokens, size_t at) {
    if (!options.add_special_tokens) return;
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    places.resize(ids.size(), ByteRange{at, at});
  };
  add(around.before, 0);
  impl_->encode_text(text, special_places(options), *scratch, ids, &places);
  add(around.after, text.size());
  return ids;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, std::span<const ByteRange> special_in,
                                       std::vector<ByteRange>* places) const {
  expect_text(text);
  const ScratchPool::Lease scratch(impl_->scratches);
  std::vector<int32_t> ids;
  if (places != nullptr) places->clear();
  impl_->encode_text(text, {SpecialPlaces::Kind::ranges, special_in}, *scratch, ids, places);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

int64_t Tokenizer::vocab_size() const { return impl_->vocab_size; }

std::optional<int32_t> Tokenizer::token_id(std::string_view token) const {
  const auto it = impl_->added_by_content.find(token);
  return it != impl_->added_by_content.end() ? it->second : impl_->model.token_id(token);
}

std::string Tokenizer::token(int32_t id) const {
  const std::string* const token = impl_->find_token(id);
  LG_CHECK(token != nullptr, "[tokenizer] expected an id that a token has (of ", impl_->vocab_size,
           " ids), found ", id, ".");
  return *token;
}
bool Tokenizer::is_special(int32_t id) const { return impl_->added.is_special(id); }
bool Tokenizer::is_added(int32_t id) const { return impl_->added_by_id.contains(id); }
const std::string& Tokenizer::hash() const { return impl_->hash; }

bool Tokenizer::append_token(int32_t id, bool first, std::string& bytes) const {
  impl_->require_id(id);
  const std::string* const token = impl_->find_token(id);
  if (token == nullptr) return false;
  const ScratchPool::Lease scratch(impl_->scratches);
  impl_->decoder.append(*token, first, scratch->regex, bytes);
  return true;
}

std::string Tokenizer::token_bytes(int32_t id) const {
  std::string bytes;
  append_token(id, /*first=*/false, bytes);
  return bytes;
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer),
      skip_special_(skip_special),
      num_to_strip_(tokenizer.impl_->decoder.strip_count()) {}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return "";
  if (tokenizer_.append_token(id, first_, held_)) first_ = false;
  return release(held_.size() - unfinished_utf8_bytes(held_));
}

std::string StreamDecoder::finish() { return release(held_.size()); }

std::string StreamDecoder::release(size_t num_bytes) {
  std::string text = held_.substr(0, num_bytes);
  held_.erase(0, num_bytes);
  if (!is_valid_utf8(text)) text = replace_invalid_utf8(text);
  if (num_to_strip_ > 0) tokenizer_.impl_->decoder.strip_start(text, num_to_strip_);
  return text;
}

}  // namespace longgen
