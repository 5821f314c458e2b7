#include "longgen/engine/host_drawer.h"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "longgen/engine/draw_setup.h"

namespace longgen {
namespace {

class KnownDraws : public PendingDraws {
 public:
  explicit KnownDraws(std::vector<Drawn> drawn) : drawn_(std::move(drawn)) {}
  std::vector<Drawn> wait() override { return std::move(drawn_); }

 private:
  std::vector<Drawn> drawn_;
};

}  // namespace

HostDrawer::HostDrawer(int64_t vocab_size, int64_t most_slots)
    : vocab_size_(vocab_size), slots_(most_slots), drawn_S_(at::zeros({most_slots}, at::kLong)) {}

int64_t HostDrawer::begin(const DrawSettings& settings, std::span<const int32_t> prompt) {
  check_draw_settings(settings, prompt, vocab_size_);
  Sequence sequence = {settings, Sampler(settings.sampling)};
  if (settings.sampling.repetition_penalty != 1) {
    sequence.prompt.assign(prompt.begin(), prompt.end());
  }
  return slots_.add(std::move(sequence));
}

std::unique_ptr<PendingDraws> HostDrawer::draw(const at::Tensor& logits_NV,
                                               std::span<const int64_t> slots,
                                               std::span<const AllowedTokens> allowed) {
  std::vector<Drawn> all;
  for (const int64_t slot : slots) {
    const AllowedTokens of_row = allowed.empty() ? AllowedTokens() : allowed[all.size()];
    all.push_back(draw(logits_NV[std::ssize(all)], slots_[slot], of_row));
    drawn_S_.data_ptr<int64_t>()[slot] = all.back().token;
  }
  return std::make_unique<KnownDraws>(std::move(all));
}

Drawn HostDrawer::draw(const at::Tensor& logits_V, Sequence& sequence,
                       AllowedTokens allowed) const {
  const auto known = [this](const at::Tensor& values_V) {
    return std::span(values_V.const_data_ptr<float>(), static_cast<size_t>(vocab_size_));
  };
  const DrawSettings& settings = sequence.settings;
  const bool bars = sequence.num_draws++ < settings.num_barred;
  Drawn drawn;
  try {
    drawn.token = sequence.sampler.next(
        known(logits_V), {.prompt = sequence.prompt, .generated = sequence.generated},
        bars ? std::span<const int32_t>(settings.barred) : std::span<const int32_t>(), allowed);
  } catch (const Error& error) {
    drawn.error = error.what();
    return drawn;
  }
  if (counts_tokens(settings.sampling)) sequence.generated.push_back(drawn.token);
  if (settings.num_logprobs) {
    drawn.logprobs =
        describe_token(known(at::log_softmax(logits_V, 0)), drawn.token, *settings.num_logprobs);
  }
  return drawn;
}

}  // namespace longgen
