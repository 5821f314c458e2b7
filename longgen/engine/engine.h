// engine/engine.h: many sequences on one model, and forward passes over any of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "longgen/engine/decode_graphs.h"
#include "longgen/kv_cache/cached_context.h"
#include "longgen/kv_cache/page_pool.h"
#include "longgen/kv_cache/sequence_cache.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// Memory for a KV cache where the decoder is, at most max_bytes. Throws Error where the decoder is
/// on a GPU whose kernels do not take its type.
std::unique_ptr<PageMemory> page_memory(const Decoder& decoder,
                                        std::optional<int64_t> max_bytes = std::nullopt);

/// Names a sequence of an engine. An engine never gives the same one twice.
using SequenceId = int64_t;

struct EngineOptions {
  /// What the pages of all sequences take at most. Nothing: as much as the device has.
  std::optional<int64_t> max_kv_bytes = {};
  /// Every sequence passes the layers by itself: slower, but no bit of its logits depends on its
  /// neighbours (see Engine).
  bool isolate_sequences = false;
};

/// Stands among the tokens of a step for the one that a BatchDrawer drew last for a slot, which
/// nobody may have seen yet: BatchOptions::drawn_S[slot].
constexpr int32_t token_in_slot(int64_t slot) { return static_cast<int32_t>(-1 - slot); }

/// What one sequence takes through the layers in a step; the parts of a step are its batch.
struct BatchPart {
  SequenceId sequence;
  /// A chunk of a prompt, or the token that was drawn last; at least one.
  std::span<const int32_t> tokens;
  bool wants_logits = true;  ///< those that follow the last of the tokens
};

struct BatchOptions {
  /// Called on the thread of step() after each layer with the number of layers done; false gives
  /// the step up. On a GPU a layer is done when its work is queued. Must not call the engine.
  OnLayer on_layer = {};
  bool keep_hidden = false;  ///< gives BatchResult::hidden_TE
  /// Leaves the logits on the decoder's device, for a sampler there. On a GPU step() does not wait
  /// for them then, and they hold until the next step.
  bool logits_on_device = false;
  /// Pages that no later token sees stay with their sequences, so that others may come to own them,
  /// until release_dead(), which must precede the next step of each.
  bool keep_dead = false;
  /// (S) int64 where the decoder is: BatchDrawer::drawn_S(), where tokens are token_in_slot().
  at::Tensor drawn_S = {};
};

enum class BatchEnd {
  done,
  cancelled,     ///< by on_layer
  out_of_pages,  ///< the pool has too few: sequences must end or be removed first
};

struct BatchResult {
  BatchEnd end = BatchEnd::done;
  /// (B, V) fp32, a row for each part that wants logits, in order of the parts; on the CPU unless
  /// logits_on_device. Undefined where none does, and unless done.
  at::Tensor logits_BV = {};
  /// (T, E) on the decoder's device, in its dtype: all tokens, in order of the parts.
  at::Tensor hidden_TE = {};
  /// Out of pages: the first sequence, in order of the parts, whose tokens found none.
  std::optional<SequenceId> without_pages = {};
};

/// Does a CUDA graph do this step, where the decoder is on a GPU? It does steps of one token a
/// sequence, with neither on_layer nor keep_hidden, of up to DecodeGraphs::kMostSequences sequences
/// (one, where they are isolated).
bool is_graph_step(std::span<const BatchPart> parts, const BatchOptions& step,
                   const EngineOptions& engine);

/// The sequences of one model on one page pool. A step is one forward pass over the next tokens of
/// some of them: chunks of prompts and single tokens in any mixture, which is what a scheduler
/// needs that admits, prefills and decodes at the same time.
///
///     Engine engine(decoder, {.max_kv_bytes = int64_t{8} << 30});
///     const SequenceId a = engine.add(), b = engine.add();
///     BatchResult result = engine.step({{a, prompt}, {b, first_chunk, false}});
///     ...draws a token from result.logits_BV[0]...
///     engine.step({{a, token}, {b, second_chunk}});
///     engine.remove(a);
///
/// Pages that no later token sees are freed after each step. Admission asks KvLayout::pages_peak()
/// before a sequence begins, and pages_needed() before a step. A sequence that must make room for
/// others is removed, and later added and prefilled again. Prefixes are shared by fork(), and by
/// adopt() where pages outlive the sequence that wrote them.
///
/// A step that is cancelled, finds too few pages or throws leaves every sequence as it was.
///
/// Two runs of the same steps are equal to the bit, whatever the number of threads. Steps of the
/// same tokens that divide otherwise, into chunks or among sequences, agree to rounding:
///   on the CPU  no bit of a row depends on others in steps of up to 64 tokens (bfloat16: 16 where
///               multiplies_bfloat16()); the library's products for more choose their order of
///               sums by the number of rows
///   on a GPU    attention of single tokens divides its work by the keys of all sequences, and
///               products choose their order of sums by the number of rows, which in a graph step
///               (is_graph_step) is rounded up to a power of two
/// With isolate_sequences a sequence's logits depend on its tokens and their chunks only: they are
/// those of an engine in which it is alone, to the bit.
///
/// No gradients. Not thread-safe: one call at a time. The decoder must outlive it.
class Engine {
 public:
  /// Throws Error where the limit is less than a page, and as page_memory() does.
  explicit Engine(const Decoder& decoder, const EngineOptions& options = {});
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // All calls with a sequence throw Error where the engine does not have it.

  /// Begins a sequence without tokens, which takes no pages yet.
  SequenceId add();
  /// Begins a sequence with the first num_tokens tokens of another one, whose pages they share
  /// until one of the two writes to them. Nothing where pages of those tokens are freed already:
  /// see SequenceCache::fork_from(). Forks at the sequence's length are always possible; those at
  /// multiples of Pattern::kBlock never lead to a copy.
  std::optional<SequenceId> fork(SequenceId from, int64_t num_tokens);
  /// Begins a sequence with num_tokens tokens whose K and V are in `pages` of pool(), of each of
  /// which it becomes one more owner. Throws Error as SequenceCache::adopt().
  SequenceId adopt(int64_t num_tokens, std::span<const HeldPage> pages);
  /// Forgets a sequence; its pages are free where no other one shares them.
  void remove(SequenceId sequence);
  /// Records on a GPU the graphs of steps of single tokens of up to max_sequences sequences, which
  /// the first such step would wait for otherwise. Nothing to do on a CPU.
  void record_graphs(int64_t max_sequences = DecodeGraphs::kMostSequences);

  /// One forward pass over the tokens of all parts, which then belong to their sequences. Throws
  /// Error, besides what the forward pass may throw, on no parts, no tokens or one outside the
  /// vocabulary, and where a sequence stands in two parts.
  BatchResult step(std::span<const BatchPart> parts, const BatchOptions& options = {});
  BatchResult step(std::initializer_list<BatchPart> parts, const BatchOptions& options = {}) {
    return step(std::span(parts.begin(), parts.size()), options);
  }
  /// Frees the pages of a sequence that a step with BatchOptions::keep_dead has left to it and that
  /// no later token sees.
  void release_dead(SequenceId sequence) { cache(sequence).release_dead(); }
  /// How many pages of the pool a step over these parts takes while it runs.
  int64_t pages_needed(std::span<const BatchPart> parts) const;
  /// Throws the Error of step() for tokens outside the vocabulary.
  void check_tokens(std::span<const int32_t> tokens) const;

  /// The number of tokens, and pages, of a sequence.
  const SequenceCache& sequence(SequenceId sequence) const { return cache(sequence); }
  int64_t num_tokens(SequenceId id) const { return sequence(id).length(); }
  int64_t num_sequences() const { return static_cast<int64_t>(sequences_.size()); }
  const Decoder& decoder() const { return decoder_; }
  const KvLayout& layout() const { return layout_; }
  /// The pages of all sequences: how many are in use, how many are left.
  const PagePool& pool() const { return pool_; }
  /// For those who own pages beside the sequences; they release them before the engine goes.
  PagePool& pool() { return pool_; }

 private:
  SequenceCache& cache(SequenceId sequence) const;
  std::vector<PassPart> pass_of(std::span<const BatchPart> parts,
                                const BatchOptions& options) const;
  void check_inputs(std::span<const int32_t> tokens, const BatchOptions& options) const;
  BatchResult step_by_graph(std::span<const BatchPart> parts, const std::vector<PassPart>& pass,
                            const BatchOptions& options);
  BatchResult step_by_layers(std::span<const BatchPart> parts, const std::vector<PassPart>& pass,
                             const BatchOptions& options);
  static BatchResult out_of_pages(std::span<const BatchPart> parts,
                                  const std::vector<PassPart>& pass);

  const Decoder& decoder_;
  EngineOptions options_;
  KvLayout layout_;
  PagePool pool_;
  std::map<SequenceId, std::unique_ptr<SequenceCache>> sequences_;
  SequenceId next_ = 0;
  std::vector<std::unique_ptr<CachedContext>> contexts_;  // one, or one for each isolated part
  std::unique_ptr<DecodeGraphs> graphs_;                  // on a GPU
};

}  // namespace longgen
