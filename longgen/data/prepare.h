// data/prepare.h: from a corpus to a token dataset.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/marks.h"

namespace longgen {

/// The tokenizer, and perhaps the chat template, as prepare_dataset() needs them.
struct TextEncoder {
  /// Gives the ids of a text, which is valid UTF-8. Called from several threads at once.
  std::function<std::vector<int32_t>(std::string_view)> encode;
  /// Does the same, and gives of each id the bytes of the text that it stands for.
  std::function<std::vector<int32_t>(std::string_view, std::vector<ByteRange>&)> encode_places;
  /// Gives the tokens of a line of JSON with messages. Throws Error for a bad conversation.
  std::function<MarkedTokens(std::string_view)> encode_conversation = {};
  /// Why there is none of the above: a whole sentence.
  std::string no_conversations = "expected texts: this tokenizer knows no conversations.";
  int64_t vocab_size = 0;           ///< every id is below it
  std::optional<int32_t> begin_id;  ///< put before every document
  std::optional<int32_t> end_id;    ///< put after every document
  std::string name, hash;           ///< of the tokenizer; written to the manifest
};

struct PrepareOptions {
  std::vector<fs::path> inputs;  ///< files or folders, see expand_inputs()
  fs::path output;               ///< folder to create; not inside an input folder
  bool replace = false;          ///< an output that exists is replaced at the end
  std::string text_field = "text";
  bool text_only = false;        ///< of JSONL the text alone counts, not answers or messages
  bool skip_bad = false;         ///< count and leave out bad lines instead of stopping at the first
  double held_out_share = 0.01;  ///< of the documents, in [0, 1)
  uint64_t seed = 0;             ///< of the choice of held-out documents
  int64_t shard_tokens = int64_t{1} << 28;
  int64_t max_document_bytes = int64_t{1} << 30;   ///< of a text document or a JSONL line; < 4 GiB
  int64_t max_pending_bytes = int64_t{256} << 20;  ///< of text read but not yet written
  int num_threads = 0;  ///< tokenizing, at most kMaxThreads; 0: default_threads()
  bool show_progress = true;
  /// Set from outside (a signal handler) to end the run early, with an Error and no output.
  const std::atomic<bool>* stop = nullptr;
};

struct SplitSummary {
  int64_t num_documents = 0, num_tokens = 0;
};

struct PrepareSummary {
  SplitSummary train, held_out;
  TokenType token_type = TokenType::uint16;
  int64_t num_sources = 0;
  int64_t num_empty_documents = 0;  ///< without text or tokens; left out
  int64_t num_bad_lines = 0;
  std::vector<std::string> first_bad_lines;  ///< "file:line: reason", at most 10
  int64_t num_answer_tokens = 0;             ///< marked as Mark::answer
  int64_t num_ignored_tokens = 0;            ///< marked as Mark::ignored
  int64_t text_bytes = 0;                    ///< of the documents written, decompressed
  int64_t input_bytes = 0;                   ///< of the files
  double seconds = 0;
};

/// Tokenizes the corpus into `output`: shards, one index per split and a manifest (docs/data.md).
/// The result depends on the inputs, the options and the tokenizer alone: not on num_threads, the
/// time or the machine. It appears whole, or not at all when anything fails. Document i (counted
/// over all that are written) is held out when a hash of (seed, i) is below the share.
/// Memory: max_pending_bytes of text with its tokens, and per thread the document it works on.
/// Throws Error naming file and line for a bad line (unless skip_bad), and for damaged files, a
/// full disk, bad options, a corpus without any document.
PrepareSummary prepare_dataset(const TextEncoder& encoder, const PrepareOptions& options);

}  // namespace longgen
