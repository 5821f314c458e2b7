#include "longgen/engine/session.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {

int64_t prefill_chunk(int64_t chunk, at::Device device) {
  if (chunk != kDefaultPrefillChunk) return chunk;
  return device.is_cuda() ? 8192 : 512;
}

Session::Session(const Decoder& decoder, int64_t chunk)
    : engine_(decoder), sequence_(engine_.add()), chunk_(prefill_chunk(chunk, decoder.device())) {
  LG_CHECK(chunk_ >= 1, "[session] expected a chunk of at least 1 token, found ", chunk, ".");
}

void Session::fail_out_of_memory() const {
  LG_FAIL("[session] out of memory: the KV cache holds ", format_bytes(kv_bytes()), " for ",
          num_tokens(),
          " tokens and cannot grow. "
          "Use a shorter text, --dtype bfloat16 or a model with fewer full layers.");
}

at::Tensor Session::append(std::span<const int32_t> tokens, const OnHidden& visit,
                           bool wants_logits, const OnProgress& on_progress) {
  LG_CHECK(!tokens.empty(), "[session] no tokens to append; a text needs at least one.");
  engine_.check_tokens(tokens);
  const auto total = static_cast<int64_t>(tokens.size());
  BatchResult result;
  for (int64_t first = 0; first < total; first += chunk_) {
    const int64_t count = std::min(chunk_, total - first);
    BatchOptions options = {.keep_hidden = static_cast<bool>(visit)};
    if (on_progress) {
      options.on_layer = [&, num_layers = decoder().config().num_layers](int64_t done_layers) {
        return done_layers == num_layers || on_progress(first + count * done_layers / num_layers);
      };
    }
    result = engine_.step(
        {{sequence_, tokens.subspan(first, count), wants_logits && first + count == total}},
        options);
    if (result.end == BatchEnd::out_of_pages) fail_out_of_memory();
    if (result.end == BatchEnd::cancelled) return {};
    if (visit) visit(result.hidden_TE, first);
    if (on_progress && !on_progress(first + count)) break;
  }
  return result.logits_BV;
}

at::Tensor Session::append(std::span<const int32_t> tokens, const OnProgress& on_progress) {
  const at::Tensor logits_BV = append(tokens, {}, /*wants_logits=*/true, on_progress);
  return logits_BV.defined() ? logits_BV.view({-1}) : logits_BV;
}

void Session::append(std::span<const int32_t> tokens, const OnHidden& visit,
                     const OnProgress& on_progress) {
  append(tokens, visit, /*wants_logits=*/false, on_progress);
}

void Session::clear() {
  engine_.remove(sequence_);
  sequence_ = engine_.add();
}

}  // namespace longgen
