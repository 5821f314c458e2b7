#include "longgen/engine/engine.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <c10/util/ScopeExit.h>

#include <algorithm>
#include <set>

#include "longgen/base/check.h"
#include "longgen/kv_cache/page_scalar.h"

namespace longgen {
namespace {

bool is_on_gpu(const Decoder& decoder) { return decoder.device().is_cuda(); }

/// The tokens of all parts, one after the other, on the CPU.
at::Tensor tokens_of(std::span<const BatchPart> parts) {
  int64_t count = 0;
  for (const BatchPart& part : parts) count += static_cast<int64_t>(part.tokens.size());
  const at::Tensor tokens_T = at::empty({count}, at::kLong);
  auto* to = tokens_T.data_ptr<int64_t>();
  for (const BatchPart& part : parts) to = std::copy(part.tokens.begin(), part.tokens.end(), to);
  return tokens_T;
}

/// The last row of each part that wants logits; undefined where none does.
at::Tensor last_rows(const at::Tensor& x, std::span<const BatchPart> parts) {
  std::vector<int64_t> rows;
  int64_t end = 0;
  for (const BatchPart& part : parts) {
    end += static_cast<int64_t>(part.tokens.size());
    if (part.wants_logits) rows.push_back(end - 1);
  }
  if (rows.empty()) return {};
  const auto count = static_cast<int64_t>(rows.size());
  if (rows.back() - rows.front() + 1 == count) return x.narrow(0, rows.front(), count);
  const at::Tensor index = at::empty({count}, at::kLong);
  std::copy(rows.begin(), rows.end(), index.data_ptr<int64_t>());
  return x.index_select(0, index.to(x.device()));
}

at::Tensor joined(const std::vector<at::Tensor>& rows) {
  if (rows.empty()) return {};
  return rows.size() == 1 ? rows.front() : at::cat(rows);
}

/// What `on_layer` is told of pass `index` of `count`, which follow one another: the share of all
/// layers that is done.
OnLayer layers_of_pass(const OnLayer& on_layer, int64_t num_layers, int64_t index, int64_t count) {
  if (!on_layer || count == 1) return on_layer;
  return [=, &on_layer](int64_t done) { return on_layer((index * num_layers + done) / count); };
}

}  // namespace

std::unique_ptr<PageMemory> page_memory(const Decoder& decoder, std::optional<int64_t> max_bytes) {
  if (!is_on_gpu(decoder)) return host_memory();
  LG_CHECK(decoder.dtype() == at::kBFloat16, "[engine] on a GPU a model runs in bfloat16, found ",
           decoder.dtype(), ". Use --dtype bfloat16.");
  return gpu_cache().new_memory(decoder.device(), max_bytes);
}

bool is_graph_step(std::span<const BatchPart> parts, const BatchOptions& step,
                   const EngineOptions& engine) {
  const auto count = static_cast<int64_t>(parts.size());
  const int64_t most = engine.isolate_sequences ? 1 : DecodeGraphs::kMostSequences;
  return count <= most && !step.on_layer && !step.keep_hidden &&
         std::all_of(parts.begin(), parts.end(),
                     [](const BatchPart& part) { return part.tokens.size() == 1; });
}

Engine::Engine(const Decoder& decoder, const EngineOptions& options)
    : decoder_(decoder),
      options_(options),
      layout_(decoder.config(), page_type(decoder.dtype())),
      pool_(layout_.page_bytes(), options.max_kv_bytes,
            page_memory(decoder, options.max_kv_bytes)) {
  if (is_on_gpu(decoder)) graphs_ = std::make_unique<DecodeGraphs>(decoder);
}

SequenceId Engine::add() {
  sequences_.emplace(next_, std::make_unique<SequenceCache>(layout_, pool_));
  return next_++;
}

std::optional<SequenceId> Engine::fork(SequenceId from, int64_t num_tokens) {
  auto cache = std::make_unique<SequenceCache>(layout_, pool_);
  if (!cache->fork_from(sequence(from), num_tokens)) return std::nullopt;
  sequences_.emplace(next_, std::move(cache));
  return next_++;
}

SequenceId Engine::adopt(int64_t num_tokens, std::span<const HeldPage> pages) {
  auto cache = std::make_unique<SequenceCache>(layout_, pool_);
  cache->adopt(num_tokens, pages);
  sequences_.emplace(next_, std::move(cache));
  return next_++;
}

void Engine::remove(SequenceId id) {
  (void)sequence(id);
  sequences_.erase(id);
}

SequenceCache& Engine::cache(SequenceId id) const {
  const auto found = sequences_.find(id);
  LG_CHECK(found != sequences_.end(), "[engine] there is no sequence ", id,
           ": it was removed, or never added.");
  return *found->second;
}

void Engine::check_tokens(std::span<const int32_t> tokens) const {
  const int64_t vocab_size = decoder_.config().vocab_size;
  for (const int32_t token : tokens) {
    LG_CHECK(
        token >= 0 && token < vocab_size, "[engine] token ", token,
        " is not in the model's vocabulary of ", vocab_size,
        ". A tokenizer may have tokens that its model has not (an added <pad>): leave them out.");
  }
}

/// Checks the parts of a step.
std::vector<PassPart> Engine::pass_of(std::span<const BatchPart> parts) const {
  LG_CHECK(!parts.empty(), "[engine] a step needs at least one sequence.");
  std::vector<PassPart> pass;
  std::set<SequenceId> seen;
  for (const BatchPart& part : parts) {
    SequenceCache& its_cache = cache(part.sequence);
    LG_CHECK(seen.insert(part.sequence).second, "[engine] sequence ", part.sequence,
             " stands in a step twice. Give its tokens in one part.");
    LG_CHECK(!part.tokens.empty(), "[engine] no tokens for sequence ", part.sequence,
             "; leave it out of the step.");
    check_tokens(part.tokens);
    pass.push_back({&its_cache, static_cast<int64_t>(part.tokens.size())});
  }
  return pass;
}

int64_t Engine::pages_needed(std::span<const BatchPart> parts) const {
  int64_t pages = 0;
  for (const BatchPart& part : parts) {
    pages += sequence(part.sequence).pages_needed(static_cast<int64_t>(part.tokens.size()));
  }
  return pages;
}

BatchResult Engine::step(std::span<const BatchPart> parts, const BatchOptions& options) {
  const at::NoGradGuard no_grad;
  const std::vector<PassPart> pass = pass_of(parts);
  if (graphs_ != nullptr && is_graph_step(parts, options, options_)) {
    return step_by_graph(parts, pass, options);
  }
  return step_by_layers(parts, pass, options);
}

BatchResult Engine::step_by_graph(std::span<const BatchPart> parts,
                                  const std::vector<PassPart>& pass, const BatchOptions& options) {
  std::vector<int32_t> tokens;
  for (const BatchPart& part : parts) tokens.push_back(part.tokens.front());
  const std::optional<at::Tensor> all_BV = graphs_->step(pass, tokens, options.keep_dead);
  if (!all_BV) return out_of_pages(parts, pass);
  BatchResult result;
  result.logits_BV = last_rows(*all_BV, parts);
  if (options.logits_on_device) return result;
  if (result.logits_BV.defined()) {
    const at::Tensor on_cpu = at::empty(result.logits_BV.sizes(),
                                        at::TensorOptions().dtype(at::kFloat).pinned_memory(true));
    on_cpu.copy_(result.logits_BV, /*non_blocking=*/true);
    result.logits_BV = on_cpu;
  }
  graphs_->wait();
  return result;
}

BatchResult Engine::step_by_layers(std::span<const BatchPart> parts,
                                   const std::vector<PassPart>& pass, const BatchOptions& options) {
  const size_t num_passes = options_.isolate_sequences ? parts.size() : 1;
  const size_t per_pass = parts.size() / num_passes;
  while (contexts_.size() < num_passes) contexts_.push_back(std::make_unique<CachedContext>());
  const auto cancel = [this] {
    for (const auto& context : contexts_) context->cancel();
  };
  const auto cancel_if_left = c10::make_scope_exit(cancel);  // does nothing after commit()
  for (size_t p = 0; p < num_passes; ++p) {
    const auto first = pass.begin() + static_cast<ptrdiff_t>(p * per_pass);
    if (contexts_[p]->begin({first, first + static_cast<ptrdiff_t>(per_pass)})) continue;
    cancel();
    return out_of_pages(parts, pass);
  }
  std::vector<at::Tensor> hidden, logits;
  for (size_t p = 0; p < num_passes; ++p) {
    const auto of_pass = parts.subspan(p * per_pass, per_pass);
    const OnLayer on_layer =
        layers_of_pass(options.on_layer, decoder_.config().num_layers, static_cast<int64_t>(p),
                       static_cast<int64_t>(num_passes));
    const at::Tensor hidden_TE = decoder_.forward(tokens_of(of_pass), *contexts_[p], on_layer);
    if (!hidden_TE.defined()) return {.end = BatchEnd::cancelled};
    const at::Tensor last_BE = last_rows(hidden_TE, of_pass);
    if (last_BE.defined()) logits.push_back(decoder_.logits(last_BE));
    if (options.keep_hidden) hidden.push_back(hidden_TE);
  }
  BatchResult result = {.logits_BV = joined(logits), .hidden_TE = joined(hidden)};
  if (result.logits_BV.defined() && !options.logits_on_device) {
    result.logits_BV = result.logits_BV.to(at::kCPU);
  }
  for (size_t p = 0; p < num_passes; ++p) contexts_[p]->commit(options.keep_dead);
  return result;
}

/// Says which part the pool has no pages for: those before it still find theirs.
BatchResult Engine::out_of_pages(std::span<const BatchPart> parts,
                                 const std::vector<PassPart>& pass) {
  size_t fitting = 0;
  while (fitting + 1 < pass.size() && pass[fitting].cache->reserve(pass[fitting].num_tokens)) {
    ++fitting;
  }
  for (size_t i = 0; i < fitting; ++i) pass[i].cache->cancel();
  return {.end = BatchEnd::out_of_pages, .without_pages = parts[fitting].sequence};
}

}  // namespace longgen
