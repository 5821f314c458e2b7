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
#include "longgen/data/marks.h"
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
  std::vector<uint8_t> marks;    // of all tokens, or none where every one is ordinary
  std::vector<int64_t> lengths;  // of each document, in tokens
  std::vector<BadLine> bad_lines;
  int64_t num_empty = 0, text_bytes = 0, input_bytes = 0;
  int32_t largest_id = 0;
};

int64_t num_marked(const std::vector<uint8_t>& marks, Mark mark) {
  return std::ranges::count(marks, static_cast<uint8_t>(mark));
}

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
      parsers_.push_back(std::make_unique<DocumentParser>(
          sources_, DocumentFields{options.text_field, !options.text_only}));
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
  MarkedTokens encode_text(const Document& document) const;
  MarkedTokens encode_conversation(const RecordBatch& batch, const Record& record,
                                   EncodedBatch& result) const;
  void append_document(const MarkedTokens& document, EncodedBatch& result) const;
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
  const Document document = parser.parse(batch, record, result.bad_lines);
  MarkedTokens tokens;
  try {
    if (!document.text.empty()) tokens = encode_text(document);
    if (!document.conversation.empty()) tokens = encode_conversation(batch, record, result);
    append_document(tokens, result);
  } catch (const Error& error) {
    LG_FAIL(place(record.source, record.first_line), ": ", error.what());
  }
  if (tokens.ids.empty() && result.bad_lines.size() == bad_before) ++result.num_empty;
}

/// Gives no tokens, not those around a document either, when the text has none.
MarkedTokens Preparation::encode_text(const Document& document) const {
  MarkedTokens tokens;
  tokens.text_bytes = static_cast<int64_t>(document.text.size());
  if (document.answers.empty()) {
    tokens.ids = encoder_.encode(document.text);
  } else {
    std::vector<ByteRange> places;
    tokens.ids = encoder_.encode_places(document.text, places);
    tokens.marks = mark_places(places, document.answers, Mark::answer, Mark::ordinary);
  }
  if (tokens.ids.empty()) return {};
  const auto put = [&](auto place_of, int32_t id) {
    tokens.ids.insert(place_of(tokens.ids), id);
    if (tokens.marks.empty()) return;
    tokens.marks.insert(place_of(tokens.marks), static_cast<uint8_t>(Mark::ordinary));
  };
  if (encoder_.begin_id) put([](auto& list) { return list.begin(); }, *encoder_.begin_id);
  if (encoder_.end_id) put([](auto& list) { return list.end(); }, *encoder_.end_id);
  return tokens;
}

/// Gives no tokens for a conversation that the template does not take, which is a bad line.
MarkedTokens Preparation::encode_conversation(const RecordBatch& batch, const Record& record,
                                              EncodedBatch& result) const {
  LG_CHECK(encoder_.encode_conversation, encoder_.no_conversations);
  std::string reason;
  try {
    return encoder_.encode_conversation(batch.view(record));
  } catch (const Error& error) {
    reason = error.what();
  }
  while (reason.ends_with('.')) reason.pop_back();
  result.bad_lines.push_back({record.source, record.first_line, std::move(reason)});
  return {};
}

void Preparation::append_document(const MarkedTokens& document, EncodedBatch& result) const {
  if (document.ids.empty()) return;
  for (const int32_t id : document.ids) {
    LG_CHECK(id >= 0 && id < encoder_.vocab_size, "the tokenizer gave id ", id, ", expected 0 to ",
             encoder_.vocab_size - 1, ".");
    result.largest_id = std::max(result.largest_id, id);
  }
  if (!document.marks.empty() || !result.marks.empty()) {
    constexpr auto kOrdinary = static_cast<uint8_t>(Mark::ordinary);
    result.marks.resize(result.tokens.size(), kOrdinary);
    result.marks.insert(result.marks.end(), document.marks.begin(), document.marks.end());
    result.marks.resize(result.tokens.size() + document.ids.size(), kOrdinary);
  }
  result.tokens.insert(result.tokens.end(), document.ids.begin(), document.ids.end());
  result.lengths.push_back(static_cast<int64_t>(document.ids.size()));
  result.text_bytes += document.text_bytes;
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
  std::span<const uint8_t> marks(batch.marks);
  for (const int64_t length : batch.lengths) {
    const int64_t document = train_.num_documents() + held_out_.num_documents();
    SplitWriter& split = is_held_out(document) ? held_out_ : train_;
    const auto count = static_cast<size_t>(length);
    split.add_document(tokens.first(count), marks.first(std::min(count, marks.size())));
    tokens = tokens.subspan(count);
    marks = marks.subspan(std::min(count, marks.size()));
  }
  summary_.num_answer_tokens += num_marked(batch.marks, Mark::answer);
  summary_.num_ignored_tokens += num_marked(batch.marks, Mark::ignored);
  summary_.num_empty_documents += batch.num_empty;
  summary_.text_bytes += batch.text_bytes;
}

OrderedJson Preparation::options_json() const {
  OrderedJson options = {{"text_field", options_.text_field},
                         {"skip_bad", options_.skip_bad},
                         {"held_out_share", options_.held_out_share},
                         {"seed", options_.seed},
                         {"max_document_bytes", options_.max_document_bytes}};
  if (options_.text_only) options["text_only"] = true;
  return options;
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
  const bool has_marks = train_.has_marks() || held_out_.has_marks();
  manifest["version"] = has_marks ? kMarkedVersion : kDatasetVersion;
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
