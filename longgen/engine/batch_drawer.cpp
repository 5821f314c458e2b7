#include "longgen/engine/batch_drawer.h"

#include "longgen/base/check.h"
#include "longgen/engine/device_drawer.h"
#include "longgen/engine/draw_rows.h"
#include "longgen/engine/host_drawer.h"

namespace longgen {

std::unique_ptr<BatchDrawer> batch_drawer(at::Device device, int64_t vocab_size,
                                          int64_t most_slots) {
  if (device.is_cuda()) return std::make_unique<DeviceDrawer>(device, vocab_size, most_slots);
  return std::make_unique<HostDrawer>(vocab_size, most_slots);
}

void check_draw_settings(const DrawSettings& settings, std::span<const int32_t> prompt,
                         int64_t vocab_size) {
  check_sampling_options(settings.sampling);
  const int64_t num_logprobs = settings.num_logprobs.value_or(0);
  LG_CHECK(num_logprobs >= 0 && num_logprobs <= kMostBestTokens,
           "[sample] logprobs: expected at most ", kMostBestTokens, " best tokens, found ",
           num_logprobs, ".");
  const auto check = [&](const char* what, int32_t token) {
    LG_CHECK(token >= 0 && token < vocab_size, "[sample] ", what, ": expected tokens from 0 to ",
             vocab_size - 1, ", found ", token, ".");
  };
  for (const int32_t token : prompt) check("prompt", token);
  for (const LogitBias& bias : settings.sampling.logit_bias) check("logit_bias", bias.token);
}

}  // namespace longgen
