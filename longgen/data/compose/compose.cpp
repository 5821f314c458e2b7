#include "longgen/data/compose/compose.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/progress.h"
#include "longgen/base/threads.h"
#include "longgen/base/units.h"
#include "longgen/data/compose/growing_output.h"
#include "longgen/data/ordered_pipeline.h"
#include "longgen/data/sources.h"

namespace longgen {
namespace {

/// Thrown in a worker when the run is to end; what stands before is written.
struct Stopped {};

/// It changes with what document i of a plan is, so that runs of two versions are not mixed.
constexpr int64_t kComposeVersion = 1;

struct PackedDocument {
  std::string bytes;
  int64_t num_answers = 0, answer_bytes = 0;
};

OrderedJson ranges_json(const std::vector<ByteRange>& ranges) {
  OrderedJson list = OrderedJson::array();
  for (const auto& [begin, end] : ranges) list.push_back({begin, end});
  return list;
}

void count(std::vector<ComposeSummary::Part>& parts, const std::string& name, int64_t num_tokens) {
  const auto part = std::ranges::find(parts, name, &ComposeSummary::Part::name);
  LG_DCHECK(part != parts.end());
  ++part->num_documents;
  part->num_tokens += num_tokens;
}

class Composition {
 public:
  Composition(const TextEncoder& encoder, const ComposeOptions& options)
      : encoder_(encoder),
        options_(options),
        sources_(expand_inputs(options.inputs, options.output)),
        output_(options.output, options.replace),
        corpus_(sources_,
                {.text_field = options.text_field,
                 .skip_bad = options.skip_bad,
                 .show_progress = options.show_progress,
                 .stop = options.stop},
                output_.folder()),
        composer_(corpus_, encoder, options.plan) {}

  ComposeSummary run();

 private:
  void count_documents();
  OrderedJson settings() const;
  PackedDocument document(int64_t index) const;
  void write_documents();

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const TextEncoder& encoder_;
  const ComposeOptions& options_;
  const std::vector<Source> sources_;
  GrowingOutput output_;
  const CorpusText corpus_;
  const Composer composer_;
  ComposeSummary summary_;
};

/// Finds how many documents there will be, and of which task and length: that needs no text.
void Composition::count_documents() {
  for (const auto& [kind, share] : options_.plan.tasks) {
    summary_.tasks.push_back({std::string(kind->name)});
  }
  for (const auto& [length, share] : options_.plan.lengths) {
    summary_.lengths.push_back({std::to_string(length)});
  }
  while (options_.num_documents > 0 ? summary_.num_documents < options_.num_documents
                                    : summary_.num_tokens < options_.num_tokens) {
    const int64_t index = summary_.num_documents++;
    const int64_t length = composer_.length_of(index);
    summary_.num_tokens += length;
    count(summary_.tasks, std::string(composer_.task_of(index).name), length);
    count(summary_.lengths, std::to_string(length), length);
  }
}

OrderedJson Composition::settings() const {
  const auto id_or_null = [](const std::optional<int32_t>& id) {
    return id ? OrderedJson(*id) : OrderedJson();
  };
  OrderedJson json;
  json["format"] = "longgen composed documents";
  json["version"] = kComposeVersion;
  json["seed"] = options_.plan.seed;
  json["lengths"] = OrderedJson::array();
  for (const auto& [length, share] : options_.plan.lengths) {
    json["lengths"].push_back({length, share});
  }
  json["tasks"] = OrderedJson::array();
  for (const auto& [kind, share] : options_.plan.tasks) {
    json["tasks"].push_back({std::string(kind->name), share});
  }
  json["corpus"] = corpus_.hash();
  json["tokenizer"] = encoder_.hash;
  json["begin_id"] = id_or_null(encoder_.begin_id);
  json["end_id"] = id_or_null(encoder_.end_id);
  return json;
}

PackedDocument Composition::document(int64_t index) const {
  if (options_.stop != nullptr && *options_.stop) throw Stopped{};
  ComposedDocument document = composer_.compose(index);
  PackedDocument packed;
  packed.num_answers = static_cast<int64_t>(document.answers.size());
  for (const auto& [begin, end] : document.answers) {
    packed.answer_bytes += static_cast<int64_t>(end - begin);
  }
  OrderedJson json;
  json["text"] = std::move(document.text);
  json["answers"] = ranges_json(document.answers);
  json["passages"] = ranges_json(document.passages);
  json["task"] = std::string(composer_.task_of(index).name);
  json["length"] = composer_.length_of(index);
  json["seed"] = options_.plan.seed;
  json["index"] = index;
  packed.bytes = output_.packed(dump_json(json) + "\n");
  return packed;
}

void Composition::write_documents() {
  constexpr int64_t kBytesPerToken = 16;  // of a document in the making: its text several times
  constexpr int64_t kMaxPendingBytes = int64_t{128} << 20;
  using Pipeline = OrderedPipeline<int64_t, PackedDocument>;
  int64_t next = output_.num_lines(), done_tokens = 0;
  for (int64_t i = 0; i < next; ++i) done_tokens += composer_.length_of(i);
  Pipeline::Stages stages{
      [&, next]() mutable {
        return next < summary_.num_documents ? std::optional(next++) : std::nullopt;
      },
      [this](int64_t index) { return composer_.length_of(index) * kBytesPerToken; },
      [this](int64_t index, int) { return document(index); }};
  std::optional<Progress> progress;
  if (options_.show_progress) {
    progress.emplace("compose", summary_.num_tokens, "tokens",
                     ProgressOptions{.already_done = done_tokens});
  }
  const int num_threads =
      options_.num_threads > 0 ? options_.num_threads : static_cast<int>(default_threads());
  Pipeline pipeline(std::move(stages), num_threads, kMaxPendingBytes);
  while (const std::optional<PackedDocument> packed = pipeline.next()) {
    done_tokens += composer_.length_of(output_.num_lines());
    output_.append(packed->bytes);
    summary_.num_answers += packed->num_answers;
    summary_.answer_bytes += packed->answer_bytes;
    if (progress) progress->update(done_tokens);
  }
  if (progress) progress->finish();
}

ComposeSummary Composition::run() {
  count_documents();
  output_.open(settings(), summary_.num_documents);
  summary_.num_kept = output_.num_lines();
  try {
    write_documents();
  } catch (const Stopped&) {
    LG_FAIL(options_.output.string(), ": stopped after ", format_count(output_.num_lines()), " of ",
            format_count(summary_.num_documents, "document"), ". They are kept in ",
            output_.folder().string(), "; the same command goes on there.");
  }
  output_.commit();
  summary_.corpus_documents = corpus_.num_documents();
  summary_.corpus_bytes = static_cast<int64_t>(corpus_.bytes().size());
  summary_.num_bad_lines = corpus_.num_bad_lines();
  summary_.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  return std::move(summary_);
}

}  // namespace

ComposeSummary compose_documents(const TextEncoder& encoder, const ComposeOptions& options) {
  LG_CHECK((options.num_documents > 0) != (options.num_tokens > 0),
           "[compose] expected a number of documents or of tokens, found ",
           options.num_documents > 0 ? "both." : "neither.");
  LG_CHECK(options.num_threads >= 0 && options.num_threads <= kMaxThreads,
           "[compose] threads: expected 0 to ", kMaxThreads, ", found ", options.num_threads, ".");
  return Composition(encoder, options).run();
}

}  // namespace longgen
