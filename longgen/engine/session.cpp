#include "longgen/engine/session.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

void check_token(int32_t token, int64_t vocab_size) {
  LG_CHECK(
      token >= 0 && token < vocab_size, "[session] token ", token,
      " is not in the model's vocabulary of ", vocab_size,
      ". A tokenizer may have tokens that its model has not (an added <pad>): leave them out.");
}

at::Tensor as_tensor(std::span<const int32_t> tokens, int64_t vocab_size) {
  const at::Tensor tokens_T = at::empty({static_cast<int64_t>(tokens.size())}, at::kLong);
  auto* out = tokens_T.data_ptr<int64_t>();
  for (const int32_t token : tokens) {
    check_token(token, vocab_size);
    *out++ = token;
  }
  return tokens_T;
}

bool is_on_gpu(const Decoder& decoder) { return decoder.device().is_cuda(); }

}  // namespace

std::unique_ptr<PageMemory> page_memory(const Decoder& decoder) {
  if (!is_on_gpu(decoder)) return host_memory();
  LG_CHECK(decoder.dtype() == at::kBFloat16, "[session] on a GPU a model runs in bfloat16, found ",
           decoder.dtype(), ". Use --dtype bfloat16.");
  const int64_t head_size = decoder.config().head_size;
  LG_CHECK(head_size == 64 || head_size == 128,
           "[session] on a GPU the head size must be 64 or 128, found ", head_size,
           ". Use --device cpu.");
  return gpu_cache().new_memory(decoder.device(), std::nullopt);
}

int64_t default_prefill_chunk(at::Device device) { return device.is_cuda() ? 8192 : 512; }

Session::Session(const Decoder& decoder, int64_t chunk)
    : decoder_(decoder),
      chunk_(chunk == kDefaultPrefillChunk ? default_prefill_chunk(decoder.device()) : chunk),
      layout_(decoder.config(), static_cast<int64_t>(c10::elementSize(decoder.dtype()))),
      pool_(layout_.page_bytes(), std::nullopt, page_memory(decoder)),
      cache_(layout_, pool_) {
  LG_CHECK(chunk_ >= 1, "[session] expected a chunk of at least 1 token, found ", chunk, ".");
}

void Session::append(std::span<const int32_t> tokens, const OnHidden& visit,
                     const OnProgress& on_progress) {
  LG_CHECK(!tokens.empty(), "[session] no tokens to append; a text needs at least one.");
  const at::NoGradGuard no_grad;
  const at::Tensor all_T = as_tensor(tokens, decoder_.config().vocab_size).to(decoder_.device());
  const int64_t total = all_T.size(0);
  for (int64_t first = 0; first < total; first += chunk_) {
    const int64_t count = std::min(chunk_, total - first);
    if (!context_.begin({{&cache_, count}})) fail_out_of_memory();
    OnLayer on_layer;
    if (on_progress) {
      on_layer = [&, num_layers = decoder_.config().num_layers](int64_t done_layers) {
        return done_layers == num_layers || on_progress(first + count * done_layers / num_layers);
      };
    }
    const at::Tensor hidden_TE =
        decoder_.forward(all_T.narrow(0, first, count), context_, on_layer);
    if (!hidden_TE.defined()) return context_.cancel();
    context_.commit();
    visit(hidden_TE, first);
    if (on_progress && !on_progress(first + count)) return;
  }
}

void Session::fail_out_of_memory() const {
  LG_FAIL("[session] out of memory: the KV cache holds ", format_bytes(kv_bytes()), " for ",
          num_tokens(),
          " tokens and cannot grow. "
          "Use a shorter text, --dtype bfloat16 or a model with fewer full layers.");
}

at::Tensor Session::append_by_graph(int32_t token) {
  check_token(token, decoder_.config().vocab_size);
  if (graph_ == nullptr) {
    graph_ = std::make_unique<DecodeGraph>(decoder_, std::vector<SequenceCache*>{&cache_});
  }
  const auto logits_BV = graph_->step({&token, 1});
  if (!logits_BV) fail_out_of_memory();
  return logits_BV->view({-1});
}

at::Tensor Session::append(std::span<const int32_t> tokens, const OnProgress& on_progress) {
  if (is_on_gpu(decoder_) && tokens.size() == 1 && !on_progress) return append_by_graph(tokens[0]);
  at::Tensor logits_V;
  const auto total = static_cast<int64_t>(tokens.size());
  const auto take_last = [&](const at::Tensor& hidden_TE, int64_t first) {
    const int64_t rows = hidden_TE.size(0);
    if (first + rows == total) {
      logits_V = decoder_.logits(hidden_TE.narrow(0, rows - 1, 1)).view({-1}).to(at::kCPU);
    }
  };
  append(tokens, take_last, on_progress);
  return logits_V;
}

}  // namespace longgen
