#include "longgen/data/prepare.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/random.h"
#include "longgen/base/threads.h"
#include "longgen/base/units.h"
#include "longgen/data/document_parser.h"
#include "longgen/data/ordered_pipeline.h"
#include "longgen/data/record_reader.h"
#include "longgen/data/sources.h"
#include "longgen/data/split_writer.h"

namespace longgen {
namespace {

constexpr size_t kMaxShownBadLines = 10;

/// What a worker makes of a batch of records.
struct EncodedBatch {
  std::vector<int32_t> tokens;   // of all documents, one after the other
  std::vector<int64_t> lengths;  // of each document, in tokens
  std::vector<BadLine> bad_lines;
  int64_t num_empty = 0, text_bytes = 0, input_bytes = 0;
  int32_t largest_id = 0;
};

void check_options(const TextEncoder& encoder, const PrepareOptions& options) {
  constexpr int64_t kMaxVocab = int64_t{1} << 31;  // ids are int32
  constexpr int64_t kMaxDocument = (int64_t{1} << 32) - RecordBatch::kPaddingBytes - 1;
  const auto in_range = [](const char* name, int64_t value, int64_t low, int64_t high) {
    LG_CHECK(value >= low && value <= high, "[prepare] ", name, ": expected ", low, " to ", high,
             ", found ", value, ".");
  };
  in_range("vocabulary size", encoder.vocab_size, 1, kMaxVocab);
  in_range("begin-of-text id", encoder.begin_id.value_or(0), 0, encoder.vocab_size - 1);
  in_range("end-of-text id", encoder.end_id.value_or(0), 0, encoder.vocab_size - 1);
  in_range("tokens per shard", options.shard_tokens, 1, kMaxTokens);
  in_range("largest document", options.max_document_bytes, 1, kMaxDocument);
  in_range("pending bytes", options.max_pending_bytes, 1, std::numeric_limits<int64_t>::max());
  in_range("threads", options.num_threads, 0, kMaxThreads);
  LG_CHECK(options.held_out_share >= 0 && options.held_out_share < 1,
           "[prepare] held-out share: expected at least 0 and below 1, found ",
           options.held_out_share, ".");
}

class Preparation {
 public:
  Preparation(const TextEncoder& encoder, const PrepareOptions& options)
      : encoder_(encoder),
        options_(options),
        sources_(expand_inputs(options.inputs, options.output)),
        num_threads_(options.num_threads > 0 ? options.num_threads
                                             : static_cast<int>(default_threads())),
        reader_(sources_, options.max_document_bytes),
        output_(options.output, options.replace),
        type_(token_type_for(encoder.vocab_size)),
        train_(output_.path(), kTrainSplit, type_, options.shard_tokens),
        held_out_(output_.path(), kHeldOutSplit, type_, options.shard_tokens) {
    for (int i = 0; i < num_threads_; ++i) {
      parsers_.push_back(std::make_unique<DocumentParser>(sources_, options.text_field));
    }
    for (const Source& source : sources_) summary_.input_bytes += source.num_bytes;
    summary_.num_sources = static_cast<int64_t>(sources_.size());
    summary_.token_type = type_;
  }

  PrepareSummary run();

 private:
  std::optional<RecordBatch> read_batch();
  EncodedBatch encode_batch(RecordBatch&& batch, int worker);
  void encode_record(const RecordBatch& batch, const Record& record, DocumentParser& parser,
                     EncodedBatch& result);
  void append_document(std::string_view text, EncodedBatch& result);
  void write_batch(const EncodedBatch& batch);
  void take_bad_line(const BadLine& bad);
  void write_manifest();
  OrderedJson options_json() const;
  OrderedJson sources_json() const;
  bool is_held_out(int64_t document) const;
  std::string place(int64_t source, int64_t line) const {
    return sources_[static_cast<size_t>(source)].path.string() + ":" + std::to_string(line);
  }

  const TextEncoder& encoder_;
  const PrepareOptions& options_;
  const std::vector<Source> sources_;
  const int num_threads_;
  RecordReader reader_;
  std::vector<std::unique_ptr<DocumentParser>> parsers_;  // one per worker
  AtomicDirectory output_;
  const TokenType type_;
  SplitWriter train_, held_out_;
  PrepareSummary summary_;
  int32_t largest_id_ = 0;
};

std::optional<RecordBatch> Preparation::read_batch() {
  RecordBatch batch;
  if (!reader_.next(batch)) return std::nullopt;
  return batch;
}

EncodedBatch Preparation::encode_batch(RecordBatch&& batch, int worker) {
  EncodedBatch result;
  result.input_bytes = batch.input_bytes;
  for (const Record& record : batch.records) {
    if (options_.stop != nullptr && *options_.stop) break;  // the writer will say so
    try {
      encode_record(batch, record, *parsers_[static_cast<size_t>(worker)], result);
    } catch (const std::bad_alloc&) {
      LG_FAIL(place(record.source, record.first_line), ": no memory to tokenize a document of ",
              format_bytes(record.num_bytes), ".");
    }
  }
  return result;
}

void Preparation::encode_record(const RecordBatch& batch, const Record& record,
                                DocumentParser& parser, EncodedBatch& result) {
  const size_t bad_before = result.bad_lines.size();
  const std::string_view text = parser.parse(batch, record, result.bad_lines);
  const size_t tokens_before = result.tokens.size();
  try {
    if (!text.empty()) append_document(text, result);
  } catch (const Error& error) {
    LG_FAIL(place(record.source, record.first_line), ": ", error.what());
  }
  if (result.tokens.size() > tokens_before) {
    result.lengths.push_back(static_cast<int64_t>(result.tokens.size() - tokens_before));
    result.text_bytes += static_cast<int64_t>(text.size());
  } else if (result.bad_lines.size() == bad_before) {
    ++result.num_empty;
  }
}

/// Appends nothing when the text has no tokens.
void Preparation::append_document(std::string_view text, EncodedBatch& result) {
  const std::vector<int32_t> ids = encoder_.encode(text);
  if (ids.empty()) return;
  for (const int32_t id : ids) {
    LG_CHECK(id >= 0 && id < encoder_.vocab_size, "the tokenizer gave id ", id, ", expected 0 to ",
             encoder_.vocab_size - 1, ".");
  }
  std::vector<int32_t>& tokens = result.tokens;
  if (encoder_.begin_id) tokens.push_back(*encoder_.begin_id);
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  if (encoder_.end_id) tokens.push_back(*encoder_.end_id);
  result.largest_id = std::max({result.largest_id, *std::max_element(ids.begin(), ids.end()),
                                encoder_.begin_id.value_or(0), encoder_.end_id.value_or(0)});
}

bool Preparation::is_held_out(int64_t document) const {
  // 2^53 steps, so that the comparison is exact in a double on every machine.
  const uint64_t random = mix_pair(options_.seed, static_cast<uint64_t>(document)) >> 11;
  return static_cast<double>(random) < options_.held_out_share * 0x1p53;
}

void Preparation::take_bad_line(const BadLine& bad) {
  const std::string message = place(bad.source, bad.line) + ": " + bad.reason;
  LG_CHECK(options_.skip_bad, message,
           ". Nothing was written. Pass --skip-bad to count and leave out such lines.");
  ++summary_.num_bad_lines;
  if (summary_.first_bad_lines.size() < kMaxShownBadLines) {
    summary_.first_bad_lines.push_back(message);
  }
}

void Preparation::write_batch(const EncodedBatch& batch) {
  for (const BadLine& bad : batch.bad_lines) take_bad_line(bad);
  largest_id_ = std::max(largest_id_, batch.largest_id);
  std::span<const int32_t> tokens(batch.tokens);
  for (const int64_t length : batch.lengths) {
    const int64_t document = train_.num_documents() + held_out_.num_documents();
    SplitWriter& split = is_held_out(document) ? held_out_ : train_;
    split.add_document(tokens.first(static_cast<size_t>(length)));
    tokens = tokens.subspan(static_cast<size_t>(length));
  }
  summary_.num_empty_documents += batch.num_empty;
  summary_.text_bytes += batch.text_bytes;
}

OrderedJson Preparation::options_json() const {
  return {{"text_field", options_.text_field},
          {"skip_bad", options_.skip_bad},
          {"held_out_share", options_.held_out_share},
          {"seed", options_.seed},
          {"max_document_bytes", options_.max_document_bytes}};
}

OrderedJson Preparation::sources_json() const {
  OrderedJson list = OrderedJson::array();
  for (const Source& source : sources_) {
    OrderedJson entry;
    entry["path"] = source.path.string();
    entry["bytes"] = source.num_bytes;
    list.push_back(std::move(entry));
  }
  return list;
}

void Preparation::write_manifest() {
  const auto id_or_null = [](const std::optional<int32_t>& id) {
    return id ? OrderedJson(*id) : OrderedJson();
  };
  OrderedJson manifest;
  manifest["format"] = kDatasetFormat;
  manifest["version"] = kDatasetVersion;
  manifest["token_type"] = token_type_name(type_);
  manifest["shard_tokens"] = options_.shard_tokens;
  manifest["tokenizer"]["name"] = encoder_.name;
  manifest["tokenizer"]["hash"] = encoder_.hash;
  manifest["tokenizer"]["vocab_size"] = encoder_.vocab_size;
  manifest["tokenizer"]["largest_id"] = largest_id_;
  manifest["tokenizer"]["begin_id"] = id_or_null(encoder_.begin_id);
  manifest["tokenizer"]["end_id"] = id_or_null(encoder_.end_id);
  manifest["splits"][kTrainSplit] = train_.finish();
  manifest["splits"][kHeldOutSplit] = held_out_.finish();
  manifest["counts"]["text_bytes"] = summary_.text_bytes;
  manifest["counts"]["empty_documents"] = summary_.num_empty_documents;
  manifest["counts"]["bad_lines"] = summary_.num_bad_lines;
  manifest["options"] = options_json();
  manifest["sources"] = sources_json();
  write_file(output_.path() / kDatasetManifest, dump_json(manifest, 2) + "\n");
}

PrepareSummary Preparation::run() {
  using Pipeline = OrderedPipeline<RecordBatch, EncodedBatch>;
  Pipeline::Stages stages{
      [this] { return read_batch(); },
      [](const RecordBatch& batch) { return static_cast<int64_t>(batch.bytes.size()); },
      [this](RecordBatch&& batch, int worker) { return encode_batch(std::move(batch), worker); }};
  const auto start = std::chrono::steady_clock::now();
  std::optional<Progress> progress;
  if (options_.show_progress) progress.emplace("prepare", summary_.input_bytes, "B");
  {
    Pipeline pipeline(std::move(stages), num_threads_, options_.max_pending_bytes);
    while (const std::optional<EncodedBatch> batch = pipeline.next()) {
      LG_CHECK(options_.stop == nullptr || !*options_.stop, options_.output.string(),
               ": stopped before the end. Nothing was written.");
      write_batch(*batch);
      const int64_t num_tokens = train_.num_tokens() + held_out_.num_tokens();
      if (progress) {
        progress->update(batch->input_bytes,
                         format_si(static_cast<double>(num_tokens)) + " tokens");
      }
    }
  }
  summary_.train = {train_.num_documents(), train_.num_tokens()};
  summary_.held_out = {held_out_.num_documents(), held_out_.num_tokens()};
  LG_CHECK(summary_.train.num_documents + summary_.held_out.num_documents > 0,
           options_.output.string(), ": no document with text in ",
           format_count(summary_.num_sources, "file"), ". Nothing was written.");
  if (options_.held_out_share > 0 && summary_.held_out.num_documents == 0) {
    log_warning("no document was held out: the corpus has only " +
                std::to_string(summary_.train.num_documents) + ". Raise the held-out share.");
  }
  write_manifest();
  output_.commit();
  if (progress) progress->finish();
  summary_.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return std::move(summary_);
}

}  // namespace

PrepareSummary prepare_dataset(const TextEncoder& encoder, const PrepareOptions& options) {
  check_options(encoder, options);
  return Preparation(encoder, options).run();
}

}  // namespace longgen
